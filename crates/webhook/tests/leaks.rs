//! Values go into the patch of the pod and nowhere else. Values are planted wherever one can come from, and everything
//! that comes out is searched for them.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/log.rs"]
mod log;

use std::fs;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::body::Body;
use data_encoding::{BASE64, HEXLOWER};
use flyte_secrets_core::settings::{OnCollision, OnManagerFailure, OnUnserved};
use flyte_secrets_core::{Profile, Secret, SecretManagerType as Manager, Settings};
use flyte_secrets_stores::FailureClass;
use flyte_secrets_webhook::admission::{Sources, Variables};
use flyte_secrets_webhook::metrics::Metrics;
use flyte_secrets_webhook::review::PodReviewer;
use flyte_secrets_webhook::server::{ADMISSION_PATH, ServerSettings, admission_router};
use http::{Request, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use common::{FakeStore, Reply, decide, file, group_and_key, key, pod, review_of, reviewed, settings, text};
use log::{capture, whole_log};

/// One for each place that a value can come from.
const IN_STORE: &str = "planted-text-of-the-store";
const IN_BINARY: &str = "planted-binary-\u{7}-of-the-store";
const IN_VARIABLE: &str = "planted-variable-of-the-webhook";
const IN_FILE: &str = "planted-file-of-the-webhook";
const IN_PANIC: &str = "planted-in-the-message-of-a-panic";
const IN_POD: &str = "planted-in-the-pod-by-an-earlier-pass";
const ALL: [&str; 6] = [IN_STORE, IN_BINARY, IN_VARIABLE, IN_FILE, IN_PANIC, IN_POD];

/// A value in the forms in which it could get out.
fn forms(value: &str) -> [String; 5] {
    let bytes = value.as_bytes();
    [
        value.to_owned(),
        value.escape_debug().to_string(),
        BASE64.encode(bytes).trim_end_matches('=').to_owned(),
        HEXLOWER.encode(bytes),
        // As `Debug` shows bytes.
        format!("{bytes:?}").trim_matches(['[', ']']).to_owned(),
    ]
}

#[track_caller]
fn assert_free_of_values(what: &str, text: &str) {
    for value in ALL {
        for form in forms(value) {
            assert!(!text.contains(&form), "{what} holds {form:?}");
        }
    }
}

struct Webhook {
    settings: Settings,
    sources: Sources,
    _folder: TempDir,
}

impl Webhook {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("g")).unwrap();
        fs::write(folder.path().join("g/file"), IN_FILE).unwrap();
        fs::write(folder.path().join("g/binary"), [IN_FILE.as_bytes(), b"\xff"].concat()).unwrap();
        let mut settings = settings(Profile::Flyte2, &[Manager::Global, Manager::Embedded]);
        settings.global.secrets_prefix = folder.path().to_path_buf();
        let store = FakeStore::new([
            ("text", text(IN_STORE)),
            ("other", text(&format!("{IN_STORE} of another kind"))),
            ("large", Reply::Text(IN_STORE.repeat(8000))),
            ("binary", Reply::Binary([IN_BINARY.as_bytes(), b"\xff"].concat())),
            ("panics", Reply::Panics(IN_PANIC.to_owned())),
            ("down", Reply::Fails(FailureClass::Unavailable, "because")),
        ]);
        let variables =
            Variables::new([("FLYTE_SECRET_G_VARIABLE".to_owned(), IN_VARIABLE.to_owned())], "FLYTE_SECRET_");
        let sources = Sources { variables, ..common::sources(&store) };
        Self { settings, sources, _folder: folder }
    }

    /// What comes back over HTTP, and the metrics.
    async fn asked_by_http(&self, body: Vec<u8>) -> (Value, String) {
        capture();
        let metrics = Metrics::new("flyte:");
        let settings = Arc::new(ArcSwap::from_pointee(self.settings.clone()));
        let reviewer = Arc::new(PodReviewer::new(settings, self.sources.clone(), None));
        let router = admission_router(&ServerSettings::default(), reviewer, metrics.clone());
        let request = Request::post(ADMISSION_PATH).header(header::CONTENT_TYPE, "application/json");
        let (head, body) = router.oneshot(request.body(Body::from(body)).unwrap()).await.unwrap().into_parts();
        assert_free_of_values("the head of the answer", &format!("{head:?}"));
        let body = body.collect().await.unwrap().to_bytes();
        let answer = serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body)));
        (answer, metrics.text())
    }
}

/// Requests that are served, in all the ways in which a value gets into a pod.
fn served() -> Vec<Vec<Secret>> {
    vec![
        vec![key("text"), file("text"), file("binary"), group_and_key("g", "variable"), group_and_key("g", "file")],
        // With a warning.
        ["text", "other"].map(|name| Secret { env_var: "TOKEN".into(), ..key(name) }).to_vec(),
    ]
}

