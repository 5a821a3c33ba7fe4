#![allow(clippy::unwrap_used)]

use reqwest::header::HeaderMap;

use super::super::settings::{TokenSource, VaultAuth};
use super::*;

fn id(name: &str) -> SecretId {
    SecretId { org: "flyte".to_owned(), name: name.to_owned(), ..SecretId::default() }
}

fn reader(kv_version: KvVersion) -> Reader {
    let auth = VaultAuth::Token(TokenSource::Environment);
    let settings = VaultSettings { kv_version, path_prefix: "team".to_owned(), ..VaultSettings::new("", auth) };
    Reader::new(&settings)
}

fn answer(status: u16, body: &str) -> Answer {
    Answer { status, headers: HeaderMap::new(), body: Zeroizing::new(body.as_bytes().to_vec()) }
}

fn v1(status: u16, body: &str) -> Result<SecretValue, FetchError> {
    reader(KvVersion::V1).value(&answer(status, body), &id("k"))
}

fn v2(status: u16, body: &str) -> Result<SecretValue, FetchError> {
    reader(KvVersion::V2).value(&answer(status, body), &id("k"))
}

#[test]
fn the_field_is_text_or_bytes_in_base64_in_both_versions() {
    for (fields, expected) in [
        (r#"{"value": "v"}"#, &b"v"[..]),
        (r#"{"value": "", "other": 5}"#, b""),
        (r#"{"value_base64": "/wD/", "other": {"a": []}}"#, b"\xff\x00\xff"),
        (r#"{"value": "a\u00e9\n\"b"}"#, "a\u{e9}\n\"b".as_bytes()),
    ] {
        let one = v1(200, &format!(r#"{{"request_id": "r", "lease_duration": 2764800, "data": {fields}}}"#));
        let two =
            v2(200, &format!(r#"{{"request_id": "r", "data": {{"data": {fields}, "metadata": {{"version": 1}}}}}}"#));
        assert_eq!(one.unwrap().expose_bytes(), expected, "{fields}");
        assert_eq!(two.unwrap().expose_bytes(), expected, "{fields}");
    }
}

#[test]
fn a_secret_without_the_field_is_empty_and_the_fields_are_named() {
    let error = v2(200, r#"{"data": {"data": {"password": "planted"}}}"#).unwrap_err();
    assert_eq!(error.class(), FailureClass::Empty);
    assert!(error.detail().contains("neither a field value nor value_base64"), "{error}");
    assert!(!error.detail().contains("planted"), "{error}");
}

#[test]
fn what_is_no_secret_of_the_engine_is_malformed_and_not_quoted() {
    for body in [
        "planted",
        "[\"planted\"]",
        r#"{"data": "planted"}"#,
        r#"{"data": null}"#,
        r#"{"data": {"data": {"value": ["planted"]}}}"#,
        r#"{"data": {"data": {"value": 5}}}"#,
        r#"{"data": {"data": {"value_base64": "planted*"}}}"#,
        r#"{"data": {"data": {"value": "planted", "value_base64": "cGxhbnRlZA=="}}}"#,
    ] {
        let error = v2(200, body).unwrap_err();
        assert_eq!(error.class(), FailureClass::Malformed, "{body}");
        assert!(!format!("{error} {error:?}").contains("planted"), "{error}");
    }
}

#[test]
fn a_missing_and_a_deleted_secret_are_not_found() {
    let deleted = r#"{"request_id": "r", "data": {"data": null, "metadata": {"deletion_time": "2026-01-01T00:00:00Z"}}, "warnings": null}"#;
    for body in [r#"{"errors":[]}"#, deleted] {
        assert_eq!(v2(404, body).unwrap_err().class(), FailureClass::NotFound, "{body}");
    }
    assert_eq!(v1(404, r#"{"errors":[]}"#).unwrap_err().class(), FailureClass::NotFound);
}

#[test]
fn a_404_that_speaks_of_the_engine_is_not_a_missing_secret() {
    let no_mount = r#"{"errors":["no handler for route \"secret/data/x\". route entry not found."]}"#;
    let other_version =
        r#"{"request_id": "r", "data": null, "warnings": ["Invalid path for a versioned K/V secrets engine."]}"#;
    for (body, advice) in [(no_mount, "set mount"), (other_version, "set kvVersion"), ("<html>", "no Vault answers")] {
        let error = v1(404, body).unwrap_err();
        assert_eq!(error.class(), FailureClass::Unavailable, "{error}");
        assert!(error.detail().contains(advice), "{error}");
    }
}

#[test]
fn a_missing_permission_is_named_as_the_line_of_a_policy() {
    let error = v2(403, r#"{"errors":["1 error occurred:\n\t* permission denied\n\n"]}"#).unwrap_err();
    assert_eq!(error.class(), FailureClass::Denied);
    for part in [r#"path "secret/data/team/*" { capabilities = ["read"] }"#, "* permission denied"] {
        assert!(error.detail().contains(part), "{error}");
    }
    assert!(v1(403, "").unwrap_err().detail().contains(r#"path "secret/team/*""#));
}

#[test]
fn every_other_status_has_its_class() {
    for (status, class) in [
        (429, FailureClass::Throttled),
        (473, FailureClass::Throttled),
        (503, FailureClass::Unavailable),
        (500, FailureClass::Unavailable),
        (502, FailureClass::Unavailable),
        (472, FailureClass::Unavailable),
        (412, FailureClass::Unavailable),
        (307, FailureClass::Unavailable),
        (400, FailureClass::Malformed),
        (204, FailureClass::Malformed),
    ] {
        let error = v2(status, r#"{"errors":["Vault's words"]}"#).unwrap_err();
        assert_eq!(error.class(), class, "{status}: {error}");
        assert!(error.detail().contains("Vault's words"), "{error}");
    }
}

#[test]
fn a_name_that_vault_does_not_take_cannot_be_there() {
    let error = reader(KvVersion::V2).value(&answer(400, ""), &id("a\u{200b}b")).unwrap_err();
    assert_eq!(error.class(), FailureClass::NotFound, "{error}");
}
