//! What look-ups count: calls to stores, retries, the cache.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use flyte_secrets_stores::{CallOutcome, Scope};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::{BUCKETS, Durations, Labels, Metrics};

/// The stores that have a label of their own, as `webhook.embeddedSecretManagerConfig.types` names them.
const STORES: [&str; 7] = ["AWS", "GCP", "Azure", "K8s", "Vault", "Http", "Local"];
/// Stands for any other store.
const OTHER: &str = "other";

/// The series of look-ups.
pub(super) struct StoreSeries {
    calls: Family<Labels<3>, Counter>,
    durations: Durations,
    retries: Family<Labels<1>, Counter>,
    stale: Family<Labels<1>, Counter>,
    cache_events: Family<Labels<1>, Counter>,
    cache_entries: Gauge<u64, AtomicU64>,
    cache_bytes: Gauge<u64, AtomicU64>,
}

impl Default for StoreSeries {
    fn default() -> Self {
        Self {
            calls: Family::default(),
            durations: Durations::new_with_constructor(|| Histogram::new(BUCKETS)),
            retries: Family::default(),
            stale: Family::default(),
            cache_events: Family::default(),
            cache_entries: Gauge::default(),
            cache_bytes: Gauge::default(),
        }
    }
}

impl StoreSeries {
    pub(super) fn register(&self, metrics: &Metrics) {
        metrics.register(
            "store_calls",
            "Calls to stores of secrets, by the scope that was asked for and what came of them",
            self.calls.clone(),
        );
        metrics.register_seconds("store_call_duration", "How long a call to a store took", self.durations.clone());
        metrics.register(
            "store_retries",
            "Calls made again because a store was throttled or unavailable",
            self.retries.clone(),
        );
        metrics.register(
            "store_stale_served",
            "Values served after they had expired, because their store was down (staleIfUnavailable)",
            self.stale.clone(),
        );
        metrics.register("cache_events", "What the cache did for look-ups", self.cache_events.clone());
        metrics.register("cache_entries", "Values and remembered misses in the cache", self.cache_entries.clone());
        metrics.register("cache_size_bytes", "Memory that the cache takes, by its own count", self.cache_bytes.clone());
    }
}

impl Metrics {
    /// Counts a call to a store for a secret of this scope. A store that is none of Flyte's or ours counts as `other`.
    pub fn store_call(&self, store: &str, scope: Scope, outcome: CallOutcome, took: Duration) {
        let store = ("store", store_label(store));
        let labels = [store, ("scope", scope.name()), ("outcome", outcome.name())];
        self.inner.stores.calls.get_or_create(&labels).inc();
        self.inner.stores.durations.get_or_create(&[store]).observe(took.as_secs_f64());
    }

    /// Counts a call to a store that is made again.
    pub fn store_retried(&self, store: &str) {
        self.inner.stores.retries.get_or_create(&[("store", store_label(store))]).inc();
    }

    /// Counts a value that was served after it had expired.
    pub fn stale_served(&self, store: &str) {
        self.inner.stores.stale.get_or_create(&[("store", store_label(store))]).inc();
    }

    /// Counts what the cache did for a look-up: `hit`, `miss`, and the like; a fixed set, each a word.
    pub fn cache_event(&self, event: &'static str) {
        self.inner.stores.cache_events.get_or_create(&[("event", event)]).inc();
    }

    /// Sets how much the cache holds now.
    pub fn cache_size(&self, entries: u64, bytes: u64) {
        self.inner.stores.cache_entries.set(entries);
        self.inner.stores.cache_bytes.set(bytes);
    }
}

fn store_label(name: &str) -> &'static str {
    STORES.into_iter().find(|known| known.eq_ignore_ascii_case(name)).unwrap_or(OTHER)
}
