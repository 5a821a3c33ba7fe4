//! Pods that really run, and Flyte's own SDK in them.

use data_encoding::BASE64;
use serde_json::json;

use crate::harness::flytekit::{reading_pod, run};
use crate::harness::webhook::local_store;
use crate::harness::{Setup, Webhook, bed, request};

async fn kubernetes_secret_read_by_flytekit(profile: &str) {
    bed().with_node();
    let namespace = bed().namespace("kubelet").await;
    let setup = Setup::with(json!({"profile": profile, "secretManagerType": "K8s", "secretManagerTypes": ["K8s"]}));
    let _webhook = Webhook::start(&namespace, setup).await;
    let secret = json!({
        "metadata": {"name": "db"},
        "stringData": {"password": "planted password $HOME $(X) $$", "Cert.PEM": "planted certificate\n"},
    });
    namespace.api.create(&namespace.path("secrets"), &secret).await.unwrap();
    let other = json!({"metadata": {"name": "api"}, "stringData": {"token": "planted token"}});
    namespace.api.create(&namespace.path("secrets"), &other).await.unwrap();

    let requests = [
        request(&[("group", "db"), ("key", "password"), ("mount_requirement", "ENV_VAR")]),
        request(&[("group", "db"), ("key", "Cert.PEM"), ("mount_requirement", "FILE"), ("env_var", "CERTIFICATE")]),
        request(&[("group", "api"), ("group_version", "v2"), ("key", "token"), ("mount_requirement", "ENV_VAR")]),
        request(&[("group", "api"), ("group_version", "v3"), ("key", "token"), ("mount_requirement", "FILE")]),
        request(&[("group", "nobody"), ("key", "made"), ("mount_requirement", "ENV_VAR")]),
    ];
    let questions = json!([
        {"group": "db", "key": "password"},
        {"group": "db", "key": "Cert.PEM"},
        {"group": "api", "key": "token"},
        {"group": "api", "key": "token", "group_version": "v2"},
        {"group": "api", "key": "token", "group_version": "v3"},
        {"group": "nobody", "key": "made"},
    ]);
    let read = run(&namespace, &reading_pod(&requests, &questions, &json!(["CERTIFICATE"]))).await;

    let secrets = read["secrets"].as_array().unwrap();
    assert_eq!(secrets[0], "planted password $HOME $(X) $$", "an env var");
    assert_eq!(secrets[1], "planted certificate", "a file; flytekit strips what surrounds the value");
    assert_eq!(secrets[2], "planted token", "without its version");
    assert_eq!(secrets[3], "planted token", "an env var, with its version");
    assert_eq!(secrets[4], "planted token", "a file, with its version");
    assert!(secrets[5]["error"].is_string(), "a Secret that is not there is the task's error: {read}");
    let certificate = &read["variables"]["CERTIFICATE"];
    assert_eq!(certificate["path"], "/etc/flyte/secrets/db/cert.pem");
    assert_eq!(certificate["base64"], BASE64.encode(b"planted certificate\n"));
}

#[tokio::test]
async fn flytekit_reads_a_kubernetes_secret_from_the_variables_and_files_of_flyte_1() {
    kubernetes_secret_read_by_flytekit("flyte1").await;
}

#[tokio::test]
async fn flytekit_reads_a_kubernetes_secret_from_the_variables_and_files_of_flyte_2() {
    kubernetes_secret_read_by_flytekit("flyte2").await;
}

#[tokio::test]
async fn values_of_global_and_embedded_that_stand_in_the_pod_arrive_byte_for_byte() {
    values_arrive_byte_for_byte("PodSpec").await;
}

#[tokio::test]
async fn values_of_global_and_embedded_that_the_pod_refers_to_arrive_byte_for_byte() {
    values_arrive_byte_for_byte("SecretRef").await;
}

async fn values_arrive_byte_for_byte(delivery: &str) {
    bed().with_node();
    let namespace = bed().namespace("bytes").await;
    let mut setup = Setup::with(json!({
        "secretManagerTypes": ["Embedded"], "embeddedSecretManagerConfig": local_store(), "delivery": delivery,
    }));
    setup.webhook["embeddedSecretManagerConfig"]["fileMountInitContainer"] = json!({"image": "localhost/busybox:1"});
    let value = "planted $HOME $(PATH) $$ $$(X) \"quotes\" 'and' \\ ünïcode";
    setup.env.push(("FLYTE_SECRET_G_K".to_owned(), value.to_owned()));
    let webhook = Webhook::start(&namespace, setup).await;
    let id = |name: &str| format!("u__org__flyte__domain__development__project__flytesnacks__key__{name}");
    let binary: Vec<u8> = (0..=255).chain(*b"planted\n").collect();
    let store = json!({id("text"): value, id("Binary"): {"binary_base64": BASE64.encode(&binary)}});
    webhook.import(&store).await;

    let requests = [
        request(&[("group", "g"), ("key", "k"), ("mount_requirement", "ENV_VAR")]),
        request(&[("key", "text"), ("mount_requirement", "ENV_VAR"), ("env_var", "TEXT")]),
        request(&[("key", "Binary"), ("mount_requirement", "FILE"), ("env_var", "BINARY_FILE")]),
        request(&[("key", "text"), ("mount_requirement", "FILE"), ("env_var", "TEXT_FILE")]),
    ];
    let names = json!(["TEXT", "BINARY_FILE", "TEXT_FILE"]);
    let read = run(&namespace, &reading_pod(&requests, &json!([{"group": "g", "key": "k"}]), &names)).await;

    assert_eq!(read["secrets"][0], value, "Global");
    assert_eq!(read["variables"]["TEXT"], value, "Embedded, as a variable");
    assert_eq!(read["variables"]["TEXT_FILE"]["base64"], BASE64.encode(value.as_bytes()), "Embedded, as a file");
    assert_eq!(read["variables"]["BINARY_FILE"]["base64"], BASE64.encode(&binary), "every byte");
    assert_eq!(read["variables"]["BINARY_FILE"]["path"], "/etc/flyte/secrets/Binary", "the file keeps the key's case");
}
