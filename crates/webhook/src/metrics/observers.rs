//! What look-ups and mirrors tell, as metrics.

use std::time::Duration;

use flyte_secrets_stores::{CacheEvent, CallOutcome, LookUpObserver, Scope};

use super::Metrics;
use crate::mirrors::{CollectionState, MirrorObserver, Write};

impl LookUpObserver for Metrics {
    fn call(&self, store: &str, scope: Scope, outcome: CallOutcome, took: Duration) {
        self.store_call(store, scope, outcome, took);
    }

    fn retried(&self, store: &str) {
        self.store_retried(store);
    }

    fn cache(&self, event: CacheEvent) {
        self.cache_event(match event {
            CacheEvent::Hit => "hit",
            CacheEvent::NegativeHit => "negative_hit",
            CacheEvent::Miss => "miss",
            CacheEvent::Joined => "joined",
            CacheEvent::Stale => "stale",
        });
    }

    fn stale(&self, store: &str) {
        self.stale_served(store);
    }

    fn cached(&self, entries: usize, bytes: u64) {
        self.cache_size(entries as u64, bytes);
    }
}

impl MirrorObserver for Metrics {
    fn wrote(&self, write: Write) {
        self.mirror_write(write.name());
    }

    fn failed(&self, reason: &'static str) {
        self.mirror_failed(reason);
    }

    fn collection(&self, state: &CollectionState) {
        self.mirror_collection(match state {
            CollectionState::Unknown => None,
            CollectionState::Collecting => Some(true),
            CollectionState::Stays { .. } => Some(false),
        });
    }
}
