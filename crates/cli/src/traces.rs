//! Traces to an OpenTelemetry collector, by OTLP over HTTP.
//!
//! Only spans of the target [`SPANS`] are sent: the review, its look-ups, calls to stores, requests to the API server. They
//! hold names and outcomes. Nothing waits for the collector: spans go through a queue of the SDK that is bounded
//! (`OTEL_BSP_MAX_QUEUE_SIZE`, 2,048) and drops what does not fit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use flyte_secrets_config::WebhookSettings;
use flyte_secrets_stores::SPANS;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use reqwest::{Certificate, Client};
use tokio::runtime::Handle;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Layer, Registry};

use crate::logging::Traced;

/// What `OTEL_SERVICE_NAME` overrides.
const SERVICE_NAME: &str = "flyte-secrets";
/// How long sending one batch may take.
const SENDING: Duration = Duration::from_secs(10);
/// How long sending what is left may take at the end.
const LEAVING: Duration = Duration::from_secs(3);
/// Where OTLP takes traces below the collector's address (OTLP 1.0, section "OTLP/HTTP Request").
const PATH: &str = "/v1/traces";
/// No more of a collector's answer is read, in bytes; nobody looks at it.
const MAX_ANSWER: usize = 1 << 20;

/// Traces that are being sent, until [`Traces::end`].
pub(crate) struct Traces(Option<SdkTracerProvider>);

/// The layer that makes traces, where the configuration or `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector.
pub(crate) fn start(webhook: &WebhookSettings) -> Result<(Option<Traced>, Traces)> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let of_environment = set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| set("OTEL_EXPORTER_OTLP_ENDPOINT"));
    let configured = webhook.tracing.endpoint.as_ref().map(|base| format!("{}{PATH}", base.trim_end_matches('/')));
    let Some(endpoint) = configured.as_ref().or(of_environment.as_ref()) else { return Ok((None, Traces(None))) };
    if set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok((None, Traces(None)));
    }
    let client = Collector::new(endpoint, webhook)?;
    let mut exporter = SpanExporter::builder().with_http().with_http_client(client).with_timeout(SENDING);
    if let Some(endpoint) = configured {
        exporter = exporter.with_endpoint(endpoint);
    }
    let exporter = exporter.build().context("traces cannot be sent: webhook.tracing or an OTEL_ variable is wrong")?;
    let provider = SdkTracerProvider::builder().with_resource(resource(webhook)).with_batch_exporter(exporter).build();
    let layer = tracing_opentelemetry::layer()
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_tracer(provider.tracer(SERVICE_NAME));
    let layer: Traced =
        Layer::<Registry>::boxed(layer.with_filter(Targets::new().with_target(SPANS, tracing::Level::INFO)));
    Ok((Some(layer), Traces(Some(provider))))
}

/// Who sends: the standard variables, and what we know ourselves.
fn resource(webhook: &WebhookSettings) -> Resource {
    let mut resource = Resource::builder();
    if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name(SERVICE_NAME);
    }
    let names = [("k8s.namespace.name", &webhook.pod_namespace), ("k8s.pod.name", &webhook.pod_name)];
    let known = names.into_iter().filter_map(|(key, value)| Some(KeyValue::new(key, value.clone()?)));
    resource.with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))).with_attributes(known).build()
}

impl Traces {
    /// Sends what is left, for a few seconds at most.
    pub(crate) async fn end(self) {
        let Some(provider) = self.0 else { return };
        // It blocks, while the sending itself runs on this runtime.
        let _ = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(LEAVING)).await;
    }
}

/// The collector, asked by the HTTP client that stores are asked by. The SDK sends from a thread of its own, so requests
/// are handed to the runtime.
#[derive(Debug)]
struct Collector {
    client: Client,
    runtime: Handle,
    /// Whether the last batch was not taken, so that this is told once.
    failing: Arc<AtomicBool>,
}

impl Collector {
    fn new(endpoint: &str, webhook: &WebhookSettings) -> Result<Self> {
        let mut client = Client::builder()
            .user_agent(concat!("flyte-secrets/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(SENDING);
        if endpoint.starts_with("http://") {
            // An image without roots is fine then.
            client = client.tls_certs_only([]);
        } else if let Some(path) = &webhook.tracing.ca_file {
            let file = || format!("webhook.tracing.caFile: {}", path.display());
            let roots = Certificate::from_pem_bundle(&std::fs::read(path).with_context(file)?).with_context(file)?;
            if roots.is_empty() {
                bail!("{} holds no certificate in PEM", file());
            }
            client = client.tls_certs_merge(roots);
        }
        let client = client.build().context("no client for the collector of traces")?;
        Ok(Self { client, runtime: Handle::current(), failing: Arc::default() })
    }

    /// Says when the collector begins to fail and when it is there again; not what it answers.
    fn tell(failing: &AtomicBool, problem: Option<&str>) {
        match (problem, failing.swap(problem.is_some(), Ordering::Relaxed)) {
            (Some(problem), false) => tracing::warn!(problem, "traces are not taken by the collector, and are dropped"),
            (None, true) => tracing::info!("traces are taken by the collector again"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (client, failing) = (self.client.clone(), Arc::clone(&self.failing));
        let sending = self.runtime.spawn(async move {
            let answer = send(&client, request).await;
            let problem = match &answer {
                Ok(answer) if answer.status().is_success() => None,
                Ok(answer) => Some(format!("it answers {}", answer.status())),
                Err(error) => Some(error.to_string()),
            };
            Self::tell(&failing, problem.as_deref());
            answer
        });
        sending.await?
    }
}

async fn send(client: &Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let mut answer = client.execute(request.try_into()?).await?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        body.extend_from_slice(&piece);
        if body.len() > MAX_ANSWER {
            return Err("its answer is larger than 1 MiB".into());
        }
    }
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}
