//! A web-API plugin as a Flyte connector. It runs containers as Kubernetes Jobs through the API server's HTTP interface,
//! with an API key from the `SecretManager`.
//!
//! ```text
//! Flyte ──gRPC──▶ flyte1, flyte2 ──▶ connector ──▶ keys ──▶ SecretManager     which key, asked for with every call
//!                                        ├──────▶ job                         task → Job, Job → phase; no I/O
//!                                        └──────▶ jobs_api ──HTTPS──▶ service
//! ```

mod args;
mod connector;
mod failure;
mod flyte1;
mod flyte2;
mod job;
mod jobs_api;
mod keys;
mod proto;
mod resource;
mod task;
mod told;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use connectrpc::{DeadlinePolicy, Limits, Router, Server};
use flyte_secrets_sdk::plugins::FileEnvSecretManager;
use flyte_secrets_stores::local::{LocalStore, Places, Unlock};
use flyte_secrets_stores::{LookUpSettings, LookUps, NoObserver};
use tokio::signal::unix::{SignalKind, signal};
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use args::{Args, SecretsFrom};
use connector::Connector;
use keys::{Keys, Source};

/// What a probe may ask for by name.
const SERVICES: [&str; 2] = ["flyteidl.service.AsyncAgentService", "flyteidl2.connector.AsyncConnectorService"];
/// The longest that a call may take, whatever Flyte would wait for.
const LONGEST_CALL: Duration = Duration::from_secs(60);
/// What calls get that do not say how long they may take.
const USUAL_CALL: Duration = Duration::from_secs(30);
/// The largest request, in bytes: as gRPC has it.
const MAX_REQUEST: usize = 4 << 20;
/// How long calls that are under way may take when the program ends.
const LAST_CALLS: Duration = Duration::from_secs(20);

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    // Only our own crates: others may log what they send and receive.
    let ours = Targets::new().with_target("flyte_secrets", Level::INFO);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    tracing_subscriber::registry().with(lines).with(ours).init();
    rustls::crypto::aws_lc_rs::default_provider().install_default().map_err(|_| anyhow!("two crypto providers"))?;
    serve(args).await
}

async fn serve(args: Args) -> Result<()> {
    let mut ending = ending()?;
    let listen = args.listen;
    // A connector waits for nothing, and its API may fail for one key and work for another: it is healthy while it takes calls.
    let (router, health) = connectrpc_health::install_static(router(&Arc::new(connector(args)?)), SERVICES);
    let bound = Server::bind(listen).await.map_err(|error| anyhow!("cannot listen on {listen}: {error}"))?;
    tracing::info!(address = %bound.local_addr()?, "serving");
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let service = connectrpc::ConnectRpcService::new(router)
        .with_deadline_policy(DeadlinePolicy::new().with_max(LONGEST_CALL).with_default_timeout(USUAL_CALL))
        .with_limits(Limits::default().with_max_request_body_size(MAX_REQUEST).with_max_message_size(MAX_REQUEST));
    let server = bound.serve_with_service_and_shutdown(service, async move {
        let _ = ended.await;
    });
    let server = tokio::spawn(server);
    ending.recv().await;
    tracing::info!("ending: no new calls, those under way are answered");
    health.shutdown();
    let _ = end.send(());
    match tokio::time::timeout(LAST_CALLS, server).await {
        Ok(outcome) => outcome.context("the server has panicked")?.map_err(|error| anyhow!("serving: {error}")),
        // Connections that are held open without a call end with the process.
        Err(_) => Ok(()),
    }
}

fn router(connector: &Arc<Connector>) -> Router {
    let (flyte1, flyte2) = (flyte1::Flyte1(Arc::clone(connector)), flyte2::Flyte2(Arc::clone(connector)));
    let (flyte1, flyte2) = (Arc::new(flyte1), Arc::new(flyte2));
    let router = proto::flyteidl::service::AsyncAgentServiceExt::register(Arc::clone(&flyte1), Router::new());
    let router = proto::flyteidl::service::AgentMetadataServiceExt::register(flyte1, router);
    let router = proto::flyteidl2::connector::AsyncConnectorServiceExt::register(Arc::clone(&flyte2), router);
    proto::flyteidl2::connector::ConnectorMetadataServiceExt::register(flyte2, router)
}

fn connector(args: Args) -> Result<Connector> {
    let source = match args.secrets {
        SecretsFrom::Process => Source::Process(
            FileEnvSecretManager::new(args.env_prefix, args.secrets_prefix).context("--env-prefix cannot be used")?,
        ),
        SecretsFrom::Local => {
            let places = Places::from_environment(|name| std::env::var_os(name))?;
            let store = LocalStore::open(places, Unlock::KeyFile).context("cannot open the local store")?;
            Source::Stores(LookUps::new(vec![Arc::new(store)], LookUpSettings::default(), Arc::new(NoObserver)))
        }
    };
    Ok(Connector {
        api: jobs_api::JobsApi::new(&args.api_url, args.ca_file.as_deref())?,
        keys: Keys { source, default: args.api_key, org: args.org },
        task_type: args.task_type,
        namespace: args.namespace,
        log_url: args.log_url,
    })
}

/// SIGTERM or SIGINT: as the first process of a container has no other answer to them, this is called first.
fn ending() -> Result<tokio::sync::mpsc::Receiver<()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let (tell, told) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        let _ = tell.send(()).await;
    });
    Ok(told)
}
