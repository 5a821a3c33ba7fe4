//! What one replica does for all, under one Lease.

use std::future::pending;

use anyhow::Result;
use flyte_secrets_config::{Config, WebhookSettings};
use flyte_secrets_core::settings::Delivery;
use flyte_secrets_webhook::admission::Writers;
use flyte_secrets_webhook::kubernetes::client;
use flyte_secrets_webhook::leader::{self, LeaderSettings, Leadership};
use flyte_secrets_webhook::metrics::Metrics;
use flyte_secrets_webhook::mirrors::{Collector, Mirrors};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::ending::Ending;

/// This replica's part in leading.
pub(super) struct Leading {
    /// Whether it leads; `Unknown` for ever where nothing is to be led.
    pub(super) state: watch::Receiver<Leadership>,
    /// Ends when the Lease was given back.
    pub(super) task: Option<JoinHandle<()>>,
}

/// Takes part where something is to be led: the collection of mirrors that nobody needs, or, with `certificates`, the change of
/// CAs. Says once where that cannot be.
pub(super) async fn lead(
    config: &Config,
    writers: Option<&Writers>,
    certificates: bool,
    metrics: &Metrics,
    end: Ending,
) -> Result<Leading> {
    let WebhookSettings { pod_namespace, pod_name, service_name, .. } = &config.webhook;
    let (sender, state) = watch::channel(Leadership::default());
    let mirrors = writers.filter(|_| config.injection.delivery == Delivery::SecretRef).map(|it| it.mirrors.clone());
    if mirrors.is_none() && !certificates {
        return Ok(Leading { state, task: None });
    }
    let Some(namespace) = pod_namespace else {
        tracing::warn!("mirrors stay for ever: POD_NAMESPACE is not set, so replicas cannot agree on who removes them");
        return Ok(Leading { state, task: None });
    };
    let client = client().await?;
    let identity = leader::identity(pod_name.as_deref().unwrap_or(service_name));
    let settings = LeaderSettings { name: lease(service_name), ..LeaderSettings::new(namespace, identity) };
    if let Some(checker) = mirrors.clone().map(Collector::new) {
        tokio::spawn(async move { checker.check_permissions().await });
    }
    tokio::spawn(tell(state.clone(), mirrors.is_some(), metrics.clone()));
    let work = move || collect(mirrors.clone());
    Ok(Leading { state, task: Some(tokio::spawn(leader::lead(client, settings, sender, end.reached(), work))) })
}

/// Collects mirrors, if there are any.
async fn collect(mirrors: Option<Mirrors>) -> std::convert::Infallible {
    match mirrors {
        Some(mirrors) => Collector::new(mirrors).run().await,
        None => pending().await,
    }
}

/// The name of the Lease by which the replicas of a webhook elect the one that collects.
pub(crate) fn lease(service_name: &str) -> String {
    format!("{service_name}-leader")
}

/// Keeps the metrics in step with where we stand. Where nobody can lead, mirrors, if there are any, are not collected either.
async fn tell(mut standing: watch::Receiver<Leadership>, mirrors: bool, metrics: Metrics) {
    while standing.changed().await.is_ok() {
        let state = standing.borrow_and_update().clone();
        metrics.leadership(&state);
        match state {
            _ if !mirrors => {}
            Leadership::Failing(_) => metrics.mirror_collection(Some(false)),
            Leadership::Following { .. } => metrics.mirror_collection(None),
            // The collector says what it can do.
            Leadership::Leading | Leadership::Unknown => {}
        }
    }
}
