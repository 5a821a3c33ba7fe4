//! What one replica does for all.

use anyhow::Result;
use flyte_secrets_config::{Config, WebhookSettings};
use flyte_secrets_core::settings::Delivery;
use flyte_secrets_webhook::admission::Writers;
use flyte_secrets_webhook::kubernetes::client;
use flyte_secrets_webhook::leader::{self, LeaderSettings, Leadership};
use flyte_secrets_webhook::metrics::Metrics;
use flyte_secrets_webhook::mirrors::Collector;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::ending::Ending;

/// Has mirrors collected that nobody needs, by one replica at a time; says once where that cannot be.
pub(super) async fn collect(
    config: &Config,
    writers: Option<&Writers>,
    metrics: &Metrics,
    end: Ending,
) -> Result<Option<JoinHandle<()>>> {
    let (Some(writers), WebhookSettings { pod_namespace, pod_name, service_name, .. }) = (writers, &config.webhook)
    else {
        return Ok(None);
    };
    if config.injection.delivery != Delivery::SecretRef {
        return Ok(None);
    }
    let Some(namespace) = pod_namespace else {
        tracing::warn!("mirrors stay for ever: POD_NAMESPACE is not set, so replicas cannot agree on who removes them");
        return Ok(None);
    };
    let client = client().await?;
    let identity = leader::identity(pod_name.as_deref().unwrap_or(service_name));
    let settings =
        LeaderSettings { name: format!("{service_name}-leader"), ..LeaderSettings::new(namespace, identity) };
    let mirrors = writers.mirrors.clone();
    let checker = Collector::new(mirrors.clone());
    tokio::spawn(async move { checker.check_permissions().await });
    let (state, standing) = watch::channel(Leadership::default());
    tokio::spawn(tell(standing, metrics.clone()));
    let work = move || Collector::new(mirrors.clone()).run();
    Ok(Some(tokio::spawn(leader::lead(client, settings, state, end.reached(), work))))
}

/// Keeps the metrics in step with where we stand. Where nobody can lead, mirrors are not collected either.
async fn tell(mut standing: watch::Receiver<Leadership>, metrics: Metrics) {
    while standing.changed().await.is_ok() {
        let state = standing.borrow_and_update().clone();
        metrics.leadership(&state);
        match state {
            Leadership::Failing(_) => metrics.mirror_collection(Some(false)),
            Leadership::Following { .. } => metrics.mirror_collection(None),
            // The collector says what it can do.
            Leadership::Leading | Leadership::Unknown => {}
        }
    }
}
