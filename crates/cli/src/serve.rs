//! `webhook`: the server from its parts.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use arc_swap::ArcSwap;
use flyte_secrets_config::{Config, StoreType, WebhookSettings};
use flyte_secrets_core::{Profile, SecretManagerType, Settings};
use flyte_secrets_stores::kubernetes::KubernetesStore;
use flyte_secrets_stores::local::{LocalStore, Unlock};
use flyte_secrets_stores::{LookUpSettings, LookUps, NoObserver, SecretFetcher};
use flyte_secrets_webhook::admission::{Sources, Variables};
use flyte_secrets_webhook::certificates::{
    CertificateNames, CertificateResolver, ReloadError, Reloader, server_config,
};
use flyte_secrets_webhook::kubernetes::client;
use flyte_secrets_webhook::metrics::Metrics;
use flyte_secrets_webhook::registration::{
    Endpoint, Pace, Registration, RegistrationSettings, RegistrationState, keep_registered,
};
use flyte_secrets_webhook::review::PodReviewer;
use flyte_secrets_webhook::server::{REGISTRATION, Readiness, ServerSettings, serve};
use tokio::sync::watch;

use crate::Failed;
use crate::args::ConfigArgs;
use crate::endpoint::endpoint;
use crate::setup::Surroundings;
use crate::{init_certs, logging, secret};

/// How often the certificate's files are looked at.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) async fn run(surroundings: &Surroundings, config: &ConfigArgs) -> Result<(), Failed> {
    let loaded = surroundings.load(config)?;
    logging::start(&loaded.config.log);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    Ok(run_with(loaded.config).await?)
}

async fn run_with(config: Config) -> Result<()> {
    let Config { injection, webhook, .. } = &config;
    let sources = sources(&config).await?;
    let endpoint = endpoint(webhook)?;
    let reloader = certificate(&config, endpoint.as_ref()).await?;

    let readiness = Readiness::new();
    let metrics = Metrics::new(&webhook.metrics_prefix);
    watch_expiry(reloader.resolver(), metrics.clone());
    let tls = Arc::new(server_config(reloader.resolver()));
    register(webhook, endpoint, reloader.ca_bundle(), &readiness).await?;
    tokio::spawn(reloader.run(CERTIFICATE_INTERVAL));

    let reviewer = PodReviewer::new(Arc::new(ArcSwap::from_pointee(injection.clone())), sources);
    let settings = ServerSettings {
        listen_port: webhook.listen_port,
        metrics_port: webhook.metrics_port,
        webhook_timeout: webhook.timeout,
        ..ServerSettings::default()
    };
    let running = serve(settings, Arc::new(reviewer), tls, readiness, metrics, asked_to_end()?).await?;
    tracing::info!(
        address = %running.addr,
        metrics = %running.metrics_addr,
        managers = %managers(injection),
        "serving"
    );
    running.handle.await.context("the server ended early")
}

fn managers(settings: &Settings) -> String {
    settings.managers.iter().map(|manager| manager.name()).collect::<Vec<_>>().join(", ")
}

/// Ends at SIGTERM or SIGINT.
fn asked_to_end() -> Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Where Global and Embedded find values.
async fn sources(config: &Config) -> Result<Sources> {
    let Config { injection, store, .. } = config;
    let variables = Variables::of_this_process(&injection.global.env_prefix);
    if !injection.managers.contains(&SecretManagerType::Embedded) {
        return Ok(Sources { variables, stores: LookUps::default() });
    }
    if injection.embedded.image_pull_secrets {
        bail!(
            "webhook.embeddedSecretManagerConfig.imagePullSecrets.enabled: this version does not bring image-pull \
             secrets; set it to false, or keep Flyte's own webhook for them"
        );
    }
    let fetcher: Arc<dyn SecretFetcher> = match store.store_type {
        StoreType::Local => {
            let unlock = match std::env::var("FLYTE_SECRETS_PASSPHRASE") {
                Ok(passphrase) => Unlock::Passphrase(passphrase.into()),
                Err(_) => Unlock::KeyFile,
            };
            Arc::new(LocalStore::open(secret::places(store)?, unlock).context("cannot open the local store")?)
        }
        StoreType::K8s => {
            let client = client().await?;
            Arc::new(KubernetesStore::new(client, &*store.k8s_namespace, store.k8s_kube_client.timeout)?)
        }
        other @ (StoreType::Aws | StoreType::Gcp | StoreType::Azure) => {
            bail!("webhook.embeddedSecretManagerConfig.type: this build has no store {other:?}; it has K8s and Local")
        }
    };
    let stores = LookUps::new(vec![fetcher], LookUpSettings::uncached(), Arc::new(NoObserver));
    Ok(Sources { variables, stores })
}

/// The certificate of `webhook.certDir`. As in Flyte 2, one is made at start-up where none is.
async fn certificate(config: &Config, endpoint: Option<&Endpoint>) -> Result<Reloader> {
    let Config { injection, webhook, .. } = config;
    let names = match endpoint {
        Some(endpoint) => endpoint.certificate_names(&[])?,
        // Whoever registers this webhook knows its names; ours to check is the rest.
        None => CertificateNames::for_hosts(&[])?,
    };
    match Reloader::open(&webhook.cert_dir, names.clone()).await {
        Ok(reloader) => Ok(reloader),
        Err(ReloadError::Files(missing)) if webhook.local_cert || injection.profile == Profile::Flyte2 => {
            let Some(endpoint) = endpoint.filter(|_| webhook.pod_namespace.is_some()) else {
                return Err(missing.into());
            };
            tracing::info!(%missing, "there is no certificate yet");
            let outcome = init_certs::make(webhook, endpoint).await?;
            tracing::info!(secret = %webhook.secret_name, "{outcome}");
            Reloader::open(&webhook.cert_dir, names).await.context(
                "the certificate is in its Secret, but not in webhook.certDir: mount the Secret there, or set \
                 webhook.localCert: true",
            )
        }
        Err(error) => Err(error.into()),
    }
}

/// Keeps the metric in step with the certificate that is served.
fn watch_expiry(resolver: Arc<CertificateResolver>, metrics: Metrics) {
    tokio::spawn(async move {
        loop {
            metrics.certificate_expires(resolver.not_after().as_second());
            tokio::time::sleep(CERTIFICATE_INTERVAL).await;
        }
    });
}

/// Registers the webhook and keeps it registered, unless that is somebody else's task.
async fn register(
    webhook: &WebhookSettings,
    endpoint: Option<Endpoint>,
    ca_bundle: watch::Receiver<Option<String>>,
    readiness: &Readiness,
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
    let readiness = readiness.clone();
    tokio::spawn(async move {
        loop {
            match &*state.borrow_and_update() {
                RegistrationState::Registered => readiness.met(REGISTRATION),
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
    Ok(())
}
