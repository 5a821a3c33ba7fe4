//! The GCP store against answers as Google's documentation shows them.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

use std::time::{Duration, Instant};

use flyte_secrets_core::value::SecretValue;
use flyte_secrets_stores::gcp::{GcpSettings, GcpStore};
use flyte_secrets_stores::{FailureClass, FetchError, SecretFetcher};
use serde_json::{Value, json};

use crate::common::{Answer, Edge, PLANTED, id, in_a_process_with, run_alone, say};

#[allow(dead_code, reason = "other tests use the rest")]
mod common;
#[path = "gcp_write/edge.rs"]
mod write;

/// A store that asks the fake without credentials.
async fn store(edge: &Edge) -> GcpStore {
    store_with_timeout(edge, Duration::from_secs(30)).await
}

async fn store_with_timeout(edge: &Edge, timeout: Duration) -> GcpStore {
    let settings =
        GcpSettings { endpoint: Some(edge.url.clone()), anonymous: true, timeout, ..GcpSettings::new("my-project") };
    GcpStore::new(settings).await.unwrap()
}

async fn get(answer: Answer) -> Result<SecretValue, FetchError> {
    store(&Edge::saying(answer).await).await.get(&id("k")).await
}

fn version(payload: &Value) -> Answer {
    let name = format!("projects/1/secrets/{}/versions/1", id("k"));
    Answer::new(200, json!({"name": name, "payload": payload})).header("content-type", "application/json")
}

/// An error as Google's APIs have it (`google.rpc.Status` in JSON).
fn error(code: u16, status: &str, message: &str) -> Answer {
    Answer::new(code, json!({"error": {"code": code, "message": message, "status": status}}))
        .header("content-type", "application/json; charset=UTF-8")
}

#[tokio::test]
async fn one_question_is_one_call_for_the_latest_version_of_the_encoded_id() {
    let edge = Edge::saying(version(&json!({"data": "dg==", "dataCrc32c": "88400052"}))).await;
    let store = store(&edge).await;
    // The checksum of "v", as Google sends it: CRC32C as a number in a string.
    let sum = crc32c::crc32c(b"v");
    assert_eq!(sum, 88_400_052);
    assert_eq!(store.get(&id("k")).await.unwrap().expose_bytes(), b"v");
    let [seen] = edge.seen().try_into().unwrap();
    let name = "u__org__flyte__domain__development__project__flytesnacks__key__k";
    let path = format!("/v1/projects/my-project/secrets/{name}/versions/latest:access");
    assert_eq!((seen.method.as_str(), seen.path.split('?').next()), ("GET", Some(path.as_str())));
    assert_eq!(seen.authorization, None);
}

#[tokio::test]
async fn a_payload_is_bytes_and_may_be_empty() {
    for (payload, expected) in
        [(json!({"data": "dg=="}), &b"v"[..]), (json!({"data": "/wD/"}), b"\xff\x00\xff"), (json!({"data": ""}), b"")]
    {
        let value = get(version(&payload)).await.unwrap();
        assert!(matches!(&value, SecretValue::Binary(_)));
        assert_eq!(value.expose_bytes(), expected);
    }
    // An empty field is left out in the JSON of a protobuf message.
    assert_eq!(get(version(&json!({"dataCrc32c": "0"}))).await.unwrap().expose_bytes(), b"");
    assert_eq!(get(Answer::new(200, json!({"name": "n"}))).await.unwrap_err().class(), FailureClass::Empty);
}

#[tokio::test]
async fn a_value_that_does_not_fit_its_checksum_is_malformed() {
    let failure = get(version(&json!({"data": "cGxhbnRlZC03ZjNh", "dataCrc32c": "1"}))).await.unwrap_err();
    assert_eq!(failure.class(), FailureClass::Malformed);
    assert!(!failure.to_string().contains(PLANTED), "{failure}");
}

