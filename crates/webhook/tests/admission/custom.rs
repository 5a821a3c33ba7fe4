//! Managers described in configuration, among the others.

use flyte_secrets_core::injectors::CustomManager;
use flyte_secrets_core::{Profile, SecretManagerType as Manager, Settings};
use flyte_secrets_webhook::admission::{Outcome, Sources};
use serde_json::{Value, json};

use crate::common::{decide, file, group_and_key, patched, pod, refusal, settings};

const MINE: Manager = Manager::Custom("Mine");

/// The manager `Mine`, before K8s.
fn described(file: Value) -> Settings {
    let description = json!({"name": "Mine", "requires": ["group", "key"], "file": file});
    let manager = CustomManager::compile(&description).manager.unwrap();
    Settings { custom: vec![manager], ..settings(Profile::Flyte2, &[MINE, Manager::K8s]) }
}

#[tokio::test]
async fn what_it_declines_is_for_the_next_manager() {
    let settings = described(json!({"annotations": {"example.com/{{id}}": "{{group|plain}}"}}));
    let pod = pod(&[group_and_key("mine", "k"), file("without-a-group"), group_and_key("a/b", "k")]);
    let admission = decide(&settings, &Sources::default(), &pod).await;
    let served: Vec<_> = admission.handled.iter().map(|one| one.served.as_ref().map(|(manager, _)| *manager)).collect();
    assert_eq!(served, [Some(MINE), Some(Manager::K8s), Some(Manager::K8s)]);
    let Outcome::Declines(reason) = &admission.handled[1].attempts[0].outcome else { panic!("{admission:?}") };
    assert_eq!(reason, "needs a group");
    let annotations = patched(&admission, &pod)["metadata"]["annotations"].clone();
    let ours: Vec<_> =
        annotations.as_object().unwrap().iter().filter(|(name, _)| name.starts_with("example")).collect();
    assert_eq!(ours.len(), 1);
    assert_eq!(ours[0].1, "mine");
}

#[tokio::test]
async fn a_refusal_names_it_with_its_reason() {
    let mut settings = described(json!({}));
    settings.managers = vec![MINE];
    let refused = decide(&settings, &Sources::default(), &pod(&[file("no-group")])).await;
    assert!(refusal(&refused).message.contains("\n  Mine: needs a group"), "{refused:?}");
}

#[tokio::test]
async fn what_it_adds_to_one_pod_is_bounded() {
    let long = "x".repeat(16_000);
    let settings = described(json!({"initContainers": [{"name": "c-{{id}}", "image": "x", "args": [long]}]}));
    let requests: Vec<_> = (0..250).map(|number| group_and_key("g", &number.to_string())).collect();
    let admission = decide(&settings, &Sources::default(), &pod(&requests)).await;
    let by_it = admission.handled.iter().filter(|one| one.served.as_ref().is_some_and(|(manager, _)| *manager == MINE));
    let by_it = by_it.count();
    assert!((150..200).contains(&by_it), "{by_it}");
}
