//! The Helm chart, as a user installs it: real replicas, real pods, and nothing left at the end.

mod doctor;
mod mirrors;
mod refused;
mod restricted;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Namespace, bed, eventually, request};
use crate::support::helm::Helm;
use crate::support::image;
use crate::support::kubectl::kubectl;
use crate::support::tasks::{called, flytekit_reads_more};
use crate::support::workload::{log, metric, page, pods, rolled_out};

const RELEASE: &str = "flyte-secrets";
const LABELS: &str = "app.kubernetes.io/component=webhook";

/// A secret of the Embedded manager, with the hex MD5 of its id (made with md5sum), under which it is stored.
const ID: &str = "u__org__flyte__domain__development__project__flytesnacks__key__emb_token";
const STORED_AS: &str = "b8fd56f46117e722a3faedff38947ac4";
const STORED: &str = "planted in the store";

/// Kinds that come and go by themselves.
const MOVING: [&str; 2] = ["events", "events.events.k8s.io"];

#[tokio::test]
async fn a_chart_is_installed_serves_is_upgraded_and_leaves_nothing() {
    image::on_the_node().await;
    let home = bed().namespace_named("flyte-secrets").await;
    restricted::enforced(&home).await;
    let store = bed().namespace_named("flyte-store").await;
    let tasks = bed().namespace_named("flytesnacks-development").await;
    let secret = json!({"metadata": {"name": STORED_AS}, "stringData": {ID: STORED}});
    store.api.create(&store.path("secrets"), &secret).await.unwrap();
    for namespace in [&home, &store, &tasks] {
        has_what_kubernetes_puts_in(namespace).await;
    }
    let before = objects().await;
    let helm = Helm::new();

    let mut values = values();
    helm.install(RELEASE, &home.name, &values).await.unwrap();
    called(&tasks).await;
    flytekit_reads_all_kinds(&tasks).await;
    mirrors::are_there(&tasks).await;
    metrics_tell_of_it(&home).await;
    refused::has_an_event(&tasks, &refused::unreadable()).await;
    doctor::finds_one_warning(&home, &tasks).await;

    values["config"]["webhook"]["k8s"] = json!({"checkExists": "Refuse"});
    let upgrade = async {
        helm.upgrade(RELEASE, &home.name, &values).await.unwrap();
        rolled_out(&home, RELEASE).await;
    };
    tokio::join!(upgrade, flytekit_reads_all_kinds(&tasks));
    flytekit_reads_all_kinds(&tasks).await;
    refused::has_an_event(&tasks, &refused::without_its_secret()).await;

    values["config"]["webhook"]["delivery"] = json!("PodSpec");
    values["config"]["webhook"]["initContainerSecurityContext"] = json!("Restricted");
    helm.upgrade(RELEASE, &home.name, &values).await.unwrap();
    rolled_out(&home, RELEASE).await;
    restricted::enforced(&tasks).await;
    restricted::a_pod_gets_a_file(&tasks).await;
    nobody_restarted_and_no_value_is_in_a_log(&home).await;

    mirrors::are_there(&tasks).await;
    helm.uninstall(RELEASE, &home.name).await.unwrap();
    mirrors::were_removed_by_the_job(&home).await;
    eventually("a cluster as it was before", 60, || async {
        let left: Vec<_> = objects().await.difference(&before).cloned().collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}

/// The defaults, but for what this cluster has: the image, a store, an image that can write files.
fn values() -> Value {
    json!({
        "image": {"repository": "localhost/flyte-secrets", "tag": "test", "pullPolicy": "Never"},
        "uninstall": {"mirrors": true},
        "config": {"webhook": {
            "secretManagerTypes": ["Embedded", "K8s"],
            "embeddedSecretManagerConfig": {
                "type": "K8s",
                "k8sConfig": {"namespace": "flyte-store"},
                "fileMountInitContainer": {"image": "localhost/busybox:1"},
            },
        }},
    })
}

/// Kubernetes Secrets as variable and file, and a value of the store; all of them by flytekit.
async fn flytekit_reads_all_kinds(tasks: &Namespace) {
    let stored = request(&[("key", "emb_token"), ("mount_requirement", "ENV_VAR")]);
    flytekit_reads_more(tasks, &[stored], &[("", "emb_token", STORED)]).await;
}

async fn metrics_tell_of_it(home: &Namespace) {
    let replicas = pods(home, LABELS).await;
    assert_eq!(replicas.len(), 2);
    let mut pages = Vec::new();
    for pod in &replicas {
        pages.push(page(pod, "/metrics").await);
    }
    let sum = |name: &str| pages.iter().map(|page| metric(page, name)).sum::<f64>();
    for manager in ["Embedded", "K8s"] {
        let served = |line: &&str| line.contains(&format!("manager=\"{manager}\"")) && line.contains("\"patched\"");
        let lines = pages.iter().flat_map(|page| page.lines()).filter(served).collect::<Vec<_>>().join("\n");
        assert!(metric(&lines, "admissions_total") >= 1.0, "{manager}: {pages:?}");
    }
    assert!((sum("registered") - 2.0).abs() < 0.1, "every replica knows that it is registered: {pages:?}");
    assert!((sum("leader") - 1.0).abs() < 0.1, "one replica leads: {pages:?}");
}

async fn nobody_restarted_and_no_value_is_in_a_log(home: &Namespace) {
    for pod in pods(home, LABELS).await {
        assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 0, "{pod}");
        let log = log(home, &pod).await;
        assert!(!log.contains("planted"), "a value is in the log: {log}");
    }
}

/// A new namespace gets this some time after it is there.
async fn has_what_kubernetes_puts_in(namespace: &Namespace) {
    let path = format!("{}/kube-root-ca.crt", namespace.path("configmaps"));
    eventually("the CA of the cluster", 30, || async {
        namespace.api.get(&path).await.map_err(|failure| failure.message)
    })
    .await;
}

/// Every object of the cluster: kind, namespace and name. The heartbeat of a new node begins when it likes.
async fn objects() -> BTreeSet<String> {
    let kinds = kubectl(&["api-resources", "--verbs=list", "--output=name"]).await.unwrap();
    let kinds: Vec<_> = kinds.lines().filter(|kind| !MOVING.contains(kind)).collect();
    assert!(kinds.len() > 40 && kinds.contains(&"leases.coordination.k8s.io"), "{kinds:?}");
    let columns = "--output=custom-columns=:.kind,:.metadata.namespace,:.metadata.name";
    let list = kubectl(&["get", &kinds.join(","), "--all-namespaces", "--no-headers", columns]).await.unwrap();
    let all = list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    all.filter(|object| !object.starts_with("Lease kube-node-lease ")).collect()
}
