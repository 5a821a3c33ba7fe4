//! The work of one replica.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::super::names::CertificateNames;
use super::super::resolver::CertificateResolver;
use super::super::status::{CertificateStatus, Fingerprint};
use super::authority::{Authority, timestamp};
use super::known::{bundle, lives, same, signer, status, tell_changes, with_lives};
use super::leaf::{Leaf, issue};
use super::shared::{AutoError, Found, Shared};
use super::timeline::{Lifetimes, Plan, decide, remembered};
use crate::kubernetes::jittered;
use crate::leader::Leadership;
use crate::registration::RegistrationState;

/// How often we start again at start-up when somebody else changes the Secret at the same time.
const ATTEMPTS: u32 = 10;
/// How long start-up waits for an API server that is not reached, and the pause between two attempts.
const PATIENT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(1);
/// The pause after a write that failed.
const WRITE_PAUSE: Duration = Duration::from_secs(30);

/// The time of day; tests have their own.
pub(super) type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// What [`Rotation`] needs to know.
#[derive(Clone, Debug)]
pub struct AutoSettings {
    /// The namespace of the Secret with the CAs (`webhook.certificates.caSecretNamespace`).
    pub namespace: String,
    /// Its name (`webhook.certificates.caSecretName`).
    pub secret_name: String,
    /// The names that the serving certificate is for.
    pub names: CertificateNames,
    /// How long things last.
    pub lifetimes: Lifetimes,
}

/// Serves a certificate that is always valid, by CAs that all replicas share.
pub struct Rotation {
    shared: Shared,
    names: CertificateNames,
    lifetimes: Lifetimes,
    clock: Clock,
    /// All CAs that are known, also if the Secret has lost them.
    known: Vec<Authority>,
    leaf: Leaf,
    resolver: Arc<CertificateResolver>,
    bundle: watch::Sender<Option<String>>,
    status: watch::Sender<CertificateStatus>,
    /// Since when each CA stands in the bundle that we have registered.
    standing: BTreeMap<Fingerprint, Instant>,
    /// When a change is ours to write if nobody else has written it until then.
    ours_at: Option<Instant>,
    write_failure: Option<WriteFailure>,
    /// How often the Secret was gone and was written back by us.
    restored: u64,
}

/// Why the last write failed, and when to try again.
struct WriteFailure {
    until: Instant,
    error: String,
}

impl Rotation {
    /// Reads the Secret, or makes it with a first CA, and makes a serving certificate.
    ///
    /// An API server that cannot be reached is tried again for half a minute. Needs `get`, `create` and `update` on the Secret.
    ///
    /// # Errors
    ///
    /// When the API server stays out of reach or forbids it, or the Secret holds something else.
    pub async fn open(client: kube::Client, settings: AutoSettings) -> Result<Self, AutoError> {
        Self::open_by(client, settings, Arc::new(SystemTime::now)).await
    }

    pub(super) async fn open_by(client: kube::Client, settings: AutoSettings, clock: Clock) -> Result<Self, AutoError> {
        let AutoSettings { namespace, secret_name: name, names, lifetimes } = settings;
        let mut shared = Shared::new(client, namespace, name);
        let known = first(&mut shared, &lifetimes, &clock).await?;
        let now = clock();
        let plan = decide(&lives(&known), &BTreeSet::new(), timestamp(now), &lifetimes);
        let signer = signer(&known, &plan).ok_or_else(|| shared.expired())?;
        let (pair, inspected, leaf) = issue(signer, &names, now, &lifetimes)?;
        let resolver = CertificateResolver::new(&pair, inspected).map_err(|problem| AutoError::Bad(vec![problem]))?;
        let status = status(&plan, &known, resolver.not_after(), None, 0);
        tracing::info!(not_after = %inspected.not_after, authority = %leaf.signer, "serving certificate made");
        Ok(Self {
            bundle: watch::Sender::new(Some(bundle(&known, &plan))),
            status: watch::Sender::new(status),
            shared,
            names,
            lifetimes,
            clock,
            known,
            leaf,
            resolver: Arc::new(resolver),
            standing: BTreeMap::new(),
            ours_at: None,
            write_failure: None,
            restored: 0,
        })
    }

