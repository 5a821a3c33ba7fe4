//! The route of reviews: what is read of a request, and who answers it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use flyte_secrets_stores::SPANS;
use futures::FutureExt;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout_at;
use tracing::field::Empty;
use tracing::{Instrument, info_span};

use super::deadline::Deadline;
use super::refusal::refuse;
use super::rejection::Rejection;
use super::settings::{Limits, ServerSettings};
use super::{AccessBreach, Outcome, Reviewed, Reviewer, log};
use crate::admission::RefusalReason;
use crate::metrics::Metrics;

/// Where the API server sends reviews; the same as Flyte's, so that an existing registration fits.
pub const ADMISSION_PATH: &str = "/mutate--v1-pod";

/// Reviews are counted against [`Limits::bodies`] in pieces of this size.
const PIECE: usize = 64 << 10;

/// The HTTP service for reviews, without sockets.
pub fn admission_router(settings: &ServerSettings, reviewer: Arc<dyn Reviewer>, metrics: Metrics) -> Router {
    let limits = settings.limits;
    let admissions = Admissions {
        reviewer,
        metrics,
        webhook_timeout: settings.webhook_timeout,
        limits,
        pieces: Semaphore::new(limits.bodies.max(limits.body).div_ceil(PIECE)),
    };
    Router::new()
        .route(ADMISSION_PATH, post(admit).fallback(method_not_allowed))
        .fallback(not_found)
        .with_state(Arc::new(admissions))
}

/// What every review shares.
struct Admissions {
    reviewer: Arc<dyn Reviewer>,
    metrics: Metrics,
    webhook_timeout: Duration,
    limits: Limits,
    pieces: Semaphore,
}

async fn not_found(State(admissions): State<Arc<Admissions>>) -> Response {
    Rejection::NotFound.answer(&admissions.metrics)
}

async fn method_not_allowed(State(admissions): State<Arc<Admissions>>) -> Response {
    Rejection::MethodNotAllowed.answer(&admissions.metrics)
}

async fn admit(State(admissions): State<Arc<Admissions>>, request: Request) -> Response {
    admissions.answer(request).await.unwrap_or_else(|rejection| rejection.answer(&admissions.metrics))
}

impl Admissions {
    async fn answer(&self, request: Request) -> Result<Response, Rejection> {
        let received = Instant::now();
        let _in_flight = self.metrics.in_flight();
        let deadline = Deadline::of(request.uri().query(), self.webhook_timeout, received);
        if !is_json(request.headers()) {
            return Err(Rejection::UnsupportedMediaType);
        }
        let _pieces = self.reserve(request.headers(), &deadline).await?;
        let body = self.read(request.into_body(), &deadline).await?;
        let span = info_span!(
            target: SPANS, "admission", uid = Empty, namespace = Empty, pod = Empty, owner = Empty, managers = Empty,
            outcome = Empty, refusal = Empty, dry_run = Empty, otel.kind = "server", otel.status_code = Empty
        );
        let reviewed = self.review(&body, &deadline).instrument(span.clone()).await;
        let duration = received.elapsed();
        log::record(&span, &reviewed);
        self.metrics.admission(reviewed.outcome, &reviewed.managers, duration);
        self.metrics.warned(reviewed.warnings);
        if let (true, Some(reason)) = (reviewed.outcome.is_refusal(), reviewed.details.refusal) {
            self.metrics.refused(reason);
        }
        if let Some(AccessBreach { breach, enforced, .. }) = &reviewed.breach {
            self.metrics.access_breach(breach.rule.name(), *enforced);
        }
        log::admission(&reviewed, duration);
        Ok(response(reviewed))
    }

    /// Waits until there is room for the body that the headers announce.
    async fn reserve(&self, headers: &HeaderMap, deadline: &Deadline) -> Result<SemaphorePermit<'_>, Rejection> {
        let limit = self.limits.body;
        let length = match headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()) {
            Some(length) => length.parse().unwrap_or(usize::MAX),
            None => limit,
        };
        if length > limit {
            return Err(Rejection::TooLarge { limit });
        }
        let pieces = u32::try_from(length.div_ceil(PIECE).max(1)).map_err(|_| Rejection::TooLarge { limit })?;
        match timeout_at(deadline.answer.into(), self.pieces.acquire_many(pieces)).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Rejection::Overloaded),
        }
    }

    async fn read(&self, body: Body, deadline: &Deadline) -> Result<Bytes, Rejection> {
        let limit = self.limits.body;
        let until = deadline.answer.min(Instant::now() + self.limits.body_read);
        match timeout_at(until.into(), Limited::new(body, limit).collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Rejection::TooLarge { limit }),
            Ok(Err(_)) => Err(Rejection::BodyBroken),
            Err(_) => Err(Rejection::BodyTooSlow),
        }
    }

    /// The reviewer's answer, or a refusal when there is none in time or the reviewer panics: a panic ends this review
    /// alone.
    async fn review(&self, body: &[u8], deadline: &Deadline) -> Reviewed {
        // The call stands inside: what happens before the first await is part of the review.
        let review = async { self.reviewer.review(body, deadline.answer).await };
        // Nothing that a broken review leaves behind is looked at: the answer is dropped, the reviewer guards its own state.
        match timeout_at(deadline.backstop.into(), AssertUnwindSafe(review).catch_unwind()).await {
            Ok(Ok(reviewed)) => reviewed,
            Ok(Err(_)) => {
                self.metrics.panicked();
                let why = "the secrets webhook failed on this pod: a mistake in its program, to be found in its log";
                refuse(body, Outcome::Error, RefusalReason::Internal, why)
            }
            Err(_) => {
                let why = "the secrets webhook did not find the pod's secrets in the time that the API server gives it";
                refuse(body, Outcome::Refused503, RefusalReason::Late, why)
            }
        }
    }
}

fn response(reviewed: Reviewed) -> Response {
    // What is no AdmissionReview is a sentence for whoever sent it.
    let content_type = if reviewed.status == StatusCode::OK { "application/json" } else { "text/plain; charset=utf-8" };
    (reviewed.status, [(header::CONTENT_TYPE, content_type)], reviewed.body).into_response()
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    value.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}
