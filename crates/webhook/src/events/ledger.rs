//! Which Events are written, and which are the same again: as data, without a clock of its own.
//!
//! Two limits hold, one for each namespace and one for all. What is over them is not written; if it is a repetition, it is
//! counted, and the next one that is written brings the whole count.
//!
//! Everything is bounded: at most [`MAX_KNOWN`] Events are known, and a namespace has an entry only while it has used some
//! of its limit, which it did at the expense of the limit for all.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use crate::invalidation::rate::Rate;

/// How many Events are known, to be counted when they happen again.
pub(super) const MAX_KNOWN: usize = 1024;
/// What happens again after a longer pause is a new Event.
pub(super) const WINDOW: Duration = Duration::from_secs(600);
/// Writes a minute for one namespace, and as many at once.
pub(super) const EACH: u32 = 20;
/// Writes a minute for all namespaces.
pub(super) const ALL: u32 = 120;

/// What makes two Events the same, by its hash. Two of one hash would be counted as one, which does no harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(u64);

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A new Event.
    New,
    /// The count of the Event of this name.
    Again {
        /// Its name.
        name: String,
        /// How often it has happened, at least 2.
        count: i32,
    },
    /// Nothing: too many.
    Limited,
}

/// An Event that was written.
#[derive(Debug)]
struct Known {
    name: String,
    count: i32,
    last: Instant,
}

/// What was written and how much.
#[derive(Debug)]
pub(super) struct Ledger {
    known: HashMap<Key, Known>,
    each: Rate,
    all: Rate,
    /// When everything of the limit for all is given back.
    all_spent: Instant,
    /// The same for each namespace, by its hash.
    spent: HashMap<u64, Instant>,
    hasher: RandomState,
}

impl Ledger {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            known: HashMap::new(),
            each: Rate::per_minute(EACH),
            all: Rate::per_minute(ALL),
            all_spent: now,
            spent: HashMap::new(),
            hasher: RandomState::new(),
        }
    }

    /// The key of an Event: the object's uid (or what stands for it), the reason, the note.
    pub(super) fn key(&self, object: &str, reason: &str, note: &str) -> Key {
        Key(self.hasher.hash_one((object, reason, note)))
    }

    /// Decides about an Event in a namespace. What is to be written counts against the limits.
    pub(super) fn ask(&mut self, namespace: &str, key: Key, now: Instant) -> Verdict {
        self.known.retain(|_, known| now.duration_since(known.last) < WINDOW);
        if let Some(known) = self.known.get_mut(&key) {
            known.count = known.count.saturating_add(1);
            known.last = now;
        }
        if !self.spend(namespace, now) {
            return Verdict::Limited;
        }
        match self.known.get(&key) {
            Some(Known { name, count, .. }) => Verdict::Again { name: name.clone(), count: *count },
            None => Verdict::New,
        }
    }

    /// An Event was written under this name.
    pub(super) fn written(&mut self, key: Key, name: String, now: Instant) {
        if self.known.len() >= MAX_KNOWN
            && let Some(oldest) = self.known.iter().min_by_key(|(_, known)| known.last).map(|(key, _)| *key)
        {
            self.known.remove(&oldest);
        }
        self.known.insert(key, Known { name, count: 1, last: now });
    }

    /// An Event is no more there.
    pub(super) fn gone(&mut self, key: Key) {
        self.known.remove(&key);
    }

    /// Takes one write from both limits, if both have one.
    fn spend(&mut self, namespace: &str, now: Instant) -> bool {
        self.spent.retain(|_, spent| *spent > now);
        let namespace = self.hasher.hash_one(namespace);
        let spent = self.spent.get(&namespace).copied().unwrap_or(now);
        if self.each.allowed_at(spent, now).max(self.all.allowed_at(self.all_spent, now)) > now {
            return false;
        }
        self.all_spent = self.all.spend(self.all_spent, now);
        self.spent.insert(namespace, self.each.spend(spent, now));
        true
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        (self.known.len(), self.spent.len())
    }
}
