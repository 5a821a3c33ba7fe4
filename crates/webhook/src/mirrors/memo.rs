//! What was seen to be fine a moment ago, and who is looking right now.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use tokio::time::Instant;

use super::{MirrorError, WantedMirror};

/// Entries of each of the two maps, at most.
const CAPACITY: usize = 4096;

/// One value in one mirror. The value itself is not in it, only a hash under a key that this process has drawn. The time of
/// the read is part of it: who has read the source again cannot rest on what was seen before that.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    namespace: String,
    name: String,
    value: (u64, u64),
    fetched: SystemTime,
}

pub(super) type Flight = Shared<BoxFuture<'static, Result<(), MirrorError>>>;

pub(super) struct Memo {
    lifetime: Duration,
    hashes: (RandomState, RandomState),
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    seen: HashMap<Key, Instant>,
    flights: HashMap<Key, WeakShared<BoxFuture<'static, Result<(), MirrorError>>>>,
}

impl Memo {
    pub(super) fn new(lifetime: Duration) -> Self {
        Self { lifetime, hashes: Default::default(), inner: Mutex::default() }
    }

    pub(super) fn key(&self, namespace: &str, wanted: &WantedMirror) -> Key {
        let bytes = wanted.value.expose_bytes();
        let value = (self.hashes.0.hash_one(bytes), self.hashes.1.hash_one(bytes));
        Key { namespace: namespace.to_owned(), name: wanted.name.clone(), value, fetched: wanted.fetched }
    }

    /// Whether the mirror was fine a moment ago.
    pub(super) fn is_fresh(&self, key: &Key) -> bool {
        self.lock().seen.get(key).is_some_and(|seen| seen.elapsed() < self.lifetime)
    }

    /// The flight that is under way, or a new one, which is ours.
    pub(super) fn join(
        &self,
        key: &Key,
        start: impl FnOnce() -> BoxFuture<'static, Result<(), MirrorError>>,
    ) -> (Flight, bool) {
        let mut inner = self.lock();
        let under_way = inner.flights.get(key).and_then(WeakShared::upgrade);
        if let Some(flight) = under_way.filter(|flight| flight.peek().is_none()) {
            return (flight, false);
        }
        let flight = start().shared();
        if inner.flights.len() >= CAPACITY {
            inner.flights.retain(|_, flight| flight.upgrade().is_some_and(|flight| flight.peek().is_none()));
        }
        // With that many flights the next ones simply fly alone.
        if inner.flights.len() < CAPACITY
            && let Some(weak) = flight.downgrade()
        {
            inner.flights.insert(key.clone(), weak);
        }
        (flight, true)
    }

    /// A flight is over; if it went well, `seen` is when its last request for the mirror was sent.
    pub(super) fn landed(&self, key: &Key, seen: Option<Instant>) {
        let mut inner = self.lock();
        inner.flights.remove(key);
        let Some(seen) = seen else { return };
        if inner.seen.len() >= CAPACITY {
            inner.seen.retain(|_, seen| seen.elapsed() < self.lifetime);
        }
        if inner.seen.len() < CAPACITY {
            inner.seen.insert(key.clone(), seen);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
