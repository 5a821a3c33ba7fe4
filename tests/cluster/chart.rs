//! The Helm chart, as a user installs it: real replicas, real pods, and nothing left at the end.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Namespace, bed, eventually, request};
use crate::support::helm::Helm;
use crate::support::image;
use crate::support::kubectl::kubectl;
use crate::support::tasks::{called, flytekit_reads_more};
use crate::support::workload::{pods, rolled_out};

const RELEASE: &str = "flyte-secrets";
const LABELS: &str = "app.kubernetes.io/component=webhook";

/// A secret of the Embedded manager, with the hex MD5 of its id (made with md5sum), under which it is stored.
const ID: &str = "u__org__flyte__domain__development__project__flytesnacks__key__emb_token";
const STORED_AS: &str = "b8fd56f46117e722a3faedff38947ac4";

/// Kinds that come and go by themselves.
const MOVING: [&str; 2] = ["events", "events.events.k8s.io"];

#[tokio::test]
async fn a_chart_is_installed_serves_is_upgraded_and_leaves_nothing() {
    image::on_the_node().await;
    let home = restricted("flyte-secrets").await;
    let store = bed().namespace_named("flyte-store").await;
    let tasks = bed().namespace_named("flytesnacks-development").await;
    let secret = json!({"metadata": {"name": STORED_AS}, "stringData": {ID: "planted in the store"}});
    store.api.create(&store.path("secrets"), &secret).await.unwrap();
    let before = objects().await;
    let helm = Helm::new();

    helm.install(RELEASE, &home.name, &values(2)).await.unwrap();
    rolled_out(&home, RELEASE).await;
    called(&tasks).await;
    flytekit_reads_all_kinds(&tasks).await;

    helm.upgrade(RELEASE, &home.name, &values(3)).await.unwrap();
    rolled_out(&home, RELEASE).await;
    assert_eq!(pods(&home, LABELS).await.len(), 3);
    called(&tasks).await;

    helm.uninstall(RELEASE, &home.name).await.unwrap();
    eventually("a cluster as it was before", 60, || async {
        let left: Vec<_> = objects().await.difference(&before).cloned().collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}

fn values(replicas: u32) -> Value {
    json!({
        "image": {"repository": "localhost/flyte-secrets", "tag": "test", "pullPolicy": "Never"},
        "replicas": replicas,
        "uninstall": {"mirrors": true},
        "config": {"webhook": {
            "secretManagerTypes": ["Embedded", "K8s"],
            "embeddedSecretManagerConfig": {"type": "K8s", "k8sConfig": {"namespace": "flyte-store"}},
        }},
    })
}

/// A namespace that takes only pods that Pod Security calls restricted.
async fn restricted(name: &str) -> Namespace {
    let namespace = bed().namespace_named(name).await;
    kubectl(&["label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted"]).await.unwrap();
    namespace
}

/// Kubernetes Secrets as variable and file, and a value of the store; all of them by flytekit.
async fn flytekit_reads_all_kinds(tasks: &Namespace) {
    let stored = request(&[("key", "emb_token"), ("mount_requirement", "ENV_VAR")]);
    flytekit_reads_more(tasks, &[stored], &[("emb", "token", "planted in the store")]).await;
}

/// Every object of the cluster: kind, namespace and name.
async fn objects() -> BTreeSet<String> {
    let kinds = kubectl(&["api-resources", "--verbs=list", "--output=name"]).await.unwrap();
    let kinds: Vec<_> = kinds.lines().filter(|kind| !MOVING.contains(kind)).collect();
    let columns = "--output=custom-columns=:.kind,:.metadata.namespace,:.metadata.name";
    let list = kubectl(&["get", &kinds.join(","), "--all-namespaces", "--no-headers", columns]).await.unwrap();
    list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}
