//! Answers of stores, for a while and up to a size.
//!
//! Not a general cache library: theirs read a clock that tests cannot turn, bound their size only after a while, and keep
//! what was removed until some later clean-up, where a value has to be wiped at once. What expires first goes first. All
//! values live equally long and "not found" much shorter, so a flood of questions for what does not exist cannot push
//! out values.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flyte_secrets_core::value::SecretValue;
use tokio::time::Instant;

use super::question::Key;
use super::settings::CacheSettings;
use crate::fetcher::{FailureClass, FetchError, SecretPlace};

/// What an answer costs beside its texts and its value: both collections, keys, times. Rounded up.
const OVERHEAD: usize = 512;

/// What a store said, and when it was asked.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) said: Result<SecretValue, FetchError>,
    /// When the call began: on the clock of waits, and on that of people.
    pub(super) began: Instant,
    pub(super) fetched: SystemTime,
    /// Where the value is, or would be.
    pub(super) place: Option<SecretPlace>,
}

/// A cached answer on its way out.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) answer: Arc<Answer>,
    /// Whether it may be served without asking the store.
    pub(super) fresh: bool,
}

#[derive(Debug)]
struct Entry {
    answer: Arc<Answer>,
    fresh_until: Instant,
    held_until: Instant,
    bytes: u64,
}

/// Answers by question. Every method takes the time, so that there is one clock.
#[derive(Debug)]
pub(super) struct Cache {
    settings: CacheSettings,
    entries: HashMap<Key, Entry>,
    /// The same entries by the end of their time.
    by_end: BTreeSet<(Instant, Key)>,
    bytes: u64,
}

impl Cache {
    pub(super) fn new(settings: CacheSettings) -> Self {
        Self { settings, entries: HashMap::new(), by_end: BTreeSet::new(), bytes: 0 }
    }

    /// Entries and bytes.
    pub(super) fn size(&self) -> (usize, u64) {
        (self.entries.len(), self.bytes)
    }

    pub(super) fn get(&self, key: &Key, now: Instant) -> Option<Held> {
        let entry = self.entries.get(key).filter(|entry| now < entry.held_until)?;
        Some(Held { answer: Arc::clone(&entry.answer), fresh: now < entry.fresh_until })
    }

    /// Whether the store need not be asked, as it has a value.
    pub(super) fn has_value(&self, key: &Key, now: Instant) -> bool {
        self.entries.get(key).is_some_and(|entry| now < entry.fresh_until && entry.answer.said.is_ok())
    }

    /// Learns what a store said. An answer never takes the place of one that was asked for later.
    pub(super) fn learn(&mut self, key: &Key, answer: &Arc<Answer>, now: Instant) {
        if self.entries.get(key).is_some_and(|entry| entry.answer.began > answer.began) {
            return;
        }
        let (ttl, stale) = match &answer.said {
            Ok(_) => (self.settings.ttl, self.settings.stale_if_unavailable),
            Err(error) => match error.class() {
                FailureClass::NotFound => (self.settings.not_found_ttl, Duration::ZERO),
                // Whatever the store said before does not hold any more.
                FailureClass::Denied | FailureClass::Empty => return self.forget(key),
                // These say nothing about the secret.
                FailureClass::Throttled | FailureClass::Unavailable | FailureClass::Malformed | FailureClass::Late => {
                    return;
                }
            },
        };
        self.forget(key);
        let bytes = size(key, answer);
        let fresh_until = after(answer.began, ttl);
        let held_until = after(fresh_until, stale);
        if self.settings.ttl.is_zero() || ttl.is_zero() || held_until <= now || bytes > self.settings.max_bytes {
            return;
        }
        self.by_end.insert((held_until, key.clone()));
        self.entries.insert(key.clone(), Entry { answer: Arc::clone(answer), fresh_until, held_until, bytes });
        self.bytes += bytes;
        while self.bytes > self.settings.max_bytes {
            let Some((_, first)) = self.by_end.first().cloned() else { break };
            self.forget(&first);
        }
    }

    pub(super) fn forget(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= entry.bytes;
            self.by_end.remove(&(entry.held_until, key.clone()));
        }
    }

    /// Forgets what is, or would be, in such a place. Looks at every entry.
    pub(super) fn forget_places(&mut self, matches: impl Fn(&SecretPlace) -> bool) {
        let there = |entry: &Entry| entry.answer.place.as_ref().is_some_and(&matches);
        let keys: Vec<Key> =
            self.entries.iter().filter(|(_, entry)| there(entry)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.forget(&key);
        }
    }

    /// Forgets what may not be served any more.
    pub(super) fn forget_expired(&mut self, now: Instant) {
        while let Some((_, key)) = self.by_end.first().filter(|(end, _)| *end <= now).cloned() {
            self.forget(&key);
        }
    }
}

/// `duration` after `start`, or as good as never.
pub(super) fn after(start: Instant, duration: Duration) -> Instant {
    const NEVER: Duration = Duration::from_hours(24 * 365 * 30);
    start.checked_add(duration).unwrap_or(start + NEVER)
}

fn size(key: &Key, answer: &Answer) -> u64 {
    let said = match &answer.said {
        Ok(value) => value.expose_bytes().len(),
        Err(error) => error.detail().len(),
    };
    let place = answer.place.as_ref().map_or(0, |place| place.namespace.len() + place.name.len() + place.key.len());
    (OVERHEAD + key.id.len() + said + place) as u64
}

#[cfg(test)]
#[path = "tests/cache.rs"]
mod tests;
