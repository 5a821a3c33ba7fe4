//! The route of invalidations: who may, what is asked, and when it is done.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use flyte_secrets_core::encoded_id::SecretId;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use super::authentication::{Authenticator, NotLetIn};
use super::limiter::{Limiter, Verdict};
use super::{DropSecret, InvalidationSettings, Outcome};
use crate::metrics::Metrics;
use crate::server::{Limits, Peer, cut};

/// Where invalidations are sent; the same as Flyte's.
pub const INVALIDATION_PATH: &str = "/invalidate-secret";

/// No more of a name is logged, in bytes.
const LONGEST_NAME: usize = 256;

/// The HTTP service for invalidations, without sockets.
pub(super) fn invalidation_router(invalidations: Arc<Invalidations>) -> Router {
    Router::new()
        .route(INVALIDATION_PATH, post(invalidate).fallback(async || Refusal::MethodNotAllowed))
        .fallback(async || Refusal::NotFound)
        .with_state(invalidations)
}

async fn invalidate(State(invalidations): State<Arc<Invalidations>>, request: Request) -> Response {
    match invalidations.answer(request).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(refusal) => {
            if let Some(outcome) = refusal.outcome() {
                invalidations.metrics.invalidation(outcome.name());
            }
            refusal.into_response()
        }
    }
}

/// What every invalidation shares.
pub(super) struct Invalidations {
    drop_secret: Arc<DropSecret>,
    authenticator: Option<Authenticator>,
    metrics: Metrics,
    limits: Limits,
    limiter: Mutex<Limiter>,
    /// Something is remembered that was not before.
    remembered: Notify,
}

impl Invalidations {
    pub(super) fn new(
        settings: &InvalidationSettings,
        drop_secret: Arc<DropSecret>,
        authenticator: Option<Authenticator>,
        metrics: Metrics,
    ) -> Self {
        let limiter = Limiter::new(settings.per_id_per_minute, settings.per_minute, Instant::now());
        Self {
            drop_secret,
            authenticator,
            metrics,
            limits: settings.limits,
            limiter: Mutex::new(limiter),
            remembered: Notify::new(),
        }
    }

    async fn answer(&self, request: Request) -> Result<(), Refusal> {
        let (head, body) = request.into_parts();
        let caller = self.caller(&head.headers, head.extensions.get()).await?;
        let id = read_id(&self.read(body).await?)?;
        let now = Instant::now();
        let (due, verdict) = {
            let mut limiter = self.limiter();
            (limiter.due(now), limiter.ask(&id, now))
        };
        self.drop_due(&due);
        let (outcome, answer) = match verdict {
            Verdict::Now => {
                (self.drop_secret)(&id);
                (Outcome::Dropped, Ok(()))
            }
            Verdict::Later(wait) => {
                self.remembered.notify_one();
                (Outcome::Deferred, Err(Refusal::Deferred(wait)))
            }
            Verdict::Full(wait) => (Outcome::Refused, Err(Refusal::Full(wait))),
        };
        log(&id, outcome, &caller);
        if outcome == Outcome::Dropped {
            self.metrics.invalidation(outcome.name());
        }
        answer
    }

    /// Who calls, for the log: the ServiceAccount where callers are checked, and the address.
    async fn caller(&self, headers: &HeaderMap, peer: Option<&Peer>) -> Result<Caller, Refusal> {
        let address = peer.map(|Peer(address)| *address);
        let user = match &self.authenticator {
            Some(authenticator) => Some(authenticator.check(headers).await.map_err(Refusal::NotLetIn)?),
            None => None,
        };
        Ok(Caller { address, user })
    }

    async fn read(&self, body: Body) -> Result<Bytes, Refusal> {
        match timeout(self.limits.body_read, Limited::new(body, self.limits.body).collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge { limit: self.limits.body }),
            Ok(Err(_)) => Err(Refusal::BodyBroken),
            Err(_) => Err(Refusal::BodyTooSlow),
        }
    }

    /// Drops what was in excess as soon as the limits allow it. Never ends.
    pub(super) async fn drop_later(&self) {
        loop {
            let now = Instant::now();
            let (due, next) = {
                let mut limiter = self.limiter();
                (limiter.due(now), limiter.next(now))
            };
            self.drop_due(&due);
            match next {
                // What is remembered meanwhile may be due before.
                Some(next) => tokio::select! {
                    () = sleep_until(next) => {}
                    () = self.remembered.notified() => {}
                },
                None => self.remembered.notified().await,
            }
        }
    }

    fn drop_due(&self, due: &[SecretId]) {
        for id in due {
            (self.drop_secret)(id);
            log(id, Outcome::DroppedLater, &Caller::default());
            self.metrics.invalidation(Outcome::DroppedLater.name());
        }
    }

    fn limiter(&self) -> MutexGuard<'_, Limiter> {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct Caller {
    address: Option<SocketAddr>,
    user: Option<String>,
}

