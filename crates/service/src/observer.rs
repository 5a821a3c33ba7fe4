//! What happens around every call: it is counted, and errors of the library lose what they may quote of a request.

use std::error::Error;
use std::time::Instant;

use connectrpc::interceptor::{UnaryRequest, UnaryResponse};
use connectrpc::{ConnectError, ErrorCode, Interceptor, Next};

use crate::metrics::Metrics;
use crate::problem::Problem;

pub(crate) struct Observer {
    pub(crate) metrics: Metrics,
}

#[connectrpc::async_trait]
impl Interceptor for Observer {
    async fn intercept_unary(&self, request: UnaryRequest, next: Next<'_>) -> Result<UnaryResponse, ConnectError> {
        let started = Instant::now();
        let path = request.ctx.path().unwrap_or_default().to_owned();
        let answer = next.run(request).await.map_err(without_quotes);
        let code = answer.as_ref().map_or_else(|error| error.code.as_str(), |_| "ok");
        self.metrics.request(&path, code, started.elapsed());
        if code == ErrorCode::PermissionDenied.as_str() {
            self.metrics.denial(&path);
        }
        answer
    }
}

/// A message that cannot be read is described by its parser, which may quote a value.
fn without_quotes(error: ConnectError) -> ConnectError {
    let ours = error.source().is_some_and(|source| source.is::<Problem>());
    match error.code {
        ErrorCode::InvalidArgument | ErrorCode::Internal | ErrorCode::Unknown if !ours => ConnectError::new(
            error.code,
            "the request is no message of this method: a field has another type, is not known, or the bytes are cut",
        ),
        _ => error,
    }
}
