//! The webhook's registration with the API server.

use anyhow::Result;
use flyte_secrets_config::WebhookSettings;
use flyte_secrets_webhook::kubernetes::client;
use flyte_secrets_webhook::registration::{
    Endpoint, Pace, Registration, RegistrationSettings, RegistrationState, keep_registered,
};
use flyte_secrets_webhook::server::{REGISTRATION, Readiness};
use tokio::sync::watch;

/// Registers the webhook and keeps it registered, unless that is somebody else's task. Returns where the registration stands, which
/// then never changes.
pub(super) async fn register(
    webhook: &WebhookSettings,
    endpoint: Option<Endpoint>,
    ca_bundle: watch::Receiver<Option<String>>,
    readiness: &Readiness,
) -> Result<watch::Receiver<RegistrationState>> {
    let Some(endpoint) = endpoint.filter(|_| webhook.register) else {
        return Ok(watch::channel(RegistrationState::Pending { last_error: None }).1);
    };
    let settings = settings(webhook, endpoint);
    let Registration { mut state, work } = keep_registered(client().await?, settings, ca_bundle, Pace::default());
    tokio::spawn(work);
    let registered = state.clone();
    readiness.unmet(REGISTRATION, "not registered with the API server yet");
    let readiness = readiness.clone();
    tokio::spawn(async move {
        loop {
            match &*state.borrow_and_update() {
                RegistrationState::Registered { .. } => readiness.met(REGISTRATION),
                RegistrationState::Pending { last_error } => {
                    let reason = last_error.as_deref().unwrap_or("not registered with the API server yet");
                    readiness.unmet(REGISTRATION, reason);
                }
            }
            if state.changed().await.is_err() {
                return;
            }
        }
    });
    Ok(registered)
}

/// What is registered for a webhook at `endpoint`.
pub(crate) fn settings(webhook: &WebhookSettings, endpoint: Endpoint) -> RegistrationSettings {
    RegistrationSettings {
        name: webhook.service_name.clone(),
        endpoint,
        namespace_selector: webhook.namespace_selector.clone(),
        timeout: webhook.timeout,
    }
}
