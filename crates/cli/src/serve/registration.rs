//! The webhook's registration with the API server.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use flyte_secrets_config::{self as config, WebhookSettings};
use flyte_secrets_core::{SecretManagerType, Settings};
use flyte_secrets_webhook::certificates::CertificateResolver;
use flyte_secrets_webhook::events::Events;
use flyte_secrets_webhook::kubernetes::{client, watching_client};
use flyte_secrets_webhook::metrics::Metrics;
use flyte_secrets_webhook::registration::{
    Endpoint, FailurePolicy, Found, Keeping, MatchCondition, Pace, Registration, RegistrationObserver,
    RegistrationSettings, RegistrationState, ReinvocationPolicy, keep_registered, look, order_warning, trusts,
};
use flyte_secrets_webhook::server::{REGISTRATION, Readiness};
use tokio::sync::watch;

use super::ending::Ending;

/// How often is looked whether the served certificate and the registration have come together.
const TRUST_INTERVAL: Duration = Duration::from_secs(1);

/// Registers the webhook and keeps it registered, unless that is somebody else's task. Returns where the registration stands,
/// which then never changes.
///
/// The webhook is not ready until the API server trusts the certificate of `served`. After that no fault of the API server or of
/// the bundle makes it unready: it would be the same for all replicas at once.
pub(super) async fn register(
    webhook: &WebhookSettings,
    endpoint: Option<Endpoint>,
    ca_bundle: watch::Receiver<Option<String>>,
    served: Arc<CertificateResolver>,
    readiness: &Readiness,
    observer: Observer,
    end: Ending,
) -> Result<watch::Receiver<RegistrationState>> {
    let Some(endpoint) = endpoint.filter(|_| webhook.register) else {
        follow(webhook, served, readiness).await;
        return Ok(watch::channel(RegistrationState::Pending { last_error: None }).1);
    };
    let metrics = observer.metrics.clone();
    let keeping = Keeping {
        client: client().await?,
        watching: Some(watching_client().await?),
        settings: settings(webhook, endpoint),
        ca_bundle,
        pace: Pace { refresh: webhook.registration.refresh, ..Pace::default() },
        observer: Arc::new(observer),
    };
    let Registration { state, work } = keep_registered(keeping);
    let mut states = state.clone();
    tokio::spawn(async move {
        loop {
            metrics.registration(&states.borrow_and_update());
            if states.changed().await.is_err() {
                return;
            }
        }
    });
    // A replica that is about to end must not put back what its successor has set.
    tokio::spawn(async move {
        tokio::select! {
            _ = work => {}
            () = end.reached() => {}
        }
    });
    readiness.unmet(REGISTRATION, "not registered with the API server yet");
    tokio::spawn(gate(state.clone(), served, readiness.clone()));
    Ok(state)
}

/// Tells what happens to the registration: by metrics, and by Events at our own pod.
pub(super) struct Observer {
    pub(super) metrics: Metrics,
    pub(super) events: Events,
}

impl RegistrationObserver for Observer {
    fn stood(&self) {
        self.metrics.registration_succeeded(SystemTime::now());
    }

    fn drifted(&self, fields: &[String]) {
        self.metrics.registration_repaired();
        let message =
            format!("somebody else changed the registration ({}); it is as configured again", fields.join(", "));
        self.events.note("RegistrationRepaired", &message);
    }

    fn failed(&self) {
        self.metrics.registration_failed();
    }
}

/// What is registered for a webhook at `endpoint`.
pub(crate) fn settings(webhook: &WebhookSettings, endpoint: Endpoint) -> RegistrationSettings {
    let config::RegistrationSettings {
        failure_policy,
        reinvocation_policy,
        match_conditions,
        adopted_ca_retention,
        ..
    } = &webhook.registration;
    RegistrationSettings {
        namespace_selector: webhook.namespace_selector.clone(),
        timeout: webhook.timeout,
        failure_policy: match failure_policy {
            config::FailurePolicy::Fail => FailurePolicy::Fail,
            config::FailurePolicy::Ignore => FailurePolicy::Ignore,
        },
        reinvocation_policy: match reinvocation_policy {
            config::ReinvocationPolicy::IfNeeded => ReinvocationPolicy::IfNeeded,
            config::ReinvocationPolicy::Never => ReinvocationPolicy::Never,
        },
        match_conditions: match_conditions
            .iter()
            .map(|(name, expression)| MatchCondition { name: name.clone(), expression: expression.clone() })
            .collect(),
        own_namespace: webhook.pod_namespace.clone(),
        cert_manager_certificate: webhook.certificates.cert_manager_certificate.clone(),
        adopted_ca_retention: *adopted_ca_retention,
        ..RegistrationSettings::new(&webhook.service_name, endpoint)
    }
}

