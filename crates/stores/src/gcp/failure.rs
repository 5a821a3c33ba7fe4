//! What GCP's errors mean. Details are made of codes and of Google's own sentence about the request; the client's
//! debug texts, which may hold whole answers, are never used.

use google_cloud_gax::error::rpc::{Code, Status};
use google_cloud_gax::error::{CredentialsError, Error};

use crate::causes::cause;
use crate::cloud::causes;
use crate::fetcher::{FailureClass, FetchError};

/// The failure of a call.
pub(super) fn of_call(error: &Error, project: &str) -> FetchError {
    if let Some(status) = error.status() {
        return match error.http_status_code() {
            Some(code) if code < 400 => not_from_google(code),
            _ => of_status(status, project),
        };
    }
    if error.is_authentication() {
        return no_token(error);
    }
    if error.is_timeout() {
        return FetchError::new(FailureClass::Late, "GCP did not answer in time");
    }
    if let Some(code) = error.http_status_code() {
        return not_from_google(code);
    }
    if error.is_deserialization() {
        return FetchError::new(FailureClass::Malformed, "GCP's answer cannot be read");
    }
    FetchError::new(FailureClass::Unavailable, format!("GCP could not be asked: {}", causes(error)))
}

/// The failure that Google names with a code (`google.rpc.Code`).
fn of_status(status: &Status, project: &str) -> FetchError {
    use FailureClass::{Denied, Empty, Late, NotFound, Throttled, Unavailable};
    let (class, advice) = match status.code {
        Code::NotFound => (NotFound, String::new()),
        // The latest version is disabled or destroyed. Flyte ends the look-up here.
        Code::FailedPrecondition => (Empty, "; enable the latest version of the secret, or add one".to_owned()),
        Code::PermissionDenied => (
            Denied,
            format!(
                "; grant roles/secretmanager.secretAccessor on the project {project} to the identity of this process \
                 (a grant on single secrets makes missing ones look denied), and enable the Secret Manager API there"
            ),
        ),
        Code::Unauthenticated => (Denied, "; check the service account of this process and its key".to_owned()),
        // The same question will never be answered.
        Code::InvalidArgument | Code::OutOfRange | Code::Unimplemented => (Denied, String::new()),
        Code::ResourceExhausted => (Throttled, String::new()),
        Code::DeadlineExceeded => (Late, String::new()),
        _ => (Unavailable, String::new()),
    };
    let says = if status.message.is_empty() { String::new() } else { format!(": {}", status.message) };
    FetchError::new(class, format!("GCP answered {}{says}{advice}", status.code.name()))
}

/// An answer without Google's error document.
fn not_from_google(status: u16) -> FetchError {
    let (class, what) = match status {
        300..=399 => (FailureClass::Malformed, "with a redirect, which is not followed; check the endpoint"),
        401 | 403 => (
            FailureClass::Denied,
            "and no error of GCP; check the permissions of this process, the endpoint, and the proxy if there is one",
        ),
        429 => (FailureClass::Throttled, "that we ask too often"),
        500.. => (FailureClass::Unavailable, "and no error of GCP"),
        _ => (FailureClass::Malformed, "and no error of GCP; check the endpoint, and the proxy if there is one"),
    };
    FetchError::new(class, format!("the endpoint answered {status} {what}"))
}

/// Whether there is no token, and never will be with the credentials in use.
pub(super) fn is_for_good_with_these_credentials(error: &Error) -> bool {
    error.is_authentication() && !is_transient(error)
}

fn is_transient(error: &Error) -> bool {
    cause::<CredentialsError>(error).is_some_and(CredentialsError::is_transient)
}

/// Why there is no token to ask GCP with.
fn no_token(error: &Error) -> FetchError {
    if is_transient(error) {
        let detail = "no GCP access token could be fetched: the metadata server, or the token's issuer, does not answer; \
                      outside of Google Cloud set GOOGLE_APPLICATION_CREDENTIALS";
        return FetchError::new(FailureClass::Unavailable, detail);
    }
    let detail = "there are no usable GCP credentials; give this process a service account by GKE's workload identity, \
                  or set GOOGLE_APPLICATION_CREDENTIALS";
    FetchError::new(FailureClass::Denied, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_class() {
        use FailureClass::{Denied, Empty, Late, NotFound, Throttled, Unavailable};
        for (code, class) in [
            (Code::NotFound, NotFound),
            (Code::FailedPrecondition, Empty),
            (Code::PermissionDenied, Denied),
            (Code::Unauthenticated, Denied),
            (Code::InvalidArgument, Denied),
            (Code::ResourceExhausted, Throttled),
            (Code::DeadlineExceeded, Late),
            (Code::Unavailable, Unavailable),
            (Code::Internal, Unavailable),
            (Code::Aborted, Unavailable),
            (Code::Unknown, Unavailable),
        ] {
            let error = of_call(&Error::service(Status::default().set_code(code)), "p");
            assert_eq!(error.class(), class, "{code:?}");
        }
    }

    #[test]
    fn a_denial_says_what_google_said_and_what_to_grant() {
        let words = "Permission 'secretmanager.versions.access' denied for resource (or it may not exist).";
        let status = Status::default().set_code(Code::PermissionDenied).set_message(words);
        let error = of_call(&Error::service(status), "my-project");
        for part in [words, "PERMISSION_DENIED", "roles/secretmanager.secretAccessor", "project my-project"] {
            assert!(error.detail().contains(part), "{error}");
        }
    }

    #[test]
    fn a_token_that_may_come_later_is_not_a_denial() {
        for (transient, class) in [(true, FailureClass::Unavailable), (false, FailureClass::Denied)] {
            let error = Error::authentication(CredentialsError::from_msg(transient, "planted"));
            let failure = of_call(&error, "p");
            assert_eq!((failure.class(), is_for_good_with_these_credentials(&error)), (class, !transient));
            assert!(!failure.to_string().contains("planted"), "{failure}");
        }
    }

    #[test]
    fn what_is_no_answer_of_google_is_judged_by_its_status() {
        use FailureClass::{Denied, Malformed, Throttled, Unavailable};
        for (status, class) in [(302, Malformed), (403, Denied), (404, Malformed), (429, Throttled), (502, Unavailable)]
        {
            let failure = of_call(&Error::http(status, http::HeaderMap::new(), "planted".into()), "p");
            assert_eq!(failure.class(), class, "{status}");
            assert!(!failure.to_string().contains("planted"), "{failure}");
        }
    }
}
