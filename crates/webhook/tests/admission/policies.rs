//! `webhook.onUnserved` and `webhook.onCollision`.

use flyte_secrets_core::settings::{OnCollision, OnUnserved};
use flyte_secrets_core::{MountRequirement, Profile, Secret, SecretManagerType as Manager};
use flyte_secrets_stores::FailureClass;
use flyte_secrets_webhook::admission::{Code, Decision, Sources};
use serde_json::json;

use crate::common::{
    FakeStore, Reply, decide, group_and_key, key, patched, pod, refusal, settings, sources, text, variable,
};

#[tokio::test]
async fn flyte_1_admits_a_pod_that_nobody_serves_unchanged_and_warns() {
    let settings = settings(Profile::Flyte1, &[Manager::Global, Manager::K8s]);
    let mut undecodable = pod(&[]);
    undecodable["metadata"]["annotations"] = json!({"flyte.secrets/s0": "="});
    for (pod, told) in [(pod(&[key("no-group")]), "K8s: needs a group"), (undecodable, "failed to unmarshal secrets")] {
        let admission = decide(&settings, &Sources::default(), &pod).await;
        assert!(matches!(admission.decision, Decision::Unserved(_)), "{:?}", admission.decision);
        let [warning] = admission.warnings.as_slice() else { panic!("{:?}", admission.warnings) };
        assert!(warning.starts_with("admitted without its secrets: ") && warning.contains(told), "{warning}");
    }
}

#[tokio::test]
async fn one_request_that_nobody_serves_leaves_the_others_out_too() {
    let settings = settings(Profile::Flyte1, &[Manager::K8s]);
    let admission = decide(&settings, &Sources::default(), &pod(&[group_and_key("g", "k"), key("no-group")])).await;
    assert!(matches!(admission.decision, Decision::Unserved(_)));
}

#[tokio::test]
async fn a_failure_that_may_pass_is_refused_even_where_unserved_pods_are_admitted() {
    for profile in [Profile::Flyte1, Profile::Flyte2] {
        let mut settings = settings(profile, &[Manager::Embedded]);
        settings.on_unserved = OnUnserved::Admit;
        let store = FakeStore::new([("a", Reply::Fails(FailureClass::Unavailable, "because"))]);
        let admission = decide(&settings, &sources(&store), &pod(&[key("a")])).await;
        assert_eq!(refusal(&admission).code, Code::Unavailable);
        let missing = decide(&settings, &sources(&store), &pod(&[key("b")])).await;
        assert!(matches!(missing.decision, Decision::Unserved(_)));
    }
}

fn colliding() -> [Secret; 2] {
    ["first", "second"].map(|name| Secret { env_var: "TOKEN".into(), ..key(name) })
}

#[tokio::test]
async fn of_two_requests_for_one_variable_the_later_one_wins_with_a_warning() {
    let settings = settings(Profile::Flyte2, &[Manager::Embedded]);
    let store = FakeStore::new([("first", text("1")), ("second", text("2"))]);
    let pod = pod(&colliding());
    let admission = decide(&settings, &sources(&store), &pod).await;
    assert_eq!(variable(&patched(&admission, &pod), "TOKEN"), Some("2"));
    let [warning] = admission.warnings.as_slice() else { panic!("{:?}", admission.warnings) };
    assert!(warning.contains("both set the variable TOKEN"), "{warning}");
}

#[tokio::test]
async fn with_on_collision_refuse_they_are_refused() {
    let mut settings = settings(Profile::Flyte2, &[Manager::Embedded]);
    settings.on_collision = OnCollision::Refuse;
    let store = FakeStore::new([("first", text("1")), ("second", text("2"))]);
    let admission = decide(&settings, &sources(&store), &pod(&colliding())).await;
    assert_eq!(refusal(&admission).code, Code::BadRequest);
}

#[tokio::test]
async fn a_variable_of_the_pod_itself_is_no_collision() {
    let mut settings = settings(Profile::Flyte2, &[Manager::K8s]);
    settings.on_collision = OnCollision::Refuse;
    let request =
        Secret { mount_requirement: MountRequirement::ENV_VAR, env_var: "MINE".into(), ..group_and_key("g", "k") };
    let pod = pod(&[request]);
    let admission = decide(&settings, &Sources::default(), &pod).await;
    let patched = patched(&admission, &pod);
    assert_eq!(variable(&patched, "MINE"), None, "a reference stands in its place");
    assert!(admission.warnings.is_empty());
}
