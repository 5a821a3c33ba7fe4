//! The webhook's registration with the API server.

use std::time::SystemTime;

use anyhow::Result;
use flyte_secrets_config::WebhookSettings;
use flyte_secrets_webhook::kubernetes::client;
use flyte_secrets_webhook::metrics::Metrics;
use flyte_secrets_webhook::registration::{
    Endpoint, Pace, Registration, RegistrationSettings, RegistrationState, keep_registered,
};
use flyte_secrets_webhook::server::{REGISTRATION, Readiness};
use tokio::sync::watch;

/// Registers the webhook and keeps it registered, unless that is somebody else's task.
pub(super) async fn register(
    webhook: &WebhookSettings,
    endpoint: Option<Endpoint>,
    ca_bundle: watch::Receiver<Option<String>>,
    readiness: &Readiness,
    metrics: &Metrics,
) -> Result<()> {
    let Some(endpoint) = endpoint.filter(|_| webhook.register) else { return Ok(()) };
    let settings = RegistrationSettings {
        name: webhook.service_name.clone(),
        endpoint,
        namespace_selector: webhook.namespace_selector.clone(),
        timeout: webhook.timeout,
    };
    let Registration { mut state, work } = keep_registered(client().await?, settings, ca_bundle, Pace::default());
    tokio::spawn(work);
    readiness.unmet(REGISTRATION, "not registered with the API server yet");
    let (readiness, metrics) = (readiness.clone(), metrics.clone());
    tokio::spawn(async move {
        loop {
            let now = state.borrow_and_update().clone();
            metrics.registration(&now);
            match now {
                RegistrationState::Registered { .. } => {
                    metrics.registration_succeeded(SystemTime::now());
                    readiness.met(REGISTRATION);
                }
                RegistrationState::Pending { last_error } => {
                    if last_error.is_some() {
                        metrics.registration_failed();
                    }
                    let reason = last_error.as_deref().unwrap_or("not registered with the API server yet");
                    readiness.unmet(REGISTRATION, reason);
                }
            }
            if state.changed().await.is_err() {
                return;
            }
        }
    });
    Ok(())
}
