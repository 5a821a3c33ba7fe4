//! What guards the values counts: breaches of the access policy, mirrors, invalidations.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::{Labels, Metrics};

/// The series of the access policy, of mirrors and of invalidations.
pub(super) struct GuardSeries {
    breaches: Family<Labels<2>, Counter>,
    mirror_writes: Family<Labels<1>, Counter>,
    mirror_failures: Family<Labels<1>, Counter>,
    collecting: Gauge<f64, AtomicU64>,
    invalidations: Family<Labels<1>, Counter>,
}

impl Default for GuardSeries {
    fn default() -> Self {
        let collecting = Gauge::default();
        // No number until it is known: not every replica collects.
        collecting.set(f64::NAN);
        Self {
            breaches: Family::default(),
            mirror_writes: Family::default(),
            mirror_failures: Family::default(),
            collecting,
            invalidations: Family::default(),
        }
    }
}

impl GuardSeries {
    pub(super) fn register(&self, metrics: &Metrics) {
        metrics.register(
            "access_policy_breaches",
            "Requests for values of a project to which the pod does not belong; `audited` ones were served",
            self.breaches.clone(),
        );
        metrics.register("mirror_writes", "Writes of mirrored Secrets to the API server", self.mirror_writes.clone());
        metrics.register(
            "mirror_failures",
            "Mirrors that could not be kept, so that their pods were refused",
            self.mirror_failures.clone(),
        );
        metrics.register(
            "mirror_collection",
            "1 where this replica removes mirrors that nobody needs, 0 where it lacks the rights and they stay",
            self.collecting.clone(),
        );
        metrics.register(
            "cache_invalidations",
            "Requests to drop a secret from the cache, by what came of them",
            self.invalidations.clone(),
        );
    }
}

impl Metrics {
    /// Counts a request that breaks `rule` of the access policy, and whether that was held against it.
    pub fn access_breach(&self, rule: &'static str, enforced: bool) {
        let mode = if enforced { "enforced" } else { "audited" };
        self.inner.guard.breaches.get_or_create(&[("rule", rule), ("mode", mode)]).inc();
    }

    /// Counts a write of a mirror: `create`, `update`, `touch`, `condemn` or `delete`.
    pub fn mirror_write(&self, kind: &'static str) {
        self.inner.guard.mirror_writes.get_or_create(&[("kind", kind)]).inc();
    }

    /// Counts a mirror that could not be kept, by a reason of a fixed set.
    pub fn mirror_failed(&self, reason: &'static str) {
        self.inner.guard.mirror_failures.get_or_create(&[("reason", reason)]).inc();
    }

    /// Sets whether this replica removes mirrors that nobody needs: `None` where another one does.
    pub fn mirror_collection(&self, collecting: Option<bool>) {
        let value = collecting.map_or(f64::NAN, |collecting| if collecting { 1.0 } else { 0.0 });
        self.inner.guard.collecting.set(value);
    }

    /// Counts a request to drop a secret from the cache.
    pub fn invalidation(&self, outcome: &'static str) {
        self.inner.guard.invalidations.get_or_create(&[("outcome", outcome)]).inc();
    }
}
