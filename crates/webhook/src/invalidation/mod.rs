//! `POST /invalidate-secret`: whoever changes a secret has it dropped from this replica's cache.
//!
//! Flyte's Secret service calls this at every address of the webhook after each change, without a token and over plain
//! HTTP (`executor/pkg/webhook`, `StartCacheInvalidationServer`). The body is `{"org", "domain", "project", "name"}`; the
//! answer to a good request is an empty 200. Beyond Flyte's, callers can be made to show the token of a ServiceAccount,
//! and how often secrets are dropped is limited: a caller in excess gets 429, and the secret is dropped a little later.

mod authentication;
mod limiter;
pub(crate) mod rate;
mod router;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use flyte_secrets_core::encoded_id::SecretId;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use authentication::Authenticator;
pub use router::INVALIDATION_PATH;

use crate::metrics::Metrics;
use crate::server::{BindError, Limits, Listener, bind};
use router::{Invalidations, invalidation_router};

/// Drops a secret: what is cached of it, and of the wider scopes of its name, and look-ups that are under way.
pub type DropSecret = dyn Fn(&SecretId) + Send + Sync;

/// Where invalidations are taken, and how many.
#[derive(Clone, Debug)]
pub struct InvalidationSettings {
    /// The address to listen at. `None` is every address of the machine, IPv6 and IPv4.
    pub address: Option<IpAddr>,
    /// `webhook.cacheInvalidationPort`, plain HTTP; 0 takes any free port.
    pub port: u16,
    /// `webhook.invalidation.perIdPerMinute`: how many times a minute one secret is dropped; 0 counts as 1.
    pub per_id_per_minute: u32,
    /// `webhook.invalidation.perMinute`: how many times a minute all secrets together are; 0 counts as 1.
    pub per_minute: u32,
    /// What callers may take.
    pub limits: Limits,
}

impl Default for InvalidationSettings {
    fn default() -> Self {
        Self { address: None, port: 9444, per_id_per_minute: 30, per_minute: 600, limits: LIMITS }
    }
}

/// A request is four names. There is one caller, the Secret service, with a few replicas.
const LIMITS: Limits = Limits {
    body: 16 << 10,
    bodies: 1 << 20,
    body_read: Duration::from_secs(10),
    header: 16 << 10,
    header_read: Duration::from_secs(10),
    handshake: Duration::from_secs(10),
    idle: Duration::from_secs(30),
    connections: 64,
    streams: 1,
};

/// How long requests under way may go on when everything else has ended.
const DRAIN: Duration = Duration::from_secs(5);

/// A port at which invalidations are taken.
#[derive(Debug)]
pub struct Running {
    /// Where; the real port when 0 was asked for.
    pub addr: SocketAddr,
    /// Ends when the port is closed. Dropping it does not close the port.
    pub handle: JoinHandle<()>,
}

/// Binds the port and takes invalidations until `shutdown` is done. Without an `authenticator` everybody may invalidate.
///
/// `drop_secret` is called for each secret, on the runtime's threads: it should be quick.
///
/// # Errors
///
/// When the port cannot be bound; the message names the port and its key.
pub async fn serve_invalidation(
    settings: InvalidationSettings,
    drop_secret: Arc<DropSecret>,
    authenticator: Option<Authenticator>,
    metrics: Metrics,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<Running, BindError> {
    let bound = bind(settings.address, settings.port, "webhook.cacheInvalidationPort").await?;
    let addr = bound.address;
    let invalidations = Arc::new(Invalidations::new(&settings, drop_secret, authenticator, metrics.clone()));
    let routes = invalidation_router(Arc::clone(&invalidations));
    let listener = Listener::plain(bound, routes, settings.limits, metrics);
    let handle = tokio::spawn(async move {
        let (end, ended) = watch::channel(false);
        let listening = tokio::spawn(listener.run(ended, DRAIN));
        let later = tokio::spawn(async move { invalidations.drop_later().await });
        shutdown.await;
        drop(end);
        // A failed join is a panic in the accept loop; the port is closed all the same.
        let _ = listening.await;
        later.abort();
    });
    Ok(Running { addr, handle })
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The secret was dropped.
    Dropped,
    /// The secret will be dropped when the limits allow it.
    Deferred,
    /// A secret that was deferred was dropped.
    DroppedLater,
    /// Over the limits, and there was no room to remember it.
    Refused,
    /// No request that can be read.
    Malformed,
    /// The caller showed no good token.
    Unauthenticated,
    /// The caller may not.
    Forbidden,
    /// It could not be checked who the caller is.
    Unavailable,
}

impl Outcome {
    /// The name in metrics and logs.
    const fn name(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Deferred => "deferred",
            Self::DroppedLater => "dropped_later",
            Self::Refused => "refused",
            Self::Malformed => "malformed",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::Unavailable => "unavailable",
        }
    }
}

#[cfg(test)]
mod tests;
