//! One replica of several does what has to be done once: it holds a Lease.
//!
//! As Kubernetes' own components do it (`client-go/tools/leaderelection`): the holder renews the Lease every few seconds,
//! and whoever has seen it unchanged for its whole duration takes it, by an update that fails if somebody else was
//! faster. Durations are measured by each replica's own steady clock, so clocks need not agree; the times in the Lease are
//! for people. A leader that cannot renew stops working before others may begin.
//!
//! That is no lock: a process that is stopped in the middle of its work goes on for a moment when it wakes up. What a
//! leader writes has to have preconditions of its own.

mod election;

use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use crate::kubernetes::{ApiError, ApiErrorKind, jittered};
use election::Election;

/// The name of the Lease.
pub const LEASE: &str = "flyte-secrets-leader";
/// How long to wait after RBAC has refused: somebody has to change it first.
const FORBIDDEN: Duration = Duration::from_secs(60);
/// How long giving the Lease back may take at the end.
const GOODBYE: Duration = Duration::from_secs(2);

/// Who leads, and by which Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderSettings {
    /// The namespace of the Lease (`POD_NAMESPACE`).
    pub namespace: String,
    /// The name of the Lease.
    pub name: String,
    /// Who we are; no other process may have the same, see [`identity`].
    pub identity: String,
    /// How long others wait after the last renewal that they have seen; whole seconds.
    pub lease: Duration,
    /// How long the leader tries to renew before it gives up; shorter than [`Self::lease`].
    pub renew: Duration,
    /// The pause between two attempts.
    pub retry: Duration,
}

impl LeaderSettings {
    /// [`LEASE`] in `namespace`, with the times of Kubernetes' components: 15 s, 10 s and 2 s.
    #[must_use]
    pub fn new(namespace: impl Into<String>, identity: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: LEASE.to_owned(),
            identity: identity.into(),
            lease: Duration::from_secs(15),
            renew: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// A name for this process, made from that of its pod or host: a restarted process is another one.
#[must_use]
pub fn identity(pod: &str) -> String {
    format!("{pod}_{:016x}", RandomState::new().hash_one(()))
}

/// Where we stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Leadership {
    /// Not known yet.
    #[default]
    Unknown,
    /// Somebody else leads.
    Following {
        /// Who.
        leader: String,
    },
    /// We lead.
    Leading,
    /// The Lease cannot be used, so we do not lead; why.
    Failing(String),
}

/// Does `work` whenever and as long as we lead, until `shutdown`; then the Lease is given back.
///
/// When the Lease is lost, `work` is dropped where it stands; when it is won again, it begins anew. Needs `get`, `create` and
/// `update` on Leases in the namespace; without them nobody leads, and `state` says so.
pub async fn lead<Work, Doing>(
    client: kube::Client,
    settings: LeaderSettings,
    state: watch::Sender<Leadership>,
    shutdown: impl Future<Output = ()>,
    work: Work,
) where
    Work: Fn() -> Doing,
    Doing: Future<Output = Infallible>,
{
    let mut election = Election::new(client, settings);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let won = tokio::select! {
            biased;
            () = &mut shutdown => return,
            won = win(&mut election, &state) => won,
        };
        publish(&state, Leadership::Leading);
        // After a pause of the whole process the loss is noticed before the work goes on.
        let lost = tokio::select! {
            biased;
            () = &mut shutdown => None,
            reason = hold(&mut election, won) => Some(reason),
            never = work() => match never {},
        };
        let Some(reason) = lost else {
            if timeout(GOODBYE, election.release()).await.is_err() {
                tracing::debug!("the Lease was not given back in time; it will run out");
            }
            return;
        };
        publish(&state, Leadership::Failing(reason));
    }
}

/// Tries until the Lease is ours; returns when the request was sent that got it.
async fn win(election: &mut Election, state: &watch::Sender<Leadership>) -> Instant {
    loop {
        let sent = Instant::now();
        let mut pause = election.settings.retry;
        match election.attempt().await {
            Ok(true) => return sent,
            Ok(false) => publish(state, Leadership::Following { leader: election.leader().to_owned() }),
            Err(error) => {
                if error.kind == ApiErrorKind::Forbidden {
                    pause = FORBIDDEN;
                }
                publish(state, Leadership::Failing(error.to_string()));
            }
        }
        sleep(jittered(pause)).await;
    }
}

/// Renews the Lease; returns when it is lost, and why.
async fn hold(election: &mut Election, won: Instant) -> String {
    let mut renewed = won;
    let mut last_error: Option<ApiError> = None;
    loop {
        let end = renewed + election.settings.renew;
        sleep_until(end.min(Instant::now() + election.settings.retry)).await;
        if Instant::now() >= end {
            let why = last_error.map_or_else(|| "there was no time to".to_owned(), |error| error.to_string());
            return format!("the Lease was not renewed in time: {why}");
        }
        let sent = Instant::now();
        match timeout_at(end, election.attempt()).await {
            Ok(Ok(true)) => {
                renewed = sent;
                last_error = None;
            }
            Ok(Ok(false)) => return format!("{} has taken the Lease", election.leader()),
            Ok(Err(error)) => last_error = Some(error),
            Err(_) => {}
        }
    }
}

fn publish(state: &watch::Sender<Leadership>, new: Leadership) {
    let changed = state.send_if_modified(|old| {
        let changed = *old != new;
        *old = new.clone();
        changed
    });
    match new {
        _ if !changed => {}
        Leadership::Leading => tracing::info!("this replica leads"),
        Leadership::Following { leader } => tracing::info!(leader, "another replica leads"),
        Leadership::Failing(reason) => tracing::warn!(reason, "this replica does not lead"),
        Leadership::Unknown => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
