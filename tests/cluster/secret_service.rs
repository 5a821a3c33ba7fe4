//! The Secret service of the chart, beside the webhook: what is written is what the next pod gets, whichever replicas were asked.

use std::net::Ipv4Addr;

use http::Method;
use serde_json::{Value, json};

use crate::harness::plain_http::send_text;
use crate::harness::{Namespace, bed, eventually, request, task_pod};
use crate::support::dns::Dns;
use crate::support::helm::Helm;
use crate::support::image;
use crate::support::workload::{log, pods, rolled_out};

const RELEASE: &str = "writing";
const SERVICE: &str = "app.kubernetes.io/component=secret-service";
const WEBHOOK: &str = "app.kubernetes.io/component=webhook";

#[tokio::test]
async fn the_next_pod_gets_what_was_written_by_any_replica_of_the_service() {
    image::on_the_node().await;
    let home = bed().namespace(RELEASE).await;
    let tasks = bed().namespace("writing-tasks").await;
    let helm = Helm::new();
    helm.install(RELEASE, &home.name, &values(&home, &tasks)).await.unwrap();
    rolled_out(&home, &format!("{RELEASE}-service")).await;
    let webhooks = addresses(&home, WEBHOOK).await;
    let services = addresses(&home, SERVICE).await;
    assert_eq!((webhooks.len(), services.len()), (2, 2));
    let _dns = Dns::of(&format!("{RELEASE}-headless"), &home.name, webhooks).await;

    nobody_has_it(&tasks, "before").await;
    assert_eq!(write(services[0], &Method::POST, "/secrets/api/v1", "planted 1").await, 200);
    assert_eq!(got(&tasks, "first").await, "planted 1\n");
    let path = "/secrets/api/v1/name/token";
    assert_eq!(write(services[1], &Method::PUT, path, "planted 2").await, 200);
    assert_eq!(got(&tasks, "second").await, "planted 2\n");
    assert_eq!(write(services[0], &Method::PUT, path, "planted 3").await, 200);
    assert_eq!(got(&tasks, "third").await, "planted 3\n");
    let place = format!("{path}?id.domain=development&id.project=flytesnacks");
    assert_eq!(write(services[1], &Method::DELETE, &place, "").await, 200);
    tasks.try_pod(&pod("after")).await.unwrap_err();

    every_replica_of_the_webhook_was_told_of_each_change(&services).await;
    for pod in pods(&home, SERVICE).await {
        let log = log(&home, &pod).await;
        assert!(log.contains("flyte_secrets::audit") && !log.contains("planted"), "{log}");
    }
    helm.uninstall(RELEASE, &home.name).await.unwrap();
}

/// Values stay in the caches: nobody watches the store.
fn values(home: &Namespace, tasks: &Namespace) -> Value {
    json!({
        "image": {"repository": "localhost/flyte-secrets", "tag": "test", "pullPolicy": "Never"},
        "fullnameOverride": RELEASE,
        "secretService": {"enabled": true},
        "config": {"webhook": {
            "secretManagerTypes": ["Embedded"],
            "embeddedSecretManagerConfig": {
                "type": "K8s", "notFoundTtl": "10m", "k8sConfig": {"namespace": home.name, "watch": false},
            },
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": tasks.name}},
            "accessPolicy": {"mode": "Off"},
            // Their callers are known by their tokens.
            "invalidation": {"authentication": "TokenReview"},
        }},
    })
}

async fn addresses(home: &Namespace, labels: &str) -> Vec<Ipv4Addr> {
    pods(home, labels).await.iter().map(|pod| pod["status"]["podIP"].as_str().unwrap().parse().unwrap()).collect()
}

async fn write(service: Ipv4Addr, method: &Method, path: &str, value: &str) -> u16 {
    let id = json!({"name": "token", "domain": "development", "project": "flytesnacks"});
    let message = json!({"id": id, "secretSpec": {"stringValue": value}}).to_string();
    send_text(method, &format!("{service}:8093"), path, "", &message).await.0
}

fn pod(name: &str) -> Value {
    let asked = request(&[("key", "token"), ("mount_requirement", "ENV_VAR"), ("env_var", "WANTED")]);
    let mut pod = task_pod(name, &[asked]);
    pod["spec"]["schedulerName"] = json!("default-scheduler");
    pod["spec"]["restartPolicy"] = json!("Never");
    pod["spec"]["containers"] = json!([{
        "name": "main", "image": "localhost/busybox:1", "imagePullPolicy": "Never",
        "command": ["sh", "-c", "echo \"$WANTED\""],
    }]);
    pod
}

/// The pod is refused, and that is remembered. What was registered takes a moment to get to the API server.
async fn nobody_has_it(tasks: &Namespace, name: &str) {
    eventually("a refusal", 30, || async {
        let tried = tasks.try_pod(&pod(name)).await;
        if tried.is_err() { Ok(()) } else { Err("not called yet".to_owned()) }
    })
    .await;
}

/// What a pod has in its variable.
async fn got(tasks: &Namespace, name: &str) -> String {
    tasks.create_pod(&pod(name)).await.unwrap();
    let path = format!("{}/{name}", tasks.path("pods"));
    let ended = eventually("the end of the pod", 60, || async {
        let pod = tasks.api.get(&path).await.map_err(|failure| failure.message)?;
        if pod["status"]["phase"] == "Succeeded" { Ok(pod) } else { Err(pod["status"].to_string()) }
    })
    .await;
    log(tasks, &ended).await
}

/// Four changes, two replicas each.
async fn every_replica_of_the_webhook_was_told_of_each_change(services: &[Ipv4Addr]) {
    let mut told = 0;
    for service in services {
        let (_, page) = send_text(&Method::GET, &format!("{service}:8094"), "/metrics", "", "").await;
        let lines = page.lines().filter(|line| line.contains("secret_service_invalidations_total"));
        for line in lines {
            assert!(line.contains("outcome=\"ok\""), "{line}");
            told += line.rsplit(' ').next().unwrap().parse::<u32>().unwrap();
        }
    }
    assert_eq!(told, 8);
}
