//! What the webhook counts, in the text format of OpenMetrics.
//!
//! Every label has a fixed set of values, and every series of the hot path is made beforehand: an admission costs a few
//! atomic additions. Names of pods, secrets or namespaces are no labels. `docs/metrics.md` lists them all.

mod admissions;
mod certificates;
mod cluster;
mod events;
mod guard;
mod observers;
mod process;
mod server;
mod stores;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

use admissions::AdmissionSeries;
pub use certificates::CertificateRole;
use certificates::CertificateSeries;
use cluster::ClusterSeries;
pub use events::EventFate;
use events::EventSeries;
use guard::GuardSeries;
use server::ServerSeries;
use stores::StoreSeries;

/// The content type of [`Metrics::text`], as OpenMetrics 1.0 defines it.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Seconds. A pod with references takes well under a millisecond; 30 s is the longest that Kubernetes waits.
const BUCKETS: [f64; 14] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0];

type Labels<const N: usize> = [(&'static str, &'static str); N];
type Durations = Family<Labels<1>, Histogram>;

struct Inner {
    registry: Mutex<Registry>,
    prefix: String,
    admissions: AdmissionSeries,
    server: ServerSeries,
    certificates: CertificateSeries,
    cluster: ClusterSeries,
    events: EventSeries,
    stores: StoreSeries,
    guard: GuardSeries,
}

/// The webhook's metrics; clones count into the same series.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

impl Metrics {
    /// Makes the registry. `prefix` is `webhook.metrics-prefix`; see [`name_prefix`] for what becomes of it. What concerns
    /// the process (`process_…`) has no prefix, as everywhere.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        let inner = Inner {
            registry: Mutex::default(),
            prefix: name_prefix(prefix),
            admissions: AdmissionSeries::default(),
            server: ServerSeries::default(),
            certificates: CertificateSeries::default(),
            cluster: ClusterSeries::default(),
            events: EventSeries::default(),
            stores: StoreSeries::default(),
            guard: GuardSeries::default(),
        };
        let metrics = Self { inner: Arc::new(inner) };
        let inner = &metrics.inner;
        inner.admissions.register(&metrics);
        inner.server.register(&metrics);
        inner.certificates.register(&metrics);
        inner.cluster.register(&metrics);
        inner.events.register(&metrics);
        inner.stores.register(&metrics);
        inner.guard.register(&metrics);
        metrics.register("build", "The version that runs", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        inner.registry().register_collector(Box::new(process::Process));
        metrics
    }

    /// Adds a metric of another part of the program; `name` without the prefix and without `_total`.
    pub fn register(&self, name: &str, help: &str, metric: impl Metric) {
        self.inner.registry().register(format!("{}{name}", self.inner.prefix), help, metric);
    }

    /// Adds a metric in seconds; `name` without the prefix and without `_seconds`.
    fn register_seconds(&self, name: &str, help: &str, metric: impl Metric) {
        let name = format!("{}{name}", self.inner.prefix);
        self.inner.registry().register_with_unit(name, help, Unit::Seconds, metric);
    }

    /// All metrics as OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Only a metric whose own encoding fails, or a full `fmt::Write`, could be an error; a `String` is never full.
        let _ = encode(&mut text, &self.inner.registry());
        text
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("prefix", &self.inner.prefix).finish_non_exhaustive()
    }
}

impl Inner {
    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What stands in front of every name: the characters that Prometheus allows (`[a-zA-Z0-9_:]`, no digit first) are kept,
/// others become `_`. As in Flyte, a scope ends in `:`, which is added when neither `:` nor `_` is there.
#[must_use]
pub fn name_prefix(configured: &str) -> String {
    let mut prefix: String =
        configured.chars().map(|c| if c.is_ascii_alphanumeric() || c == ':' { c } else { '_' }).collect();
    if prefix.starts_with(|c: char| c.is_ascii_digit()) {
        prefix.insert(0, '_');
    }
    if !prefix.is_empty() && !prefix.ends_with([':', '_']) {
        prefix.push(':');
    }
    prefix
}

#[cfg(test)]
mod tests;
