//! Init containers of ours in a namespace that enforces the Pod Security Standard `restricted`.

use serde_json::{Value, json};

use crate::harness::pod::container;
use crate::harness::webhook::local_store;
use crate::harness::{Namespace, Setup, Webhook, bed, request, task_pod};

/// A pod that meets the standard by itself, and asks for a file.
fn pod(group: &str, key: &str) -> Value {
    let mut pod = task_pod(key, &[request(&[("group", group), ("key", key), ("mount_requirement", "FILE")])]);
    pod["spec"]["securityContext"] = json!({"runAsUser": 1000});
    pod["spec"]["containers"][0]["securityContext"] = json!({
        "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": true,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    pod
}

async fn enforce_restricted(namespace: &Namespace) {
    let path = format!("/api/v1/namespaces/{}", namespace.name);
    let mut object = namespace.api.get(&path).await.unwrap();
    object["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = json!("restricted");
    namespace.api.replace(&path, &object).await.unwrap();
}

#[tokio::test]
async fn with_restricted_pods_with_our_init_containers_are_admitted_where_that_is_enforced_and_else_not() {
    let fetched = pod("arn:aws:secretsmanager:eu-west-1:1:secret", "fetched");
    let stored = pod("", "stored");
    for (form, admitted) in [("Restricted", true), ("None", false)] {
        let namespace = bed().namespace("restricted").await;
        let setup = Setup::with(json!({
            "secretManagerTypes": ["Embedded", "AWS"], "embeddedSecretManagerConfig": local_store(),
            "initContainerSecurityContext": form,
        }));
        let webhook = Webhook::start(&namespace, setup).await;
        webhook.import(&json!({"u__org__flyte__domain____project____key__stored": "planted"})).await;
        enforce_restricted(&namespace).await;

        for (pod, name) in [(&fetched, "aws-pull-secret-0"), (&stored, "init-embedded-secret")] {
            match (namespace.create_pod(pod).await, admitted) {
                (Ok(stored), true) => {
                    assert_eq!(container(&stored, name)["securityContext"]["runAsNonRoot"], true, "{stored}");
                }
                (Err(refusal), false) => {
                    assert!(refusal.message.contains("violates PodSecurity \"restricted"), "{}", refusal.message);
                    assert!(refusal.message.contains(name), "{}", refusal.message);
                }
                (outcome, _) => panic!("{form}, {name}: {outcome:?}"),
            }
        }
    }
}
