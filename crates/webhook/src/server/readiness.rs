//! Whether this replica should get admissions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The condition that a certificate is loaded.
pub const CERTIFICATE: &str = "certificate";
/// The condition that the MutatingWebhookConfiguration is as it should be.
pub const REGISTRATION: &str = "registration";
/// The condition that the webhook is not shutting down.
pub const DRAINING: &str = "draining";

/// Named conditions, all of which have to be met once before `/readyz` says yes. Clones share their state.
///
/// They hold up the start alone. A condition that is no longer met later on, because the API server is away, say, is true of
/// all replicas at once, and without any of them no pod would be admitted: it is told and does not count. Only
/// [`DRAINING`] always does.
///
/// A condition that nobody ever named does not count: whoever is responsible for one calls [`Readiness::unmet`] before
/// the server starts, and [`Readiness::met`] when it is.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    unmet: BTreeMap<&'static str, String>,
    /// All conditions have been named.
    complete: bool,
    /// All of them were met once.
    started: bool,
}

impl State {
    fn look(&mut self) {
        self.started |= self.complete && self.unmet.is_empty();
    }
}

impl Readiness {
    /// No conditions: ready.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `condition` is met.
    pub fn met(&self, condition: &'static str) {
        let mut state = self.lock();
        state.unmet.remove(condition);
        state.look();
    }

    /// `condition` is not met, because of `reason`: a sentence for people, without secrets (anyone who reaches the
    /// plain port can read it).
    pub fn unmet(&self, condition: &'static str, reason: impl Into<String>) {
        self.lock().unmet.insert(condition, reason.into());
    }

    /// All conditions have been named: from here on, or as soon as they are met, they count no more.
    pub(super) fn complete(&self) {
        let mut state = self.lock();
        state.complete = true;
        state.look();
    }

    /// Why the webhook is not ready, one `condition: reason` each; empty when it is.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let state = self.lock();
        let counts = |condition| !state.started || condition == DRAINING;
        lines(state.unmet.iter().filter(|(condition, _)| counts(**condition)))
    }

    /// The conditions that are not met now and do not count any more, as [`Readiness::reasons`].
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let state = self.lock();
        lines(state.unmet.iter().filter(|(condition, _)| state.started && **condition != DRAINING))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lines<'a>(conditions: impl Iterator<Item = (&'a &'static str, &'a String)>) -> Vec<String> {
    conditions.map(|(condition, reason)| format!("{condition}: {reason}")).collect()
}
