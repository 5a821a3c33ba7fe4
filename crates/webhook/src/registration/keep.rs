//! Keeping the registration, whatever happens to it or to the API server.

use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::watch;

use super::apply::apply;
use super::desired::RegistrationSettings;
use crate::kubernetes::jittered;

/// Where the registration stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistrationState {
    /// The API server does not call us yet, or would not trust the certificate that we serve now.
    Pending {
        /// Why the last attempt failed; `None` before the first one has ended.
        last_error: Option<String>,
    },
    /// The API server calls us, and trusts our CA.
    Registered {
        /// What it was last told to trust, in PEM; `None`: the issuers that its system trusts.
        ca_bundle: Option<String>,
    },
}

/// When to try and to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The wait after the first failure; it doubles with each further one.
    pub first_retry: Duration,
    /// The longest wait after a failure.
    pub longest_retry: Duration,
    /// How long a success stands before the configuration is applied again, in case somebody has changed or deleted
    /// it.
    pub refresh: Duration,
}

impl Default for Pace {
    /// 1 s up to 30 s, and 5 minutes.
    fn default() -> Self {
        Self {
            first_retry: Duration::from_secs(1),
            longest_retry: Duration::from_secs(30),
            refresh: Duration::from_secs(5 * 60),
        }
    }
}

impl Pace {
    /// The wait after so many failures in a row (one or more), before the jitter.
    fn retry(&self, failures: u32) -> Duration {
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first_retry.saturating_mul(doubled).min(self.longest_retry)
    }
}

/// A registration to be kept: its state to watch, and the work to be spawned.
#[derive(Debug)]
pub struct Registration<Work> {
    /// Where it stands.
    pub state: watch::Receiver<RegistrationState>,
    /// Never ends; does nothing until it is polled, and nothing more when it is dropped.
    pub work: Work,
}

/// Registers the webhook, and does so again whenever `ca_bundle` changes and every [`Pace::refresh`].
///
/// Failures are logged and tried again with a growing, jittered wait, for ever: webhook and API server
/// may start in any order. A failed refresh leaves the state `Registered`, because what was applied before still stands; only a new CA that
/// could not be applied makes it `Pending` again.
#[must_use]
pub fn keep_registered(
    client: kube::Client,
    settings: RegistrationSettings,
    ca_bundle: watch::Receiver<Option<String>>,
    pace: Pace,
) -> Registration<impl Future<Output = Infallible> + Send> {
    let (sender, state) = watch::channel(RegistrationState::Pending { last_error: None });
    Registration { state, work: keep(client, settings, ca_bundle, pace, sender) }
}

async fn keep(
    client: kube::Client,
    settings: RegistrationSettings,
    mut ca_bundle: watch::Receiver<Option<String>>,
    pace: Pace,
    state: watch::Sender<RegistrationState>,
) -> Infallible {
    let mut failures = 0;
    let mut applied: Option<Option<String>> = None;
    loop {
        let bundle = ca_bundle.borrow_and_update().clone();
        let wait = match apply(client.clone(), &settings, bundle.as_deref()).await {
            Ok(()) => {
                failures = 0;
                if applied.as_ref() != Some(&bundle) {
                    tracing::info!(configuration = %settings.name, "registered with the API server");
                }
                publish(&state, RegistrationState::Registered { ca_bundle: bundle.clone() });
                applied = Some(bundle);
                jittered(pace.refresh)
            }
            Err(error) => {
                failures += 1;
                let wait = jittered(pace.retry(failures));
                tracing::warn!(%error, retry_in = ?wait, "cannot register with the API server");
                if !applied.as_ref().is_some_and(|applied| trusts(applied.as_deref(), bundle.as_deref())) {
                    publish(&state, RegistrationState::Pending { last_error: Some(error.to_string()) });
                }
                wait
            }
        };
        changed_or(&mut ca_bundle, wait).await;
    }
}

/// Whether an API server that was given `applied` trusts every CA of `wanted`. When an old CA is dropped, the bundle that
/// was applied before holds the one that remains.
fn trusts(applied: Option<&str>, wanted: Option<&str>) -> bool {
    match (applied, wanted) {
        (Some(applied), Some(wanted)) => applied.contains(wanted),
        (applied, wanted) => applied == wanted,
    }
}

fn publish(state: &watch::Sender<RegistrationState>, new: RegistrationState) {
    state.send_if_modified(|old| {
        let changed = *old != new;
        *old = new;
        changed
    });
}

/// Returns when the bundle changes, and after `wait` at the latest.
async fn changed_or(ca_bundle: &mut watch::Receiver<Option<String>>, wait: Duration) {
    let changed = async {
        if ca_bundle.changed().await.is_err() {
            // Nobody will ever change it again.
            std::future::pending::<()>().await;
        }
    };
    // Late is as good as changed.
    let _ = tokio::time::timeout(wait, changed).await;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
