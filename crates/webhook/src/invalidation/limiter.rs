//! How often secrets are dropped from the cache: as data, without a clock of its own.
//!
//! Two limits hold, one for each id and one for all: as many as a minute's worth at once, and from then on one for each
//! that has been given back. An invalidation in excess is not lost. Its id is remembered, once however often it comes, and
//! is due as soon as both limits allow. That is enough, because dropping an id twice in a row does no more than dropping
//! it once, later. What is remembered goes before what is new.
//!
//! Everything is bounded: there are at most [`MAX_REMEMBERED`] remembered ids, and an id has an entry only while it has
//! used some of its limit, which it did at the expense of the limit for all.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::time::Duration;

use flyte_secrets_core::encoded_id::SecretId;
use tokio::time::Instant;

use super::rate::Rate;

/// How many ids are remembered.
pub(super) const MAX_REMEMBERED: usize = 1024;
/// Entries are looked through for those that have got everything back when there are twice as many as after the last
/// time, and not before there are so many.
const LEAST_SWEEP: usize = 64;

/// What becomes of an invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The id is to be dropped now.
    Now,
    /// The id is remembered, and due then at the earliest.
    Later(Duration),
    /// Nothing more can be remembered; there is room then at the earliest.
    Full(Duration),
}

/// The limits and what was used of them.
#[derive(Debug)]
pub(super) struct Limiter {
    each: Rate,
    all: Rate,
    /// When everything of the limit for all is given back.
    all_spent: Instant,
    /// The same for each id, by its hash. Two ids of one hash share a limit, which does no harm.
    spent: HashMap<u64, Instant>,
    sweep_at: usize,
    remembered: VecDeque<(u64, SecretId)>,
    /// With a key of its own, so that nobody can make ids that collide.
    hasher: RandomState,
}

impl Limiter {
    pub(super) fn new(per_id_per_minute: u32, per_minute: u32, now: Instant) -> Self {
        Self {
            each: Rate::per_minute(per_id_per_minute),
            all: Rate::per_minute(per_minute),
            all_spent: now,
            spent: HashMap::new(),
            sweep_at: LEAST_SWEEP,
            remembered: VecDeque::new(),
            hasher: RandomState::new(),
        }
    }

    /// Decides about an invalidation. What is due has to be taken before, or it loses its place.
    pub(super) fn ask(&mut self, id: &SecretId, now: Instant) -> Verdict {
        let hash = self.hasher.hash_one(id);
        let place = self.remembered.iter().position(|(known, _)| *known == hash);
        let at = self.allowed_at(hash, now);
        if at <= now {
            self.spend(hash, now);
            // An id that is dropped now need not be dropped again.
            place.and_then(|place| self.remembered.remove(place));
            return Verdict::Now;
        }
        if place.is_none() {
            if self.remembered.len() >= MAX_REMEMBERED {
                let next = self.next(now).unwrap_or(at);
                return Verdict::Full(next.saturating_duration_since(now));
            }
            self.remembered.push_back((hash, id.clone()));
        }
        Verdict::Later(at - now)
    }

    /// Takes the remembered ids that are to be dropped now, the oldest first.
    pub(super) fn due(&mut self, now: Instant) -> Vec<SecretId> {
        let mut due = Vec::new();
        let mut place = 0;
        while let Some((hash, _)) = self.remembered.get(place)
            && self.all.allowed_at(self.all_spent, now) <= now
        {
            let hash = *hash;
            if self.allowed_at(hash, now) > now {
                place += 1;
                continue;
            }
            self.spend(hash, now);
            due.extend(self.remembered.remove(place).map(|(_, id)| id));
        }
        due
    }

    /// When the next remembered id is due.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        self.remembered.iter().map(|(hash, _)| self.allowed_at(*hash, now)).min()
    }

    /// When both limits allow an id to be dropped.
    fn allowed_at(&self, hash: u64, now: Instant) -> Instant {
        let each = self.spent.get(&hash).map_or(now, |spent| self.each.allowed_at(*spent, now));
        each.max(self.all.allowed_at(self.all_spent, now))
    }

    fn spend(&mut self, hash: u64, now: Instant) {
        self.all_spent = self.all.spend(self.all_spent, now);
        let each = self.each;
        let spent = self.spent.entry(hash).or_insert(now);
        *spent = each.spend(*spent, now);
        if self.spent.len() >= self.sweep_at {
            self.spent.retain(|_, spent| *spent > now);
            self.sweep_at = (2 * self.spent.len()).max(LEAST_SWEEP);
        }
    }
}

#[cfg(test)]
#[path = "limiter_tests.rs"]
mod tests;
