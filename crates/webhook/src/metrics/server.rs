//! What the server counts besides admissions.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::{Labels, Metrics};

/// Why a connection did not get through the TLS handshake.
const HANDSHAKE_FAILURES: [&str; 3] = ["refused", "broken", "timeout"];

/// The series of requests, connections and time-outs.
pub(super) struct ServerSeries {
    rejected: Family<Labels<1>, Counter>,
    handshake_failures: Family<Labels<1>, Counter>,
    timeout: Gauge<f64, AtomicU64>,
}

impl Default for ServerSeries {
    fn default() -> Self {
        let handshake_failures = Family::<Labels<1>, Counter>::default();
        for reason in HANDSHAKE_FAILURES {
            drop(handshake_failures.get_or_create(&[("reason", reason)]));
        }
        Self { rejected: Family::default(), handshake_failures, timeout: Gauge::default() }
    }
}

impl ServerSeries {
    pub(super) fn register(&self, metrics: &Metrics) {
        metrics.register("requests_rejected", "Requests answered without a look at the review", self.rejected.clone());
        metrics.register(
            "tls_handshake_failures",
            "Connections that ended in the TLS handshake; `refused` is a client that does not trust the certificate",
            self.handshake_failures.clone(),
        );
        metrics.register_seconds(
            "admission_timeout",
            "How long the API server waits for an answer (webhook.webhookTimeout)",
            self.timeout.clone(),
        );
    }
}

impl Metrics {
    /// Counts a request that was turned away for `reason`.
    pub(crate) fn rejected(&self, reason: &'static str) {
        self.inner.server.rejected.get_or_create(&[("reason", reason)]).inc();
    }

    /// Counts a connection that did not get through the TLS handshake.
    pub(crate) fn handshake_failed(&self, reason: &'static str) {
        self.inner.server.handshake_failures.get_or_create(&[("reason", reason)]).inc();
    }

    /// Sets what durations of admissions are to be compared with.
    pub(crate) fn admission_timeout(&self, timeout: Duration) {
        self.inner.server.timeout.set(timeout.as_secs_f64());
    }
}