    /// What TLS shall serve: see [`server_config`](crate::certificates::server_config).
    #[must_use]
    pub fn resolver(&self) -> Arc<CertificateResolver> {
        Arc::clone(&self.resolver)
    }

    /// The CAs in PEM that the API server shall trust, now and whenever they change; never `None`.
    #[must_use]
    pub fn ca_bundle(&self) -> watch::Receiver<Option<String>> {
        self.bundle.subscribe()
    }

    /// What is known, now and whenever it changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<CertificateStatus> {
        self.status.subscribe()
    }

    /// Goes on for ever. `registered` tells which bundle stands in the registration, `leadership` whether changes to the Secret are
    /// first of all ours to write; without a leader every replica writes them, a little later.
    pub async fn run(
        mut self,
        mut registered: watch::Receiver<RegistrationState>,
        leadership: watch::Receiver<Leadership>,
    ) -> Infallible {
        loop {
            let state = registered.borrow_and_update().clone();
            self.note_registered(&state);
            let leads = *leadership.borrow() == Leadership::Leading;
            let outcome = self.look(leads).await;
            self.tell(outcome);
            wait(&mut registered, jittered(self.lifetimes.poll())).await;
        }
    }

    /// One look at the Secret, and what follows from it.
    async fn look(&mut self, leads: bool) -> Result<(), AutoError> {
        let read = self.shared.read().await;
        if let Ok(found) = &read {
            self.learn(found);
        }
        let plan = self.plan();
        self.publish(&plan);
        let renewed = self.renew(&plan);
        let written = match read {
            Ok(found) => self.advance(found, &plan, leads).await,
            Err(error) => Err(error),
        };
        // What was just written takes effect at once.
        self.publish(&self.plan());
        written.and(renewed)
    }

    /// Takes over what the Secret holds.
    fn learn(&mut self, found: &Found) {
        let read = lives(&found.authorities);
        let lives = remembered(&lives(&self.known), found.is_there().then_some(&read));
        self.known = with_lives(found.authorities.iter().chain(&self.known), lives);
    }

    fn plan(&self) -> Plan {
        let settling = self.lifetimes.settling();
        let standing = self.standing.iter().filter(|(_, since)| since.elapsed() >= settling).map(|(id, _)| *id);
        decide(&lives(&self.known), &standing.collect(), timestamp((self.clock)()), &self.lifetimes)
    }

    fn publish(&self, plan: &Plan) {
        // Without any CA that is left, the last bundle stays: nothing is gained by registering none.
        if plan.bundle.is_empty() {
            return;
        }
        let bundle = Some(bundle(&self.known, plan));
        self.bundle.send_if_modified(|old| {
            let changed = *old != bundle;
            *old = bundle;
            changed
        });
    }

    /// A new serving certificate, if it is time.
    fn renew(&mut self, plan: &Plan) -> Result<(), AutoError> {
        let now = (self.clock)();
        if plan.signer == Some(self.leaf.signer) && !self.leaf.is_due(timestamp(now), &self.lifetimes) {
            return Ok(());
        }
        let signer = signer(&self.known, plan).ok_or_else(|| self.shared.expired())?;
        let (pair, inspected, leaf) = issue(signer, &self.names, now, &self.lifetimes)?;
        self.resolver.replace(&pair, inspected).map_err(|problem| AutoError::Bad(vec![problem]))?;
        tracing::info!(not_after = %inspected.not_after, authority = %leaf.signer, "serving certificate replaced");
        self.leaf = leaf;
        Ok(())
    }

    /// Writes what the Secret shall hold next, if that is ours to do now.
    async fn advance(&mut self, found: Found, plan: &Plan, leads: bool) -> Result<(), AutoError> {
        if !plan.new && same(&plan.next, &lives(&found.authorities)) {
            (self.ours_at, self.write_failure) = (None, None);
            return Ok(());
        }
        let now = Instant::now();
        let patience = self.lifetimes.patience();
        let ours_at = *self.ours_at.get_or_insert_with(|| now + patience + jittered(patience));
        let is_ours = leads || plan.signer.is_none() || ours_at <= now;
        if !is_ours || self.write_failure.as_ref().is_some_and(|failure| now < failure.until) {
            return Ok(());
        }
        let mut next = with_lives(self.known.iter(), plan.next.clone());
        if plan.new {
            next.push(Authority::new((self.clock)(), &self.lifetimes)?);
        }
        let was_gone = !found.is_there();
        match self.shared.write(found, &next).await {
            Ok(()) => {
                if was_gone {
                    tracing::warn!("the Secret of the CAs was gone; it is written back");
                    self.restored += 1;
                }
                tell_changes(&self.known, &next, leads);
                self.known = next;
                (self.ours_at, self.write_failure) = (None, None);
                Ok(())
            }
            // The next look shows what there is now.
            Err(error) if error.is_overtaken() => Ok(()),
            Err(error) => {
                let until = now + jittered(WRITE_PAUSE.min(patience));
                self.write_failure = Some(WriteFailure { until, error: error.to_string() });
                Err(error)
            }
        }
    }

    /// Notes which CAs stand in the bundle that we have registered, and since when.
    fn note_registered(&mut self, state: &RegistrationState) {
        let stands = match state {
            RegistrationState::Registered { ca_bundle: Some(bundle) } => Fingerprint::all_of(bundle),
            _ => Vec::new(),
        };
        self.standing.retain(|id, _| stands.contains(id));
        for id in stands {
            self.standing.entry(id).or_insert_with(Instant::now);
        }
    }

    /// Logs an error once, and puts all into the status.
    fn tell(&self, outcome: Result<(), AutoError>) {
        let waiting = self.write_failure.as_ref().map(|failure| failure.error.clone());
        let last_error = outcome.err().map(|error| error.to_string()).or(waiting);
        let status = status(&self.plan(), &self.known, self.resolver.not_after(), last_error, self.restored);
        let mut was = None;
        self.status.send_if_modified(|old| {
            was.clone_from(&old.last_error);
            let changed = *old != status;
            *old = status.clone();
            changed
        });
        match (&was, &status.last_error) {
            (was, Some(error)) if was.as_ref() != Some(error) => {
                tracing::error!(%error, not_after = %status.not_after, "certificates cannot be kept; those in use stay");
            }
            (Some(_), None) => tracing::info!("certificates are kept again"),
            _ => {}
        }
    }
}

