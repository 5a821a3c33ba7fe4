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
    /// Managers that configuration describes are not there from the start; there are as many as it says.
    fn count(&self, outcome: Outcome, series: &OutcomeSeries, manager: &'static str) {
        match series.by_manager.get(manager) {
            Some(counter) => counter.inc(),
            None => self.admissions.get_or_create(&[("outcome", outcome.name()), ("manager", manager)]).inc(),
        };
    }

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
            self.inner.admissions.count(outcome, series, NO_MANAGER);
        }
        for (place, manager) in managers.iter().enumerate() {
            if !managers[..place].contains(manager) {
                self.inner.admissions.count(outcome, series, manager);
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

fn outcome_series(outcome: Outcome, admissions: &Family<Labels<2>, Counter>, durations: &Durations) -> OutcomeSeries {
    let outcome = ("outcome", outcome.name());
    let managers = SecretManagerType::ALL.map(SecretManagerType::name).into_iter().chain([NO_MANAGER]);
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
