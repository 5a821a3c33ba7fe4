//! Durations in the syntax of Go's `time.ParseDuration`: `30s`, `1m30s`, `100ms`, `1.5h`.

use std::time::Duration;

const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000), // micro sign
    ("μs", 1_000), // Greek mu
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Digits of a number, at most: enough for 2^63 nanoseconds, few enough not to overflow.
const MAX_DIGITS: usize = 19;

/// Reads a duration; negative ones are none here. `0` needs no unit.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if text == "0" {
        return Some(Duration::ZERO);
    }
    if text.is_empty() {
        return None;
    }
    let mut rest = text;
    let mut total = 0_u128;
    while !rest.is_empty() {
        let (nanoseconds, behind) = term(rest)?;
        total = total.checked_add(nanoseconds)?;
        rest = behind;
    }
    Some(Duration::from_nanos(u64::try_from(total).ok().filter(|total| *total <= i64::MAX as u64)?))
}

/// One number with its unit, and what follows.
fn term(text: &str) -> Option<(u128, &str)> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), digits);
    if whole.is_empty() && fraction.is_empty() || whole.len() > MAX_DIGITS {
        return None;
    }
    let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (name, behind) = rest.split_at(end);
    let unit = UNITS.iter().find(|(unit, _)| *unit == name)?.1;
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // Digits below a nanosecond do not count.
    let fraction = &fraction[..fraction.len().min(MAX_DIGITS)];
    let part = if fraction.is_empty() {
        0
    } else {
        fraction.parse::<u128>().ok()? * unit / 10_u128.pow(u32::try_from(fraction.len()).ok()?)
    };
    Some((whole.checked_mul(unit)?.checked_add(part)?, behind))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// Writes a duration so that [`parse`] reads the same one: `1h30m`, `1m30s`, `1500ms`.
pub(crate) fn format(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    if duration.is_zero() {
        return "0s".to_owned();
    }
    if duration.subsec_nanos() != 0 {
        let small = [("ms", 1_000_000), ("us", 1_000)];
        let (unit, size) = small.into_iter().find(|(_, size)| nanoseconds.is_multiple_of(*size)).unwrap_or(("ns", 1));
        return format!("{}{unit}", nanoseconds / size);
    }
    let seconds = duration.as_secs();
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_in_the_syntax_of_go() {
        let cases = [
            ("30s", 30_000),
            ("1m30s", 90_000),
            ("100ms", 100),
            ("1.5h", 5_400_000),
            (".5s", 500),
            ("1h0m0s", 3_600_000),
            ("0", 0),
            ("+2s", 2_000),
            ("2000us", 2),
            ("2000µs", 2),
        ];
        for (text, milliseconds) in cases {
            assert_eq!(parse(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for text in
            ["", "30", "s", ".s", "1d", "1 s", "-1s", "1s-", "30S", "1.2.3s", "99999999999999999999h", "9999999h"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(nanoseconds in 0..i64::MAX as u64) {
            let duration = Duration::from_nanos(nanoseconds);
            prop_assert_eq!(parse(&format(duration)), Some(duration));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9.hmsnuµ +-]{0,40}") {
            let _ = parse(&text);
        }
    }
}
