//! How often stores are asked, how many at a time, and how long.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use flyte_secrets_core::settings::OnManagerFailure;
use flyte_secrets_core::{MountRequirement, Profile, Secret, SecretManagerType as Manager};
use flyte_secrets_webhook::admission::{Code, Decision};
use serde_json::json;
use tokio::sync::Barrier;

use crate::common::{FakeStore, Reply, decide, decide_within, file, key, pod, refusal, settings, sources, text};

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("name-{number}")).collect()
}

#[tokio::test]
async fn all_requests_of_a_pod_are_looked_up_at_the_same_time() {
    let names = names(32);
    // None of them is answered before all of them have been asked.
    let together = Arc::new(Barrier::new(names.len()));
    let store = FakeStore::new(names.iter().map(|name| (name.as_str(), Reply::Together(Arc::clone(&together)))));
    let requests: Vec<Secret> = names.iter().map(|name| key(name)).collect();
    let settings = settings(Profile::Flyte2, &[Manager::Global, Manager::Embedded]);
    let admission = decide(&settings, &sources(&store), &pod(&requests)).await;
    assert!(matches!(admission.decision, Decision::Patched(_)), "{:?}", admission.decision);
    assert_eq!(store.most_at_once.load(Ordering::SeqCst), 32);
}

#[tokio::test]
async fn no_more_than_64_are_asked_at_once_and_the_rest_in_turn() {
    let names = names(200);
    let store = FakeStore::new(names.iter().map(|name| (name.as_str(), Reply::Hangs)));
    let requests: Vec<Secret> = names.iter().map(|name| key(name)).collect();
    let settings = settings(Profile::Flyte2, &[Manager::Embedded]);
    let admission = decide_within(Duration::from_millis(200), &settings, &sources(&store), &pod(&requests)).await;
    assert_eq!(store.most_at_once.load(Ordering::SeqCst), 64);
    assert_eq!(refusal(&admission).code, Code::Unavailable);
    assert_eq!(admission.handled.len(), 200, "every one of them has an answer");
}

#[tokio::test]
async fn a_store_that_hangs_is_answered_with_503_at_the_deadline() {
    let store = FakeStore::new([("slow", Reply::Hangs), ("quick", text("value"))]);
    let settings = settings(Profile::Flyte2, &[Manager::Embedded, Manager::K8s]);
    let begun = Instant::now();
    let pod = pod(&[key("slow"), key("quick")]);
    let admission = decide_within(Duration::from_millis(300), &settings, &sources(&store), &pod).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let refusal = refusal(&admission);
    assert_eq!(refusal.code, Code::Unavailable);
    for part in ["Embedded: failed, ", "asked fake store for", "did not answer before the deadline"] {
        assert!(refusal.message.contains(part), "{}", refusal.message);
    }
    assert_eq!(admission.handled[1].served.as_ref().map(|(manager, _)| *manager), Some(Manager::Embedded));
}

#[tokio::test]
async fn with_on_manager_failure_next_a_store_that_hangs_leaves_time_for_the_next_manager() {
    let store = FakeStore::new([("slow", Reply::Hangs)]);
    let mut settings = settings(Profile::Flyte2, &[Manager::Embedded, Manager::K8s]);
    settings.on_manager_failure = OnManagerFailure::Next;
    let admission = decide_within(Duration::from_millis(200), &settings, &sources(&store), &pod(&[key("slow")])).await;
    assert_eq!(admission.handled[0].served.as_ref().map(|(manager, _)| *manager), Some(Manager::K8s));
}

#[tokio::test]
async fn identical_requests_are_looked_up_once() {
    let store = FakeStore::new([("a", text("value"))]);
    let settings = settings(Profile::Flyte2, &[Manager::Global, Manager::Embedded]);
    let admission = decide(&settings, &sources(&store), &pod(&[key("a"), key("a"), key("a")])).await;
    assert_eq!((store.times_asked("a"), admission.handled.len()), (1, 1));
}

#[tokio::test]
async fn what_is_not_found_is_looked_up_in_every_scope_once() {
    let store = FakeStore::new([]);
    let settings = settings(Profile::Flyte2, &[Manager::Embedded]);
    decide(&settings, &sources(&store), &pod(&[key("a")])).await;
    let asked: Vec<String> = store.asked.lock().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(
        asked,
        [
            "u__org__flyte__domain__development__project__flytesnacks__key__a",
            "u__org__flyte__domain__development__project____key__a",
            "u__org__flyte__domain____project____key__a",
        ]
    );
}

#[tokio::test]
async fn nothing_is_looked_up_for_a_request_that_is_declined_anyway() {
    let settings = settings(Profile::Flyte2, &[Manager::Embedded]);
    let requests = [
        Secret { env_var: "A=B".into(), ..key("a") },
        Secret { mount_requirement: MountRequirement::from_number(3), ..key("a") },
        file("../a"),
        file("a=b"),
        key("ü\u{7f}"),
        key(""),
    ];
    for request in requests {
        let store = FakeStore::new([(request.key.as_str(), text("value"))]);
        let admission = decide(&settings, &sources(&store), &pod(std::slice::from_ref(&request))).await;
        assert_eq!(refusal(&admission).code, Code::BadRequest);
        assert_eq!(store.asked.lock().unwrap().len(), 0, "{request}");
    }
}

#[tokio::test]
async fn nothing_is_looked_up_without_the_labels_that_say_where() {
    let settings = settings(Profile::Flyte2, &[Manager::Embedded]);
    let store = FakeStore::new([("a", text("value"))]);
    for (label, value) in [
        ("organization", json!("")),
        ("project", json!("")),
        ("domain", json!("")),
        ("project", json!("a__b")),
        ("domain", json!("a_")),
    ] {
        let mut pod = pod(&[key("a")]);
        pod["metadata"]["labels"][label] = value;
        let admission = decide(&settings, &sources(&store), &pod).await;
        assert_eq!(refusal(&admission).code, Code::BadRequest);
        assert!(refusal(&admission).message.contains(label), "{}", refusal(&admission).message);
    }
    assert_eq!(store.asked.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn nothing_is_looked_up_for_a_pod_with_an_undecodable_request() {
    let settings = settings(Profile::Flyte2, &[Manager::Embedded]);
    let store = FakeStore::new([("a", text("value"))]);
    let mut pod = pod(&[key("a")]);
    pod["metadata"]["annotations"]["flyte.secrets/s1"] = json!("=");
    decide(&settings, &sources(&store), &pod).await;
    assert_eq!(store.asked.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn a_pod_that_asks_for_nothing_is_unchanged_and_nobody_is_asked() {
    let settings = settings(Profile::Flyte2, &[Manager::Global, Manager::Embedded]);
    let store = FakeStore::new([]);
    for pod in [pod(&[]), json!({"metadata": null, "spec": null}), json!({})] {
        let admission = decide(&settings, &sources(&store), &pod).await;
        assert!(matches!(admission.decision, Decision::Unchanged), "{:?}", admission.decision);
    }
    assert_eq!(store.asked.lock().unwrap().len(), 0);
}
