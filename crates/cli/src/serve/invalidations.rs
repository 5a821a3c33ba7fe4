//! The port at which caches are told of changes.

use std::sync::Arc;

use anyhow::Result;
use flyte_secrets_config::{InvalidationAuthentication, InvalidationSettings, WebhookSettings};
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_stores::LookUps;
use flyte_secrets_webhook::invalidation::{self, Authenticator};
use flyte_secrets_webhook::kubernetes::client;
use flyte_secrets_webhook::metrics::Metrics;

use super::ending::Ending;

/// The port at which caches are told of changes.
pub(super) async fn invalidations(
    webhook: &WebhookSettings,
    look_ups: &LookUps,
    metrics: &Metrics,
    end: Ending,
) -> Result<Option<invalidation::Running>> {
    let Some(port) = webhook.cache_invalidation_port else { return Ok(None) };
    let InvalidationSettings { authentication, allowed_service_accounts, per_id_per_minute, per_minute } =
        webhook.invalidation.clone();
    let authenticator = match authentication {
        InvalidationAuthentication::None => None,
        InvalidationAuthentication::TokenReview => Some(Authenticator::new(client().await?, &allowed_service_accounts)),
    };
    let settings = invalidation::InvalidationSettings { port, per_id_per_minute, per_minute, ..Default::default() };
    let look_ups = look_ups.clone();
    let drop_secret = Arc::new(move |id: &SecretId| look_ups.invalidate(id));
    // As long as pods are served from the cache, it has to be told of changes.
    let delay = webhook.shutdown_delay;
    let end = async move {
        end.reached().await;
        tokio::time::sleep(delay).await;
    };
    let running = invalidation::serve_invalidation(settings, drop_secret, authenticator, metrics.clone(), end).await?;
    Ok(Some(running))
}