#[tokio::test]
async fn every_refusal_of_google_has_its_class_and_is_asked_once() {
    use FailureClass::{Denied, Empty, Late, NotFound, Throttled, Unavailable};
    let denied = "Permission 'secretmanager.versions.access' denied for resource 'projects/my-project/secrets/s/\
                  versions/latest' (or it may not exist).";
    for (code, status, message, class) in [
        (404, "NOT_FOUND", "Secret [projects/1/secrets/s] not found or has no versions.", NotFound),
        (400, "FAILED_PRECONDITION", "Secret Version [v/1] is in DISABLED state.", Empty),
        (400, "FAILED_PRECONDITION", "Secret Version [v/1] is in DESTROYED state.", Empty),
        (403, "PERMISSION_DENIED", denied, Denied),
        (401, "UNAUTHENTICATED", "Request had invalid authentication credentials.", Denied),
        (429, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Access requests'.", Throttled),
        (500, "INTERNAL", "Internal error encountered.", Unavailable),
        (503, "UNAVAILABLE", "The service is currently unavailable.", Unavailable),
        (504, "DEADLINE_EXCEEDED", "Deadline exceeded.", Late),
    ] {
        let edge = Edge::saying(error(code, status, message)).await;
        let failure = store(&edge).await.get(&id("k")).await.unwrap_err();
        assert_eq!(failure.class(), class, "{status}: {failure}");
        assert_eq!(edge.seen().len(), 1, "{status}");
        for part in [status, message] {
            assert!(failure.detail().contains(part), "{failure}");
        }
    }
}

#[tokio::test]
async fn what_is_no_answer_of_google_is_judged_by_its_status_and_never_quoted() {
    use FailureClass::{Denied, Malformed, Throttled, Unavailable};
    for (status, body, class) in [
        (200, PLANTED.to_owned(), Malformed),
        (200, format!("[\"{PLANTED}\"]"), Malformed),
        (200, format!("{{\"payload\": \"{PLANTED}\"}}"), Malformed),
        (200, format!("{{\"payload\": {{\"data\": \"{PLANTED}*\"}}}}"), Malformed),
        (200, format!("{{\"payload\": {{\"data\": \"dg==\", \"dataCrc32c\": \"{PLANTED}\"}}}}"), Malformed),
        (200, String::new(), Malformed),
        (403, format!("<html>{PLANTED}</html>"), Denied),
        (404, format!("<html>{PLANTED}</html>"), Malformed),
        (429, PLANTED.to_owned(), Throttled),
        (502, format!("<html>{PLANTED}</html>"), Unavailable),
    ] {
        let failure = get(Answer::new(status, &body)).await.unwrap_err();
        assert_eq!(failure.class(), class, "{status} {body}: {failure}");
        assert!(!format!("{failure} {failure:?}").contains(PLANTED), "{failure}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Edge::saying(version(&json!({"data": "dg=="}))).await;
    for status in [301, 302, 307, 308] {
        let failure = get(Answer::new(status, "").header("location", &other.url)).await.unwrap_err();
        assert_eq!(failure.class(), FailureClass::Malformed);
        assert!(failure.detail().contains("redirect"), "{failure}");
    }
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn a_slow_answer_is_late_after_the_time_that_is_set() {
    let begin = Instant::now();
    let edge = Edge::saying(Answer::new(200, "{}").after(Duration::from_secs(60))).await;
    let store = store_with_timeout(&edge, Duration::from_millis(500)).await;
    let failure = store.get(&id("k")).await.unwrap_err();
    assert_eq!(failure.class(), FailureClass::Late);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_and_the_error_says_why() {
    let edge = Edge::saying(Answer::new(200, "{}")).await;
    let store = store(&edge).await;
    drop(edge);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let failure = store.get(&id("k")).await.unwrap_err();
    assert_eq!(failure.class(), FailureClass::Unavailable);
    assert!(failure.detail().contains("onnection refused"), "{failure}");
}

#[tokio::test]
async fn an_id_that_no_secret_can_have_is_not_sent() {
    let edge = Edge::saying(Answer::new(200, "{}")).await;
    let store = store(&edge).await;
    for name in ["a/b", "..", "a%2fb", "a?b", "a#b", "a:destroy"] {
        assert_eq!(store.get(&id(name)).await.unwrap_err().class(), FailureClass::NotFound, "{name}");
    }
    assert!(edge.seen().is_empty());
}

#[tokio::test]
#[ignore = "started by other tests"]
async fn process_with_an_environment() {
    let logs = common::logs();
    let settings = GcpSettings {
        endpoint: std::env::var("ENDPOINT").ok(),
        anonymous: std::env::var("ANONYMOUS").is_ok(),
        timeout: Duration::from_secs(5),
        ..GcpSettings::new("my-project")
    };
    match GcpStore::new(settings).await {
        Ok(store) => say(store.get(&id("k")).await),
        Err(error) => say(Err(error)),
    }
    let text = logs.text();
    assert!(!text.contains(PLANTED), "{text}");
}

#[tokio::test]
async fn a_server_needs_a_certificate_that_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let [right, wrong] = ["right", "wrong"].map(|name| folder.path().join(name));
    let edge = Edge::start_tls(&right, |_| version(&json!({"data": "dg=="}))).await;
    let _other = Edge::start_tls(&wrong, |_| version(&json!({"data": "dg=="}))).await;
    let place = [("ENDPOINT", edge.url.as_str()), ("ANONYMOUS", "")];
    let trusting = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
    let (right, wrong) = (trusting(right), trusting(wrong));
    assert_eq!(in_a_process_with(&[&place[..], &[("SSL_CERT_FILE", &right)]].concat()).await, "v");
    let said = in_a_process_with(&[&place[..], &[("SSL_CERT_FILE", &wrong)]].concat()).await;
    assert!(said.starts_with("unavailable") && said.contains("certificate"), "{said}");
}

#[tokio::test]
async fn the_proxy_of_the_environment_is_used_but_for_hosts_that_are_named() {
    let proxy = Edge::saying(version(&json!({"data": "dg=="}))).await;
    let through = [("HTTP_PROXY", proxy.url.as_str()), ("ENDPOINT", "http://secretmanager.invalid"), ("ANONYMOUS", "")];
    assert_eq!(in_a_process_with(&through).await, "v");
    assert!(proxy.seen()[0].path.starts_with("http://secretmanager.invalid/v1/"), "{:?}", proxy.seen());
    let said = in_a_process_with(&[&through[..], &[("NO_PROXY", "secretmanager.invalid")]].concat()).await;
    assert!(said.starts_with("unavailable"), "{said}");
    assert_eq!(proxy.seen().len(), 1);
}

#[tokio::test]
async fn credentials_that_cannot_be_used_are_told_and_not_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    for (content, part) in [
        (None, "cannot be opened"),
        (Some(format!("{{{PLANTED}")), "cannot be read"),
        (Some(format!("{{\"type\": \"{PLANTED}\"}}")), "not known"),
    ] {
        if let Some(content) = content {
            std::fs::write(&file, content).unwrap();
        }
        let said = in_a_process_with(&[("GOOGLE_APPLICATION_CREDENTIALS", file.to_str().unwrap())]).await;
        assert!(said.contains(part) && !said.contains(PLANTED), "{said}");
    }
}

#[tokio::test]
async fn without_credentials_the_store_says_what_to_set() {
    // Where the metadata server is, something else answers.
    let edge = Edge::saying(Answer::new(404, "")).await;
    let metadata = edge.url.trim_start_matches("http://").to_owned();
    for (host, class) in [(metadata.as_str(), "denied"), ("127.0.0.1:9", "unavailable")] {
        let said = in_a_process_with(&[("GCE_METADATA_HOST", host), ("ENDPOINT", &edge.url)]).await;
        assert!(said.starts_with(class) && said.contains("GOOGLE_APPLICATION_CREDENTIALS"), "{host}: {said}");
    }
}

#[tokio::test]
async fn the_metadata_server_gives_the_token_and_no_log_shows_it() {
    let edge = Edge::start(|seen| {
        if seen.path.contains("/token") {
            let token = json!({"access_token": PLANTED, "expires_in": 3600, "token_type": "Bearer"});
            Answer::new(200, token).header("content-type", "application/json").header("metadata-flavor", "Google")
        } else if seen.path.contains("universe") {
            Answer::new(200, "googleapis.com").header("metadata-flavor", "Google")
        } else {
            assert_eq!(seen.authorization.as_deref(), Some(format!("Bearer {PLANTED}").as_str()));
            version(&json!({"data": "dg=="}))
        }
    })
    .await;
    let metadata = edge.url.trim_start_matches("http://").to_owned();
    assert_eq!(in_a_process_with(&[("GCE_METADATA_HOST", &metadata), ("ENDPOINT", &edge.url)]).await, "v");
}

#[tokio::test]
async fn a_planted_value_is_in_no_log_at_any_level() {
    assert_eq!(run_alone("process_that_gets_a_planted_value", &[]).await, "done");
}

#[tokio::test]
#[ignore = "started by other tests"]
async fn process_that_gets_a_planted_value() {
    let logs = common::logs();
    let good = version(&json!({"data": "cGxhbnRlZC03ZjNh"}));
    assert_eq!(get(good).await.unwrap().expose_text(), Some(PLANTED));
    let bad = Answer::new(200, format!("{{\"payload\": {{\"data\": \"{PLANTED}*\"}}}}"));
    get(bad).await.unwrap_err();
    let text = logs.text();
    assert!(text.contains("hyper_util"), "the log is on: {}", text.len());
    for form in [PLANTED, "cGxhbnRlZC03ZjNh"] {
        let lines: Vec<_> = text.lines().filter(|line| line.contains(form)).collect();
        assert!(lines.is_empty(), "{lines:#?}");
    }
    say(Err("done"));
}
