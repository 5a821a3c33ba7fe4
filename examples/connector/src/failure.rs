//! Why a call was not done: a text for people, and a gRPC code for Flyte.

use connectrpc::ConnectError;
use flyte_secrets_core::encoded_id::AmbiguousComponent;
use flyte_secrets_sdk::plugins::{ConnectionError, SecretManagerError};

/// The longest text, in characters: it travels in a header.
const MAX_TEXT: usize = 4000;

/// A failed call. No text holds the value of a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// What Flyte sent cannot be done.
    #[error("{0}")]
    Invalid(String),
    /// There is no API key.
    #[error("no API key for the Jobs API: {0}")]
    Key(#[from] SecretManagerError),
    /// The task's connection has no usable API key.
    #[error("no API key for the Jobs API: {0}")]
    Connection(#[from] ConnectionError),
    /// The API key cannot stand in an HTTP header.
    #[error("the API key in the {0} holds characters that no HTTP header can hold; store the key alone")]
    Unusable(String),
    /// The service does not know the API key.
    #[error(
        "{api} turned down the API key in the {key} (HTTP 401), also after it was read anew; put a valid key there"
    )]
    WrongKey {
        /// The service.
        api: String,
        /// Where the key came from.
        key: String,
    },
    /// The service knows the API key and does not let it do this.
    #[error("{api} does not let the API key in the {key} do this (HTTP 403): {said}")]
    Forbidden {
        /// The service.
        api: String,
        /// Where the key came from.
        key: String,
        /// What it said.
        said: String,
    },
    /// The service does not take the Job.
    #[error("{api} refused the Job (HTTP {status}): {said}")]
    Refused {
        /// The service.
        api: String,
        /// Its code.
        status: u16,
        /// What it said.
        said: String,
    },
    /// The service cannot be reached, or has troubles that may pass.
    #[error("{api}: {said}")]
    Unavailable {
        /// The service.
        api: String,
        /// What happened.
        said: String,
    },
    /// The task's organization, project or domain cannot have secrets.
    #[error("{0}")]
    Ambiguous(#[from] AmbiguousComponent),
}

impl From<Failure> for ConnectError {
    /// Flyte repeats what fails, so the code is for people and for metrics: `FailedPrecondition` says that a secret has to
    /// be put right, `Unauthenticated` and `PermissionDenied` that the service did not take it.
    fn from(failure: Failure) -> Self {
        let text: String = failure.to_string().chars().take(MAX_TEXT).collect();
        match failure {
            Failure::Invalid(_) | Failure::Ambiguous(_) => Self::invalid_argument(text),
            Failure::Key(error) if error.retryable() => Self::unavailable(text),
            Failure::Connection(error) if error.retryable() => Self::unavailable(text),
            Failure::Connection(ConnectionError::OtherTaskType { .. } | ConnectionError::TooManySecrets { .. }) => {
                Self::invalid_argument(text)
            }
            Failure::Key(_) | Failure::Connection(_) | Failure::Unusable(_) => Self::failed_precondition(text),
            Failure::WrongKey { .. } => Self::unauthenticated(text),
            Failure::Forbidden { .. } => Self::permission_denied(text),
            Failure::Refused { status: 404, .. } => Self::not_found(text),
            Failure::Refused { status: 409, .. } => Self::already_exists(text),
            Failure::Refused { .. } => Self::invalid_argument(text),
            Failure::Unavailable { .. } => Self::unavailable(text),
        }
    }
}
