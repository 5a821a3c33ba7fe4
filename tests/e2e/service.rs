//! A webhook that the API server calls through its Service, as in a cluster of one's own.

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::harness::pod::variables;
use crate::harness::service::lead_here;
use crate::harness::{Setup, Webhook, bed, request, task_pod};

#[tokio::test]
async fn without_a_url_the_service_is_registered_and_called_with_a_certificate_for_its_name() {
    let namespace = bed().namespace("by-service").await;
    let setup = Setup::with(json!({
        "url": "", "servicePort": 8443, "webhookTimeout": "9s", "secretManagerTypes": ["K8s"],
    }));
    let mut webhook = Webhook::configure(&namespace.name, &namespace.name, setup);
    lead_here(&namespace, &webhook.name, 8443, webhook.port).await;
    webhook.init_certs().await;
    webhook.spawn();
    webhook.ready().await;
    webhook.called(&namespace).await;

    let configuration = namespace.api.get(&webhook.registration()).await.unwrap();
    let ours = &configuration["webhooks"][0];
    let service = json!({
        "namespace": namespace.name, "name": webhook.name, "path": "/mutate--v1-pod", "port": 8443,
    });
    assert_eq!(ours["clientConfig"]["service"], service);
    assert_eq!(ours["clientConfig"]["url"], Value::Null, "a service or a URL, never both");
    assert_eq!(ours["clientConfig"]["caBundle"], BASE64.encode(webhook.ca().as_bytes()));
    assert_eq!(ours["timeoutSeconds"], 9, "webhook.webhookTimeout");

    let pod = task_pod("t", &[request(&[("group", "g"), ("key", "k"), ("mount_requirement", "ENV_VAR")])]);
    let stored = namespace.create_pod(&pod).await.unwrap();
    assert_eq!(variables(&stored, "main"), ["FLYTE_SECRETS_ENV_PREFIX", "_UNION_G_K"]);
}
