//! What can be wrong with a call, in the codes of Connect and gRPC.

use connectrpc::{ConnectError, ErrorCode};
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_stores::{WriteError, WriteFailure};

use crate::access::{Action, Identity};

/// Why a call fails. The text is for people and holds names, never a value.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Problem {
    code: ErrorCode,
    message: String,
}

impl Problem {
    pub(crate) fn new(code: ErrorCode, message: String) -> Self {
        Self { code, message }
    }

    pub(crate) fn invalid(message: String) -> Self {
        Self::new(ErrorCode::InvalidArgument, message)
    }

    pub(crate) fn not_permitted(identity: &Identity, action: Action, id: &SecretId) -> Self {
        let what = if action == Action::List { "the secrets".to_owned() } else { format!("the secret {:?}", id.name) };
        let message = format!("{identity} may not {} {what} {}", action.name(), place(id));
        Self::new(ErrorCode::PermissionDenied, message)
    }

    /// What a store's failure is for the caller.
    pub(crate) fn of_store(error: &WriteError, store: &str, id: &SecretId) -> Self {
        let (name, place, detail) = (&id.name, place(id), error.detail());
        let (code, message) = match error.failure() {
            WriteFailure::AlreadyExists => (
                ErrorCode::AlreadyExists,
                format!(
                    "there is a secret {name:?} {place} already, and it is left as it is; update it, or delete it first"
                ),
            ),
            WriteFailure::NotFound => (ErrorCode::NotFound, format!("there is no secret {name:?} {place}")),
            WriteFailure::Invalid => (ErrorCode::InvalidArgument, detail.to_owned()),
            WriteFailure::Conflict => (ErrorCode::Aborted, detail.to_owned()),
            WriteFailure::Full => (ErrorCode::ResourceExhausted, format!("the store {store} is full: {detail}")),
            // It is not the caller who lacks a permission.
            WriteFailure::Denied => {
                (ErrorCode::FailedPrecondition, format!("the store {store} does not let this service in: {detail}"))
            }
            WriteFailure::Unavailable => (
                ErrorCode::Unavailable,
                format!("the store {store} fails; try again (a change may have been made): {detail}"),
            ),
            WriteFailure::Late => (
                ErrorCode::DeadlineExceeded,
                format!("the store {store} takes too long; try again (a change may still be made): {detail}"),
            ),
        };
        Self::new(code, message)
    }

    /// The code's name in logs and metrics, as Connect spells it.
    pub(crate) fn code_name(&self) -> &'static str {
        self.code.as_str()
    }
}

/// The error on the wire. It carries the problem, which tells it from errors of the library, whose text may quote a request.
impl From<Problem> for ConnectError {
    fn from(problem: Problem) -> Self {
        Self::new(problem.code, problem.message.clone()).with_source(problem)
    }
}

/// Where a secret is, in words.
fn place(id: &SecretId) -> String {
    match (id.domain.as_str(), id.project.as_str()) {
        ("", _) => "of the organization".to_owned(),
        (domain, "") => format!("of the domain {domain:?}"),
        (domain, project) => format!("of the project {project:?} in the domain {domain:?}"),
    }
}
