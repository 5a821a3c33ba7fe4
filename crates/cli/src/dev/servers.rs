//! The webhook and the Secret service in one process, on 127.0.0.1, over one local store.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow};
use arc_swap::ArcSwap;
use flyte_secrets_config::Config;
use flyte_secrets_core::Settings;
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_service::{Authentication, Everybody, Limits, Secrets};
use flyte_secrets_stores::local::LocalStore;
use flyte_secrets_stores::{LookUpSettings, LookUps, NoObserver};
use flyte_secrets_webhook::admission::{Sources, Variables};
use flyte_secrets_webhook::certificates::{
    CertificateAuthority, CertificateNames, CertificateResolver, KeyPairPem, inspect, server_config,
};
use flyte_secrets_webhook::metrics::{Metrics, name_prefix};
use flyte_secrets_webhook::review::PodReviewer;
use flyte_secrets_webhook::server::{Readiness, ServerSettings, serve};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::args::DevArgs;

/// Both servers.
pub(super) struct Servers {
    /// Where the webhook is.
    pub(super) webhook: SocketAddr,
    /// Where the Secret service is.
    pub(super) service: SocketAddr,
    /// The webhook's certificate and CA.
    pub(super) pair: KeyPairPem,
    /// The webhook's settings; what is put there counts from the next review on.
    pub(super) settings: Arc<ArcSwap<Settings>>,
    stop: watch::Sender<()>,
    handles: [JoinHandle<()>; 2],
}

impl Servers {
    pub(super) async fn start(config: &Config, store: LocalStore, args: &DevArgs) -> Result<Self> {
        let (port, service_port) = if args.once { (0, 0) } else { (args.port, args.service_port) };
        // Nothing is kept, so that what others write to the file is seen at once too.
        let look_ups = LookUps::new(vec![Arc::new(store.clone())], LookUpSettings::uncached(), Arc::new(NoObserver));
        let (stop, stopped) = watch::channel(());
        let settings = Arc::new(ArcSwap::from_pointee(config.injection.clone()));
        let pair = certificates()?;
        let sources = Sources {
            variables: Variables::of_this_process(&config.injection.global.env_prefix),
            look_ups: look_ups.clone(),
            ..Sources::default()
        };
        let prefix = &config.webhook.metrics_prefix;
        let webhook = webhook(port, &pair, Arc::clone(&settings), sources, prefix, stopped.clone()).await?;
        let service = service(service_port, store, look_ups, prefix, stopped).await?;
        Ok(Self {
            webhook: webhook.addr,
            service: service.addr,
            pair,
            settings,
            stop,
            handles: [webhook.handle, service.handle],
        })
    }

    /// Ends both.
    pub(super) async fn end(self) -> Result<()> {
        drop(self.stop);
        for handle in self.handles {
            handle.await.context("a server ended early")?;
        }
        Ok(())
    }
}

async fn webhook(
    port: u16,
    pair: &KeyPairPem,
    settings: Arc<ArcSwap<Settings>>,
    sources: Sources,
    metrics_prefix: &str,
    stopped: watch::Receiver<()>,
) -> Result<flyte_secrets_webhook::server::Running> {
    let inspected = inspect(pair, &CertificateNames::for_hosts(&[])?, SystemTime::now())
        .map_err(|problems| anyhow!("the new certificate is bad: {problems:?}"))?;
    let resolver = Arc::new(CertificateResolver::new(pair, inspected).map_err(|problem| anyhow!("{problem}"))?);
    // There is no cluster: what a pod refers to is written nowhere.
    let reviewer = PodReviewer::new(settings, sources, None);
    let server = ServerSettings {
        address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        listen_port: port,
        metrics_port: 0,
        shutdown_delay: Duration::ZERO,
        ..ServerSettings::default()
    };
    let tls = Arc::new(server_config(resolver));
    let metrics = Metrics::new(metrics_prefix);
    Ok(serve(server, Arc::new(reviewer), tls, Readiness::new(), metrics, end(stopped)).await?)
}

async fn service(
    port: u16,
    store: LocalStore,
    look_ups: LookUps,
    metrics_prefix: &str,
    stopped: watch::Receiver<()>,
) -> Result<flyte_secrets_service::Running> {
    // A look-up that is under way during a write must not give the old value to a pod that comes after it.
    let forget = move |id: &SecretId| look_ups.invalidate(id);
    let secrets = Secrets::new(Arc::new(store), Arc::new(Everybody), vec![Arc::new(forget)]);
    let server = flyte_secrets_service::ServerSettings {
        host: Ipv4Addr::LOCALHOST.to_string(),
        port,
        metrics_port: 0,
        shutdown_delay: Duration::ZERO,
        limits: Limits { drain: Duration::from_secs(1), ..Limits::default() },
    };
    let metrics = flyte_secrets_service::Metrics::new(&name_prefix(metrics_prefix));
    Ok(flyte_secrets_service::serve(server, secrets, Authentication::default(), "", None, metrics, end(stopped))
        .await?)
}

/// The sender is gone.
async fn end(mut stopped: watch::Receiver<()>) {
    while stopped.changed().await.is_ok() {}
}

fn certificates() -> Result<KeyPairPem> {
    let now = SystemTime::now();
    let names = CertificateNames::for_hosts(&["127.0.0.1".to_owned(), "localhost".to_owned()])?;
    Ok(CertificateAuthority::new(now)?.issue(&names, now)?)
}
