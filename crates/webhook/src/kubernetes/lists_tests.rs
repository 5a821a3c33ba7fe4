use serde_json::{Value, json};

use super::*;
use crate::kubernetes::fake_api_server::FakeApiServer;

async fn found(server: &FakeApiServer) -> Vec<String> {
    let names = secrets_of_live_pods(&server.client(), "a", |name| name != "other").await.unwrap();
    let mut names: Vec<String> = names.into_iter().collect();
    names.sort();
    names
}

fn server_with(pods: Vec<Value>) -> FakeApiServer {
    let server = FakeApiServer::default();
    for (number, pod) in pods.into_iter().enumerate() {
        server.cluster().put_in("a", "pods", &format!("pod-{number:04}"), pod);
    }
    server
}

#[tokio::test]
async fn every_way_to_refer_to_a_secret_is_found() {
    let variable = |name: &str| json!({"env": [{"name": "A", "value": "x"}, {"name": "B", "valueFrom": {"secretKeyRef": {"name": name, "key": "k"}}}]});
    let server = server_with(vec![json!({"spec": {
        "containers": [variable("1"), {"name": "plain"}],
        "initContainers": [variable("2")],
        "ephemeralContainers": [variable("3"), {"envFrom": [{"configMapRef": {"name": "no"}}, {"secretRef": {"name": "4"}}]}],
        "volumes": [
            {"name": "v", "secret": {"secretName": "5"}},
            {"name": "w", "projected": {"sources": [{"configMap": {"name": "no"}}, {"secret": {"name": "6"}}]}},
            {"name": "x", "emptyDir": {}},
            {"name": "y", "secret": {"secretName": "other"}},
        ],
        "imagePullSecrets": [{"name": "7"}],
    }})]);
    assert_eq!(found(&server).await, ["1", "2", "3", "4", "5", "6", "7"]);
}

#[tokio::test]
async fn pods_that_have_ended_do_not_count_and_those_that_still_run_do() {
    let pod = |name: &str, phase: &str| {
        json!({
            "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"imagePullSecrets": [{"name": name}]},
            "status": {"phase": phase},
        })
    };
    let server = server_with(vec![
        pod("pending", "Pending"),
        pod("running", "Running"),
        pod("unknown", "Unknown"),
        pod("succeeded", "Succeeded"),
        pod("failed", "Failed"),
    ]);
    assert_eq!(found(&server).await, ["pending", "running", "unknown"]);
}

#[tokio::test]
async fn all_pages_are_read_and_a_list_that_ran_out_of_time_is_begun_again() {
    let pods = (0..600).map(|n| json!({"spec": {"imagePullSecrets": [{"name": n.to_string()}]}})).collect();
    let server = server_with(pods);
    assert_eq!(found(&server).await.len(), 600);
    assert_eq!(server.cluster().requests.len(), 3);
    server.cluster().expire_continuations = 1;
    assert_eq!(found(&server).await.len(), 600);
    assert_eq!(server.cluster().requests.len(), 3 + 2 + 3);
    server.cluster().expire_continuations = 3;
    let error = secrets_of_live_pods(&server.client(), "a", |_| true).await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::Rejected { code: 410 });
}

#[tokio::test]
async fn metadata_of_secrets_is_listed_by_label_without_their_data() {
    let server = FakeApiServer::default();
    let secret = |label: &str| json!({"metadata": {"labels": {label: "true"}}, "data": {"k": "!!! not base64 !!!"}});
    server.cluster().put_in("a", "secrets", "one", secret("mine"));
    server.cluster().put_in("b", "secrets", "two", secret("mine"));
    server.cluster().put_in("b", "secrets", "three", secret("yours"));
    let listed = labelled_secrets(&server.client(), "mine").await.unwrap();
    let names: Vec<_> =
        listed.iter().map(|meta| (meta.namespace.as_deref().unwrap(), meta.name.as_deref().unwrap())).collect();
    assert_eq!(names, [("a", "one"), ("b", "two")]);
}

#[tokio::test]
async fn a_list_that_rbac_forbids_names_the_rule_of_a_cluster_role() {
    let server = FakeApiServer::default();
    server.cluster().forbidden.insert("list secrets");
    let text = labelled_secrets(&server.client(), "mine").await.unwrap_err().to_string();
    assert!(text.contains("ClusterRole"), "{text}");
    assert!(text.contains(r#"{apiGroups: [""], resources: ["secrets"], verbs: ["list"]}"#), "{text}");
}

#[tokio::test]
async fn empty_lists_are_empty() {
    let server = FakeApiServer::default();
    assert!(labelled_secrets(&server.client(), "mine").await.unwrap().is_empty());
    assert!(found(&server).await.is_empty());
}
