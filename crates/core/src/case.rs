//! Upper and lower case, one code point at a time: the simple mapping of Unicode's `UnicodeData.txt`.
//!
//! Names of variables and files in the contract are mapped like this. [`str::to_uppercase`] is the full mapping
//! and turns `ß` into `SS`; here `ß` stays, `İ` becomes `i`, and no sigma is a final one.

/// The text in upper case.
#[must_use]
pub fn upper(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_uppercase() } else { text.chars().map(upper_char).collect() }
}

/// The text in lower case.
#[must_use]
pub fn lower(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.chars().map(lower_char).collect() }
}

/// Where the full mapping gives several code points, the simple one is the character itself, except for the Greek
/// letters with iota subscript: their simple upper case is the title-case letter 8 or 9 places further on.
fn upper_char(c: char) -> char {
    let distance = match c {
        '\u{1F80}'..='\u{1F87}' | '\u{1F90}'..='\u{1F97}' | '\u{1FA0}'..='\u{1FA7}' => 8,
        '\u{1FB3}' | '\u{1FC3}' | '\u{1FF3}' => 9,
        _ => return only(c.to_uppercase()).unwrap_or(c),
    };
    char::from_u32(u32::from(c) + distance).unwrap_or(c)
}

/// `İ` is the only character whose full lower case has more than one code point.
fn lower_char(c: char) -> char {
    if c == 'İ' { 'i' } else { only(c.to_lowercase()).unwrap_or(c) }
}

fn only(mut mapped: impl Iterator<Item = char>) -> Option<char> {
    let first = mapped.next();
    if mapped.next().is_none() { first } else { None }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    /// Pairs of letters of Unicode 16 and 17, which Flyte's Unicode 15 does not map.
    const NEWER: [std::ops::RangeInclusive<u32>; 9] = [
        0x019B..=0x019B,
        0x0264..=0x0264,
        0x1C89..=0x1C8A,
        0xA7CB..=0xA7CF,
        0xA7D2..=0xA7D5,
        0xA7DA..=0xA7DC,
        0x10D50..=0x10D65,
        0x10D70..=0x10D85,
        0x16EA0..=0x16ED3,
    ];

    #[test]
    fn every_code_point_maps_as_in_go() {
        let mut digest = Sha256::new();
        for c in '\0'..=char::MAX {
            let newer = NEWER.iter().any(|range| range.contains(&u32::from(c)));
            let (upper, lower) = if newer { (c, c) } else { (upper_char(c), lower_char(c)) };
            digest.update(u32::from(upper).to_be_bytes());
            digest.update(u32::from(lower).to_be_bytes());
        }
        // SHA-256 of unicode.ToUpper and unicode.ToLower, big endian, of every code point, by Go 1.26 (Unicode 15.0).
        let go = "a9cf43dcd7a9ac9885ab27131747045f7ce614006110f91c856d7c9b39dacfea";
        assert_eq!(data_encoding::HEXLOWER.encode(&digest.finalize()), go);
    }

    #[test]
    fn special_letters_map_one_to_one() {
        let cases =
            [("straße", "STRAßE"), ("ŉ", "ŉ"), ("ﬁ", "ﬁ"), ("ᾳ", "ᾼ"), ("ᾇ", "ᾏ"), ("ǆ", "Ǆ"), ("ı", "I"), ("ÿ", "Ÿ")];
        for (text, expected) in cases {
            assert_eq!(upper(text), expected);
        }
        let cases = [("İ", "i"), ("ΣΑΣ", "σασ"), ("ẞ", "ß"), ("ᾼ", "ᾳ"), ("ǅ", "ǆ"), ("K", "k"), ("A_B-1", "a_b-1")];
        for (text, expected) in cases {
            assert_eq!(lower(text), expected);
        }
    }
}
