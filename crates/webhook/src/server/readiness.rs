//! Whether the webhook may be called.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The condition that a certificate is loaded.
pub const CERTIFICATE: &str = "certificate";
/// The condition that the MutatingWebhookConfiguration is as it should be.
pub const REGISTRATION: &str = "registration";
/// The condition that the webhook is not shutting down.
pub const DRAINING: &str = "draining";

/// Named conditions, all of which have to be met before `/readyz` says yes. Clones share their state.
///
/// A condition that nobody ever named does not count: whoever is responsible for one calls [`Readiness::unmet`] before
/// the server starts, and [`Readiness::met`] when it is.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    unmet: Arc<Mutex<BTreeMap<&'static str, String>>>,
}

impl Readiness {
    /// No conditions: ready.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `condition` is met.
    pub fn met(&self, condition: &'static str) {
        self.lock().remove(condition);
    }

    /// `condition` is not met, because of `reason`: a sentence for people, without secrets (anyone who reaches the
    /// plain port can read it).
    pub fn unmet(&self, condition: &'static str, reason: impl Into<String>) {
        self.lock().insert(condition, reason.into());
    }

    /// Why the webhook is not ready, one `condition: reason` each; empty when it is.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        self.lock().iter().map(|(condition, reason)| format!("{condition}: {reason}")).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.unmet.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
