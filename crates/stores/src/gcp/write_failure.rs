//! What GCP's errors mean to whoever writes.

use google_cloud_gax::error::Error;
use google_cloud_gax::error::rpc::{Code, Status};

use super::failure;
use crate::writer::{WriteError, WriteFailure};
use crate::writing::as_in_reading;

/// What was asked of GCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Create,
    AddVersion,
    Get,
    GetVersion,
    List,
    Update,
    Delete,
}

impl Action {
    /// The permission that it needs, as roles name it.
    const fn permission(self) -> &'static str {
        match self {
            Self::Create => "secretmanager.secrets.create",
            Self::AddVersion => "secretmanager.versions.add",
            Self::Get => "secretmanager.secrets.get",
            Self::GetVersion => "secretmanager.versions.get",
            Self::List => "secretmanager.secrets.list",
            Self::Update => "secretmanager.secrets.update",
            Self::Delete => "secretmanager.secrets.delete",
        }
    }
}

/// The failure of a call.
pub(super) fn of_call(error: &Error, action: Action, project: &str) -> WriteError {
    let is_answer = error.http_status_code().is_none_or(|code| code >= 400);
    let known = error.status().filter(|_| is_answer).and_then(|status| of_status(status, action, project));
    known.unwrap_or_else(|| as_in_reading(&failure::of_call(error, project)))
}

/// The failure of a code (`google.rpc.Code`) that means something else than in reading, or that only writing meets.
fn of_status(status: &Status, action: Action, project: &str) -> Option<WriteError> {
    let (kind, advice) = match (status.code, action) {
        (Code::AlreadyExists, _) => (WriteFailure::AlreadyExists, "; update it instead".to_owned()),
        // The etag did not fit (<https://cloud.google.com/secret-manager/docs/etags>).
        (Code::FailedPrecondition | Code::Aborted, Action::Update | Action::Delete) => {
            (WriteFailure::Conflict, "; try again".to_owned())
        }
        // A policy of the organization, or a key of one's own that cannot be used.
        (Code::FailedPrecondition, _) => (
            WriteFailure::Denied,
            format!(
                "; check the organization's policies for the project {project}, and its keys if it has keys of its own"
            ),
        ),
        // What is missing is the project.
        (Code::NotFound, Action::Create | Action::List) => (
            WriteFailure::Denied,
            format!("; check that the project {project} is there and has the Secret Manager API"),
        ),
        (Code::PermissionDenied, _) => (
            WriteFailure::Denied,
            format!(
                "; grant the permission {} on the project {project} to the identity of this process, and enable the Secret \
                 Manager API there",
                action.permission()
            ),
        ),
        // Google's words about these may quote what was sent.
        (Code::InvalidArgument | Code::OutOfRange, _) => {
            let detail = format!("GCP does not take this secret ({})", status.code.name());
            return Some(WriteError::new(WriteFailure::Invalid, detail));
        }
        _ => return None,
    };
    let says = if status.message.is_empty() { String::new() } else { format!(": {}", status.message) };
    Some(WriteError::new(kind, format!("GCP answered {}{says}{advice}", status.code.name())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: Code, action: Action) -> WriteError {
        of_call(&Error::service(Status::default().set_code(code).set_message("planted")), action, "my-project")
    }

    #[test]
    fn every_code_has_its_failure() {
        use WriteFailure::{AlreadyExists, Conflict, Denied, Invalid, Late, NotFound, Unavailable};
        for (code, action, expected) in [
            (Code::AlreadyExists, Action::Create, AlreadyExists),
            (Code::NotFound, Action::Get, NotFound),
            (Code::NotFound, Action::AddVersion, NotFound),
            (Code::NotFound, Action::Create, Denied),
            (Code::FailedPrecondition, Action::Update, Conflict),
            (Code::Aborted, Action::Delete, Conflict),
            (Code::FailedPrecondition, Action::Create, Denied),
            (Code::FailedPrecondition, Action::AddVersion, Denied),
            (Code::PermissionDenied, Action::List, Denied),
            (Code::Unauthenticated, Action::List, Denied),
            (Code::InvalidArgument, Action::AddVersion, Invalid),
            (Code::ResourceExhausted, Action::AddVersion, Unavailable),
            (Code::Unavailable, Action::AddVersion, Unavailable),
            (Code::Internal, Action::Create, Unavailable),
            (Code::DeadlineExceeded, Action::Create, Late),
        ] {
            assert_eq!(failure(code, action).failure(), expected, "{code:?} {action:?}");
        }
    }

    #[test]
    fn a_denial_names_the_permission_and_an_invalid_value_is_not_quoted() {
        for (action, permission) in [
            (Action::Create, "secretmanager.secrets.create"),
            (Action::AddVersion, "secretmanager.versions.add"),
            (Action::GetVersion, "secretmanager.versions.get"),
        ] {
            let denied = failure(Code::PermissionDenied, action);
            assert!(denied.detail().contains(permission) && denied.detail().contains("my-project"), "{denied}");
        }
        assert!(!failure(Code::InvalidArgument, Action::AddVersion).detail().contains("planted"));
    }
}
