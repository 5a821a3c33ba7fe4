//! What Flyte 2's documentation shows a task author, with its real SDK: environments with secrets are translated as for
//! `flyte deploy`, the requests in the templates become a pod's annotations, and `a0` runs the task under the kubelet, with
//! the secrets under the names and the path that the SDK promises.

use serde_json::{Value, json};

use crate::harness::tasks::{FLYTE2, returned};
use crate::harness::{Namespace, Setup, Webhook, bed};

const KEY: &str = "planted $$ key of an API";
const PASSWORD: &str = "planted $HOME $(X) password";
const LICENSE: &str = "planted license\nünïcode\n";

async fn make_secret(namespace: &Namespace, name: &str, key: &str, value: &str) {
    let secret = json!({"metadata": {"name": name}, "stringData": {key: value}});
    namespace.api.create(&namespace.path("secrets"), &secret).await.unwrap();
}

/// Runs these tasks in one pod, which asks for what each of them asks for.
async fn run(namespace: &Namespace, tasks: &[&str]) -> Vec<Value> {
    let tasks: Vec<String> = tasks.iter().map(|task| format!("flyte2_tasks.{task}")).collect();
    let tasks: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let jobs: Vec<Value> = tasks.iter().map(|task| FLYTE2.job(task)).collect();
    FLYTE2.start_pod(namespace, "tasks", &tasks, &jobs).await;
    returned(namespace, "tasks").await
}

#[tokio::test]
async fn tasks_of_the_sdk_find_secrets_that_were_stored_by_name() {
    bed().with_node();
    let (namespace, store) = (bed().namespace("flyte2").await, bed().namespace("flyte2-store").await);
    let stores = json!({"type": "K8s", "k8sConfig": {"namespace": store.name}});
    let setup = json!({
        "profile": "flyte2", "secretManagerTypes": ["Embedded"], "delivery": "SecretRef",
        "embeddedSecretManagerConfig": stores,
    });
    let _webhook = Webhook::start(&namespace, Setup::with(setup)).await;
    // Names made with md5sum of the ids, as the Secret service calls them.
    for (name, key, value) in [
        ("ac9d663f62111278db4b0bf1b21619df", "api-key", KEY),
        ("16b1059a48f77fe2161c7a5e23743112", "user_password", PASSWORD),
        ("4ce6e6c0014164f33fadefc1650b39e2", "License", LICENSE),
    ] {
        let id = format!("u__org__flyte__domain__development__project__flytesnacks__key__{key}");
        make_secret(&store, name, &id, value).await;
    }

    let results = run(&namespace, &["its_name_is_the_variable", "variables", "file"]).await;

    assert_eq!(results[0], json!([KEY]));
    assert_eq!(results[1], json!([PASSWORD, KEY]), "Embedded knows no groups, but the variable is named after one");
    assert_eq!(results[2], json!(["/etc/flyte/secrets/License", LICENSE]));
}

#[tokio::test]
async fn tasks_of_the_sdk_find_kubernetes_secrets() {
    bed().with_node();
    let namespace = bed().namespace("flyte2-k8s").await;
    let setup = json!({"profile": "flyte2", "secretManagerTypes": ["K8s"]});
    let _webhook = Webhook::start(&namespace, Setup::with(setup)).await;
    // A request without a group is for the Secret that is called like the key's MD5, made with md5sum.
    make_secret(&namespace, "3dc5f12d6f3462bb960a152bf73f2e81", "api-key", KEY).await;
    make_secret(&namespace, "user-info", "user_password", PASSWORD).await;
    make_secret(&namespace, "certificates", "License", LICENSE).await;

    let results = run(&namespace, &["its_name_is_the_variable", "variable_and_file_of_groups"]).await;

    assert_eq!(results[0], json!([KEY]));
    assert_eq!(results[1], json!([PASSWORD, "/etc/flyte/secrets/certificates/license", LICENSE]));
}

#[tokio::test]
async fn the_requests_of_an_environment_and_its_annotations_are_those_of_our_own_command() {
    assert_eq!(FLYTE2.templates().len(), 4);
    for (name, template) in FLYTE2.templates() {
        template.annotations_are_ours(name).await;
    }
}