/// Requests that are refused after a value was found for one of them.
fn refused() -> Vec<Vec<Secret>> {
    vec![
        vec![key("text"), key("missing")],
        vec![key("text"), key("down")],
        vec![key("text"), key("panics")],
        vec![key("binary")],
        vec![group_and_key("g", "binary")],
        vec![file("large")],
        vec![group_and_key("g", "file"), group_and_key("g", "missing")],
        vec![group_and_key("g", "variable"), group_and_key("g", "missing")],
        (0..1000).map(|number| Secret { env_var: format!("V{number}"), ..key("large") }).collect(),
    ]
}

#[tokio::test]
async fn values_stand_in_the_patch_and_in_nothing_else_that_comes_back() {
    let webhook = Webhook::new();
    for requests in served() {
        let (mut answer, metrics) =
            webhook.asked_by_http(serde_json::to_vec(&review_of(&pod(&requests))).unwrap()).await;
        let patch = answer["response"]["patch"].take();
        let patch = BASE64.decode(patch.as_str().unwrap().as_bytes()).unwrap();
        assert!(String::from_utf8(patch).unwrap().contains(IN_STORE), "the search would find it");
        assert_free_of_values("the answer beside its patch", &answer.to_string());
        assert_free_of_values("the metrics", &metrics);
    }
    assert_free_of_values("the log", &whole_log());
}

#[tokio::test]
async fn a_refusal_or_a_warning_in_its_place_holds_no_value_that_was_found() {
    let mut webhook = Webhook::new();
    for on_unserved in [OnUnserved::Refuse, OnUnserved::Admit] {
        for on_manager_failure in [OnManagerFailure::Refuse, OnManagerFailure::Next] {
            (webhook.settings.on_unserved, webhook.settings.on_manager_failure) = (on_unserved, on_manager_failure);
            for requests in refused() {
                let (answer, metrics) =
                    webhook.asked_by_http(serde_json::to_vec(&review_of(&pod(&requests))).unwrap()).await;
                assert!(answer["response"].get("patch").is_none(), "{requests:?}");
                assert_free_of_values("the refusal", &answer.to_string());
                assert_free_of_values("the metrics", &metrics);
            }
        }
    }
    webhook.settings.on_collision = OnCollision::Refuse;
    let (answer, _) = webhook.asked_by_http(serde_json::to_vec(&review_of(&pod(&served()[1]))).unwrap()).await;
    assert!(answer["response"].get("patch").is_none());
    assert_free_of_values("the refusal", &answer.to_string());
    assert_free_of_values("the log", &whole_log());
}

#[tokio::test]
async fn what_an_earlier_pass_left_in_a_pod_is_not_repeated_when_the_pod_cannot_be_read() {
    let webhook = Webhook::new();
    for (member, value) in [
        ("/spec/containers/0/env", json!(IN_POD)),
        ("/spec/containers/0/env/0", json!(IN_POD)),
        ("/spec/containers", json!([{"env": [{"name": [IN_POD]}]}])),
        ("/metadata", json!(IN_POD)),
    ] {
        let mut review = review_of(&pod(&[key("text")]));
        *review["request"]["object"].pointer_mut(member).unwrap() = value;
        let body = serde_json::to_vec(&review).unwrap();
        let cut = body[..body.len() - 20].to_vec();
        for body in [body, cut] {
            assert_free_of_values("the refusal", &webhook.asked_by_http(body).await.0.to_string());
        }
    }
    assert_free_of_values("the log", &whole_log());
}

#[tokio::test]
async fn debug_shows_names_and_no_value() {
    let webhook = Webhook::new();
    assert_free_of_values("Variables", &format!("{:?}", webhook.sources.variables));
    for requests in served().into_iter().chain(refused()) {
        let pod = pod(&requests);
        let admission = decide(&webhook.settings, &webhook.sources, &pod).await;
        // Handled, Injection and Patch stand in it.
        assert_free_of_values("Admission", &format!("{admission:?} {admission:#?}"));
        let body = serde_json::to_vec(&review_of(&pod)).unwrap();
        let told = reviewed(&webhook.settings, &webhook.sources, &body).await;
        assert_free_of_values("Reviewed::reason", told.reason.as_deref().unwrap_or_default());
        assert_free_of_values("Reviewed", &debug_with_text(&format!("{told:?}")));
    }
}

/// `Debug` of bytes is a list of numbers; a patch in base64 hides in it. This is what the numbers spell, patches decoded.
fn debug_with_text(debug: &str) -> String {
    let numbers = debug.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse::<u8>().ok());
    let spelled = String::from_utf8_lossy(&numbers.collect::<Vec<u8>>()).into_owned();
    let patch = spelled.split_once("\"patch\":\"").and_then(|(_, rest)| rest.split_once('"'));
    let patch = patch.and_then(|(patch, _)| BASE64.decode(patch.as_bytes()).ok()).unwrap_or_default();
    format!("{debug}{spelled}{}", String::from_utf8_lossy(&patch))
}
