//! `dev`: the whole way of a secret on one computer. A local store with a sample secret, certificates,
//! the webhook on 127.0.0.1, and a real AdmissionReview over TLS.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow};
use arc_swap::ArcSwap;
use data_encoding::BASE64;
use flyte_secrets_config::{Loaded, LogFormat, LogLevel, LogSettings};
use flyte_secrets_core::annotations::{LABEL, LABEL_VALUE, encode_all};
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::mirror::is_mirror_name;
use flyte_secrets_core::value::SecretValue;
use flyte_secrets_core::{MountRequirement, Secret, SecretManagerType, Settings};
use flyte_secrets_stores::local::{LocalError, LocalStore, Places, Unlock};
use flyte_secrets_stores::{LookUpSettings, LookUps, NoObserver};
use flyte_secrets_webhook::admission::{Sources, Variables};
use flyte_secrets_webhook::certificates::{
    CertificateAuthority, CertificateNames, CertificateResolver, KeyPairPem, inspect, server_config,
};
use flyte_secrets_webhook::metrics::Metrics;
use flyte_secrets_webhook::registration::PATH;
use flyte_secrets_webhook::review::PodReviewer;
use flyte_secrets_webhook::server::{Readiness, Running, ServerSettings, serve};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Failed;
use crate::args::{ConfigArgs, DevArgs};
use crate::documents::to_yaml;
use crate::output::{print, print_coloured};
use crate::setup::{Surroundings, tell_warnings};
use crate::{diff, logging, secret};

/// The sample secret, of a project that Flyte itself comes with.
const SAMPLE: [&str; 4] = ["flyte", "development", "flytesnacks", "demo_api_key"];
/// Its value is no secret, but is treated as one.
const SAMPLE_VALUE: &str = "a sample value of flyte-secrets dev";
/// What is printed in its place.
const HIDDEN: &str = "(the value; not shown)";
/// How long the webhook may take to answer on this computer.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn run(surroundings: &Surroundings, config: &ConfigArgs, args: &DevArgs) -> Result<(), Failed> {
    let mut loaded = surroundings.load(config)?;
    tell_warnings(&loaded, false);
    if config.files.is_empty() {
        use SecretManagerType::{Embedded, Global, K8s};
        loaded.config.injection.managers = vec![Global, Embedded, K8s];
        // Somebody looks on: words, and only those that matter.
        loaded.config.log = LogSettings { level: LogLevel::Warn, format: LogFormat::Text };
    }
    Ok(demonstrate(&loaded, args).await?)
}

async fn demonstrate(loaded: &Loaded, args: &DevArgs) -> Result<()> {
    let places = secret::places(&loaded.config.stores.local)?;
    let store = LocalStore::open(places.clone(), Unlock::KeyFile).context("cannot open the local store")?;
    let new = add_sample(&store)?;
    let authority = certificates()?;
    let port = if args.once { 0 } else { args.port };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = start(loaded, store, &authority, port, async { drop(stopped.await) }).await?;
    let address = running.addr;

    print(&introduction(&places, new, address))?;
    let pod = sample_pod()?;
    let (after, served_by) = ask(address, &authority, &pod).await?;
    let mirrors = mirrors(&after);
    print_coloured(&diff::unified("Pod flytesnacks-development/demo", &to_yaml(&pod)?, &to_yaml(&hidden(after))?))?;
    for mirror in mirrors {
        print(&format!(
            "\nThe value is not in the pod. In a cluster the webhook would write the Secret {mirror} to the pod's\n\
             namespace before it answers; here is none, so nothing is written.\n"
        ))?;
    }
    print(&format!("\nServed: {served_by}.\n"))?;
    if !args.once {
        print(&next_steps(address))?;
        tokio::signal::ctrl_c().await.context("cannot listen for Ctrl-C")?;
        print("\nending\n")?;
    }
    let _ = stop.send(());
    running.handle.await.context("the server ended early")
}

/// Puts the sample into the store; says whether it is new there.
fn add_sample(store: &LocalStore) -> Result<bool> {
    let [org, domain, project, name] = SAMPLE.map(str::to_owned);
    match store.create(&SecretId { org, domain, project, name }, SecretValue::text(SAMPLE_VALUE.to_owned())) {
        Ok(()) => Ok(true),
        Err(LocalError::AlreadyExists { .. }) => Ok(false),
        Err(error) => Err(error).context("cannot store the sample secret"),
    }
}

fn certificates() -> Result<KeyPairPem> {
    let now = SystemTime::now();
    let names = CertificateNames::for_hosts(&["127.0.0.1".to_owned(), "localhost".to_owned()])?;
    Ok(CertificateAuthority::new(now)?.issue(&names, now)?)
}

