//! Where values come from, and who writes what pods refer to.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use arc_swap::ArcSwap;
use flyte_secrets_config::{Config, StoreSettings, WebhookSettings};
use flyte_secrets_core::settings::{CheckExists, Delivery};
use flyte_secrets_core::{SecretManagerType, Settings};
use flyte_secrets_stores::LookUps;
use flyte_secrets_webhook::admission::{ExistingSecrets, Fresh, Sources, Variables, Writers};
use flyte_secrets_webhook::image_pull::PullSecrets;
use flyte_secrets_webhook::kubernetes::{client, watching_client};
use flyte_secrets_webhook::metrics::Metrics;
use flyte_secrets_webhook::mirrors::{MirrorSettings, Mirrors};

use crate::stores;

/// The shortest pause between two sweeps over the mirrors.
const LEAST_SWEEP: Duration = Duration::from_secs(1);

/// Where Global and Embedded find values.
pub(super) async fn sources(config: &Config, metrics: &Metrics) -> Result<Sources> {
    let Config { injection, stores, webhook, .. } = config;
    let variables = Variables::of_this_process(&injection.global.env_prefix);
    let existing = existing(injection, metrics).await?;
    if !injection.managers.contains(&SecretManagerType::Embedded) {
        return Ok(Sources { variables, existing, ..Sources::default() });
    }
    let look_ups = stores::look_ups(stores, Arc::new(metrics.clone())).await?;
    let pull_secrets = match (injection.embedded.image_pull_secrets, &webhook.pod_namespace) {
        (false, _) => None,
        (true, Some(namespace)) => Some(Arc::new(PullSecrets::new(client().await?, namespace))),
        (true, None) => bail!(
            "webhook.embeddedSecretManagerConfig.imagePullSecrets.enabled: image-pull Secrets are taken from the \
             webhook's own namespace; set POD_NAMESPACE"
        ),
    };
    Ok(Sources { variables, look_ups, pull_secrets, existing })
}

/// Who looks whether the Secrets of the K8s manager are there, if that is asked for.
async fn existing(injection: &Settings, metrics: &Metrics) -> Result<Option<Arc<ExistingSecrets>>> {
    if injection.check_exists == CheckExists::Off || !injection.managers.contains(&SecretManagerType::K8s) {
        return Ok(None);
    }
    let client = client().await.context("webhook.k8s.checkExists: Secrets are looked at in the cluster")?;
    let existing = Arc::new(ExistingSecrets::new(client, metrics));
    let checker = Arc::clone(&existing);
    tokio::spawn(async move { checker.warn_of_missing_permission().await });
    Ok(Some(existing))
}

/// Who writes what pods refer to; nobody where everything stands in the pods.
pub(super) async fn writers(
    config: &Config,
    settings: &Arc<ArcSwap<Settings>>,
    sources: &Sources,
    metrics: &Metrics,
) -> Result<Option<Writers>> {
    let Config { injection, mirrors, .. } = config;
    if injection.delivery == Delivery::PodSpec && sources.pull_secrets.is_none() {
        return Ok(None);
    }
    let fresh = Fresh::new(Arc::clone(settings), sources.clone());
    let WebhookSettings { pod_namespace, service_name, .. } = &config.webhook;
    let defaults = MirrorSettings::default();
    let mirrors = MirrorSettings {
        // The replicas of one installation share the namespace and the Service.
        installation: format!("{}/{service_name}", pod_namespace.as_deref().unwrap_or_default()).into(),
        retention: mirrors.retention,
        grace: mirrors.grace,
        // What is kept for a short time only is looked for more often.
        sweep: (mirrors.retention / 10).clamp(LEAST_SWEEP, defaults.sweep),
        ..defaults
    };
    let client = client().await.context(
        "Secrets in pods' namespaces are written for webhook.delivery: SecretRef and for image-pull Secrets; without a \
         cluster set webhook.delivery: PodSpec",
    )?;
    let mirrors = Mirrors::new(client, Arc::new(fresh), mirrors, Arc::new(metrics.clone()));
    Ok(Some(Writers { mirrors, pull_secrets: sources.pull_secrets.clone() }))
}

/// Has cached values of the K8s store dropped as soon as its Secrets change.
pub(super) async fn watch_store(config: &Config, look_ups: &LookUps) -> Result<()> {
    let watched = config.stores.stores.iter().find_map(|store| match store {
        StoreSettings::K8s(settings) if settings.watch => Some(settings.namespace.clone()),
        _ => None,
    });
    let Some(namespace) = watched else { return Ok(()) };
    let client = watching_client().await?;
    let (changes, resets) = (look_ups.clone(), look_ups.clone());
    let (of_changes, of_resets) = (namespace.clone(), namespace.clone());
    let on_change = move |name: &str| changes.invalidate_kubernetes_secret(&of_changes, name);
    let on_reset = move || resets.invalidate_namespace(&of_resets);
    tokio::spawn(flyte_secrets_stores::kubernetes::watch(client, namespace, on_change, on_reset));
    Ok(())
}
