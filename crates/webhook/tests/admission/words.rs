//! What a refusal says.

use flyte_secrets_core::annotations::base32_name;
use flyte_secrets_core::settings::{OnCollision, OnManagerFailure};
use flyte_secrets_core::{MountRequirement, Profile, Secret, SecretManagerType as Manager};
use flyte_secrets_stores::FailureClass;
use flyte_secrets_webhook::admission::Sources;
use serde_json::json;

use crate::common::{FakeStore, Reply, decide, group_and_key, key, pod, refusal, settings, sources};

#[tokio::test]
async fn a_refusal_names_the_request_as_written_its_annotation_every_managers_reason_and_the_way_out() {
    let store = FakeStore::new([]);
    let settings = settings(Profile::Flyte2, &[Manager::Global, Manager::Embedded, Manager::Aws]);
    let request = Secret {
        mount_requirement: MountRequirement::ENV_VAR,
        env_var: "TOKEN".into(),
        ..group_and_key("g", "My_Key")
    };
    let admission = decide(&settings, &sources(&store), &pod(&[request])).await;
    let message = &refusal(&admission).message;
    let written = r#"group:"g" key:"My_Key" mount_requirement:ENV_VAR env_var:"TOKEN""#;
    assert!(
        message.starts_with(&format!(
            "none of the secret managers injected secret [{written}] into pod development/task-0:"
        )),
        "{message}"
    );
    for part in [
        &*format!("request [{written}] (annotation flyte.secrets/s0):"),
        "Global: found neither the variable \"FLYTE_SECRET_G_MY_KEY\" nor the file \"/nowhere/secrets/g/My_Key\"",
        "Embedded: secret \"My_Key\": not found; asked fake store for u__org__flyte__domain__development__project__flytesnacks__key__My_Key",
        "AWS: brings secrets as files only; ask for mount_requirement FILE or ANY",
        "Create the secret where one of these managers looks, or change the request",
    ] {
        assert!(message.contains(part), "{part}\nis not in\n{message}");
    }
}

#[tokio::test]
async fn every_request_that_is_not_served_is_told_and_none_that_is() {
    let settings = settings(Profile::Flyte2, &[Manager::K8s]);
    let odd = MountRequirement::from_number(7);
    let requests = [
        Secret { mount_requirement: odd, ..key("first") },
        key("served"),
        Secret { mount_requirement: odd, ..key("last") },
    ];
    let admission = decide(&settings, &Sources::default(), &pod(&requests)).await;
    let message = &refusal(&admission).message;
    assert!(message.contains("(annotation flyte.secrets/s0)") && message.contains("(annotation flyte.secrets/s2)"));
    assert!(!message.contains("served\"") && !message.contains("flyte.secrets/s1"), "{message}");
}

#[tokio::test]
async fn an_undecodable_request_is_told_with_its_annotation_its_place_and_the_tool_that_writes_it() {
    let mut pod = pod(&[]);
    pod["metadata"]["annotations"] = json!({"flyte.secrets/s0": base32_name("kee: \"a\"")});
    let admission = decide(&settings(Profile::Flyte2, &[Manager::K8s]), &Sources::default(), &pod).await;
    let message = &refusal(&admission).message;
    assert!(message.starts_with("failed to unmarshal secrets from pod annotations: annotation flyte.secrets/s0: "));
    for part in ["line 1, column 1", "unknown field `kee`", "development/task-0", "flyte-secrets annotations encode"] {
        assert!(message.contains(part), "{part}\nis not in\n{message}");
    }
}

