//! `unregister`, and what it must not take away.

use serde_json::{Value, json};

use crate::harness::program::run;
use crate::harness::webhook::local_store;
use crate::harness::{Namespace, Setup, Webhook, bed, eventually, request, task_pod};

async fn unregister(webhook: &Webhook, arguments: &[&str]) -> String {
    let output = run(webhook.command(&[&["unregister"], arguments].concat())).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn registered(namespace: &Namespace, webhook: &Webhook) -> Option<Value> {
    namespace.api.get(&webhook.registration()).await.ok()
}

#[tokio::test]
async fn our_registration_is_deleted_and_a_second_run_finds_nothing() {
    let namespace = bed().namespace("unregister").await;
    let mut webhook = Webhook::start(&namespace, Setup::default()).await;
    webhook.terminate();
    webhook.ended().await;
    namespace.try_pod(&task_pod("t", &[])).await.unwrap_err();

    let name = &namespace.name;
    let dry = unregister(&webhook, &["--dry-run"]).await;
    assert_eq!(dry, format!("MutatingWebhookConfiguration {name}: deleted (dry run: nothing was changed)\n"));
    assert!(registered(&namespace, &webhook).await.is_some());

    assert_eq!(unregister(&webhook, &[]).await, format!("MutatingWebhookConfiguration {name}: deleted\n"));
    assert_eq!(registered(&namespace, &webhook).await, None);
    assert_eq!(unregister(&webhook, &[]).await, format!("MutatingWebhookConfiguration {name}: not there\n"));
}

#[tokio::test]
async fn webhooks_of_others_stay_and_so_does_what_flyte_has_made() {
    let namespace = bed().namespace("unregister-others").await;
    let mut webhook = Webhook::configure(&namespace.name, &namespace.name, Setup::default());
    let one = |name: &str| {
        json!({
            "name": name, "clientConfig": {"url": "https://127.0.0.1:1/"}, "failurePolicy": "Ignore",
            "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "objectSelector": {"matchLabels": {"nobody": "has-this"}},
        })
    };
    let there = json!({
        "metadata": {"name": namespace.name},
        "webhooks": [one("flyte-pod-webhook.flyte.org"), one("other.example.com")],
    });
    let path = webhook.registration();
    let configurations = path.rsplit_once('/').unwrap().0;
    namespace.api.create(&format!("{configurations}?fieldManager=flytepropeller"), &there).await.unwrap();
    let text = unregister(&webhook, &[]).await;
    assert!(text.contains("made by flytepropeller, not by us; left alone"), "{text}");
    assert_eq!(registered(&namespace, &webhook).await.unwrap()["webhooks"].as_array().unwrap().len(), 2);

    webhook.init_certs().await;
    webhook.spawn();
    webhook.ready().await;
    webhook.terminate();
    webhook.ended().await;
    let text = unregister(&webhook, &[]).await;
    assert!(text.contains("our webhook was taken out; other.example.com stays"), "{text}");
    let left = registered(&namespace, &webhook).await.unwrap();
    assert_eq!(left["webhooks"].as_array().unwrap().len(), 1);
    assert_eq!(left["webhooks"][0]["name"], "other.example.com");
}

#[tokio::test]
async fn everything_that_an_installation_leaves_behind_can_be_removed() {
    let namespace = bed().namespace("unregister-all").await;
    let references = json!({"delivery": "SecretRef", "secretManagerTypes": ["Embedded"], "embeddedSecretManagerConfig": local_store()});
    let mut webhook = Webhook::start(&namespace, Setup::with(references)).await;
    webhook.import(&json!({"u__org__flyte__domain____project____key__k": "planted"})).await;
    let wanted = request(&[("key", "k"), ("mount_requirement", "ENV_VAR"), ("env_var", "WANTED")]);
    namespace.create_pod(&task_pod("served", &[wanted])).await.unwrap();
    let lease = format!("/apis/coordination.k8s.io/v1/namespaces/{0}/leases/{0}-leader", namespace.name);
    eventually("a leader", 20, || async { namespace.api.get(&lease).await.map_err(|error| error.message) }).await;
    assert_eq!(secrets(&namespace).await.len(), 2, "the certificate and a mirror");
    webhook.terminate();
    webhook.ended().await;
    // As it was left by a time with webhook.certificates.mode: auto.
    let authorities = json!({
        "metadata": {
            "name": format!("{}-ca", namespace.name), "labels": {"app.kubernetes.io/managed-by": "flyte-secrets"},
        },
    });
    namespace.api.create(&namespace.path("secrets"), &authorities).await.unwrap();

    let text = unregister(&webhook, &["--everything", "--mirrors"]).await;

    let name = &namespace.name;
    let expected = [
        format!("MutatingWebhookConfiguration {name}: deleted"),
        format!("Secret {name}/{name}: deleted"),
        format!("Secret {name}/{name}-ca: deleted"),
        format!("Lease {name}/{name}-leader: deleted"),
        format!("mirrors of {name}/{name}: 1 deleted"),
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    assert_eq!(secrets(&namespace).await, Vec::<Value>::new());
    namespace.api.get(&lease).await.unwrap_err();
}

async fn secrets(namespace: &Namespace) -> Vec<Value> {
    namespace.api.get(&namespace.path("secrets")).await.unwrap()["items"].as_array().unwrap().clone()
}
