//! What the webhook counts, in the text format of OpenMetrics.
//!
//! Every label has a fixed set of values, and every series of the hot path is made beforehand: an admission costs a few
//! atomic additions. Names of pods, secrets or namespaces are no labels.

mod guard;
mod observers;
mod stores;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flyte_secrets_core::SecretManagerType;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

use crate::server::Outcome;
use guard::GuardSeries;
use stores::StoreSeries;

/// The content type of [`Metrics::text`], as OpenMetrics 1.0 defines it.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Seconds. A pod with references takes well under a millisecond; 30 s is the longest that Kubernetes waits.
const BUCKETS: [f64; 14] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0];

/// Stands for the manager where no request of the pod was served.
const NO_MANAGER: &str = "none";
/// Stands for managers that are described in configuration.
const OTHER_MANAGER: &str = "custom";

type Labels<const N: usize> = [(&'static str, &'static str); N];
type Durations = Family<Labels<1>, Histogram>;

/// The counters of one outcome.
struct OutcomeSeries {
    by_manager: BTreeMap<&'static str, Counter>,
    duration: Histogram,
}

struct Inner {
    registry: Mutex<Registry>,
    prefix: String,
    outcomes: BTreeMap<Outcome, OutcomeSeries>,
    in_flight: Gauge,
    panics: Counter,
    warnings: Counter,
    rejected: Family<Labels<1>, Counter>,
    handshake_failures: Family<Labels<1>, Counter>,
    certificate_expiry: Gauge<f64, AtomicU64>,
    stores: StoreSeries,
    guard: GuardSeries,
}

/// The webhook's metrics; clones count into the same series.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

impl Metrics {
    /// Makes the registry. `prefix` is `webhook.metrics-prefix`; see [`name_prefix`] for what becomes of it.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        let prefix = name_prefix(prefix);
        let admissions = Family::<Labels<2>, Counter>::default();
        let durations = Durations::new_with_constructor(|| Histogram::new(BUCKETS));
        let outcomes = Outcome::ALL.map(|outcome| (outcome, outcome_series(outcome, &admissions, &durations)));
        let inner = Inner {
            registry: Mutex::default(),
            prefix,
            outcomes: outcomes.into(),
            in_flight: Gauge::default(),
            panics: Counter::default(),
            warnings: Counter::default(),
            rejected: Family::default(),
            handshake_failures: Family::default(),
            certificate_expiry: Gauge::default(),
            stores: StoreSeries::default(),
            guard: GuardSeries::default(),
        };
        let metrics = Self { inner: Arc::new(inner) };
        metrics.register_admissions(admissions, durations);
        metrics.register_server();
        metrics.inner.stores.register(&metrics);
        metrics.inner.guard.register(&metrics);
        // No number, rather than 1970: an alert on an expired certificate has to wait until there is one.
        metrics.inner.certificate_expiry.set(f64::NAN);
        metrics
    }

    fn register_admissions(&self, admissions: Family<Labels<2>, Counter>, durations: Durations) {
        let inner = &self.inner;
        self.register(
            "admissions",
            "Admissions by outcome and by each manager that served a request of the pod",
            admissions,
        );
        self.register_seconds("admission_duration", "Time from the arrival of a review to its answer", durations);
        self.register("admissions_in_flight", "Reviews being answered now", inner.in_flight.clone());
        self.register("admission_panics", "Reviews that ended in a panic", inner.panics.clone());
        self.register(
            "admission_warnings",
            "Warnings in answers: requests of one pod that exclude each other, pods admitted without their secrets",
            inner.warnings.clone(),
        );
    }

    fn register_server(&self) {
        let inner = &self.inner;
        self.register("requests_rejected", "Requests answered without a look at the review", inner.rejected.clone());
        self.register(
            "tls_handshake_failures",
            "Connections that ended in the TLS handshake; `refused` is a client that does not trust the certificate",
            inner.handshake_failures.clone(),
        );
        self.register_seconds(
            "certificate_expiry_timestamp",
            "When the serving certificate expires, in seconds since 1970",
            inner.certificate_expiry.clone(),
        );
        self.register("build", "The version that runs", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
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

    /// Counts one admission. `managers` are those that served a request of the pod; each counts once, so a pod that two
    /// managers served is in two series.
    pub fn admission(&self, outcome: Outcome, managers: &[&'static str], duration: Duration) {
        let Some(series) = self.inner.outcomes.get(&outcome) else { return };
        series.duration.observe(duration.as_secs_f64());
        if managers.is_empty() {
            series.count(NO_MANAGER);
        }
        for (place, manager) in managers.iter().enumerate() {
            if !managers[..place].contains(manager) {
                series.count(manager);
            }
        }
    }

    /// Counts a review as being answered, until the guard is dropped.
    pub(crate) fn in_flight(&self) -> InFlight {
        self.inner.in_flight.inc();
        InFlight(self.inner.in_flight.clone())
    }

    /// Counts a review that ended in a panic.
    pub(crate) fn panicked(&self) {
        self.inner.panics.inc();
    }

    /// Counts the warnings of an answer.
    pub(crate) fn warned(&self, warnings: usize) {
        if warnings > 0 {
            self.inner.warnings.inc_by(warnings as u64);
        }
    }

    /// Counts a request that was turned away for `reason`.
    pub(crate) fn rejected(&self, reason: &'static str) {
        self.inner.rejected.get_or_create(&[("reason", reason)]).inc();
    }

    /// Counts a connection that did not get through the TLS handshake.
    pub(crate) fn handshake_failed(&self, reason: &'static str) {
        self.inner.handshake_failures.get_or_create(&[("reason", reason)]).inc();
    }

    /// Sets when the serving certificate expires, in seconds since 1970-01-01 UTC.
    #[expect(clippy::cast_precision_loss, reason = "exact for 285 million years")]
    pub fn certificate_expires(&self, unix_seconds: i64) {
        self.inner.certificate_expiry.set(unix_seconds as f64);
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

impl OutcomeSeries {
    fn count(&self, manager: &str) {
        if let Some(counter) = self.by_manager.get(manager).or_else(|| self.by_manager.get(OTHER_MANAGER)) {
            counter.inc();
        }
    }
}

fn outcome_series(outcome: Outcome, admissions: &Family<Labels<2>, Counter>, durations: &Durations) -> OutcomeSeries {
    let outcome = ("outcome", outcome.name());
    let managers = SecretManagerType::ALL.map(SecretManagerType::name).into_iter().chain([NO_MANAGER, OTHER_MANAGER]);
    let counter = |name| admissions.get_or_create(&[outcome, ("manager", name)]).clone();
    OutcomeSeries {
        by_manager: managers.map(|name| (name, counter(name))).collect(),
        duration: durations.get_or_create(&[outcome]).clone(),
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

/// One review being answered; counted until it is dropped.
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests;
