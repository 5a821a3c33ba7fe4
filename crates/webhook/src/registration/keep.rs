//! Keeping the registration, whatever happens to it or to the API server.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::apply::{CA_BUNDLE, Registrar, Round};
use super::bundle::{holds, shown};
use super::desired::RegistrationSettings;
use super::repairs::Repairs;
use super::watching;
use crate::kubernetes::jittered;

/// The wait between a change by others and our look at it.
const LEAST_PAUSE: Duration = Duration::from_millis(100);

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
        /// The bundle that stands there, as last read or written, in PEM: at least what our certificate's source wants, in its
        /// own words, and the CAs of others. `None`: the API server trusts the issuers that its system trusts.
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
    /// How long nobody looks at a configuration that was fine, in case somebody has changed or deleted it
    /// (`webhook.registration.refresh`).
    pub refresh: Duration,
    /// How long after a write of the bundle the state waits to say so: API servers learn of it a little later, each by itself.
    pub settling: Duration,
}

impl Default for Pace {
    /// 1 s up to 30 s, 5 minutes, and 1 s.
    fn default() -> Self {
        Self {
            first_retry: Duration::from_secs(1),
            longest_retry: Duration::from_secs(30),
            refresh: Duration::from_secs(5 * 60),
            settling: Duration::from_secs(1),
        }
    }
}

impl Pace {
    /// The wait after so many failures in a row (one or more), before the jitter.
    fn retry(&self, failures: u32) -> Duration {
        doubled(self.first_retry, failures.saturating_sub(1)).min(self.longest_retry)
    }
}

fn doubled(wait: Duration, times: u32) -> Duration {
    wait.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX))
}

/// Is told what happens to the registration, to count it. Fields are named as in the documentation.
pub trait RegistrationObserver: Send + Sync {
    /// The configuration was written, because of these fields; none: only to become their owner.
    fn wrote(&self, _fields: &[String]) {}
    /// Somebody else had changed these fields, and they have been put back.
    fn drifted(&self, _fields: &[String]) {}
    /// It was read or written, and is as it should be.
    fn stood(&self) {}
    /// An attempt failed.
    fn failed(&self) {}
}

/// Counts nothing.
impl RegistrationObserver for () {}

/// What it takes to keep a registration.
pub struct Keeping {
    /// For reading and writing it.
    pub client: kube::Client,
    /// For watching it, which lets us see changes by others at once; `None`: they are seen with the refresh.
    pub watching: Option<kube::Client>,
    /// What it shall say.
    pub settings: RegistrationSettings,
    /// The CAs that the source of our certificate wants trusted, in PEM, now and whenever they change; `None`: the API server
    /// trusts its issuer by itself.
    pub ca_bundle: watch::Receiver<Option<String>>,
    /// When to try and to look again.
    pub pace: Pace,
    /// Who counts.
    pub observer: Arc<dyn RegistrationObserver>,
}

/// A registration to be kept: its state to watch, and the work to be spawned.
#[derive(Debug)]
pub struct Registration<Work> {
    /// Where it stands.
    pub state: watch::Receiver<RegistrationState>,
    /// Never ends; does nothing until it is polled, and nothing more when it is dropped.
    pub work: Work,
}

/// Registers the webhook, and looks at its registration whenever the wanted CAs change, somebody else changes it, and every
/// [`Pace::refresh`]. Only what is not as it should be is written.
///
/// Failures are logged and tried again with a growing, jittered wait, for ever: webhook and API server
/// may start in any order. A failed look leaves the state `Registered`, because what was applied before still stands; only a
/// new CA that could not be applied makes it `Pending` again.
#[must_use]
pub fn keep_registered(keeping: Keeping) -> Registration<impl Future<Output = Infallible> + Send> {
    let (sender, state) = watch::channel(RegistrationState::Pending { last_error: None });
    Registration { state, work: keep(keeping, sender) }
}

async fn keep(keeping: Keeping, state: watch::Sender<RegistrationState>) -> Infallible {
    let Keeping { client, watching, settings, ca_bundle, pace, observer } = keeping;
    let changed = Arc::new(Notify::new());
    let name = settings.name.clone();
    let keeper = Keeper {
        name: name.clone(),
        registrar: Registrar::new(client, settings),
        pace,
        observer,
        state,
        known: None,
        failures: 0,
        repairs: Repairs::new(pace.refresh),
    };
    let watching = async {
        if let Some(client) = watching {
            watching::watch(client, name, Arc::clone(&changed)).await;
        }
    };
    futures::future::join(keeper.run(ca_bundle, &changed), watching).await.0
}

