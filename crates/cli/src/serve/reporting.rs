//! Kubernetes Events about pods that are refused, and about ourselves.

use std::time::Duration;

use anyhow::Error;
use flyte_secrets_config::WebhookSettings;
use flyte_secrets_webhook::events::{Events, OwnPod};
use flyte_secrets_webhook::kubernetes::client;
use flyte_secrets_webhook::metrics::Metrics;

use crate::with_causes;

/// How long the last Event may take.
const LAST_EVENT: Duration = Duration::from_secs(3);

/// Where Events are handed in. Without a cluster there are none, which ends nothing.
pub(super) async fn events(webhook: &WebhookSettings, metrics: &Metrics) -> Events {
    let Some((events, work)) = start(webhook, metrics).await else { return Events::off(metrics.clone()) };
    tokio::spawn(work);
    events
}

/// Says at our own pod why the webhook ends: the log of a container is gone with the next but one, and it has no metrics any more.
pub(super) async fn failed(webhook: &WebhookSettings, error: &Error) {
    if webhook.pod_name.is_none() || webhook.pod_namespace.is_none() {
        return;
    }
    let telling = async {
        let Some((events, work)) = start(webhook, &Metrics::new(&webhook.metrics_prefix)).await else { return };
        events.note("WebhookFailed", &with_causes(error));
        drop(events);
        work.await;
    };
    if tokio::time::timeout(LAST_EVENT, telling).await.is_err() {
        tracing::warn!("no Kubernetes Event says why the webhook ends: the API server does not answer");
    }
}

/// Where Events are handed in, and the work, which ends when that is dropped; `None` where none are written.
async fn start(
    webhook: &WebhookSettings,
    metrics: &Metrics,
) -> Option<(Events, impl Future<Output = ()> + Send + use<>)> {
    if !webhook.events {
        return None;
    }
    let client = match client().await {
        Ok(client) => client,
        Err(error) => {
            tracing::info!(%error, "no Kubernetes Events are written");
            return None;
        }
    };
    let own_pod = webhook.pod_namespace.clone().zip(webhook.pod_name.clone());
    let own_pod = own_pod.map(|(namespace, name)| OwnPod { namespace, name });
    let instance = webhook.pod_name.as_deref().unwrap_or(&webhook.service_name);
    Some(Events::start(client, instance, own_pod, metrics.clone()))
}
