//! What AWS's errors mean to whoever writes.

use std::error::Error;

use aws_sdk_secretsmanager::config::http::HttpResponse;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::RequestId;

use super::failure;
use crate::writer::{WriteError, WriteFailure};
use crate::writing::as_in_reading;

/// The failure of a call for which the action is needed.
pub(super) fn of_call<E>(error: &SdkError<E, HttpResponse>, action: &str) -> WriteError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    if let SdkError::ServiceError(service) = error {
        let meta = service.err().meta();
        let code = meta.code().filter(|code| failure::is_code(code));
        if let Some(failure) = code.and_then(|code| of_code(code, meta.message(), meta.request_id())) {
            return failure;
        }
    }
    as_in_reading(&failure::of_call(error, action))
}

/// The failure of a code that means something else than in reading, or that only writing meets.
///
/// Codes: `CreateSecret`, `PutSecretValue` and `DeleteSecret` in the API reference of AWS Secrets Manager.
fn of_code(code: &str, message: Option<&str>, request_id: Option<&str>) -> Option<WriteError> {
    const KEY: &str = "allow kms:GenerateDataKey and kms:Decrypt on the key of the secret to the role of this process";
    const VERSIONS: &str = "a secret has at most about 100 versions, and AWS removes old ones after a day: write it less often, \
                            or ask AWS for a higher quota";
    let (kind, advice) = match code {
        "ResourceExistsException" => (WriteFailure::AlreadyExists, "update it instead"),
        // The secret is marked for deletion, or is replicated, or belongs to another service; AWS says which.
        "InvalidRequestException" => (
            WriteFailure::Conflict,
            "a secret that is marked for deletion is restored by `aws secretsmanager restore-secret`, or deleted for good by \
             `aws secretsmanager delete-secret --force-delete-without-recovery`",
        ),
        "EncryptionFailure" | "EncryptionFailureException" => (WriteFailure::Denied, KEY),
        "LimitExceededException" => (WriteFailure::Full, VERSIONS),
        // AWS's words about these may quote what was sent.
        "InvalidParameterException" | "ValidationException" | "ValidationError" | "SerializationException" => {
            let detail = format!("AWS does not take this secret ({code}){}", request(request_id));
            return Some(WriteError::new(WriteFailure::Invalid, detail));
        }
        _ => return None,
    };
    let says = message.filter(|text| !text.is_empty()).map(|text| format!(": {text}")).unwrap_or_default();
    Some(WriteError::new(kind, format!("AWS answered {code}{says}; {advice}{}", request(request_id))))
}

fn request(id: Option<&str>) -> String {
    id.map(|id| format!(" (request {id})")).unwrap_or_default()
}
