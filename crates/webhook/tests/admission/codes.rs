//! 400 where asking again gives the same answer, 503 where it may not.

use flyte_secrets_core::settings::OnManagerFailure;
use flyte_secrets_core::{Profile, SecretManagerType as Manager};
use flyte_secrets_stores::FailureClass;
use flyte_secrets_webhook::admission::{Code, Decision, Sources};
use serde_json::json;

use crate::common::{FakeStore, Reply, decide, group_and_key, key, patched, pod, refusal, settings, sources};

/// What a store can answer, and whether asking again may help.
const CLASSES: [(FailureClass, bool); 7] = [
    (FailureClass::NotFound, false),
    (FailureClass::Empty, false),
    (FailureClass::Denied, false),
    (FailureClass::Throttled, true),
    (FailureClass::Unavailable, true),
    (FailureClass::Malformed, true),
    (FailureClass::Late, true),
];

#[tokio::test]
async fn the_class_of_a_stores_failure_decides_about_the_code() {
    let settings = settings(Profile::Flyte2, &[Manager::Global, Manager::Embedded]);
    for (class, retryable) in CLASSES {
        let store = FakeStore::new([("a", Reply::Fails(class, "because"))]);
        let admission = decide(&settings, &sources(&store), &pod(&[key("a")])).await;
        let expected = if retryable { Code::Unavailable } else { Code::BadRequest };
        assert_eq!(refusal(&admission).code, expected, "{class}");
    }
}

#[tokio::test]
async fn a_failure_that_may_pass_refuses_the_pod_and_asks_nobody_else() {
    let settings = settings(Profile::Flyte2, &[Manager::Global, Manager::Embedded, Manager::K8s]);
    for (class, retryable) in CLASSES {
        let store = FakeStore::new([("a", Reply::Fails(class, "because"))]);
        let admission = decide(&settings, &sources(&store), &pod(&[key("a")])).await;
        match admission.decision {
            Decision::Refused(refusal) => assert_eq!((retryable, refusal.code), (true, Code::Unavailable), "{class}"),
            Decision::Patched(_) => assert!(!retryable, "{class}"),
            other => panic!("{class}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn with_on_manager_failure_next_the_managers_behind_are_asked_as_in_flyte() {
    let mut settings = settings(Profile::Flyte2, &[Manager::Global, Manager::Embedded, Manager::K8s]);
    settings.on_manager_failure = OnManagerFailure::Next;
    for (class, _) in CLASSES {
        let store = FakeStore::new([("a", Reply::Fails(class, "because"))]);
        let admission = decide(&settings, &sources(&store), &pod(&[key("a")])).await;
        assert_eq!(admission.handled[0].served.as_ref().map(|(manager, _)| *manager), Some(Manager::K8s), "{class}");
    }
}

#[tokio::test]
async fn with_on_manager_failure_next_a_failure_is_still_worth_asking_again_when_nobody_serves() {
    let mut settings = settings(Profile::Flyte2, &[Manager::Embedded, Manager::Aws]);
    settings.on_manager_failure = OnManagerFailure::Next;
    let store = FakeStore::new([("a", Reply::Fails(FailureClass::Unavailable, "because"))]);
    let admission = decide(&settings, &sources(&store), &pod(&[key("a")])).await;
    assert_eq!(refusal(&admission).code, Code::Unavailable);
}

#[tokio::test]
async fn one_hopeless_request_among_failing_ones_is_not_asked_again_for_ever() {
    let settings = settings(Profile::Flyte2, &[Manager::Embedded]);
    let store = FakeStore::new([
        ("down", Reply::Fails(FailureClass::Unavailable, "because")),
        ("late", Reply::Fails(FailureClass::Late, "because")),
    ]);
    let failing = decide(&settings, &sources(&store), &pod(&[key("down"), key("late")])).await;
    assert_eq!(refusal(&failing).code, Code::Unavailable);
    for requests in [[key("down"), key("missing"), key("late")], [key("missing"), key("down"), key("late")]] {
        let admission = decide(&settings, &sources(&store), &pod(&requests)).await;
        assert_eq!(refusal(&admission).code, Code::BadRequest, "{}", refusal(&admission).message);
    }
}

#[tokio::test]
async fn a_store_that_panics_is_a_failure_of_ours_that_names_the_request_alone() {
    let settings = settings(Profile::Flyte2, &[Manager::Embedded]);
    let store = FakeStore::new([("a", Reply::Panics("hunter2".to_owned()))]);
    let admission = decide(&settings, &sources(&store), &pod(&[key("a")])).await;
    let refusal = refusal(&admission);
    assert_eq!(refusal.code, Code::Unavailable);
    assert!(refusal.message.contains(r#"[key:"a"]"#) && !refusal.message.contains("hunter2"), "{}", refusal.message);
}

#[tokio::test]
async fn volumes_that_take_the_place_of_ours_are_the_pods_mistake() {
    let settings = settings(Profile::Flyte2, &[Manager::K8s]);
    let mut pod = pod(&[group_and_key("g", "k")]);
    let first = patched(&decide(&settings, &Sources::default(), &pod).await, &pod);
    let name = first["spec"]["volumes"][0]["name"].clone();
    pod["spec"]["volumes"] = json!([{"name": name, "emptyDir": {}}]);
    let second = patched(&decide(&settings, &Sources::default(), &pod).await, &pod);
    let fallback = second["spec"]["volumes"][1]["name"].clone();
    pod["spec"]["volumes"] = json!([{"name": name, "emptyDir": {}}, {"name": fallback, "emptyDir": {}}]);
    let admission = decide(&settings, &Sources::default(), &pod).await;
    assert_eq!(refusal(&admission).code, Code::BadRequest);
    assert!(refusal(&admission).message.contains("rename one of them"));
}
