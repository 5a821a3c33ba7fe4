//! Kubernetes Events about pods that are refused.

use flyte_secrets_config::WebhookSettings;
use flyte_secrets_webhook::events::{Events, OwnPod};
use flyte_secrets_webhook::kubernetes::client;
use flyte_secrets_webhook::metrics::Metrics;

/// Where Events are handed in. Without a cluster there are none, which ends nothing.
pub(super) async fn events(webhook: &WebhookSettings, metrics: &Metrics) -> Events {
    if !webhook.events {
        return Events::off(metrics.clone());
    }
    let client = match client().await {
        Ok(client) => client,
        Err(error) => {
            tracing::info!(%error, "no Kubernetes Events are written");
            return Events::off(metrics.clone());
        }
    };
    let own_pod = webhook.pod_namespace.clone().zip(webhook.pod_name.clone());
    let own_pod = own_pod.map(|(namespace, name)| OwnPod { namespace, name });
    let instance = webhook.pod_name.as_deref().unwrap_or(&webhook.service_name);
    let (events, work) = Events::start(client, instance, own_pod, metrics.clone());
    tokio::spawn(work);
    events
}
