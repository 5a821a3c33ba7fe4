//! `webhook`: the server from its parts.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use arc_swap::ArcSwap;
use flyte_secrets_config::{Config, InvalidationAuthentication, InvalidationSettings, StoreSettings, WebhookSettings};
use flyte_secrets_core::access;
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::settings::Delivery;
use flyte_secrets_core::{Profile, SecretManagerType, Settings};
use flyte_secrets_stores::LookUps;
use flyte_secrets_webhook::admission::{Fresh, Sources, Variables, Writers};
use flyte_secrets_webhook::certificates::{
    CertificateNames, CertificateResolver, ReloadError, Reloader, server_config,
};
use flyte_secrets_webhook::image_pull::PullSecrets;
use flyte_secrets_webhook::invalidation::{self, Authenticator};
use flyte_secrets_webhook::kubernetes::{client, watching_client};
use flyte_secrets_webhook::leader::{self, LeaderSettings, Leadership};
use flyte_secrets_webhook::metrics::Metrics;
use flyte_secrets_webhook::mirrors::{Collector, MirrorSettings, Mirrors};
use flyte_secrets_webhook::registration::{
    Endpoint, Pace, Registration, RegistrationSettings, RegistrationState, keep_registered,
};
use flyte_secrets_webhook::review::PodReviewer;
use flyte_secrets_webhook::server::{REGISTRATION, Readiness, ServerSettings, serve};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Failed;
use crate::args::ConfigArgs;
use crate::endpoint::endpoint;
use crate::setup::Surroundings;
use crate::{init_certs, logging, stores};

/// How long giving back what only one replica may hold may take at the end.
const LEAVING: Duration = Duration::from_secs(3);
/// How often the certificate's files are looked at.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(1);
/// The shortest pause between two sweeps over the mirrors.
const LEAST_SWEEP: Duration = Duration::from_secs(1);

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
    for note in access::warnings(&injection.access, injection.profile) {
        tracing::warn!("webhook.accessPolicy: {note}");
    }
    let metrics = Metrics::new(&webhook.metrics_prefix);
    let settings = Arc::new(ArcSwap::from_pointee(injection.clone()));
    let sources = sources(&config, &metrics).await?;
    let writers = writers(&config, &settings, &sources, &metrics).await?;
    let endpoint = endpoint(webhook)?;
    let reloader = certificate(&config, endpoint.as_ref()).await?;

    let readiness = Readiness::new();
    watch_expiry(reloader.resolver(), metrics.clone());
    let tls = Arc::new(server_config(reloader.resolver()));
    register(webhook, endpoint, reloader.ca_bundle(), &readiness).await?;
    tokio::spawn(reloader.run(CERTIFICATE_INTERVAL));
    let end = Ending::at_signal()?;
    let invalidations = invalidations(webhook, &sources.look_ups, &metrics, end.clone()).await?;
    watch_store(&config, &sources.look_ups).await?;
    let leading = collect(&config, writers.as_ref(), end.clone()).await?;

    let reviewer = PodReviewer::new(settings, sources, writers);
    let server = ServerSettings {
        listen_port: webhook.listen_port,
        metrics_port: webhook.metrics_port,
        webhook_timeout: webhook.timeout,
        ..ServerSettings::default()
    };
    let running = serve(server, Arc::new(reviewer), tls, readiness, metrics, end.reached()).await?;
    tracing::info!(
        address = %running.addr,
        metrics = %running.metrics_addr,
        invalidations = invalidations.as_ref().map(|running| running.addr.to_string()),
        managers = %managers(injection),
        delivery = ?injection.delivery,
        access_policy = ?injection.access.mode,
        "serving"
    );
    running.handle.await.context("the server ended early")?;
    if let Some(leading) = leading {
        // The Lease is given back, so that another replica need not wait for its end.
        let _ = tokio::time::timeout(LEAVING, leading).await;
    }
    Ok(())
}

fn managers(settings: &Settings) -> String {
    settings.managers.iter().map(|manager| manager.name()).collect::<Vec<_>>().join(", ")
}

/// The moment at which the program is asked to end, for all its parts.
#[derive(Clone)]
struct Ending(watch::Receiver<bool>);

impl Ending {
    /// SIGTERM or SIGINT.
    fn at_signal() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
        let (asked, ending) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            asked.send_replace(true);
        });
        Ok(Self(ending))
    }

    async fn reached(mut self) {
        // The other side goes away only after it has told.
        let _ = self.0.wait_for(|asked| *asked).await;
    }
}

/// Where Global and Embedded find values.
async fn sources(config: &Config, metrics: &Metrics) -> Result<Sources> {
    let Config { injection, stores, webhook, .. } = config;
    let variables = Variables::of_this_process(&injection.global.env_prefix);
    if !injection.managers.contains(&SecretManagerType::Embedded) {
        return Ok(Sources { variables, ..Sources::default() });
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
    Ok(Sources { variables, look_ups, pull_secrets })
}

/// Who writes what pods refer to; nobody where everything stands in the pods.
async fn writers(
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

/// The port at which caches are told of changes.
async fn invalidations(
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
    let running =
        invalidation::serve_invalidation(settings, drop_secret, authenticator, metrics.clone(), end.reached()).await?;
    Ok(Some(running))
}

/// Has mirrors collected that nobody needs, by one replica at a time; says once where that cannot be.
async fn collect(config: &Config, writers: Option<&Writers>, end: Ending) -> Result<Option<JoinHandle<()>>> {
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
    let (state, _) = watch::channel(Leadership::default());
    let work = move || Collector::new(mirrors.clone()).run();
    Ok(Some(tokio::spawn(leader::lead(client, settings, state, end.reached(), work))))
}

/// Has cached values of the K8s store dropped as soon as its Secrets change.
async fn watch_store(config: &Config, look_ups: &LookUps) -> Result<()> {
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
