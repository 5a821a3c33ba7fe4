//! Every codec against results of Flyte's own functions (`testdata/codecs.json`).
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use flyte_secrets_core::annotations::{self, MAX_ENCODED_LENGTH};
use flyte_secrets_core::azure_key_vault;
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::value::SecretValue;
use flyte_secrets_core::{MountRequirement, Secret, image_pull, secret_name, text_format};
use secrecy::ExposeSecret;
use serde_json::Value;

fn vectors(section: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("../testdata/codecs.json")).unwrap();
    all[section].clone()
}

fn cases(section: &str) -> Vec<Value> {
    let cases = vectors(section).as_array().unwrap().clone();
    assert!(!cases.is_empty(), "{section} is empty");
    cases
}

fn text<'a>(case: &'a Value, member: &str) -> &'a str {
    case[member].as_str().unwrap_or_default()
}

fn secret(value: &Value) -> Secret {
    let number = value["mount_requirement"].as_i64().unwrap_or_default();
    Secret {
        group: text(value, "group").to_owned(),
        group_version: text(value, "group_version").to_owned(),
        key: text(value, "key").to_owned(),
        mount_requirement: MountRequirement::from_number(i32::try_from(number).unwrap()),
        env_var: text(value, "env_var").to_owned(),
    }
}

fn key(key: &str) -> Option<Secret> {
    Some(Secret { key: key.to_owned(), ..Secret::default() })
}

fn id(value: &Value) -> SecretId {
    SecretId {
        org: text(value, "org").to_owned(),
        domain: text(value, "domain").to_owned(),
        project: text(value, "project").to_owned(),
        name: text(value, "name").to_owned(),
    }
}

/// Where our reader departs from Flyte's on purpose (`docs/differences.md`): the case, and what it is with us.
fn departures() -> BTreeMap<&'static str, Option<Secret>> {
    BTreeMap::from([
        ("octal ascii", key("\u{1}\nS")),
        ("hex one digit", key("\tz")),
        ("unicode surrogate pair", key("😀")),
        ("unicode lone surrogate", None),
        ("invalid utf-8 by hex", None),
        ("raw invalid utf-8", None),
        ("raw nul", None),
    ])
}

#[test]
fn annotations_are_read_as_by_flyte_but_for_the_departures() {
    let mut departures = departures();
    for case in cases("annotation_decode") {
        let name = text(&case, "name");
        let flytes = case.get("error").is_none().then(|| secret(&case["secret"]));
        let ours = annotations::decode(text(&case, "annotation")).ok();
        match departures.remove(name) {
            Some(expected) => assert_eq!(ours, expected, "{name}"),
            None => assert_eq!(ours, flytes, "{name}"),
        }
    }
    assert!(departures.is_empty(), "not among the vectors: {departures:?}");
}

#[test]
fn annotations_are_written_as_by_flyte() {
    for case in cases("annotation_encode") {
        let secret = secret(&case["secret"]);
        let expected = case.get("error").is_none().then(|| text(&case, "annotation").to_owned());
        assert_eq!(annotations::encode(&secret).ok(), expected, "{secret}");
        if expected.is_some() {
            assert_eq!(text_format::write(&secret), text(&case, "text"));
            assert_eq!(annotations::decode(text(&case, "annotation")).unwrap(), secret);
        }
    }
}

#[test]
fn a_written_string_that_is_not_utf_8_is_an_error() {
    let case = vectors("annotation_encode_invalid_utf8");
    let problem = text_format::parse(text(&case, "text").as_bytes()).unwrap_err().problem;
    assert_eq!(problem, text_format::Problem::NotUtf8);
}

#[test]
fn annotations_are_numbered_from_zero() {
    let keys = vectors("annotation_keys");
    let keys = keys.as_object().unwrap();
    let secrets: Vec<Secret> = (0..keys.len()).map(|number| key(&format!("k{number}")).unwrap()).collect();
    let written = annotations::encode_all(&secrets).unwrap();
    assert_eq!(written.len(), keys.len());
    for (name, value) in &written {
        assert_eq!(keys[name], *value, "{name}");
    }
    // The map is sorted by name, s10 before s2; reading gives the order of the numbers back.
    let read = annotations::requests(keys.iter().map(|(name, value)| (name.as_str(), text_of(value)))).unwrap();
    assert_eq!(read.into_iter().map(|request| request.secret).collect::<Vec<_>>(), secrets);
}

#[test]
fn the_longest_annotation_is_written_and_a_longer_one_refused() {
    let limit = vectors("annotation_size_limit");
    let longest = usize::try_from(limit["longest_ascii_key"].as_u64().unwrap()).unwrap();
    let written = annotations::encode(&key(&"k".repeat(longest)).unwrap()).unwrap();
    assert_eq!(written.len(), MAX_ENCODED_LENGTH);
    assert_eq!(limit["its_annotation_length"], MAX_ENCODED_LENGTH);
    let error = annotations::encode(&key(&"k".repeat(longest + 1)).unwrap()).unwrap_err();
    assert!(matches!(error, annotations::EncodeError::TooLong { length } if length > MAX_ENCODED_LENGTH));
}

