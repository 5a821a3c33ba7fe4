//! What is counted of admissions.

use std::collections::BTreeMap;
use std::time::Duration;

use flyte_secrets_core::SecretManagerType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::{BUCKETS, Durations, Labels, Metrics};
use crate::admission::RefusalReason;
use crate::server::Outcome;

/// Stands for the manager where no request of the pod was served.
const NO_MANAGER: &str = "none";
/// Stands for managers that are described in configuration.
const OTHER_MANAGER: &str = "custom";

/// The series of admissions.
pub(super) struct AdmissionSeries {
    admissions: Family<Labels<2>, Counter>,
    durations: Durations,
    outcomes: BTreeMap<Outcome, OutcomeSeries>,
    refusals: Family<Labels<1>, Counter>,
    in_flight: Gauge,
    panics: Counter,
    warnings: Counter,
}

/// The counters of one outcome.
struct OutcomeSeries {
    by_manager: BTreeMap<&'static str, Counter>,
    duration: Histogram,
}

impl Default for AdmissionSeries {
    fn default() -> Self {
        let admissions = Family::<Labels<2>, Counter>::default();
        let durations = Durations::new_with_constructor(|| Histogram::new(BUCKETS));
        let outcomes = Outcome::ALL.map(|outcome| (outcome, outcome_series(outcome, &admissions, &durations)));
        let refusals = Family::<Labels<1>, Counter>::default();
        for reason in RefusalReason::ALL {
            drop(refusals.get_or_create(&[("reason", reason.name())]));
        }
        Self {
            admissions,
            durations,
            outcomes: outcomes.into(),
            refusals,
            in_flight: Gauge::default(),
            panics: Counter::default(),
            warnings: Counter::default(),
        }
    }
}

impl AdmissionSeries {
    pub(super) fn register(&self, metrics: &Metrics) {
        metrics.register(
            "admissions",
            "Admissions by outcome and by each manager that served a request of the pod",
            self.admissions.clone(),
        );
        metrics.register_seconds(
            "admission_duration",
            "Time from the arrival of a review to its answer",
            self.durations.clone(),
        );
        metrics.register("refusals", "Pods that were not admitted, by reason", self.refusals.clone());
        metrics.register("admissions_in_flight", "Reviews being answered now", self.in_flight.clone());
        metrics.register("admission_panics", "Reviews that ended in a panic", self.panics.clone());
        metrics.register(
            "admission_warnings",
            "Warnings in answers: requests of one pod that exclude each other, pods admitted without their secrets",
            self.warnings.clone(),
        );
    }
}

impl Metrics {
    /// Counts one admission. `managers` are those that served a request of the pod; each counts once, so a pod that two
    /// managers served is in two series.
    pub fn admission(&self, outcome: Outcome, managers: &[&'static str], duration: Duration) {
        let Some(series) = self.inner.admissions.outcomes.get(&outcome) else { return };
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

    /// Counts a pod that was refused.
    pub(crate) fn refused(&self, reason: RefusalReason) {
        self.inner.admissions.refusals.get_or_create(&[("reason", reason.name())]).inc();
    }

    /// Counts a review as being answered, until the guard is dropped.
    pub(crate) fn in_flight(&self) -> InFlight {
        self.inner.admissions.in_flight.inc();
        InFlight(self.inner.admissions.in_flight.clone())
    }

    /// Counts a review that ended in a panic.
    pub(crate) fn panicked(&self) {
        self.inner.admissions.panics.inc();
    }

    /// Counts the warnings of an answer.
    pub(crate) fn warned(&self, warnings: usize) {
        if warnings > 0 {
            self.inner.admissions.warnings.inc_by(warnings as u64);
        }
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

/// One review being answered; counted until it is dropped.
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
