//! Paths of secret files, joined and cleaned as Go's `path/filepath` does.

use crate::case;

/// The folder below which tasks find their secret files.
pub const SECRETS_DIR: &str = "/etc/flyte/secrets";

/// Joins parts to one absolute path: empty and `.` segments vanish, `..` takes one away.
#[must_use]
pub fn join(parts: &[&str]) -> String {
    let mut path = String::with_capacity(parts.iter().map(|part| part.len() + 1).sum());
    for segment in parts.iter().flat_map(|part| part.split('/')) {
        match segment {
            "" | "." => {}
            ".." => path.truncate(path.rfind('/').unwrap_or(0)),
            _ => {
                path.push('/');
                path.push_str(segment);
            }
        }
    }
    if path.is_empty() {
        path.push('/');
    }
    path
}

/// Why a part of a request must not become part of a path; see `docs/differences.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathPartError {
    /// It would leave the folder of the secrets.
    #[error("has a '..' segment, so the file would leave {SECRETS_DIR}")]
    Climbs,
    /// It starts with a slash.
    #[error("is an absolute path")]
    Absolute,
    /// U+0000–1F or 7F.
    #[error("holds a control character")]
    Control,
}

/// Checks a part that shall become part of a file's path.
///
/// # Errors
/// A `..` segment, an absolute path, control characters.
pub fn check_part(part: &str) -> Result<(), PathPartError> {
    if part.starts_with('/') {
        return Err(PathPartError::Absolute);
    }
    if part.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return Err(PathPartError::Control);
    }
    if part.split('/').any(|segment| segment == "..") {
        return Err(PathPartError::Climbs);
    }
    Ok(())
}

/// The longest name of a file on Linux, in bytes (`NAME_MAX` of `limits.h`).
pub const MAX_FILE_NAME: usize = 255;

/// The lower-case name under which flytekit asks for a file, where it is another one that a file can have.
#[must_use]
pub fn lower_name(name: &str) -> Option<String> {
    let lower = case::lower(name);
    (lower != name && lower.len() <= MAX_FILE_NAME).then_some(lower)
}

/// Whether one path is the other, or a folder above it: both cannot be files of one volume.
#[must_use]
pub fn clash(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_and_cleaned_as_go_does() {
        for (parts, expected) in [
            (&["/etc", "a"][..], "/etc/a"),
            (&["/etc/flyte/secrets", "a/../../b"], "/etc/flyte/b"),
            (&["/etc", "c//d/./e/"], "/etc/c/d/e"),
            (&["/", "..", ".."], "/"),
            (&["/", "::x::", "::y"], "/::x::/::y"),
            (&["/a", ""], "/a"),
        ] {
            assert_eq!(join(parts), expected, "{parts:?}");
        }
    }

    #[test]
    fn a_part_that_leaves_its_place_is_told_apart() {
        for (part, expected) in [
            ("a/b", Ok(())),
            ("..a/b..", Ok(())),
            ("", Ok(())),
            ("a/../b", Err(PathPartError::Climbs)),
            ("..", Err(PathPartError::Climbs)),
            ("/a", Err(PathPartError::Absolute)),
            ("a\u{7f}", Err(PathPartError::Control)),
            ("a\nb", Err(PathPartError::Control)),
        ] {
            assert_eq!(check_part(part), expected, "{part:?}");
        }
    }

    #[test]
    fn a_file_clashes_with_itself_and_with_its_folder() {
        assert!(clash("a", "a") && clash("a", "a/b") && clash("a/b", "a"));
        assert!(!clash("a", "ab") && !clash("a/b", "a/c"));
    }
}