#[test]
fn other_writers_are_understood() {
    for case in cases("other_writer_samples") {
        assert_eq!(text_format::parse(text(&case, "text").as_bytes()).unwrap(), secret(&case["secret"]));
    }
}

#[test]
fn names_of_volumes_are_base32() {
    for case in cases("base32_names") {
        assert_eq!(annotations::base32_name(text(&case, "of")), text(&case, "is"));
    }
}

#[test]
fn ids_are_encoded() {
    for case in cases("secret_id_encode") {
        let id = id(&case);
        assert_eq!(id.to_string(), text(&case, "id"));
        assert_eq!(id.prefix(), text(&case, "prefix"));
        assert!(id.to_string().starts_with(&id.prefix()));
        // What cannot be decoded is exactly what we decline.
        let decodable = case.get("decode_error").is_none();
        assert_eq!(SecretId::decode(text(&case, "id")).is_ok(), decodable, "{id}");
        assert_eq!(id.check_components().is_ok(), decodable, "{id}");
    }
}

#[test]
fn ids_are_decoded() {
    for case in cases("secret_id_decode") {
        let expected = case.get("decoded").map(id);
        assert_eq!(SecretId::decode(text(&case, "id")).ok(), expected, "{}", case["id"]);
    }
}

#[test]
fn scopes_go_from_the_project_to_the_organization() {
    let id = SecretId::decode("u__org__o__domain__d__project__p__key__k").unwrap();
    assert_eq!(
        id.scopes().map(|scope| scope.to_string()),
        [
            "u__org__o__domain__d__project__p__key__k",
            "u__org__o__domain__d__project____key__k",
            "u__org__o__domain____project____key__k",
        ]
    );
}

#[test]
fn an_ambiguous_component_is_named() {
    let plain = SecretId { org: "o".into(), domain: "d".into(), project: "p".into(), name: "k__".into() };
    assert_eq!(plain.check_components(), Ok(()));
    assert_eq!(SecretId { org: "_o_x".into(), ..plain.clone() }.check_components(), Ok(()));
    let ambiguous = [
        (SecretId { org: "a__b".into(), ..plain.clone() }, "organization"),
        (SecretId { domain: "d_".into(), ..plain.clone() }, "domain"),
        (SecretId { project: "__".into(), ..plain.clone() }, "project"),
    ];
    for (id, component) in ambiguous {
        assert_eq!(id.check_components().unwrap_err().component, component);
    }
}

#[test]
fn names_in_azure_key_vault_are_encoded() {
    for case in cases("azure_name_encode") {
        let expected = case.get("error").is_none().then(|| text(&case, "azure_name").to_owned());
        let id = SecretId::decode(text(&case, "id")).ok();
        let ours = id.and_then(|id| azure_key_vault::encode_name(&id).ok());
        assert_eq!(ours, expected, "{}", case["id"]);
        if let Some(name) = ours {
            assert_eq!(azure_key_vault::decode_name(&name).unwrap().to_string(), text(&case, "decoded"));
        }
    }
}

#[test]
fn names_in_azure_key_vault_are_decoded() {
    for case in cases("azure_name_decode") {
        let expected = case.get("id").map(|id| id.as_str().unwrap().to_owned());
        let ours = azure_key_vault::decode_name(text(&case, "azure_name")).ok();
        assert_eq!(ours.map(|id| id.to_string()), expected, "{}", case["azure_name"]);
    }
}

/// The value of a case: `string` or `binary_base64`.
fn value(case: &Value) -> Option<SecretValue> {
    let text = case.get("string").map(|text| SecretValue::text(text.as_str().unwrap().to_owned()));
    let bytes = || data_encoding::BASE64.decode(text_of(case.get("binary_base64")?).as_bytes()).ok();
    text.or_else(|| bytes().map(SecretValue::binary))
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn exposed(value: Option<&SecretValue>) -> Option<(bool, Vec<u8>)> {
    value.map(|value| (matches!(value, SecretValue::Binary(_)), value.expose_bytes().to_vec()))
}

#[test]
fn values_in_azure_key_vault_are_decoded() {
    for case in cases("azure_value_decode") {
        let ours = azure_key_vault::decode_value(text(&case, "stored")).ok();
        assert_eq!(exposed(ours.as_ref()), exposed(value(&case).as_ref()), "{}", case["stored"]);
    }
}

#[test]
fn values_in_azure_key_vault_are_encoded() {
    for case in cases("azure_value_encode") {
        let stored = azure_key_vault::encode_value(&value(&case).unwrap());
        assert_eq!(stored.expose_secret(), text(&case, "stored"));
    }
}

#[test]
fn kubernetes_secrets_are_named_by_md5() {
    for case in cases("k8s_secret_name") {
        assert_eq!(secret_name::kubernetes_secret_name(text(&case, "of")), text(&case, "is"));
    }
}

#[test]
fn image_pull_secrets_are_named_and_labelled() {
    for case in cases("image_pull") {
        let id = id(&case);
        assert_eq!(image_pull::secret_name(&id), text(&case, "k8s_name"));
        let labels = serde_json::to_value(BTreeMap::from(image_pull::labels(&id))).unwrap();
        assert_eq!(labels, case["labels"], "{id}");
    }
}
