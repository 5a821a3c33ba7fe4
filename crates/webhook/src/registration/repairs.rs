//! How often others change what is ours: two programs that disagree take turns ever more slowly.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// The wait after the first repair of a field; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// How many fields are remembered.
const MAX_FIELDS: usize = 64;

/// The repairs of late, by field.
#[derive(Debug)]
pub(super) struct Repairs {
    /// The longest wait. After twice as long without a repair a field is as if it never had one.
    longest: Duration,
    fields: BTreeMap<String, (u32, Instant)>,
}

impl Repairs {
    pub(super) fn new(longest: Duration) -> Self {
        Self { longest, fields: BTreeMap::new() }
    }

    /// These fields were put back.
    pub(super) fn note(&mut self, fields: &[String], now: Instant) {
        let quiet = self.longest.saturating_mul(2);
        self.fields.retain(|_, (_, last)| now.saturating_duration_since(*last) < quiet);
        for field in fields.iter().take(MAX_FIELDS) {
            let (count, last) = self.fields.entry(field.clone()).or_insert((0, now));
            *count = count.saturating_add(1);
            *last = now;
        }
        while self.fields.len() > MAX_FIELDS && self.fields.pop_first().is_some() {}
    }

    /// The fields that have to wait for their next repair.
    pub(super) fn held(&self, now: Instant) -> BTreeSet<String> {
        let held = self.fields.iter().filter(|(_, (count, last))| self.end(*count, *last) > now);
        held.map(|(field, _)| field.clone()).collect()
    }

    /// How long until the first of these fields has waited long enough.
    pub(super) fn wait(&self, held: &BTreeSet<String>, now: Instant) -> Option<Duration> {
        let ends = held.iter().filter_map(|field| self.fields.get(field)).map(|(count, last)| self.end(*count, *last));
        ends.min().map(|end| end.saturating_duration_since(now))
    }

    fn end(&self, count: u32, last: Instant) -> Instant {
        let doubled = 1_u32.checked_shl(count.saturating_sub(1)).unwrap_or(u32::MAX);
        last + FIRST_PAUSE.saturating_mul(doubled).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(repairs: &Repairs, field: &str, now: Instant) -> u128 {
        let held = BTreeSet::from([field.to_owned()]);
        repairs.wait(&held, now).unwrap_or_default().as_millis()
    }

    #[test]
    fn each_repair_of_a_field_makes_the_next_one_wait_longer_and_no_other_field() {
        let (start, mut repairs) = (Instant::now(), Repairs::new(Duration::from_secs(300)));
        let mut found = Vec::new();
        for _ in 0..14 {
            repairs.note(&["a".to_owned()], start);
            found.push(waits(&repairs, "a", start));
        }
        assert_eq!(found[..4], [200, 400, 800, 1600]);
        assert_eq!(found[11..], [300_000; 3]);
        assert_eq!(repairs.held(start), BTreeSet::from(["a".to_owned()]));
        assert_eq!(repairs.held(start + Duration::from_secs(300)), BTreeSet::new());
    }

    #[test]
    fn a_field_that_was_left_alone_for_long_starts_anew() {
        let (start, mut repairs) = (Instant::now(), Repairs::new(Duration::from_secs(300)));
        for _ in 0..5 {
            repairs.note(&["a".to_owned()], start);
        }
        let later = start + Duration::from_secs(600);
        repairs.note(&["a".to_owned()], later);
        assert_eq!(waits(&repairs, "a", later), 200);
    }
}
