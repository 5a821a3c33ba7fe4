//! When an answer has to be there.
//!
//! The API server says how long it waits (`?timeout=10s`, a Go duration). An answer a little too late is worse than a
//! refusal in time, so a margin is kept for the way back.

use std::time::{Duration, Instant};

/// The longest that Kubernetes lets a webhook take (`timeoutSeconds` of a MutatingWebhookConfiguration is 1 to 30).
const LONGEST: Duration = Duration::from_secs(30);
/// The least margin.
const LEAST_MARGIN: Duration = Duration::from_millis(100);

/// The times of one review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deadline {
    /// The reviewer should have answered.
    pub(super) answer: Instant,
    /// The server answers in its place.
    pub(super) backstop: Instant,
}

impl Deadline {
    /// For a request with the query `query` that arrived at `received`; `configured` counts when the query does not
    /// say how long its sender waits, or says nonsense.
    pub(super) fn of(query: Option<&str>, configured: Duration, received: Instant) -> Self {
        let patience = query.and_then(asked).unwrap_or(configured).min(LONGEST);
        let margin = (patience / 10).max(LEAST_MARGIN).min(patience / 2);
        Self { answer: received + (patience - margin), backstop: received + (patience - margin / 2) }
    }
}

fn asked(query: &str) -> Option<Duration> {
    let timeout = query.split('&').find_map(|pair| pair.strip_prefix("timeout="))?;
    go_duration(timeout).filter(|duration| !duration.is_zero())
}

/// A duration as Go's `time.ParseDuration` reads it: numbers, each with a unit, without white space. Negative ones, and
/// those beyond what a [`Duration`] holds, are `None`.
fn go_duration(text: &str) -> Option<Duration> {
    if text.is_empty() || text.len() > 64 {
        return None;
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let number_ends = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(number_ends);
        let unit_ends = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_ends);
        let seconds = number.parse::<f64>().ok()? * seconds_of(unit)?;
        total = total.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
        rest = after;
    }
    Some(total)
}

fn seconds_of(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" | "µs" | "μs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIGURED: Duration = Duration::from_secs(20);

    /// Milliseconds from the arrival until the reviewer's deadline and the server's own.
    fn times(query: Option<&str>) -> (u128, u128) {
        let received = Instant::now();
        let deadline = Deadline::of(query, CONFIGURED, received);
        ((deadline.answer - received).as_millis(), (deadline.backstop - received).as_millis())
    }

    #[test]
    fn the_deadline_is_what_the_api_server_waits_less_a_margin() {
        let table = [
            ("timeout=10s", (9_000, 9_500)),
            ("timeout=30s", (27_000, 28_500)),
            ("timeout=500ms", (400, 450)),
            ("timeout=1s", (900, 950)),
            ("timeout=1.5s", (1_350, 1_425)),
            ("timeout=0m20s", (18_000, 19_000)),
            ("timeout=1s500ms", (1_350, 1_425)),
            ("a=b&timeout=10s", (9_000, 9_500)),
            ("timeout=10s&timeout=20s", (9_000, 9_500)),
        ];
        for (query, expected) in table {
            assert_eq!(times(Some(query)), expected, "{query}");
        }
    }

    #[test]
    fn a_very_short_wait_keeps_half_for_the_answer() {
        assert_eq!(times(Some("timeout=100ms")), (50, 75));
    }

    #[test]
    fn no_caller_can_ask_for_more_than_kubernetes_allows() {
        for query in ["timeout=31s", "timeout=1h", "timeout=2540400h"] {
            assert_eq!(times(Some(query)), (27_000, 28_500), "{query}");
        }
    }

    #[test]
    fn without_a_sensible_timeout_the_configured_one_counts() {
        let nonsense = [
            "",
            "timeout",
            "timeout=",
            "timeout=10",
            "timeout=s",
            "timeout=-10s",
            "timeout=10 s",
            "timeout=ten",
            "timeout=0s",
            "timeout=1e3s",
            "timeout=.s",
            "timeout=1.2.3s",
            "timeout=10d",
            "Timeout=10s",
            "timeout=infs",
            "timeout=99999999999999999999h",
            "timeout=%31s",
        ];
        for query in nonsense {
            assert_eq!(times(Some(query)), (18_000, 19_000), "{query:?}");
        }
        assert_eq!(times(None), (18_000, 19_000));
    }
}
