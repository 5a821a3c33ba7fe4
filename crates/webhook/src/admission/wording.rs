//! Texts of others in sentences of ours: on one line, printable, and no longer than they need to be.

/// Stands where something was cut off.
const CUT: char = '…';

/// `text` in at most `limit` bytes and the sign that it was cut; what would move a terminal's cursor, end a line or turn
/// the direction of writing is written as an escape.
pub(crate) fn plain(text: &str, limit: usize) -> String {
    let mut plain = String::with_capacity(text.len().min(limit) + CUT.len_utf8());
    for character in text.chars() {
        let length = plain.len();
        if is_plain(character) {
            plain.push(character);
        } else {
            plain.extend(character.escape_debug());
        }
        if plain.len() > limit {
            plain.truncate(length);
            plain.push(CUT);
            break;
        }
    }
    plain
}

/// Cuts `text` to at most `limit` bytes, the sign that it was cut among them.
pub(crate) fn cut(text: &mut String, limit: usize) {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit.saturating_sub(CUT.len_utf8())));
        text.push(CUT);
    }
}

/// Unicode's control characters, its line and paragraph separators, and its marks of direction.
fn is_plain(character: char) -> bool {
    let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !character.is_control() && !turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        for (text, expected) in [
            ("my key: \"a\" \\ ü", "my key: \"a\" \\ ü"),
            ("a\nb\tc", r"a\nb\tc"),
            ("\u{1b}[31mred", r"\u{1b}[31mred"),
            ("\u{85}\u{2028}\u{202e}", r"\u{85}\u{2028}\u{202e}"),
        ] {
            assert_eq!(plain(text, 100), expected);
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_between_escapes() {
        for (text, expected) in [("abcd", "abcd"), ("abcde", "abcd…"), ("abcü", "abc…"), ("ab\u{1b}", "ab…"), ("", "")]
        {
            assert_eq!(plain(text, 4), expected);
        }
    }

    #[test]
    fn a_text_is_cut_to_its_limit_with_the_sign() {
        for (text, expected) in [("abcdef", "abcdef"), ("abcdefg", "abc…"), ("abüdefg", "ab…")] {
            let mut text = text.to_owned();
            cut(&mut text, 6);
            assert_eq!(text, expected);
        }
    }
}
