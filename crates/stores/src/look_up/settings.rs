//! How look-ups ask, and how long answers are kept.

use std::time::Duration;

/// In which way the scopes and stores of one look-up are asked. The answer is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scopes {
    /// All at once: the wait is that of the slowest answer that matters.
    #[default]
    Parallel,
    /// One after another, and no further than needed: for who pays by the call.
    Sequential,
}

/// How the stores are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookUpSettings {
    /// All scopes at once, or one after another.
    pub scopes: Scopes,
    /// Calls to one store at the same time; others wait for their turn. 0 counts as 1.
    pub concurrent_calls: usize,
    /// How long one call may take.
    pub call_timeout: Duration,
    /// Calls for one question in all, if the store throttles or is unavailable. 0 counts as 1.
    pub attempts: u32,
    /// What is kept of the answers.
    pub cache: CacheSettings,
}

impl Default for LookUpSettings {
    /// 64 calls of 10 s at most, 3 attempts, all scopes at once, the default cache.
    fn default() -> Self {
        Self {
            scopes: Scopes::default(),
            concurrent_calls: 64,
            call_timeout: Duration::from_secs(10),
            attempts: 3,
            cache: CacheSettings::default(),
        }
    }
}

impl LookUpSettings {
    /// The defaults without a cache: every look-up asks the stores.
    #[must_use]
    pub fn uncached() -> Self {
        Self { cache: CacheSettings { ttl: Duration::ZERO, ..CacheSettings::default() }, ..Self::default() }
    }
}

/// What is kept of the answers of stores. Times count from the beginning of the call that gave the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    /// How long a value is kept. 0: nothing is kept at all.
    pub ttl: Duration,
    /// How long "not found" is kept; 0: not at all. Other failures never are.
    pub not_found_ttl: Duration,
    /// The size of everything that is kept, in bytes, bookkeeping included.
    pub max_bytes: u64,
    /// How long past its `ttl` a value may still be served while its store throttles, is unavailable or late. 0: never.
    pub stale_if_unavailable: Duration,
}

impl Default for CacheSettings {
    /// 5 minutes for values, 10 s for "not found", 100 MB, nothing stale.
    fn default() -> Self {
        Self {
            ttl: Duration::from_mins(5),
            not_found_ttl: Duration::from_secs(10),
            max_bytes: 100_000_000,
            stale_if_unavailable: Duration::ZERO,
        }
    }
}