/// One line an invalidation, names only: at `info` for what was dropped, which the limits bound, else at `debug`.
fn log(id: &SecretId, outcome: Outcome, caller: &Caller) {
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                target: "invalidation",
                org = cut(&id.org, LONGEST_NAME),
                domain = cut(&id.domain, LONGEST_NAME),
                project = cut(&id.project, LONGEST_NAME),
                name = cut(&id.name, LONGEST_NAME),
                outcome = outcome.name(),
                address = caller.address.map(tracing::field::display),
                user = caller.user.as_deref().map(|user| cut(user, LONGEST_NAME)),
            )
        };
    }
    match outcome {
        Outcome::Dropped | Outcome::DroppedLater => line!(info),
        _ => line!(debug),
    }
}

/// The body of a request. As in Go, `null` is an empty text; what else it holds is not looked at.
#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    org: Option<String>,
    #[serde(default)]
    domain: Option<String>,
    #[serde(default)]
    project: Option<String>,
    #[serde(default)]
    name: Option<String>,
}

fn read_id(body: &[u8]) -> Result<SecretId, Refusal> {
    // The place is told and the text is not: a body in the wrong place may hold anything.
    let asked: Asked = serde_json::from_slice(body)
        .map_err(|error| Refusal::NotJson { line: error.line(), column: error.column() })?;
    let name = asked.name.filter(|name| !name.is_empty()).ok_or(Refusal::NoName)?;
    Ok(SecretId {
        org: asked.org.unwrap_or_default(),
        domain: asked.domain.unwrap_or_default(),
        project: asked.project.unwrap_or_default(),
        name,
    })
}

/// A request that did not have its secret dropped at once.
enum Refusal {
    NotFound,
    MethodNotAllowed,
    TooLarge { limit: usize },
    BodyTooSlow,
    BodyBroken,
    NotJson { line: usize, column: usize },
    NoName,
    NotLetIn(NotLetIn),
    Deferred(Duration),
    Full(Duration),
}

impl Refusal {
    /// What is counted; requests for something else are not invalidations.
    const fn outcome(&self) -> Option<Outcome> {
        Some(match self {
            Self::NotFound | Self::MethodNotAllowed => return None,
            Self::TooLarge { .. } | Self::BodyTooSlow | Self::BodyBroken | Self::NotJson { .. } | Self::NoName => {
                Outcome::Malformed
            }
            Self::NotLetIn(NotLetIn::Unauthenticated) => Outcome::Unauthenticated,
            Self::NotLetIn(NotLetIn::Forbidden { .. }) => Outcome::Forbidden,
            Self::NotLetIn(NotLetIn::Unavailable) => Outcome::Unavailable,
            Self::Deferred(_) => Outcome::Deferred,
            Self::Full(_) => Outcome::Refused,
        })
    }

    const fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::BodyBroken | Self::NotJson { .. } | Self::NoName => StatusCode::BAD_REQUEST,
            Self::NotLetIn(NotLetIn::Unauthenticated) => StatusCode::UNAUTHORIZED,
            Self::NotLetIn(NotLetIn::Forbidden { .. }) => StatusCode::FORBIDDEN,
            Self::NotLetIn(NotLetIn::Unavailable) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Deferred(_) | Self::Full(_) => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    fn sentence(&self) -> String {
        match self {
            Self::NotFound => format!("nothing is here; invalidations are sent to {INVALIDATION_PATH}\n"),
            Self::MethodNotAllowed => "an invalidation is sent by POST\n".to_owned(),
            Self::TooLarge { limit } => format!("the body is larger than the {limit} bytes that are read of one\n"),
            Self::BodyTooSlow => "the body did not arrive in time\n".to_owned(),
            Self::BodyBroken => "the body broke off before its end\n".to_owned(),
            Self::NotJson { line, column } => format!(
                "not a JSON object with the texts `org`, `domain`, `project` and `name` (line {line}, column {column})\n"
            ),
            Self::NoName => "name is required\n".to_owned(),
            Self::NotLetIn(why) => format!("{why}\n"),
            Self::Deferred(_) => {
                "too many invalidations (webhook.invalidation); the secret will be dropped as soon as they allow, without \
                 being asked again\n"
                    .to_owned()
            }
            Self::Full(_) => "too many invalidations (webhook.invalidation); ask again\n".to_owned(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut answer = (self.status(), self.sentence()).into_response();
        let header = match &self {
            Self::MethodNotAllowed => Some((header::ALLOW, HeaderValue::from_static("POST"))),
            Self::NotLetIn(NotLetIn::Unauthenticated) => {
                Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
            }
            Self::Deferred(wait) | Self::Full(wait) => Some((header::RETRY_AFTER, whole_seconds(*wait))),
            _ => None,
        };
        if let Some((name, value)) = header {
            answer.headers_mut().insert(name, value);
        }
        answer
    }
}

/// Rounded up, as `Retry-After` knows no fractions (RFC 9110, 10.2.3).
fn whole_seconds(wait: Duration) -> HeaderValue {
    HeaderValue::from(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}
