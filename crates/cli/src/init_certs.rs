//! `init-certs`: the webhook's certificates, as a Kubernetes Secret and as files.

use anyhow::{Context, Result};
use flyte_secrets_config::WebhookSettings;
use flyte_secrets_webhook::certificates::{InitSettings, Outcome, init};
use flyte_secrets_webhook::kubernetes::client;
use flyte_secrets_webhook::registration::Endpoint;

use crate::Failed;
use crate::args::ConfigArgs;
use crate::endpoint::endpoint;
use crate::logging;
use crate::output::print;
use crate::setup::{Surroundings, tell_warnings};

pub(crate) async fn run(surroundings: &Surroundings, config: &ConfigArgs) -> Result<(), Failed> {
    let loaded = surroundings.load(config)?;
    logging::start(&loaded.config.log);
    tell_warnings(&loaded, false);
    let webhook = &loaded.config.webhook;
    let endpoint = endpoint(webhook)?.context("set the environment variable POD_NAMESPACE")?;
    let outcome = make(webhook, &endpoint).await?;
    let namespace = webhook.pod_namespace.as_deref().unwrap_or_default();
    Ok(print(&format!("Secret {namespace}/{}: {outcome}\n", webhook.secret_name))?)
}

/// Makes what is missing.
pub(crate) async fn make(webhook: &WebhookSettings, endpoint: &Endpoint) -> Result<Outcome> {
    let namespace = webhook.pod_namespace.clone().context(
        "the namespace for the certificates' Secret is not known: set the environment variable POD_NAMESPACE (from \
         metadata.namespace)",
    )?;
    let settings = InitSettings {
        namespace,
        secret_name: webhook.secret_name.clone(),
        names: endpoint.certificate_names(&[])?,
        cert_dir: webhook.local_cert.then(|| webhook.cert_dir.clone()),
    };
    let (outcome, _) = init(client().await?, &settings).await?;
    Ok(outcome)
}
