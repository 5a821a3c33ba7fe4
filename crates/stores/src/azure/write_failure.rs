//! Why Key Vault did not do what was asked of it in writing.

use azure_core::Error;
use azure_core::error::ErrorKind;

use super::failure::{Problem, ours};
use crate::writer::{WriteError, WriteFailure};
use crate::writing::as_in_reading;

/// What is to be done about a refusal.
#[derive(Debug)]
pub(super) enum Refusal {
    /// There is no such secret.
    Missing,
    /// There is one whose latest version is disabled.
    Disabled,
    /// There was one, and the vault keeps it with its name.
    Deleted,
    /// It is just being deleted or recovered: later.
    Changing,
    /// Nothing but to say so.
    Failed(WriteError),
}

impl Refusal {
    /// The refusal as a failure, where nothing else can be done about it.
    pub(super) fn into_error(self, name: &str) -> WriteError {
        let (failure, detail) = match self {
            Self::Failed(error) => return error,
            Self::Missing | Self::Deleted => (WriteFailure::NotFound, "there is no such secret"),
            Self::Disabled => (WriteFailure::Denied, "the secret is disabled; enable its latest version"),
            Self::Changing => (
                WriteFailure::Conflict,
                "Key Vault is still deleting or recovering it; nothing was changed by this request; try again in a minute",
            ),
        };
        WriteError::new(failure, format!("secret {name}: {detail}"))
    }
}

/// The refusal in an error of the SDK; `permission` is what an access policy calls the operation.
pub(super) fn of(error: &Error, name: &str, permission: &str) -> Refusal {
    if let Some(ours) = ours(error) {
        return Refusal::Failed(as_in_reading(ours));
    }
    match error.kind() {
        ErrorKind::HttpResponse { status, raw_response, .. } => {
            let body = raw_response.as_ref().map(|answer| &**answer.body()).unwrap_or_default();
            answered(u16::from(*status), &Problem::of(body), name, permission)
        }
        // Bodies are parsed by us, or hold no value, so this text speaks of the challenge or the URL.
        _ => Refusal::Failed(WriteError::new(
            WriteFailure::Unavailable,
            format!("{name} cannot be asked for: {error}; check that vaultURI is the address of a Key Vault"),
        )),
    }
}

/// What an answer other than a success means.
fn answered(status: u16, problem: &Problem, name: &str, permission: &str) -> Refusal {
    let (failure, what) = match (status, problem.code.as_str(), problem.inner()) {
        (404, "SecretNotFound", _) => return Refusal::Missing,
        (403, _, "SecretDisabled") => return Refusal::Disabled,
        (409, _, "ObjectIsDeletedButRecoverable") => return Refusal::Deleted,
        (409, ..) => return Refusal::Changing,
        (403, ..) => (
            WriteFailure::Denied,
            format!(
                "our identity may not do it: grant the role \"Key Vault Secrets Officer\" on the vault (or the access policy \
                 {permission} of secrets), and look at the vault's firewall"
            ),
        ),
        (401, ..) => {
            (WriteFailure::Denied, "Key Vault does not accept our token: is the vault in another tenant?".to_owned())
        }
        (400 | 413, ..) => (WriteFailure::Invalid, "Key Vault cannot hold it".to_owned()),
        (404, ..) => (WriteFailure::Unavailable, "404 without the code SecretNotFound: check vaultURI".to_owned()),
        (429, ..) => (WriteFailure::Unavailable, "Key Vault asks us to slow down".to_owned()),
        (300..=399, ..) => (WriteFailure::Unavailable, "a redirect, which is not followed: check vaultURI".to_owned()),
        (408 | 500.., ..) => (WriteFailure::Unavailable, "Key Vault failed".to_owned()),
        _ => (WriteFailure::Unavailable, "an answer that Key Vault does not give".to_owned()),
    };
    // What is wrong with a request may be told in its own words.
    let quotable = failure != WriteFailure::Invalid && !problem.message.is_empty();
    let says = if quotable { format!("; it says: {}", problem.message) } else { String::new() };
    Refusal::Failed(WriteError::new(failure, format!("secret {name}: {what} ({status}{}){says}", problem.codes())))
}
