//! Where the webhook is: by what its certificate and its registration are made.

use anyhow::{Context, Result, anyhow};
use flyte_secrets_config::WebhookSettings;
use flyte_secrets_webhook::registration::Endpoint;

/// Where the API server finds us; nothing where that is nobody's business here.
pub(crate) fn endpoint(webhook: &WebhookSettings) -> Result<Option<Endpoint>> {
    if let Some(url) = &webhook.url {
        return Ok(Some(Endpoint::url(url).context("webhook.url")?));
    }
    match &webhook.pod_namespace {
        Some(namespace) => Ok(Some(Endpoint::Service {
            namespace: namespace.clone(),
            name: webhook.service_name.clone(),
            port: webhook.service_port,
        })),
        None if webhook.register => Err(anyhow!(
            "the namespace of this webhook is not known, so it cannot be registered: set the environment variable \
             POD_NAMESPACE (from metadata.namespace), or webhook.url, or webhook.disableCreateMutatingWebhookConfig: true"
        )),
        None => Ok(None),
    }
}
