//! The HTTPS server: bytes of an AdmissionReview in, bytes of the answer out, everything bounded.
//!
//! [`serve`] binds two ports. One speaks TLS and takes reviews at [`ADMISSION_PATH`]; the other is plain and has
//! `/healthz`, `/readyz` and `/metrics`. What an answer says is up to the [`Reviewer`]; that there is one, in time and
//! whatever happens, is up to this module.

mod activity;
mod connection;
mod deadline;
mod details;
mod listener;
mod log;
mod panics;
mod readiness;
mod refusal;
mod rejection;
mod router;
mod settings;
mod status;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use flyte_secrets_core::access::Breach;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use details::{Details, Owner};
pub use listener::BindError;
pub use panics::log_panics_without_payload;
pub use readiness::{CERTIFICATE, DRAINING, REGISTRATION, Readiness};
pub use router::{ADMISSION_PATH, admission_router};
pub use settings::{Limits, ServerSettings};
pub use status::status_router;

use crate::metrics::Metrics;
use connection::Leaving;
pub(crate) use connection::Peer;
pub(crate) use listener::{Listener, bind};
pub(crate) use log::cut;

/// Turns the bytes of an AdmissionReview into the bytes of the answer.
pub trait Reviewer: Send + Sync + 'static {
    /// Answers the review in `body`. An answer after `deadline` comes too late: the server then refuses the pod itself.
    fn review<'a>(&'a self, body: &'a [u8], deadline: Instant) -> BoxFuture<'a, Reviewed>;
}

/// The answer to a review, and what is worth counting and logging about it. `Debug` shows the length of the body: the
/// patch in it may hold values.
#[derive(Clone)]
pub struct Reviewed {
    /// The AdmissionReview with the response, as JSON; a sentence when `status` is not 200.
    pub body: Vec<u8>,
    /// 200, or 400 for bytes that are no review.
    pub status: http::StatusCode,
    /// What became of the pod.
    pub outcome: Outcome,
    /// The managers that served the pod's requests.
    pub managers: Vec<&'static str>,
    /// The namespace of the pod.
    pub namespace: String,
    /// The name of the pod, or its `generateName`.
    pub pod: String,
    /// The uid of the review.
    pub uid: String,
    /// Whether the API server only tries what would happen.
    pub dry_run: bool,
    /// How many admission warnings the answer holds.
    pub warnings: usize,
    /// What the access policy has against the pod, if that mattered.
    pub breach: Option<AccessBreach>,
    /// Why, for the log; names only, never a value.
    pub reason: Option<String>,
    /// What else is known.
    pub details: Details,
}

impl fmt::Debug for Reviewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { body, status, outcome, managers, namespace, pod, uid, dry_run, warnings, breach, reason, details } =
            self;
        f.debug_struct("Reviewed")
            .field("body", &format_args!("{} bytes", body.len()))
            .field("status", status)
            .field("outcome", outcome)
            .field("managers", managers)
            .field("namespace", namespace)
            .field("pod", pod)
            .field("uid", uid)
            .field("dry_run", dry_run)
            .field("warnings", warnings)
            .field("breach", breach)
            .field("reason", reason)
            .field("details", details)
            .finish()
    }
}

/// A pod that asked for what the access policy keeps from it. Names only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessBreach {
    /// What it has done.
    pub breach: Breach,
    /// The user who creates the pod, as the API server has authenticated it.
    pub creator: String,
    /// Whether it was held against the pod (`webhook.accessPolicy.mode: Enforce`).
    pub enforced: bool,
}

