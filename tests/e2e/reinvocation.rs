//! Other webhooks on the same pod.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::post;
use axum_server::tls_rustls::RustlsConfig;
use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::harness::certs::Authority;
use crate::harness::pod::{container, variable, variables};
use crate::harness::webhook::free_port;
use crate::harness::{Namespace, Setup, Webhook, bed, eventually, request, task_pod};

/// A webhook of the test's own that adds a container `late` and an init container `late-init`, once; it is called
/// after ours, whose name comes first.
async fn adder(namespace: &Namespace) {
    let authority = Authority::new("another webhook");
    let leaf = authority.leaf(&["127.0.0.1"], 2040);
    let tls = RustlsConfig::from_pem(leaf.certificate.into_bytes(), leaf.key.into_bytes()).await.unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let router = Router::new().route("/", post(answer));
    tokio::spawn(axum_server::bind_rustls(address, tls).serve(router.into_make_service()));

    let configuration = json!({
        "metadata": {"name": format!("zz-{}", namespace.name)},
        "webhooks": [{
            "name": "late.example.com",
            "clientConfig": {"url": format!("https://{address}/"), "caBundle": BASE64.encode(authority.pem.as_bytes())},
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace.name}},
            "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        }],
    });
    let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    namespace.api.create(path, &configuration).await.unwrap();
}

async fn answer(review: String) -> String {
    with_late(&serde_json::from_str(&review).unwrap()).to_string()
}

fn with_late(review: &Value) -> Value {
    let pod = &review["request"]["object"];
    let there = |kind: &str| pod["spec"][kind].as_array().into_iter().flatten().any(|c| c["image"] == "late:1");
    let mut operations = Vec::new();
    if !there("containers") {
        operations
            .push(json!({"op": "add", "path": "/spec/containers/-", "value": {"name": "late", "image": "late:1"}}));
    }
    if !there("initContainers") {
        let init = json!({"name": "late-init", "image": "late:1"});
        operations.push(if pod["spec"]["initContainers"].is_array() {
            json!({"op": "add", "path": "/spec/initContainers/-", "value": init})
        } else {
            json!({"op": "add", "path": "/spec/initContainers", "value": [init]})
        });
    }
    let patch = BASE64.encode(Value::Array(operations).to_string().as_bytes());
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "response": {"uid": review["request"]["uid"], "allowed": true, "patchType": "JSONPatch", "patch": patch},
    })
}

/// Every variable, mount, volume, init container and annotation is there once.
fn nothing_is_doubled(pod: &Value) {
    let names = |list: &Value, name: &str| -> Vec<String> {
        list.as_array().into_iter().flatten().map(|item| item[name].to_string()).collect()
    };
    let mut lists = vec![names(&pod["spec"]["volumes"], "name"), names(&pod["spec"]["initContainers"], "name")];
    for kind in ["containers", "initContainers"] {
        for container in pod["spec"][kind].as_array().into_iter().flatten() {
            lists.push(names(&container["env"], "name"));
            lists.push(names(&container["volumeMounts"], "mountPath"));
        }
    }
    for volume in pod["spec"]["volumes"].as_array().into_iter().flatten() {
        lists.push(names(&volume["secret"]["items"], "path"));
    }
    for mut list in lists {
        let all = list.len();
        list.sort();
        list.dedup();
        assert_eq!(list.len(), all, "something is there twice in {list:?}: {pod}");
    }
}

#[tokio::test]
async fn a_container_that_another_webhook_adds_is_served_and_nothing_twice() {
    let namespace = bed().namespace("reinvoked").await;
    let webhook = Webhook::start(&namespace, Setup::with(json!({"secretManagerTypes": ["AWS", "K8s"]}))).await;
    adder(&namespace).await;
    let pod = task_pod(
        "t",
        &[
            request(&[("group", "db"), ("key", "password"), ("mount_requirement", "ENV_VAR")]),
            request(&[
                ("group", "arn:aws:secretsmanager:eu-west-1:1:secret"),
                ("key", "k"),
                ("mount_requirement", "FILE"),
            ]),
        ],
    );
    eventually("the other webhook", 20, || async {
        let tried = namespace.try_pod(&pod).await.map_err(|failure| failure.message)?;
        let all = tried["spec"]["containers"].as_array().unwrap().len();
        if all == 2 { Ok(()) } else { Err(format!("{all} containers")) }
    })
    .await;

    let before = webhook.calls().await;
    let stored = namespace.create_pod(&pod).await.unwrap();
    assert_eq!(webhook.calls().await - before, 2.0, "the API server called it again");

    for name in ["main", "late", "late-init"] {
        assert!(variable(&stored, name, "_UNION_DB_PASSWORD").is_object(), "{name} is not served: {stored}");
        let mounts = container(&stored, name)["volumeMounts"].to_string();
        assert!(mounts.contains("aws-secret-vol"), "{name} is not served: {stored}");
    }
    assert_eq!(variables(&stored, "main"), variables(&stored, "late"));
    nothing_is_doubled(&stored);
    let fetching = stored["spec"]["initContainers"].as_array().unwrap().iter();
    let fetching = fetching.filter(|container| container["name"].as_str().unwrap().starts_with("aws-pull-secret"));
    assert_eq!(fetching.count(), 1, "{stored}");
}

#[tokio::test]
async fn two_webhooks_of_different_profiles_serve_one_pod_without_doubling_anything() {
    let namespace = bed().namespace("two-profiles").await;
    let _flyte2 = Webhook::start(&namespace, Setup::default()).await;
    let setup = Setup::with(json!({"profile": "flyte1"}));
    let mut flyte1 = Webhook::configure(&format!("{}-one", namespace.name), &namespace.name, setup);
    flyte1.init_certs().await;
    flyte1.spawn();
    flyte1.ready().await;
    flyte1.called(&namespace).await;

    let requests = [
        request(&[("group", "db"), ("key", "password"), ("mount_requirement", "ENV_VAR")]),
        request(&[("group", "tls"), ("key", "cert.pem"), ("mount_requirement", "FILE")]),
    ];
    let stored = namespace.create_pod(&task_pod("t", &requests)).await.unwrap();

    for name in ["_UNION_DB_PASSWORD", "_FSEC_DB_PASSWORD"] {
        assert!(variable(&stored, "main", name).is_object(), "{name} is missing: {stored}");
    }
    nothing_is_doubled(&stored);
    assert_eq!(stored["spec"]["volumes"].as_array().unwrap().len(), 1, "both use one volume: {stored}");
}
