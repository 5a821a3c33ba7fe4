//! What can be counted of look-ups. Names of stores only, never a secret's.

use std::time::Duration;

use crate::fetcher::FailureClass;

/// Is told what look-ups do, for metrics. Called on the way of an admission, so it has to be quick and must not look
/// anything up itself.
pub trait LookUpObserver: Send + Sync {
    /// A store answered a call, or its time was up. A call that is given up because nobody waits for it any more counts
    /// as [`FailureClass::Late`].
    fn call(&self, _store: &str, _outcome: CallOutcome, _took: Duration) {}

    /// A store throttled or was unavailable and is asked again.
    fn retried(&self, _store: &str) {}

    /// What the cache had for one question.
    fn cache(&self, _event: CacheEvent) {}

    /// A value of this store was served although its time was up.
    fn stale(&self, _store: &str) {}

    /// The cache has changed: this many answers of this size, bookkeeping included.
    fn cached(&self, _entries: usize, _bytes: u64) {}
}

/// Counts nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl LookUpObserver for NoObserver {}

/// How a call to a store ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallOutcome {
    /// With a value.
    Found,
    /// Without one.
    Failed(FailureClass),
}

/// What the cache had for one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheEvent {
    /// A value.
    Hit,
    /// "Not found".
    NegativeHit,
    /// Nothing that may be used: the store is asked.
    Miss,
    /// Nothing, but the store is being asked for it already.
    Joined,
    /// A value whose time is up; it was served because its store failed.
    Stale,
}