#[tokio::test]
async fn a_failure_that_may_pass_says_so() {
    let store = FakeStore::new([("a", Reply::Fails(FailureClass::Throttled, "ask again in a minute"))]);
    let mut settings = settings(Profile::Flyte2, &[Manager::Embedded, Manager::Aws]);
    let admission = decide(&settings, &sources(&store), &pod(&[key("a")])).await;
    let message = &refusal(&admission).message;
    assert!(message.contains("Embedded: failed, secret \"a\": throttled") && message.contains("ask again in a minute"));
    assert!(message.ends_with("This may pass: try again.") && !message.contains("AWS"), "{message}");

    settings.on_manager_failure = OnManagerFailure::Next;
    let admission = decide(&settings, &sources(&store), &pod(&[key("a")])).await;
    let message = &refusal(&admission).message;
    assert!(message.contains("Embedded: failed, ") && message.contains("AWS: needs a group"), "{message}");
}

#[tokio::test]
async fn a_collision_is_told_with_both_requests_and_the_way_out() {
    let mut settings = settings(Profile::Flyte2, &[Manager::K8s]);
    settings.on_collision = OnCollision::Refuse;
    let env = |group| Secret {
        mount_requirement: MountRequirement::ENV_VAR,
        env_var: "TOKEN".into(),
        ..group_and_key(group, "k")
    };
    let admission = decide(&settings, &Sources::default(), &pod(&[env("one"), env("two")])).await;
    let message = &refusal(&admission).message;
    for part in ["development/task-0", r#"[group:"one""#, r#"[group:"two""#, "variable TOKEN", "another env_var"] {
        assert!(message.contains(part), "{part}\nis not in\n{message}");
    }
}

#[tokio::test]
async fn a_message_is_bounded_and_its_way_out_survives() {
    let settings = settings(Profile::Flyte2, &[Manager::Global, Manager::Aws, Manager::Gcp, Manager::Azure]);
    let many: Vec<Secret> = (0..1000).map(|number| key(&format!("{number}-{}", "k".repeat(700)))).collect();
    let huge = vec![group_and_key(&"\u{1}".repeat(50_000), &"ü".repeat(50_000))];
    for (requests, told) in [(many, "more requests"), (huge, "…")] {
        let admission = decide(&settings, &Sources::default(), &pod(&requests)).await;
        let message = &refusal(&admission).message;
        assert!(message.len() <= 8 * 1024, "{} bytes", message.len());
        assert!(message.contains(told), "{message}");
        assert!(message.contains("annotation flyte.secrets/s0"), "{message}");
        assert!(message.ends_with("so that one of them can serve it."), "{message}");
    }
}

#[tokio::test]
async fn nothing_from_a_pod_or_a_store_makes_a_line_or_moves_a_terminals_cursor() {
    const FORGED: &str = "a\n  K8s: serves it\u{1b}[31m\u{202e}\u{85}";
    let store = FakeStore::new([(FORGED, Reply::Fails(FailureClass::Denied, "no\n  K8s: serves it"))]);
    let settings = settings(Profile::Flyte2, &[Manager::Global, Manager::Embedded, Manager::Aws]);
    let mut pod = pod(&[key(FORGED), group_and_key(FORGED, FORGED)]);
    pod["metadata"]["name"] = json!(FORGED);
    let value = pod["metadata"]["annotations"]["flyte.secrets/s0"].clone();
    pod["metadata"]["annotations"][format!("flyte.secrets/s{FORGED}")] = value;
    let admission = decide(&settings, &sources(&store), &pod).await;
    let message = &refusal(&admission).message;
    assert!(message.lines().all(|line| line.trim() != "K8s: serves it"), "{message}");
    assert!(!message.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{message:?}");
    assert!(message.contains(r"\u{1b}[31m"), "what was escaped can still be read: {message}");
}

#[tokio::test]
async fn a_pod_without_a_name_is_told_by_what_its_name_will_begin_with() {
    let mut pod = pod(&[group_and_key("g", "k")]);
    pod["metadata"]["name"] = json!(null);
    pod["metadata"]["generateName"] = json!("task-");
    let admission = decide(&settings(Profile::Flyte2, &[Manager::Global]), &Sources::default(), &pod).await;
    assert!(refusal(&admission).message.contains("into pod development/task-:"));
}