async fn start(
    loaded: &Loaded,
    store: LocalStore,
    pair: &KeyPairPem,
    port: u16,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<Running> {
    logging::start(&loaded.config.log);
    let settings: &Settings = &loaded.config.injection;
    let inspected = inspect(pair, &CertificateNames::for_hosts(&[])?, SystemTime::now())
        .map_err(|problems| anyhow!("the new certificate is bad: {problems:?}"))?;
    let resolver = Arc::new(CertificateResolver::new(pair, inspected).map_err(|problem| anyhow!("{problem}"))?);
    let sources = Sources {
        variables: Variables::of_this_process(&settings.global.env_prefix),
        look_ups: LookUps::new(vec![Arc::new(store)], LookUpSettings::uncached(), Arc::new(NoObserver)),
        ..Sources::default()
    };
    // There is no cluster: what a pod refers to is written nowhere.
    let reviewer = PodReviewer::new(Arc::new(ArcSwap::from_pointee(settings.clone())), sources, None);
    let server = ServerSettings {
        address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        listen_port: port,
        metrics_port: 0,
        shutdown_delay: Duration::ZERO,
        ..ServerSettings::default()
    };
    let tls = Arc::new(server_config(resolver));
    let metrics = Metrics::new(&loaded.config.webhook.metrics_prefix);
    Ok(serve(server, Arc::new(reviewer), tls, Readiness::new(), metrics, shutdown).await?)
}

/// A pod as Flyte makes it for a task with two requests.
fn sample_pod() -> Result<Value> {
    let requests = [
        Secret {
            key: SAMPLE[3].to_owned(),
            mount_requirement: MountRequirement::ENV_VAR,
            env_var: "DEMO_API_KEY".to_owned(),
            ..Secret::default()
        },
        Secret {
            group: "user-info".to_owned(),
            key: "user_secret".to_owned(),
            mount_requirement: MountRequirement::FILE,
            ..Secret::default()
        },
    ];
    let annotations: serde_json::Map<String, Value> =
        encode_all(&requests)?.into_iter().map(|(name, value)| (name, value.into())).collect();
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "demo",
            "namespace": "flytesnacks-development",
            "labels": {LABEL: LABEL_VALUE, "organization": SAMPLE[0], "domain": SAMPLE[1], "project": SAMPLE[2]},
            "annotations": annotations,
        },
        "spec": {"containers": [{"name": "task", "image": "task:1", "env": [{"name": "TASK", "value": "demo"}]}]},
    }))
}

/// Sends a review, as an API server does, and applies the answer.
async fn ask(address: SocketAddr, pair: &KeyPairPem, pod: &Value) -> Result<(Value, String)> {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "7d7c0e3a-0000-4000-8000-000000000000",
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": pod["metadata"]["namespace"],
            "name": pod["metadata"]["name"],
            "operation": "CREATE",
            "dryRun": true,
            "object": pod,
        },
    });
    let answer = tokio::time::timeout(PATIENCE, post(address, pair, review.to_string()))
        .await
        .context("the webhook did not answer")??;
    let response = &answer["response"];
    if response["allowed"] != true {
        return Err(anyhow!("the webhook refused the pod: {}", response["status"]["message"]));
    }
    let patch = BASE64.decode(response["patch"].as_str().unwrap_or_default().as_bytes())?;
    let patch: json_patch::Patch = serde_json::from_slice(&patch).context("the answer holds no patch")?;
    let mut after = pod.clone();
    json_patch::patch(&mut after, &patch)?;
    Ok((after, response["auditAnnotations"]["served-by"].as_str().unwrap_or_default().to_owned()))
}

async fn post(address: SocketAddr, pair: &KeyPairPem, body: String) -> Result<Value> {
    let mut roots = rustls::RootCertStore::empty();
    let authority = pair.ca_crt.as_deref().context("the certificate has no CA")?;
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::from(address.ip());
    let stream = TlsConnector::from(Arc::new(tls)).connect(name, stream).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = http::Request::post(format!("{PATH}?timeout=10s"))
        .header(http::header::HOST, address.to_string())
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Full::new(hyper::body::Bytes::from(body)))?;
    let answer = sender.send_request(request).await?.into_body().collect().await?.to_bytes();
    connection.abort();
    serde_json::from_slice(&answer).context("the webhook's answer is no JSON")
}

/// The Secrets that the webhook would keep for the pod's variables.
fn mirrors(pod: &Value) -> Vec<String> {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    containers
        .filter_map(|container| container["env"].as_array())
        .flatten()
        .filter_map(|variable| variable["valueFrom"]["secretKeyRef"]["name"].as_str())
        .filter(|name| is_mirror_name(name))
        .map(str::to_owned)
        .collect()
}

/// The pod without the sample's value, as its variable would show it to everybody who looks on.
fn hidden(mut pod: Value) -> Value {
    let containers = pod["spec"]["containers"].as_array_mut().into_iter().flatten();
    for variable in containers.filter_map(|container| container["env"].as_array_mut()).flatten() {
        if variable["name"] == "DEMO_API_KEY" && variable.get("value").is_some() {
            variable["value"] = HIDDEN.into();
        }
    }
    pod
}

fn introduction(places: &Places, new: bool, address: SocketAddr) -> String {
    let [org, domain, project, name] = SAMPLE;
    let file = places.file.display();
    let what = if new { "holds a new sample secret" } else { "holds the sample secret" };
    format!(
        "The local store {file} {what}: {name} of {org}/{domain}/{project}.\n\
         The webhook serves on https://{address}{PATH}.\n\
         A task asks for {name} as a variable and for user-info/user_secret as a file. Its pod, before and after:\n\n"
    )
}

fn next_steps(address: SocketAddr) -> String {
    format!(
        "\nTry next, in another terminal:\n\
         \x20 flyte-secrets secret list\n\
         \x20 echo my-value | flyte-secrets secret create my_key --domain development --project flytesnacks\n\
         \x20 flyte-secrets annotations encode --key my_key --mount-requirement ENV_VAR\n\
         \x20 flyte-secrets inject -f pod.yaml -o diff\n\
         The webhook goes on serving on {address}. Ctrl-C ends it.\n"
    )
}
