//! The label of a secret that is being made.
//!
//! In GCP a secret is made in two steps, first itself, then its first version. Between the two it carries this label, which says
//! until when its maker may be at work. From then on it counts as left behind, and whoever creates the secret again takes it over.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The label; its value is a time, in seconds since 1970.
const LABEL: &str = "flyte-creating";
/// So many times the longest time that a write may take; what is more than one of them is for requests that are on their way,
/// and for clocks that differ.
const PATIENCE: u32 = 3;

pub(super) type Labels = HashMap<String, String>;

/// Notes in the labels of a secret that it is being made, by somebody who gives up after `timeout`.
pub(super) fn note(labels: &mut Labels, now: SystemTime, timeout: Duration) {
    let until = seconds(now) + (timeout * PATIENCE).as_secs() + 1;
    labels.insert(LABEL.to_owned(), until.to_string());
}

/// Removes the note.
pub(super) fn remove(labels: &mut Labels) {
    labels.remove(LABEL);
}

/// Whether a secret is being made, or was left behind: for how long its maker has to be waited for.
pub(super) fn left(labels: &Labels, now: SystemTime) -> Option<Duration> {
    // A text that is no time was not written here; nobody is at work.
    let until = labels.get(LABEL)?.parse().unwrap_or(0);
    Some(Duration::from_secs(u64::saturating_sub(until, seconds(now))))
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    #[test]
    fn a_maker_is_waited_for_longer_than_it_may_take_and_not_for_ever() {
        let start = UNIX_EPOCH + Duration::from_secs(1_764_000_000);
        let mut labels = Labels::new();
        assert_eq!(left(&labels, start), None);
        note(&mut labels, start, TIMEOUT);
        assert_eq!(left(&labels, start + TIMEOUT), Some(2 * TIMEOUT + Duration::from_secs(1)));
        assert_eq!(left(&labels, start + 4 * TIMEOUT), Some(Duration::ZERO));
        remove(&mut labels);
        assert_eq!(left(&labels, start), None);
    }

    #[test]
    fn a_note_that_is_no_time_keeps_nobody_waiting() {
        let labels = Labels::from([(LABEL.to_owned(), "soon".to_owned())]);
        assert_eq!(left(&labels, UNIX_EPOCH), Some(Duration::ZERO));
    }
}