/// What became of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// Admitted as it came: nothing was asked for, or everything is there already.
    Unchanged,
    /// Admitted with a patch.
    Patched,
    /// Refused with code 400: asking again gives the same answer, and Flyte fails the task for good.
    Refused400,
    /// Refused with code 503: Flyte asks again.
    Refused503,
    /// Admitted although a request was not served, by configuration.
    AdmittedUnserved,
    /// The bytes are no AdmissionReview.
    Malformed,
    /// The webhook itself failed.
    Error,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 7] = [
        Self::Unchanged,
        Self::Patched,
        Self::Refused400,
        Self::Refused503,
        Self::AdmittedUnserved,
        Self::Malformed,
        Self::Error,
    ];

    /// Whether the pod was not admitted.
    #[must_use]
    pub const fn is_refusal(self) -> bool {
        match self {
            Self::Refused400 | Self::Refused503 | Self::Error => true,
            Self::Unchanged | Self::Patched | Self::AdmittedUnserved | Self::Malformed => false,
        }
    }

    /// The name in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Patched => "patched",
            Self::Refused400 => "refused_400",
            Self::Refused503 => "refused_503",
            Self::AdmittedUnserved => "admitted_unserved",
            Self::Malformed => "malformed",
            Self::Error => "error",
        }
    }
}

/// A server that listens.
#[derive(Debug)]
pub struct Running {
    /// Where reviews are taken; the real port when 0 was asked for.
    pub addr: SocketAddr,
    /// Where `/healthz`, `/readyz` and `/metrics` are.
    pub metrics_addr: SocketAddr,
    /// Ends when the server has shut down. Dropping it does not stop the server.
    pub handle: JoinHandle<()>,
}

/// Binds both ports and serves until `shutdown` is done.
///
/// Then, in this order:
///
/// 1. `/readyz` says no. The server goes on for `settings.shutdown_delay`, new connections included, so that the Service's
///    endpoints can change. Answers over HTTP/1.1 say `Connection: close`: an API server keeps connections to a Service as
///    long as it can, whatever becomes of the endpoints, and a connection that is closed without a word just when a request
///    leaves is a failed admission.
/// 2. Connections that wait to be accepted are, and no others. Those that are open are asked to end: HTTP/2 by GOAWAY,
///    idle ones of HTTP/1.1 are closed. Requests under way are answered, for at most `settings.webhook_timeout`.
/// 3. The plain port closes, for which a scrape has a second.
///
/// # Errors
///
/// When a port cannot be bound; the message names the port and its key.
pub async fn serve(
    settings: ServerSettings,
    reviewer: Arc<dyn Reviewer>,
    tls: Arc<rustls::ServerConfig>,
    readiness: Readiness,
    metrics: Metrics,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<Running, BindError> {
    let reviews = bind(settings.address, settings.listen_port, "webhook.listenPort").await?;
    let status = bind(settings.address, settings.metrics_port, "webhook.metricsPort").await?;
    metrics.admission_timeout(settings.webhook_timeout);
    let (addr, metrics_addr) = (reviews.address, status.address);
    let routes = admission_router(&settings, reviewer, metrics.clone());
    let leaving = Leaving::default();
    let reviews = Listener::with_tls(reviews, routes, tls, leaving.clone(), settings.limits, metrics.clone());
    let status = Listener::plain(status, status_router(readiness.clone(), metrics.clone()), settings.limits, metrics);
    readiness.complete();

    let handle = tokio::spawn(async move {
        let (end_reviews, reviews_end) = watch::channel(false);
        let (end_status, status_end) = watch::channel(false);
        let reviews = tokio::spawn(reviews.run(reviews_end, settings.webhook_timeout));
        let status = tokio::spawn(status.run(status_end, STATUS_DRAIN));
        shutdown.await;
        readiness.unmet(DRAINING, "the webhook is shutting down");
        leaving.begin();
        tracing::info!(delay = ?settings.shutdown_delay, "shutting down: no longer ready, still serving");
        tokio::time::sleep(settings.shutdown_delay).await;
        drop(end_reviews);
        // A failed join is a panic in the accept loop; the other port has to be closed all the same.
        let _ = reviews.await;
        drop(end_status);
        let _ = status.await;
        tracing::info!("shut down");
    });
    Ok(Running { addr, metrics_addr, handle })
}

/// How long a scrape of the metrics may go on when everything else has ended.
const STATUS_DRAIN: std::time::Duration = std::time::Duration::from_secs(1);

#[cfg(test)]
mod tests;
