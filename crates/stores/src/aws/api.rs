//! The two calls to AWS Secrets Manager, and what their answers mean.

use std::collections::HashMap;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use aws_sdk_secretsmanager::operation::RequestId;
use aws_sdk_secretsmanager::primitives::Blob;
use aws_sdk_secretsmanager::types::{ApiErrorType, SecretValueEntry};
use flyte_secrets_core::value::SecretValue;

use super::failure::{self, GET_SECRET_VALUE};
use crate::fetcher::{FailureClass, FetchError};

/// The value of one secret, or why there is none.
pub(super) type Answer = Result<SecretValue, FetchError>;

/// Why a call for several secrets gave nothing.
#[derive(Debug)]
pub(super) enum BatchFailure {
    /// We may not make such calls.
    NotAllowed,
    /// Each secret would have met the same failure.
    Everyone(FetchError),
    /// One of the secrets may be the reason.
    Perhaps,
}

/// AWS Secrets Manager of one account and region.
#[derive(Debug)]
pub(super) struct Api {
    client: Client,
}

impl Api {
    pub(super) const fn new(client: Client) -> Self {
        Self { client }
    }

    /// Asks for one secret.
    pub(super) async fn get(&self, name: &str) -> Answer {
        // The stage is AWS's default too; Flyte names it.
        let call = self.client.get_secret_value().secret_id(name).version_stage("AWSCURRENT");
        let output = call.send().await.map_err(|error| failure::of_call(&error, GET_SECRET_VALUE))?;
        let value = value(output.secret_string, output.secret_binary);
        match output.name {
            Some(other) if other != name => Err(other_secret(&other)),
            _ => value,
        }
    }

    /// Asks for several secrets, at most 20 (AWS's limit). Who is missing in the answer has to be asked for alone.
    pub(super) async fn get_batch(&self, names: Vec<String>) -> Result<HashMap<String, Answer>, BatchFailure> {
        let call = self.client.batch_get_secret_value().set_secret_id_list(Some(names)).send().await;
        let output = call.map_err(|error| {
            let failure = failure::of_call(&error, failure::BATCH_GET_SECRET_VALUE);
            match error.as_service_error().and_then(ProvideErrorMetadata::code) {
                Some("AccessDeniedException" | "AccessDenied") => BatchFailure::NotAllowed,
                None if error.raw_response().is_some() && failure.class() == FailureClass::Denied => {
                    BatchFailure::NotAllowed
                }
                Some(code) if failure::is_about_the_caller(code) => BatchFailure::Everyone(failure),
                _ if failure.class() == FailureClass::Throttled => BatchFailure::Everyone(failure),
                // There were no credentials, or no connection.
                _ if error.raw_response().is_none() && failure.class() != FailureClass::Late => {
                    BatchFailure::Everyone(failure)
                }
                _ => BatchFailure::Perhaps,
            }
        })?;
        let request_id = output.request_id().map(str::to_owned);
        let mut answers = HashMap::new();
        for SecretValueEntry { name, secret_string, secret_binary, .. } in output.secret_values.unwrap_or_default() {
            if let Some(name) = name {
                answers.insert(name, value(secret_string, secret_binary));
            }
        }
        for ApiErrorType { secret_id, error_code, message, .. } in output.errors.unwrap_or_default() {
            if let (Some(name), Some(code)) = (secret_id, error_code) {
                let failure = failure::of_code(&code, message.as_deref(), GET_SECRET_VALUE, request_id.as_deref());
                answers.insert(name, Err(failure));
            }
        }
        Ok(answers)
    }
}

/// The value of a secret. As in Flyte, text goes first and an empty text without bytes is no value.
fn value(text: Option<String>, bytes: Option<Blob>) -> Answer {
    match (text, bytes) {
        (Some(text), None) if text.is_empty() => Err(empty("holds an empty text")),
        (Some(text), _) => Ok(SecretValue::text(text)),
        (None, Some(bytes)) => Ok(SecretValue::binary(bytes.into_inner())),
        (None, None) => Err(empty("holds neither text nor bytes")),
    }
}

fn empty(what: &str) -> FetchError {
    FetchError::new(FailureClass::Empty, format!("the secret is there and its current version {what}; put a value in"))
}

/// An answer for another secret than the one asked for is never handed out.
fn other_secret(other: &str) -> FetchError {
    FetchError::new(FailureClass::Malformed, format!("AWS answered with another secret, {other}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_bytes_and_emptiness_are_told_apart_as_in_flyte() {
        let (text, bytes) = (|text: &str| Some(text.to_owned()), |bytes: &[u8]| Some(Blob::new(bytes)));
        for (string, binary, expected) in [
            (text("v"), None, Ok(("text", &b"v"[..]))),
            (None, bytes(b"\x01"), Ok(("bytes", b"\x01"))),
            (text(""), None, Err(FailureClass::Empty)),
            (None, None, Err(FailureClass::Empty)),
            (text(""), bytes(b"\x01"), Ok(("text", b""))),
            (None, bytes(b""), Ok(("bytes", b""))),
        ] {
            let found = value(string, binary);
            let seen = match &found {
                Ok(value @ SecretValue::Text(_)) => Ok(("text", value.expose_bytes())),
                Ok(value @ SecretValue::Binary(_)) => Ok(("bytes", value.expose_bytes())),
                Err(error) => Err(error.class()),
            };
            assert_eq!(seen, expected);
        }
    }
}
