//! The plain port: is it alive, is it ready, what has it done.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};

use super::readiness::Readiness;
use crate::metrics::{self, Metrics};

/// `/healthz` (200 as long as requests are answered at all), `/readyz` (200, with what has gone wrong since the start, or 503
/// with the reasons, one a line) and
/// `/metrics` (OpenMetrics text).
pub fn status_router(readiness: Readiness, metrics: Metrics) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready).with_state(readiness))
        .route("/metrics", get(text).with_state(metrics))
        .fallback(async || (StatusCode::NOT_FOUND, "this port has /healthz, /readyz and /metrics\n"))
}

async fn ready(State(readiness): State<Readiness>) -> Response {
    let reasons = readiness.reasons();
    if reasons.is_empty() {
        let faults: String = readiness.faults().iter().map(|fault| format!("since the start: {fault}\n")).collect();
        return format!("ready\n{faults}").into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n").into_response()
}

async fn text(State(metrics): State<Metrics>) -> Response {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics.text()).into_response()
}
