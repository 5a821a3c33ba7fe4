//! Requests that are turned away without a look at the review.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use super::router::ADMISSION_PATH;
use crate::metrics::Metrics;

/// Why a request was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejection {
    NotFound,
    MethodNotAllowed,
    UnsupportedMediaType,
    TooLarge { limit: usize },
    BodyTooSlow,
    BodyBroken,
    Overloaded,
}

impl Rejection {
    /// Counts it and makes the answer, one sentence.
    pub(super) fn answer(self, metrics: &Metrics) -> Response {
        metrics.rejected(self.name());
        tracing::debug!(reason = self.name(), "request turned away");
        let mut answer = (self.status(), self.sentence()).into_response();
        if self == Self::MethodNotAllowed {
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
        answer
    }

    /// The name in metrics.
    const fn name(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::TooLarge { .. } => "too_large",
            Self::BodyTooSlow => "body_too_slow",
            Self::BodyBroken => "body_broken",
            Self::Overloaded => "overloaded",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::BodyBroken => StatusCode::BAD_REQUEST,
            Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn sentence(self) -> String {
        match self {
            Self::NotFound => format!("nothing is here; reviews of pods are sent to {ADMISSION_PATH}\n"),
            Self::MethodNotAllowed => "an AdmissionReview is sent by POST\n".to_owned(),
            Self::UnsupportedMediaType => {
                "an AdmissionReview has the content type application/json; this request says something else\n"
                    .to_owned()
            }
            Self::TooLarge { limit } => format!("the review is larger than the {limit} bytes that are read of one\n"),
            Self::BodyTooSlow => "the review did not arrive in time\n".to_owned(),
            Self::BodyBroken => "the review broke off before its end\n".to_owned(),
            Self::Overloaded => "too many reviews at once: none of them ended in time for this one\n".to_owned(),
        }
    }
}
