//! `webhook`: the server from its parts.

pub(crate) mod certificates;
pub(crate) mod ending;
mod invalidations;
pub(crate) mod leading;
pub(crate) mod registration;
mod reporting;
mod values;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use flyte_secrets_config::Config;
use flyte_secrets_core::{Settings, access};
use flyte_secrets_webhook::certificates::server_config;
use flyte_secrets_webhook::events::Reporting;
use flyte_secrets_webhook::metrics::Metrics;
use flyte_secrets_webhook::review::PodReviewer;
use flyte_secrets_webhook::server::{Readiness, ServerSettings, serve};

use crate::args::ConfigArgs;
use crate::endpoint::endpoint;
use crate::setup::Surroundings;
use crate::{Failed, logging};
use certificates::{Certificates, follow};
use ending::Ending;
use invalidations::invalidations;
use leading::lead;
use registration::{Observer, register, warn_of_order};
use values::{sources, watch_store, writers};

/// How long giving back what only one replica may hold may take at the end.
const LEAVING: Duration = Duration::from_secs(3);

pub(crate) async fn run(surroundings: &Surroundings, config: &ConfigArgs) -> Result<(), Failed> {
    let loaded = surroundings.load(config)?;
    #[cfg(feature = "otel")]
    let traces = {
        let (layer, traces) = crate::traces::start(&loaded.config.webhook)?;
        logging::start_with(&loaded.config.log, layer);
        traces
    };
    #[cfg(not(feature = "otel"))]
    {
        logging::start(&loaded.config.log);
        if loaded.config.webhook.tracing.endpoint.is_some() {
            tracing::warn!("webhook.tracing.endpoint: this program was built without traces (the Cargo feature otel)");
        }
    }
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let end = Ending::at_signal()?;
    let ended = tokio::select! {
        ended = run_with(&loaded.config, end.clone()) => ended,
        () = end.at_once() => {
            tracing::warn!("ending at once: nothing is served yet, or a second signal asks for it");
            Ok(())
        }
    };
    if let Err(error) = &ended {
        reporting::failed(&loaded.config.webhook, error).await;
    }
    #[cfg(feature = "otel")]
    traces.end().await;
    Ok(ended?)
}

async fn run_with(config: &Config, end: Ending) -> Result<()> {
    let Config { injection, webhook, .. } = config;
    for note in access::warnings(&injection.access, injection.profile) {
        tracing::warn!("webhook.accessPolicy: {note}");
    }
    let metrics = Metrics::new(&webhook.metrics_prefix);
    let settings = Arc::new(ArcSwap::from_pointee(injection.clone()));
    let sources = sources(config, &metrics).await?;
    let writers = writers(config, &settings, &sources, &metrics).await?;
    let endpoint = endpoint(webhook)?;
    let certificates = Certificates::open(config, endpoint.as_ref()).await?;

    let readiness = Readiness::new();
    let events = reporting::events(webhook, &metrics).await;
    follow(certificates.status(), metrics.clone(), events.clone());
    let tls = Arc::new(server_config(certificates.resolver()));
    warn_of_order(injection, webhook);
    let (wanted, served) = (certificates.ca_bundle(), certificates.resolver());
    let observer = Observer { metrics: metrics.clone(), events: events.clone() };
    let registered = register(webhook, endpoint, wanted, served, &readiness, observer, end.clone()).await?;
    let leading = lead(config, writers.as_ref(), certificates.are_led(), &metrics, end.clone()).await?;
    certificates.keep(registered, leading.state);
    let invalidations = invalidations(webhook, &sources.look_ups, &metrics, end.clone()).await?;
    watch_store(config, &sources.look_ups).await?;

    let reviewer = Reporting::new(PodReviewer::new(settings, sources, writers), events);
    let server = ServerSettings {
        listen_port: webhook.listen_port,
        metrics_port: webhook.metrics_port,
        webhook_timeout: webhook.timeout,
        shutdown_delay: webhook.shutdown_delay,
        ..ServerSettings::default()
    };
    let running = serve(server, Arc::new(reviewer), tls, readiness, metrics, end.clone().reached()).await?;
    end.in_good_order();
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
    if let Some(leading) = leading.task {
        // The Lease is given back, so that another replica need not wait for its end.
        let _ = tokio::time::timeout(LEAVING, leading).await;
    }
    Ok(())
}

fn managers(settings: &Settings) -> String {
    settings.managers.iter().map(|manager| manager.name()).collect::<Vec<_>>().join(", ")
}
