//! Base32 as Flyte's programs read and write it: no padding, and a lenient reader.
//!
//! The reader ignores line ends, accepts spare bits, and drops a last group whose length (1, 3 or 6) no writer
//! produces. That is how Go's `encoding/base32` without padding behaves, so existing annotations rely on it.

use std::sync::LazyLock;

use data_encoding::{Encoding, Specification};

/// The alphabet of annotations and volume names.
pub(crate) static FLYTE: LazyLock<Base32> = LazyLock::new(|| Base32::new("abcdefghijklmnopqrstuvwxyz123456"));

/// The alphabet of RFC 4648, section 6.
pub(crate) static STANDARD: LazyLock<Base32> = LazyLock::new(|| Base32::new("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"));

/// A character that is not of the alphabet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadCharacter {
    /// Where its first byte stands in the text as written; the first byte of the text is 1.
    pub(crate) position: usize,
    /// The character.
    pub(crate) found: char,
}

/// One alphabet.
pub(crate) struct Base32 {
    alphabet: &'static str,
    encoding: Encoding,
}

impl Base32 {
    fn new(alphabet: &'static str) -> Self {
        let mut specification = Specification::new();
        specification.symbols.push_str(alphabet);
        specification.check_trailing_bits = false;
        specification.ignore.push_str("\r\n");
        Self { alphabet, encoding: specification.encoding().expect("an alphabet of 32 distinct ASCII characters") }
    }

    pub(crate) fn encode(&self, bytes: &[u8]) -> String {
        self.encoding.encode(bytes)
    }

    pub(crate) fn decode(&self, text: &str) -> Result<Vec<u8>, BadCharacter> {
        let (groups, dropped) = text.as_bytes().split_at(end_of_readable_groups(text));
        let decoded = self.encoding.decode(groups).map_err(|error| bad_character(text, error.position))?;
        match dropped.iter().position(|&byte| !is_line_end(byte) && !self.alphabet.as_bytes().contains(&byte)) {
            Some(position) => Err(bad_character(text, groups.len() + position)),
            None => Ok(decoded),
        }
    }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// The byte offset at which a last group of 1, 3 or 6 characters begins; else the length of the text.
fn end_of_readable_groups(text: &str) -> usize {
    let characters = text.bytes().filter(|&byte| !is_line_end(byte)).count();
    let dropped = match characters % 8 {
        rest @ (1 | 3 | 6) => rest,
        _ => return text.len(),
    };
    let from_the_end = text.bytes().enumerate().rev().filter(|&(_, byte)| !is_line_end(byte));
    from_the_end.take(dropped).last().map_or(text.len(), |(offset, _)| offset)
}

fn bad_character(text: &str, offset: usize) -> BadCharacter {
    let found = text.get(offset..).and_then(|rest| rest.chars().next()).unwrap_or(char::REPLACEMENT_CHARACTER);
    BadCharacter { position: offset + 1, found }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_character_is_named_with_its_place_as_written() {
        let cases = [
            ("ab cd", 3, ' '),
            ("nnsxsora\r\nej=x", 13, '='),
            ("nnsxsoraejwxsx2lmv3secq=", 24, '='),
            ("Abc", 1, 'A'),
            ("nnsxsorü", 8, 'ü'),
            ("nnsxsoraa\n\n0", 12, '0'),
        ];
        for (text, position, found) in cases {
            assert_eq!(FLYTE.decode(text), Err(BadCharacter { position, found }), "{text:?}");
        }
    }

    #[test]
    fn line_ends_do_not_count_when_the_last_group_is_measured() {
        assert_eq!(FLYTE.decode("nnsxs\r\noraejwxsx2lmv3secq\n").unwrap(), b"key: \"my_key\"\n"[..14].to_vec());
        assert_eq!(FLYTE.decode("m4pqa\n").unwrap(), b"g_\x00".to_vec());
        assert_eq!(FLYTE.decode("m\n4\r4").unwrap(), b"".to_vec());
    }
}
