//! Python's notions of text, where they differ from Rust's and a name or a value depends on them.

use std::path::PathBuf;

use zeroize::Zeroizing;

/// What `str.isspace` calls white space: Unicode's `White_Space` and U+001C to U+001F.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// What `bytes.isspace` calls white space.
fn is_byte_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// `str.strip()`.
pub(crate) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// `bytes.strip()`.
pub(crate) fn strip_bytes(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_byte_space(*first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_byte_space(*last)
    {
        bytes = rest;
    }
    bytes
}

/// `str.strip()` of a text that may hold bytes that are no text (`surrogateescape`): those are no white space.
pub(crate) fn strip_lossy(bytes: &[u8]) -> &[u8] {
    let Some(first) = bytes.utf8_chunks().next() else { return bytes };
    let start = first.valid().len() - first.valid().trim_start_matches(is_space).len();
    let bytes = &bytes[start..];
    let Some(last) = bytes.utf8_chunks().last() else { return bytes };
    if !last.invalid().is_empty() {
        return bytes;
    }
    &bytes[..bytes.len() - (last.valid().len() - last.valid().trim_end_matches(is_space).len())]
}

/// What a file opened as text has for line ends: `\r\n` and `\r` are read as `\n`.
pub(crate) fn universal_newlines(text: &str) -> Zeroizing<String> {
    // Never longer than the text, so the buffer never moves and leaves no copy behind.
    let mut read = Zeroizing::new(String::with_capacity(text.len()));
    let mut rest = text;
    while let Some((line, behind)) = rest.split_once('\r') {
        read.push_str(line);
        read.push('\n');
        rest = behind.strip_prefix('\n').unwrap_or(behind);
    }
    read.push_str(rest);
    read
}

/// `os.path.join`: empty parts but the last add nothing, an absolute one drops what stands before it; not cleaned.
pub(crate) fn join(folder: &str, parts: &[String]) -> PathBuf {
    parts.iter().fold(PathBuf::from(folder), |path, part| path.join(part))
}

#[cfg(test)]
#[path = "python_tests.rs"]
mod tests;