/// Says at the start what order of webhooks would keep Vault's injector from seeing our annotations.
pub(super) fn warn_of_order(injection: &Settings, webhook: &WebhookSettings) {
    if injection.managers.contains(&SecretManagerType::Vault)
        && let Some(warning) = order_warning(&webhook.service_name)
    {
        tracing::warn!("{warning}");
    }
}

/// Lets the webhook become ready when the registered bundle trusts what it serves, and only tells what happens then.
async fn gate(mut state: watch::Receiver<RegistrationState>, served: Arc<CertificateResolver>, readiness: Readiness) {
    let mut telling = Telling::default();
    loop {
        let fault = fault(&state.borrow_and_update(), &served);
        match &fault {
            None => readiness.met(REGISTRATION),
            Some(reason) if !telling.was_fine => readiness.unmet(REGISTRATION, reason),
            Some(_) => {}
        }
        telling.tell(fault);
        // The certificate may change as well as the registration.
        if let Ok(Err(_)) = tokio::time::timeout(TRUST_INTERVAL, state.changed()).await {
            return;
        }
    }
}

fn fault(state: &RegistrationState, served: &CertificateResolver) -> Option<String> {
    match state {
        RegistrationState::Pending { last_error } => {
            Some(last_error.clone().unwrap_or_else(|| "not registered with the API server yet".to_owned()))
        }
        RegistrationState::Registered { ca_bundle: Some(bundle) }
            if !trusts(bundle, &served.chain(), SystemTime::now()) =>
        {
            Some(DISTRUSTED.to_owned())
        }
        RegistrationState::Registered { .. } => None,
    }
}

const DISTRUSTED: &str = "no CA in the registration's caBundle has signed the certificate that is served";

/// Tells each change once.
#[derive(Default)]
struct Telling {
    was_fine: bool,
    last: Option<String>,
}

impl Telling {
    fn tell(&mut self, fault: Option<String>) {
        match &fault {
            // Why it is not ready yet is to be read at `/readyz`, and failures of writing are in the log.
            Some(reason) if self.was_fine && self.last != fault => {
                tracing::error!(%reason, "the API server may not trust this webhook any more");
            }
            None if self.was_fine && self.last.is_some() => tracing::info!("the API server trusts this webhook again"),
            _ => {}
        }
        self.was_fine |= fault.is_none();
        self.last = fault;
    }
}

/// Looks at a registration that somebody else keeps, if we may; says so once if not, and then does without.
async fn follow(webhook: &WebhookSettings, served: Arc<CertificateResolver>, readiness: &Readiness) {
    let name = webhook.service_name.clone();
    let client = match client().await {
        Ok(client) => client,
        Err(reason) => return tracing::info!(%reason, "the registration is somebody else's and is not looked at"),
    };
    readiness.unmet(REGISTRATION, "the registration, which somebody else keeps, has not been looked at yet");
    let (readiness, refresh) = (readiness.clone(), webhook.registration.refresh);
    tokio::spawn(async move {
        let (mut telling, mut unknown) = (Telling::default(), None);
        loop {
            let fault = match look(client.clone(), &name, &served.chain(), SystemTime::now()).await {
                Found::Distrusted => Some(format!("{DISTRUSTED}; whoever keeps {name} has to put it there")),
                Found::Trusted => None,
                Found::Unknown(reason) => {
                    if unknown.as_ref() != Some(&reason) {
                        tracing::warn!(%reason, "it is not known whether the API server trusts this webhook");
                        unknown = Some(reason);
                    }
                    None
                }
            };
            match &fault {
                None => readiness.met(REGISTRATION),
                Some(reason) if !telling.was_fine => readiness.unmet(REGISTRATION, reason),
                Some(_) => {}
            }
            telling.tell(fault);
            tokio::time::sleep(if telling.was_fine { refresh } else { TRUST_INTERVAL }).await;
        }
    });
}
