//! `webhook`: the server from its parts.

mod certificates;
mod ending;
mod invalidations;
mod leading;
mod registration;
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
use certificates::{CERTIFICATE_INTERVAL, certificate, watch_ca, watch_expiry};
use ending::Ending;
use invalidations::invalidations;
use leading::collect;
use registration::register;
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
    let served = run_with(loaded.config).await;
    #[cfg(feature = "otel")]
    traces.end().await;
    Ok(served?)
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
    watch_ca(reloader.ca_bundle(), metrics.clone());
    register(webhook, endpoint, reloader.ca_bundle(), &readiness, &metrics).await?;
    tokio::spawn(reloader.run(CERTIFICATE_INTERVAL));
    let end = Ending::at_signal()?;
    let invalidations = invalidations(webhook, &sources.look_ups, &metrics, end.clone()).await?;
    watch_store(&config, &sources.look_ups).await?;
    let leading = collect(&config, writers.as_ref(), &metrics, end.clone()).await?;

    let events = reporting::events(webhook, &metrics).await;
    let reviewer = Reporting::new(PodReviewer::new(settings, sources, writers), events);
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
