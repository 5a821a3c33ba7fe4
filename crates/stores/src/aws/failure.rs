//! What AWS's errors mean. Details are made of codes, of AWS's own sentence about the request and of request ids;
//! the SDK's debug texts, which may hold whole answers, are never used.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_secretsmanager::config::http::HttpResponse;
use aws_sdk_secretsmanager::error::{ErrorMetadata, ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::RequestId;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;

use crate::causes::cause;
use crate::cloud::causes;
use crate::fetcher::{FailureClass, FetchError};

/// The action of a single secret, as policies name it.
pub(super) const GET_SECRET_VALUE: &str = "secretsmanager:GetSecretValue";
/// The action of several secrets at once, as policies name it.
pub(super) const BATCH_GET_SECRET_VALUE: &str = "secretsmanager:BatchGetSecretValue";

/// The failure of a call for which the action is needed.
pub(super) fn of_call<E>(error: &SdkError<E, HttpResponse>, action: &str) -> FetchError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    if let Some(credentials) = cause::<CredentialsError>(error) {
        return no_credentials(credentials);
    }
    match error {
        SdkError::TimeoutError(_) => late(),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => late(),
        SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) => {
            let detail = format!("AWS could not be asked: {}", causes(error));
            FetchError::new(FailureClass::Unavailable, detail)
        }
        SdkError::ServiceError(service) => {
            let (meta, response) = (service.err().meta(), service.raw());
            match meta.code() {
                Some(code) if is_code(code) && response.status().as_u16() >= 400 => {
                    let failure = of_code(code, meta.message(), action, meta.request_id());
                    by_status(failure, response.status().as_u16())
                }
                _ => not_from_aws(response.status().as_u16()),
            }
        }
        _ => error.raw_response().map_or_else(
            || FetchError::new(FailureClass::Unavailable, "AWS could not be asked"),
            |response| not_from_aws(response.status().as_u16()),
        ),
    }
}

/// Whether the caller is refused as such, whatever was asked for.
pub(super) fn is_about_the_caller(code: &str) -> bool {
    matches!(advice(code), Some((FailureClass::Denied, Advice::Credentials)))
}

/// The failure that AWS names with a code, of a call or of one secret in a batch.
///
/// Codes: `GetSecretValue`, `BatchGetSecretValue` and "Common Errors" in the API reference of AWS Secrets Manager.
pub(super) fn of_code(code: &str, message: Option<&str>, action: &str, request_id: Option<&str>) -> FetchError {
    let (class, advice) = advice(code).unwrap_or((FailureClass::Unavailable, Advice::None));
    let says = message.filter(|text| !text.is_empty()).map(|text| format!(": {text}")).unwrap_or_default();
    let advice = match advice {
        Advice::None => String::new(),
        Advice::Permission => format!(
            "; allow {action} on the secrets (u__org__*) to the role of this process, in its policy, \
             in the secret's own, and at the VPC endpoint"
        ),
        Advice::Credentials => "; check the role, the keys and the clock of this process".to_owned(),
        Advice::Key => "; allow kms:Decrypt on the key of the secret to the role of this process".to_owned(),
        Advice::Restore => "; restore the secret, or delete it for good".to_owned(),
    };
    let request = request_id.map(|id| format!(" (request {id})")).unwrap_or_default();
    FetchError::new(class, format!("AWS answered {code}{says}{advice}{request}"))
}

/// What helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Advice {
    None,
    Permission,
    Credentials,
    Key,
    Restore,
}

/// The class of a code, and what helps; `None` for a code that is not known.
fn advice(code: &str) -> Option<(FailureClass, Advice)> {
    use FailureClass::{Denied, Empty, NotFound, Throttled, Unavailable};
    Some(match code {
        // The secret is not there, or has no version with the stage AWSCURRENT.
        "ResourceNotFoundException" => (NotFound, Advice::None),
        // The secret is marked for deletion: it is there and gives no value. Flyte ends the look-up here.
        "InvalidRequestException" => (Empty, Advice::Restore),
        "AccessDeniedException" | "AccessDenied" => (Denied, Advice::Permission),
        "DecryptionFailure" | "DecryptionFailureException" => (Denied, Advice::Key),
        "UnrecognizedClientException"
        | "UnrecognizedClient"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "InvalidSignature"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "RequestExpired"
        | "NotAuthorized"
        | "OptInRequired" => (Denied, Advice::Credentials),
        // The same question will never be answered.
        "InvalidParameterException" | "ValidationException" | "ValidationError" | "InvalidAction" => {
            (Denied, Advice::None)
        }
        "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "LimitExceededException"
        | "SlowDown" => (Throttled, Advice::None),
        "InternalServiceError"
        | "InternalServiceErrorException"
        | "InternalFailure"
        | "ServiceUnavailable"
        | "ServiceUnavailableException" => (Unavailable, Advice::None),
        _ => return None,
    })
}

