//! From an answer of the protocol to a value.

use data_encoding::BASE64;
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::value::SecretValue;
use secrecy::SecretString;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::fetcher::{FailureClass, FetchError};
use crate::https::Answer;

/// The body of a 200.
#[derive(Deserialize)]
struct Secret {
    value: Option<Zeroizing<String>>,
    value_base64: Option<Zeroizing<String>>,
}

/// The body of any other answer.
#[derive(Default, Deserialize)]
struct Failure {
    #[serde(default)]
    error: Problem,
}

#[derive(Default, Deserialize)]
struct Problem {
    #[serde(default)]
    code: String,
    /// For people.
    #[serde(default)]
    message: String,
}

/// The value in an answer, or why there is none.
pub(super) fn value(answer: &Answer, id: &SecretId) -> Result<SecretValue, FetchError> {
    if answer.status == 200 { parse(&answer.body, id) } else { Err(failure(answer, id)) }
}

/// The parser's own messages may quote the value, so they are not passed on.
fn parse(body: &[u8], id: &SecretId) -> Result<SecretValue, FetchError> {
    let malformed = |what: &str| FetchError::new(FailureClass::Malformed, format!("the answer for {id}: {what}"));
    let secret: Secret = serde_json::from_slice(body)
        .map_err(|_| malformed("not JSON of the form {\"value\": \"…\"} or {\"value_base64\": \"…\"}"))?;
    match (secret.value, secret.value_base64) {
        (Some(text), None) => Ok(SecretValue::Text(SecretString::from(text.as_str()))),
        (None, Some(base64)) => {
            let bytes = BASE64.decode(base64.as_bytes());
            bytes.map(SecretValue::binary).map_err(|_| malformed("value_base64 is not base64 (RFC 4648, section 4)"))
        }
        (Some(_), Some(_)) => Err(malformed("both value and value_base64")),
        (None, None) => {
            let detail = format!("the server has {id}, but neither value nor value_base64 under it");
            Err(FetchError::new(FailureClass::Empty, detail))
        }
    }
}

fn failure(answer: &Answer, id: &SecretId) -> FetchError {
    let Problem { code, message } = serde_json::from_slice::<Failure>(&answer.body).unwrap_or_default().error;
    let says = if message.is_empty() { "nothing more" } else { &message };
    let status = answer.status;
    let (class, what) = match status {
        404 if code == "not_found" => return FetchError::new(FailureClass::NotFound, format!("no secret {id}")),
        // Any web server answers 404, and would make a wrong URL look like a secret that nobody has.
        404 => (FailureClass::Unavailable, "404 without the code not_found: this is no store, check the url"),
        401 => (FailureClass::Denied, "the server does not accept our credentials: check tokenFile or clientCert"),
        403 => (FailureClass::Denied, "the server does not let us read it"),
        429 => (FailureClass::Throttled, "the server asks us to slow down"),
        300..=399 => (FailureClass::Unavailable, "the server redirects, which is not followed: set the final url"),
        408 | 500.. => (FailureClass::Unavailable, "the server failed"),
        _ => (FailureClass::Malformed, "an answer that the protocol does not have"),
    };
    FetchError::new(class, format!("{what} ({status}{}) for {id}; it says: {says}", answer.retry_after()))
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
