//! Around every call to the Secret service: who asks goes into the request's extensions, or the call ends here.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use connectrpc::ConnectError;
use http::{HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::{Authentication, Mode, Refusal};
use crate::audit;
use crate::body::MAX_BODY;
use crate::metrics::Metrics;

/// How long a body is read that nobody wants.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who is let in, and where it is counted.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) authentication: Authentication,
    pub(crate) metrics: Metrics,
}

/// Lets those in who show who they are.
pub(crate) async fn authenticate(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    if !gate.authentication.is_on() {
        return next.run(request).await;
    }
    let (mode, known) = gate.authentication.identify(request.headers()).await;
    gate.metrics.authentication(mode.name(), known.as_ref().map_or_else(Refusal::name, |_| "ok"));
    match known {
        Ok(identity) => {
            request.extensions_mut().insert(identity);
            // Nobody behind this needs the token.
            request.headers_mut().remove(header::AUTHORIZATION);
            next.run(request).await
        }
        Err(refusal) => refuse(mode, &refusal, request).await,
    }
}

async fn refuse(mode: Mode, refusal: &Refusal, request: Request) -> Response {
    audit::note_unknown(mode, refusal, &request);
    let (parts, body) = request.into_parts();
    // Flyte's client sends its first call without a token, and may not look at an answer before it has sent all.
    let _ = timeout(PATIENCE, pass_over(body)).await;
    let mut answer = ConnectError::from(refusal).into_http_response(&parts.headers).map(Body::new).into_response();
    if answer.status() == StatusCode::UNAUTHORIZED {
        // RFC 6750, section 3: no error code where there was no token.
        let challenge = match refusal {
            Refusal::Missing => "Bearer realm=\"flyte-secrets\"",
            _ => "Bearer realm=\"flyte-secrets\", error=\"invalid_token\"",
        };
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    answer
}

/// Reads a body and keeps nothing of it.
async fn pass_over(mut body: Body) {
    let mut length = 0;
    while let Some(Ok(frame)) = body.frame().await {
        length += frame.data_ref().map_or(0, bytes::Bytes::len);
        if length > MAX_BODY {
            return;
        }
    }
}
