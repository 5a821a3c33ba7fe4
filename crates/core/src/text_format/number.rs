//! Numbers of enums, in every notation that Go's `strconv.ParseInt` takes with base 0.

/// Decimal, `0x`, `0o`, `0b` or a leading `0` for octal; a sign; `_` between digits. `None` beyond 32 bits.
pub(super) fn parse(word: &str) -> Option<i32> {
    let (sign, unsigned) = match word.strip_prefix('-') {
        Some(unsigned) => (-1, unsigned),
        None => (1, word.strip_prefix('+').unwrap_or(word)),
    };
    let (radix, digits) = notation(unsigned);
    let digits = without_separators(digits, radix != 10)?;
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let value = if digits.is_empty() { 0 } else { i64::from_str_radix(&digits, radix).ok()? };
    i32::try_from(sign * value).ok()
}

/// The radix that a number's prefix says, and what follows the prefix.
fn notation(number: &str) -> (u32, &str) {
    let Some(rest) = number.strip_prefix('0') else { return (10, number) };
    let (radix, digits) = match rest.as_bytes() {
        [b'x' | b'X', _, ..] => (16, &rest[1..]),
        [b'o' | b'O', _, ..] => (8, &rest[1..]),
        [b'b' | b'B', _, ..] => (2, &rest[1..]),
        _ => (8, rest),
    };
    (radix, digits)
}

/// The digits without `_`, each of which must stand between two digits; a prefix counts as one, and is one if nothing
/// follows it (`0`).
fn without_separators(digits: &str, prefixed: bool) -> Option<String> {
    let mut groups = digits.split('_');
    let first = groups.next().unwrap_or_default();
    let well_placed = (prefixed || !first.is_empty()) && groups.all(|group| !group.is_empty());
    well_placed.then(|| digits.replace('_', ""))
}