struct Keeper {
    name: String,
    registrar: Registrar,
    pace: Pace,
    observer: Arc<dyn RegistrationObserver>,
    state: watch::Sender<RegistrationState>,
    known: Option<Known>,
    failures: u32,
    repairs: Repairs,
}

/// What the last successful look left.
struct Known {
    wanted: Option<String>,
    registered: Option<String>,
}

impl Keeper {
    async fn run(mut self, mut ca_bundle: watch::Receiver<Option<String>>, changed: &Notify) -> Infallible {
        loop {
            let wanted = ca_bundle.borrow_and_update().clone();
            let wait = self.look(wanted).await;
            let by_others = async {
                changed.notified().await;
                tokio::time::sleep(jittered(LEAST_PAUSE)).await;
            };
            tokio::select! {
                () = another_is_wanted(&mut ca_bundle) => {}
                // What failed is tried again at its own pace.
                () = by_others, if self.failures == 0 => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Looks once; how long to wait for the next time.
    async fn look(&mut self, wanted: Option<String>) -> Duration {
        let settled = self.known.as_ref().is_some_and(|known| known.wanted == wanted);
        // What the source wants anew waits for nothing.
        let held = if settled { self.repairs.held(Instant::now()) } else { BTreeSet::new() };
        match self.registrar.round(wanted.as_deref(), &held).await {
            Ok(round) => {
                self.failures = 0;
                self.observer.stood();
                self.tell(&round, settled);
                if round.fields.iter().any(|field| field == CA_BUNDLE) {
                    tokio::time::sleep(self.pace.settling).await;
                }
                let ca_bundle = round.ca_bundle.as_deref().map(|stands| shown(stands, wanted.as_deref()));
                self.publish(RegistrationState::Registered { ca_bundle });
                self.known = Some(Known { wanted, registered: round.ca_bundle });
                let refresh = jittered(self.pace.refresh);
                self.repairs.wait(&held, Instant::now()).map_or(refresh, |wait| wait.min(refresh))
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                self.observer.failed();
                let wait = jittered(self.pace.retry(self.failures));
                tracing::warn!(%error, retry_in = ?wait, "cannot register with the API server");
                let trusted = |known: &Known| holds(known.registered.as_deref(), wanted.as_deref());
                if !self.known.as_ref().is_some_and(trusted) {
                    self.publish(RegistrationState::Pending { last_error: Some(error.to_string()) });
                }
                wait
            }
        }
    }

    /// `settled`: the same was wanted before and stood there.
    fn tell(&mut self, round: &Round, settled: bool) {
        let Round { fields, retired, foreign, .. } = round;
        if self.known.is_none() {
            tracing::info!(configuration = %self.name, ?fields, "registered with the API server");
        }
        if *foreign > 0 && self.known.is_none() {
            tracing::info!(
                configuration = %self.name, foreign,
                "CAs of others stay in the bundle for webhook.registration.adoptedCaRetention"
            );
        }
        if *retired > 0 {
            tracing::info!(configuration = %self.name, retired, "CAs that nobody needs any more are no longer trusted");
        }
        if fields.is_empty() {
            return;
        }
        self.observer.wrote(fields);
        let is_drift = |field: &&String| *retired == 0 || *field != CA_BUNDLE;
        let drifted: Vec<String> = fields.iter().filter(is_drift).cloned().collect();
        if settled && !drifted.is_empty() {
            self.repairs.note(&drifted, Instant::now());
            self.observer.drifted(&drifted);
            tracing::warn!(
                configuration = %self.name, fields = ?drifted,
                "somebody else changed the registration; it is as configured again"
            );
        }
    }

    fn publish(&self, new: RegistrationState) {
        self.state.send_if_modified(|old| {
            let changed = *old != new;
            *old = new;
            changed
        });
    }
}

/// Returns when the source wants another bundle.
async fn another_is_wanted(ca_bundle: &mut watch::Receiver<Option<String>>) {
    if ca_bundle.changed().await.is_err() {
        // Nobody will ever change it again.
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
