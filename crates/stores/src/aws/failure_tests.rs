#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn every_code_has_its_class() {
    use FailureClass::{Denied, Empty, NotFound, Throttled, Unavailable};
    for (code, class) in [
        ("ResourceNotFoundException", NotFound),
        ("InvalidRequestException", Empty),
        ("AccessDeniedException", Denied),
        ("DecryptionFailure", Denied),
        ("UnrecognizedClientException", Denied),
        ("InvalidSignatureException", Denied),
        ("ExpiredTokenException", Denied),
        ("InvalidParameterException", Denied),
        ("ThrottlingException", Throttled),
        ("TooManyRequestsException", Throttled),
        ("LimitExceededException", Throttled),
        ("InternalServiceError", Unavailable),
        ("InternalFailure", Unavailable),
        ("ServiceUnavailable", Unavailable),
        ("SomethingNew", Unavailable),
    ] {
        assert_eq!(of_code(code, None, GET_SECRET_VALUE, None).class(), class, "{code}");
    }
}

#[test]
fn a_denial_says_what_aws_said_and_what_to_allow() {
    let words = "User: arn:aws:sts::1:assumed-role/r/s is not authorized to perform: secretsmanager:GetSecretValue";
    let error = of_code("AccessDeniedException", Some(words), GET_SECRET_VALUE, Some("4f4e"));
    for part in ["AccessDeniedException", words, "allow secretsmanager:GetSecretValue", "(request 4f4e)"] {
        assert!(error.detail().contains(part), "{error}");
    }
    let key = of_code("DecryptionFailure", None, GET_SECRET_VALUE, None);
    assert!(key.detail().contains("kms:Decrypt"), "{key}");
}

#[test]
fn only_a_refusal_of_the_caller_counts_for_every_secret() {
    assert!(is_about_the_caller("ExpiredTokenException"));
    for code in ["AccessDeniedException", "DecryptionFailure", "InvalidParameterException", "InternalServiceError"] {
        assert!(!is_about_the_caller(code), "{code}");
    }
}

#[test]
fn what_is_no_answer_of_aws_is_judged_by_its_status() {
    use FailureClass::{Denied, Malformed, Throttled, Unavailable};
    for (status, class) in
        [(200, Malformed), (302, Malformed), (403, Denied), (404, Malformed), (429, Throttled), (502, Unavailable)]
    {
        assert_eq!(not_from_aws(status).class(), class, "{status}");
    }
}
