//! What is written reaches the next pod.

use serde_json::{Value, json};

use super::process::{Service, pull_secret, rights, secret};
use crate::harness::pod::variable;
use crate::harness::webhook::free_port;
use crate::harness::{Namespace, Setup, Webhook, bed, request, task_pod};

fn pod(key: &str) -> Value {
    task_pod("t", &[request(&[("key", key), ("mount_requirement", "ENV_VAR"), ("env_var", "WANTED")])])
}

async fn value(namespace: &Namespace, key: &str) -> Result<String, String> {
    let tried = namespace.try_pod(&pod(key)).await.map_err(|failure| failure.message)?;
    Ok(variable(&tried, "main", "WANTED")["value"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn the_next_pod_gets_what_was_written_although_the_webhook_caches() {
    let (own, pods) = (bed().namespace("service-own").await, bed().namespace("service-pods").await);
    let invalidations = free_port();
    let embedded = json!({
        "type": "K8s", "k8sConfig": {"namespace": own.name, "watch": false}, "notFoundTtl": "10m",
        "imagePullSecrets": {"enabled": true},
    });
    let setup = Setup::with(json!({
        "secretManagerTypes": ["Embedded"], "embeddedSecretManagerConfig": embedded, "cacheInvalidationPort": invalidations,
    }));
    let mut webhook = Webhook::configure(&pods.name, &pods.name, setup);
    webhook.set_env("POD_NAMESPACE", &own.name);
    webhook.init_certs().await;
    webhook.spawn();
    webhook.ready().await;
    webhook.called(&pods).await;
    let more = json!({"webhookURL": format!("http://127.0.0.1:{invalidations}")});
    let service = Service::over_kubernetes("service-pods-service", &own.name, rights(&own).await, more).await;

    assert!(value(&pods, "k").await.is_err(), "it is not there, and that is remembered");
    assert_eq!(service.call("CreateSecret", &secret("k", "planted 1")).await, "ok");
    assert_eq!(value(&pods, "k").await.unwrap(), "planted 1");
    assert_eq!(service.call("UpdateSecret", &secret("k", "planted 2")).await, "ok");
    assert_eq!(value(&pods, "k").await.unwrap(), "planted 2");
    let id = json!({"id": {"name": "k", "domain": "development", "project": "flytesnacks"}});
    assert_eq!(service.call("DeleteSecret", &id).await, "ok");
    assert!(value(&pods, "k").await.is_err());
    assert!(
        service.metrics().await.contains("secret_service_invalidations_total{outcome=\"ok\"} 3"),
        "each write was told"
    );

    assert_eq!(service.call("CreateSecret", &pull_secret("registry", "cGxhbnRlZDpwbGFudGVk")).await, "ok");
    let admitted = pods.create_pod(&pod("registry")).await.unwrap();
    let name = admitted["spec"]["imagePullSecrets"][0]["name"].as_str().unwrap();
    let copy = pods.api.get(&format!("{}/{name}", pods.path("secrets"))).await.unwrap();
    assert_eq!(copy["type"], "kubernetes.io/dockerconfigjson");
}
