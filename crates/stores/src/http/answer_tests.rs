#![allow(clippy::unwrap_used)]

use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};

use super::*;

fn id() -> SecretId {
    SecretId { org: "flyte".to_owned(), name: "k".to_owned(), ..SecretId::default() }
}

fn answer(status: u16, body: &str) -> Result<SecretValue, FetchError> {
    value(&Answer { status, headers: HeaderMap::new(), body: Zeroizing::new(body.as_bytes().to_vec()) }, &id())
}

#[test]
fn a_value_is_text_or_bytes_in_base64() {
    for (body, expected) in [
        (r#"{"value": "v"}"#, &b"v"[..]),
        (r#"{"value": ""}"#, b""),
        (r#"{"value": "a\nb", "version": 3}"#, b"a\nb"),
        (r#"{"value_base64": "/wD/"}"#, b"\xff\x00\xff"),
        (r#"{"value": null, "value_base64": ""}"#, b""),
    ] {
        assert_eq!(answer(200, body).unwrap().expose_bytes(), expected, "{body}");
    }
    assert!(matches!(answer(200, r#"{"value": "v"}"#), Ok(SecretValue::Text(_))));
    assert!(matches!(answer(200, r#"{"value_base64": ""}"#), Ok(SecretValue::Binary(_))));
}

#[test]
fn a_secret_without_a_value_is_empty() {
    for body in ["{}", r#"{"value": null}"#, r#"{"other": "v"}"#] {
        assert_eq!(answer(200, body).unwrap_err().class(), FailureClass::Empty, "{body}");
    }
}

#[test]
fn what_is_not_of_the_protocol_is_malformed_and_not_quoted() {
    for body in [
        "",
        "planted",
        "\"planted\"",
        "[\"planted\"]",
        r#"{"value": ["planted"]}"#,
        r#"{"value_base64": "planted*"}"#,
        r#"{"value": "planted", "value_base64": "planted"}"#,
        r#"{"value": "planted"} planted"#,
    ] {
        let error = answer(200, body).unwrap_err();
        assert_eq!(error.class(), FailureClass::Malformed, "{body}");
        assert!(!format!("{error} {error:?}").contains("planted"), "{error}");
    }
}

#[test]
fn every_status_has_its_class() {
    for (status, class) in [
        (401, FailureClass::Denied),
        (403, FailureClass::Denied),
        (429, FailureClass::Throttled),
        (408, FailureClass::Unavailable),
        (500, FailureClass::Unavailable),
        (503, FailureClass::Unavailable),
        (301, FailureClass::Unavailable),
        (307, FailureClass::Unavailable),
        (400, FailureClass::Malformed),
        (204, FailureClass::Malformed),
    ] {
        let error = answer(status, r#"{"error": {"code": "any", "message": "the server's words"}}"#).unwrap_err();
        assert_eq!(error.class(), class, "{status}: {error}");
        assert!(error.detail().contains("the server's words"), "{error}");
    }
}

#[test]
fn only_a_404_of_the_protocol_is_a_missing_secret() {
    assert_eq!(answer(404, r#"{"error": {"code": "not_found"}}"#).unwrap_err().class(), FailureClass::NotFound);
    for body in ["", "<html>", "{}", r#"{"error": {}}"#, r#"{"error": "not_found"}"#, r#"{"code": "not_found"}"#] {
        assert_eq!(answer(404, body).unwrap_err().class(), FailureClass::Unavailable, "{body}");
    }
}

#[test]
fn the_time_that_a_server_asks_for_is_passed_on_to_people() {
    let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("7"))]);
    let error = value(&Answer { status: 429, headers, body: Zeroizing::default() }, &id()).unwrap_err();
    assert!(error.detail().contains("Retry-After: 7"), "{error}");
}
