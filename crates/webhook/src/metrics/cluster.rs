//! What is known of our place in the cluster: who leads, where the registration stands.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::Metrics;
use crate::leader::Leadership;
use crate::registration::RegistrationState;

/// A gauge that has no sample before it is set.
#[derive(Clone, Debug)]
struct Optional(Gauge<f64, AtomicU64>);

impl Default for Optional {
    fn default() -> Self {
        let gauge = Gauge::default();
        gauge.set(f64::NAN);
        Self(gauge)
    }
}

impl EncodeMetric for Optional {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        if self.0.get().is_nan() { Ok(()) } else { self.0.encode(encoder) }
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

/// The series of leader and registration.
#[derive(Default)]
pub(super) struct ClusterSeries {
    leader: Optional,
    lease_failures: Counter,
    registered: Optional,
    registration_success: Optional,
    registration_failures: Counter,
    registration_repairs: Counter,
}

impl ClusterSeries {
    pub(super) fn register(&self, metrics: &Metrics) {
        metrics.register(
            "leader",
            "1 where this replica does what one of all does, 0 where it does not; no series where there is nothing to do",
            self.leader.clone(),
        );
        metrics.register(
            "lease_failures",
            "How often the Lease could not be used any more, or not at all: no rights, no API server, taken by another",
            self.lease_failures.clone(),
        );
        metrics.register(
            "registered",
            "1 where the API server was told to call us and to trust our CA, 0 before; no series where that is not our task",
            self.registered.clone(),
        );
        metrics.register_seconds(
            "registration_last_success_timestamp",
            "When the registration was last written or found to be right, in seconds since 1970",
            self.registration_success.clone(),
        );
        metrics.register(
            "registration_failures",
            "Attempts to register that failed",
            self.registration_failures.clone(),
        );
        metrics.register(
            "registration_repairs",
            "How often somebody had changed or removed what we registered, and it was put right",
            self.registration_repairs.clone(),
        );
    }
}

impl Metrics {
    /// Sets who leads, whenever that changes; a failure counts each time.
    pub fn leadership(&self, state: &Leadership) {
        let cluster = &self.inner.cluster;
        cluster.leader.0.set(if *state == Leadership::Leading { 1.0 } else { 0.0 });
        if matches!(state, Leadership::Failing(_)) {
            cluster.lease_failures.inc();
        }
    }

    /// Sets where the registration stands, whenever that changes.
    pub fn registration(&self, state: &RegistrationState) {
        let registered = matches!(state, RegistrationState::Registered { .. });
        self.inner.cluster.registered.0.set(if registered { 1.0 } else { 0.0 });
    }

    /// Sets when the registration was last written or found to be right.
    pub fn registration_succeeded(&self, at: SystemTime) {
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.inner.cluster.registration_success.0.set(since.as_secs_f64().floor());
    }

    /// Counts an attempt to register that failed.
    pub fn registration_failed(&self) {
        self.inner.cluster.registration_failures.inc();
    }

    /// Counts a registration that others had changed or removed.
    pub fn registration_repaired(&self) {
        self.inner.cluster.registration_repairs.inc();
    }
}
