//! What an error of the SDK means.

use azure_core::Error;
use azure_core::error::ErrorKind;
use serde::Deserialize;

use crate::causes::cause;
use crate::fetcher::{FailureClass, FetchError};

/// The body of Key Vault's errors: <https://learn.microsoft.com/azure/key-vault/general/rest-error-codes>.
#[derive(Default, Deserialize)]
struct Body {
    #[serde(default)]
    error: Problem,
}

#[derive(Default, Deserialize)]
pub(super) struct Problem {
    #[serde(default)]
    pub(super) code: String,
    #[serde(default)]
    pub(super) message: String,
    innererror: Option<Inner>,
}

#[derive(Deserialize)]
struct Inner {
    #[serde(default)]
    code: String,
}

impl Problem {
    /// What the body of an error says; nothing if it is not Key Vault's.
    pub(super) fn of(body: &[u8]) -> Self {
        serde_json::from_slice::<Body>(body).unwrap_or_default().error
    }

    /// The code that says more than [`Problem::code`]; empty if there is none.
    pub(super) fn inner(&self) -> &str {
        self.innererror.as_ref().map_or("", |inner| &inner.code)
    }

    /// Both codes behind a space; empty without any.
    pub(super) fn codes(&self) -> String {
        let codes = [self.code.as_str(), self.inner()]
            .into_iter()
            .filter(|code| !code.is_empty())
            .collect::<Vec<_>>()
            .join("/");
        if codes.is_empty() { codes } else { format!(" {codes}") }
    }
}

/// Why Key Vault gave no secret of this name.
pub(super) fn of(error: &Error, name: &str) -> FetchError {
    if let Some(ours) = ours(error) {
        return ours.clone();
    }
    match error.kind() {
        ErrorKind::HttpResponse { status, raw_response, .. } => {
            let body = raw_response.as_ref().map(|answer| &**answer.body()).unwrap_or_default();
            answered(u16::from(*status), body, name)
        }
        // Bodies are parsed by us, so this text speaks of the challenge or the URL.
        _ => FetchError::new(
            FailureClass::Unavailable,
            format!("{name} cannot be asked for: {error}; check that vaultURI is the address of a Key Vault"),
        ),
    }
}

/// The failure of our own client or identity inside an error of the SDK.
pub(super) fn ours(error: &Error) -> Option<&FetchError> {
    cause(error)
}

/// What an answer other than 200 means.
fn answered(status: u16, body: &[u8], name: &str) -> FetchError {
    let problem = Problem::of(body);
    let (class, what) = match (status, problem.code.as_str(), problem.inner()) {
        (404, "SecretNotFound", _) => (FailureClass::NotFound, "no such secret"),
        (404, ..) => (FailureClass::Unavailable, "404 without the code SecretNotFound: check vaultURI"),
        (403, _, "SecretDisabled") => (FailureClass::Denied, "the secret is disabled; enable its latest version"),
        (403, ..) => (
            FailureClass::Denied,
            "our identity may not read it: grant the role \"Key Vault Secrets User\" on the vault (or the access policy \
             Get of secrets), and look at the vault's firewall",
        ),
        (401, ..) => (FailureClass::Denied, "Key Vault does not accept our token: is the vault in another tenant?"),
        (429, ..) => (FailureClass::Throttled, "Key Vault asks us to slow down"),
        (300..=399, ..) => (FailureClass::Unavailable, "a redirect, which is not followed: check vaultURI"),
        (408 | 500.., ..) => (FailureClass::Unavailable, "Key Vault failed"),
        _ => (FailureClass::Malformed, "an answer that Key Vault does not give"),
    };
    let codes = problem.codes();
    let says = if problem.message.is_empty() { "nothing more" } else { problem.message.as_str() };
    FetchError::new(class, format!("secret {name}: {what} ({status}{codes}); it says: {says}"))
}