impl fmt::Debug for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rotation").field("status", &*self.status.borrow()).finish_non_exhaustive()
    }
}

/// The CAs at start-up: those of the Secret, one of which can sign. If there is none, one is made.
async fn first(shared: &mut Shared, lifetimes: &Lifetimes, clock: &Clock) -> Result<Vec<Authority>, AutoError> {
    let start = Instant::now();
    let mut overtaken = 0;
    loop {
        match first_attempt(shared, lifetimes, clock()).await {
            Err(error) if error.is_overtaken() && overtaken < ATTEMPTS => overtaken += 1,
            Err(error) if error.is_overtaken() => return Err(shared.contended()),
            Err(error) if error.is_passing() && start.elapsed() < PATIENT => {
                tracing::warn!(%error, "the CAs cannot be read yet");
                sleep(jittered(PAUSE)).await;
            }
            outcome => return outcome,
        }
    }
}

async fn first_attempt(
    shared: &mut Shared,
    lifetimes: &Lifetimes,
    now: SystemTime,
) -> Result<Vec<Authority>, AutoError> {
    let found = shared.read().await?;
    let plan = decide(&lives(&found.authorities), &BTreeSet::new(), timestamp(now), lifetimes);
    if plan.signer.is_some() {
        return Ok(found.authorities);
    }
    let mut next = with_lives(found.authorities.iter(), plan.next);
    next.push(Authority::new(now, lifetimes)?);
    shared.write(found, &next).await?;
    tell_changes(&[], &next, true);
    Ok(next)
}

/// Returns when the registration changes, and after `longest` at the latest.
async fn wait(registered: &mut watch::Receiver<RegistrationState>, longest: Duration) {
    let changed = async {
        if registered.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let _ = timeout(longest, changed).await;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "rotation_tests.rs"]
mod tests;
