//! How values that the webhook has read reach the container (`webhook.delivery`).

use flyte_secrets_core::settings::{AccessMode, AccessSettings, Delivery};
use flyte_secrets_core::{Profile, SecretManagerType as Manager, Settings};
use flyte_secrets_webhook::admission::{Code, Decision, Way};

use crate::common::{FakeStore, decide, file, key, pod, refusal, settings, sources, text};

fn by_reference() -> Settings {
    Settings { delivery: Delivery::SecretRef, ..settings(Profile::Flyte2, &[Manager::Embedded]) }
}

#[tokio::test]
async fn one_mirror_serves_all_variables_of_a_secret_and_another_one_its_files() {
    let store = FakeStore::new([("a", text("planted"))]);
    let mut again = key("a");
    again.env_var = "AGAIN".to_owned();
    let admission = decide(&by_reference(), &sources(&store), &pod(&[key("a"), again, file("a")])).await;
    let Decision::Patched(patch) = &admission.decision else { panic!("{:?}", admission.decision) };
    assert!(!String::from_utf8_lossy(&patch.0).contains("planted"));
    let names: Vec<&str> = admission
        .handled
        .iter()
        .map(|one| match one.way.as_ref().unwrap() {
            Way::Mirror(mirror) => mirror.name.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(names[0], names[1]);
    assert_ne!(names[0], names[2]);
}

#[tokio::test]
async fn a_value_that_no_secret_holds_is_declined() {
    let store =
        FakeStore::new([("large", text(&"x".repeat(1024 * 1024 + 1))), ("fits", text(&"x".repeat(1024 * 1024)))]);
    let admission = decide(&by_reference(), &sources(&store), &pod(&[file("large")])).await;
    let refusal = refusal(&admission);
    assert_eq!(refusal.code, Code::BadRequest);
    assert!(refusal.message.contains("more than 1 MiB"), "{}", refusal.message);
    let admission = decide(&by_reference(), &sources(&store), &pod(&[file("fits")])).await;
    assert!(matches!(admission.decision, Decision::Patched(_)), "{:?}", admission.decision);
}

#[tokio::test]
async fn a_store_is_not_asked_for_a_pod_that_the_access_policy_keeps_from_it() {
    let store = FakeStore::new([("a", text("planted"))]);
    let mut settings = by_reference();
    settings.access = AccessSettings {
        mode: AccessMode::Enforce,
        organizations: vec!["flyte".to_owned()],
        namespaces: vec!["elsewhere".to_owned()],
        ..AccessSettings::default()
    };
    let admission = decide(&settings, &sources(&store), &pod(&[key("a")])).await;
    assert_eq!(refusal(&admission).code, Code::BadRequest);
    assert_eq!(store.times_asked("a"), 0);
    assert!(admission.breach.is_some());
}
