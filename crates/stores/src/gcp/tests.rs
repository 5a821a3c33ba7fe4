#![allow(clippy::unwrap_used)]

use super::*;

fn id(name: &str) -> SecretId {
    SecretId {
        org: "flyte".to_owned(),
        domain: "development".to_owned(),
        project: "flytesnacks".to_owned(),
        name: name.to_owned(),
    }
}

fn payload(data: &'static [u8]) -> SecretPayload {
    SecretPayload::new().set_data(data)
}

async fn refused(settings: GcpSettings) -> GcpSettingsError {
    GcpStore::new(settings).await.unwrap_err()
}

#[test]
fn a_payload_is_bytes_and_may_be_empty_as_in_flyte() {
    for data in [&b"v"[..], b"", b"\xff\x00"] {
        let found = value(Some(payload(data))).unwrap();
        assert!(matches!(&found, SecretValue::Binary(_)));
        assert_eq!(found.expose_bytes(), data);
    }
    assert_eq!(value(None).unwrap_err().class(), FailureClass::Empty);
}

#[test]
fn a_value_has_to_fit_its_checksum() {
    // The check value of CRC-32C (RFC 3720, B.4, and the catalogue of CRCs).
    value(Some(payload(b"123456789").set_data_crc32c(0xe306_9283_i64))).unwrap();
    let error = value(Some(payload(b"planted").set_data_crc32c(5))).unwrap_err();
    assert_eq!(error.class(), FailureClass::Malformed);
    assert!(!error.to_string().contains("planted"), "{error}");
}

#[test]
fn an_id_that_no_secret_can_have_is_not_found() {
    secret_name(&id("a_b-C9")).unwrap();
    for name in ["a/b", "a.b", "a b", "a%2fb", "..", "a?b", "a#b", "a:access", "ä", &"x".repeat(255)] {
        let error = secret_name(&id(name)).unwrap_err();
        assert_eq!(error.class(), FailureClass::NotFound, "{name}");
        assert!(error.detail().contains("was not asked"), "{error}");
    }
}

#[tokio::test]
async fn only_the_id_or_number_of_a_project_is_taken_as_one() {
    for project in ["my-project", "example.com:my-project", "123456789012"] {
        assert!(is_project(project), "{project}");
    }
    for project in ["", "a/b", "..", "A", "-a", "a%2f", &"a".repeat(129)] {
        assert_eq!(
            refused(GcpSettings::new(project)).await,
            GcpSettingsError::InvalidProject(project.to_owned()),
            "{project}"
        );
    }
}

#[tokio::test]
async fn a_token_never_leaves_the_host_unencrypted() {
    let settings = GcpSettings { endpoint: Some("http://198.51.100.1:80".to_owned()), ..GcpSettings::new("p") };
    assert_eq!(refused(settings).await, GcpSettingsError::Endpoint(InvalidEndpoint::TokenInTheClear));
}

#[tokio::test]
async fn google_is_not_asked_without_credentials() {
    for endpoint in [None, Some(String::new())] {
        let settings = GcpSettings { endpoint, anonymous: true, ..GcpSettings::new("p") };
        assert_eq!(refused(settings).await, GcpSettingsError::AnonymousAtGoogle);
    }
}
