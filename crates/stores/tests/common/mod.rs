//! What the tests of the stores in clouds share: a fake at the protocol's edge, ids, what is logged.

use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::value::SecretValue;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tracing_subscriber::fmt::MakeWriter;

#[cfg(feature = "real-stores")]
pub mod server;
pub mod writers;

/// What stands in answers and must stand nowhere else.
pub const PLANTED: &str = "planted-7f3a";
/// What stands in credentials and must stand nowhere else.
pub const PLANTED_KEY: &str = "planted-key-91c2";

/// A secret of the project `flytesnacks` in the domain `development`.
pub fn id(name: &str) -> SecretId {
    SecretId {
        org: "flyte".to_owned(),
        domain: "development".to_owned(),
        project: "flytesnacks".to_owned(),
        name: name.to_owned(),
    }
}

/// A request as the fake saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    /// The header `x-amz-target`, which names the action of AWS's JSON protocol.
    pub target: String,
    /// The header `authorization`, if there was one.
    pub authorization: Option<String>,
    pub body: String,
}

/// What the fake answers.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    /// How long it takes its time before.
    pub after: Duration,
}

impl Answer {
    pub fn new(status: u16, body: impl ToString) -> Self {
        Self { status, headers: Vec::new(), body: body.to_string(), after: Duration::ZERO }
    }

    pub fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    pub fn after(mut self, after: Duration) -> Self {
        self.after = after;
        self
    }
}

/// An HTTP server that answers as it is told, until it is dropped.
pub struct Edge {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    server: JoinHandle<()>,
}

impl Edge {
    pub async fn start(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (routes, seen) = Self::routes(answer);
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, seen, server }
    }

    /// The same over TLS, with a certificate that is written to `certificate`.
    pub async fn start_tls(certificate: &Path, answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(certificate, made.cert.pem()).unwrap();
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config =
            config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key.into()).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let (routes, seen) = Self::routes(answer);
        let config = axum_server::tls_rustls::RustlsConfig::from_config(Arc::new(config));
        let server = axum_server::from_tcp_rustls(listener, config).unwrap().serve(routes.into_make_service());
        let server = tokio::spawn(async move { server.await.unwrap() });
        Self { url, seen, server }
    }

    fn routes(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> (Router, Arc<Mutex<Vec<Seen>>>) {
        let (answer, seen) = (Arc::new(answer), Arc::<Mutex<Vec<Seen>>>::default());
        let log = Arc::clone(&seen);
        let routes = Router::new().fallback(move |request: Request| {
            let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
            async move {
                let request = read(request).await;
                log.lock().unwrap().push(request.clone());
                reply(answer(&request)).await
            }
        });
        (routes, seen)
    }

    /// One and the same answer to everything.
    pub async fn saying(answer: Answer) -> Self {
        Self::start(move |_| answer.clone()).await
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn read(request: Request) -> Seen {
    let (head, body) = request.into_parts();
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Seen {
        method: head.method.to_string(),
        path: head.uri.to_string(),
        target: header("x-amz-target").unwrap_or_default(),
        authorization: header("authorization"),
        body: String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap(),
    }
}

async fn reply(answer: Answer) -> Response {
    tokio::time::sleep(answer.after).await;
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(answer.body)).unwrap()
}

/// Runs the ignored test `process_with_an_environment` of this program in a process of its own, with nothing in its
/// environment but these variables, and gives what it said with [`say`].
pub async fn in_a_process_with(variables: &[(&str, &str)]) -> String {
    run_alone("process_with_an_environment", variables).await
}

/// Runs an ignored test of this program in a process of its own, as [`in_a_process_with`].
pub async fn run_alone(test: &str, variables: &[(&str, &str)]) -> String {
    let mut process = Command::new(std::env::current_exe().unwrap());
    process.args(["--ignored", "--exact", test, "--nocapture"]);
    process.env_clear().env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", "/nonexistent");
    process.envs(variables.iter().copied());
    let output = tokio::task::spawn_blocking(move || process.output().unwrap()).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let line = text.lines().find_map(|line| line.strip_prefix("said: "));
    line.unwrap_or_else(|| panic!("{text}")).to_owned()
}

/// What a process of [`in_a_process_with`] got from its store.
pub fn say(answer: Result<SecretValue, impl ToString>) {
    let said = answer.map_or_else(|error| error.to_string(), |value| value.expose_text().unwrap().to_owned());
    io::Write::write_all(&mut io::stdout(), format!("\nsaid: {said}\n").as_bytes()).unwrap();
}

/// Everything that this process logs from here on, at the level TRACE but for targets that the variable `LOG` sets
/// lower; for a test that runs alone.
pub fn logs() -> Logs {
    let filter = tracing_subscriber::EnvFilter::new(std::env::var("LOG").unwrap_or("trace".to_owned()));
    let logs = Logs::default();
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(logs.clone());
    tracing::subscriber::set_global_default(subscriber.finish()).unwrap();
    logs
}

/// A log in memory.
#[derive(Clone, Default)]
pub struct Logs(Arc<Mutex<Vec<u8>>>);

impl Logs {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Logs {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