/// What the status says where the code says nothing.
fn by_status(failure: FetchError, status: u16) -> FetchError {
    match status {
        429 if failure.class() == FailureClass::Unavailable => {
            FetchError::new(FailureClass::Throttled, failure.detail())
        }
        _ => failure,
    }
}

/// An answer without an AWS error code, or a good one that cannot be read.
fn not_from_aws(status: u16) -> FetchError {
    let (class, what) = match status {
        200..=299 => (FailureClass::Malformed, "with something that cannot be read, or is too long"),
        300..=399 => (FailureClass::Malformed, "with a redirect, which is not followed; check the endpoint"),
        401 | 403 => (
            FailureClass::Denied,
            "and no error code of AWS; check the permissions of this process, the endpoint, and the proxy if there is one",
        ),
        429 => (FailureClass::Throttled, "that we ask too often"),
        500.. => (FailureClass::Unavailable, "and no error code of AWS"),
        _ => (FailureClass::Malformed, "and no error code of AWS; check the endpoint, and the proxy if there is one"),
    };
    FetchError::new(class, format!("the endpoint answered {status} {what}"))
}

fn late() -> FetchError {
    FetchError::new(FailureClass::Late, "AWS did not answer in time")
}

/// Whether a text looks like an error code, and not like something else in its place.
pub(super) fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Why there are no credentials to ask AWS with.
fn no_credentials(error: &CredentialsError) -> FetchError {
    const WAYS: &str = "give this process a role by IRSA or EKS Pod Identity, or set AWS_ACCESS_KEY_ID and \
                        AWS_SECRET_ACCESS_KEY";
    if let Some(meta) = refusal_of_role(error) {
        let code = meta.code().filter(|code| is_code(code)).unwrap_or("an error");
        let says = meta.message().map(|text| format!(": {text}")).unwrap_or_default();
        let refused = matches!(
            code,
            "AccessDenied"
                | "AccessDeniedException"
                | "InvalidIdentityToken"
                | "InvalidIdentityTokenException"
                | "ExpiredTokenException"
                | "ExpiredToken"
                | "IDPRejectedClaim"
                | "ValidationError"
                | "InvalidClientTokenId"
                | "SignatureDoesNotMatch"
                | "RegionDisabledException"
        );
        let class = if refused { FailureClass::Denied } else { FailureClass::Unavailable };
        let detail =
            format!("AWS gives this process no role, STS answered {code}{says}; check the role's trust policy");
        return FetchError::new(class, detail);
    }
    match error {
        CredentialsError::CredentialsNotLoaded(_) => {
            FetchError::new(FailureClass::Denied, format!("there are no AWS credentials; {WAYS}"))
        }
        CredentialsError::InvalidConfiguration(_) => FetchError::new(
            FailureClass::Denied,
            "the AWS credentials of the environment or the profile are not usable; check AWS_PROFILE, the profile's \
             files, AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE",
        ),
        CredentialsError::ProviderTimedOut(_) => {
            FetchError::new(FailureClass::Late, "AWS credentials did not come in time")
        }
        _ => {
            let detail = format!("AWS credentials could not be fetched ({})", step(error));
            FetchError::new(FailureClass::Unavailable, detail)
        }
    }
}

/// What STS said when it was asked for a role.
fn refusal_of_role(error: &CredentialsError) -> Option<&ErrorMetadata> {
    let web_identity = cause::<AssumeRoleWithWebIdentityError>(error).map(ProvideErrorMetadata::meta);
    web_identity.or_else(|| cause::<AssumeRoleError>(error).map(ProvideErrorMetadata::meta))
}

/// Where fetching credentials failed, as far as the system says it.
fn step(error: &CredentialsError) -> String {
    cause::<std::io::Error>(error).map_or_else(|| "no reason was given".to_owned(), ToString::to_string)
}

#[cfg(test)]
#[path = "failure_tests.rs"]
mod tests;
