//! Reviewers that do as they are told, certificates, and clients.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::ServiceExt;

use crate::metrics::Metrics;
use crate::server::{
    ADMISSION_PATH, Limits, Outcome, Readiness, Reviewed, Reviewer, Running, ServerSettings, admission_router, serve,
};

pub(super) const REVIEW: &str = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{
    "uid":"u-1","namespace":"flyte","name":"pod-1","dryRun":true,"object":{"kind":"Pod"}}}"#;

/// What a reviewer does.
#[derive(Clone)]
pub(super) enum Script {
    Patch,
    Panic,
    Sleep(Duration),
    /// Tells that it has begun, and waits for leave to end.
    Wait {
        begun: Arc<Notify>,
        leave: Arc<Notify>,
    },
}

impl Reviewer for Script {
    fn review<'a>(&'a self, body: &'a [u8], _: Instant) -> BoxFuture<'a, Reviewed> {
        Box::pin(async move {
            match self {
                Self::Patch => reviewed(Outcome::Patched, body),
                Self::Panic if String::from_utf8_lossy(body).contains("u-1") => panic!("on purpose"),
                Self::Panic => reviewed(Outcome::Unchanged, body),
                Self::Sleep(time) => {
                    tokio::time::sleep(*time).await;
                    reviewed(Outcome::Patched, body)
                }
                Self::Wait { begun, leave } => {
                    begun.notify_one();
                    leave.notified().await;
                    reviewed(Outcome::Patched, body)
                }
            }
        })
    }
}

fn reviewed(outcome: Outcome, body: &[u8]) -> Reviewed {
    Reviewed {
        body: format!("{{\"length\":{}}}", body.len()).into_bytes(),
        status: StatusCode::OK,
        outcome,
        managers: vec!["K8s", "Embedded", "K8s"],
        namespace: "flyte".into(),
        pod: "pod-1".into(),
        uid: "u-1".into(),
        dry_run: false,
        warnings: 0,
        breach: None,
        reason: None,
        details: crate::server::Details::default(),
    }
}

/// The route of reviews, without sockets.
pub(super) struct Routes {
    pub(super) router: axum::Router,
    pub(super) metrics: Metrics,
}

impl Routes {
    pub(super) fn new(script: Script) -> Self {
        Self::with(script, Limits::default(), Duration::from_secs(10))
    }

    pub(super) fn with(script: Script, limits: Limits, webhook_timeout: Duration) -> Self {
        let metrics = Metrics::new("flyte:");
        let settings = ServerSettings { limits, webhook_timeout, ..ServerSettings::default() };
        Self { router: admission_router(&settings, Arc::new(script), metrics.clone()), metrics }
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        Answer::of(self.router.clone().oneshot(request).await.unwrap()).await
    }

    pub(super) async fn review(&self, query: &str) -> Answer {
        self.send(post(query).body(Body::from(REVIEW)).unwrap()).await
    }
}

pub(super) fn post(query: &str) -> http::request::Builder {
    Request::post(format!("{ADMISSION_PATH}{query}")).header(header::CONTENT_TYPE, "application/json")
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: http::HeaderMap,
    pub(super) text: String,
}

impl Answer {
    async fn of<B: axum::body::HttpBody<Error: std::fmt::Debug>>(response: Response<B>) -> Self {
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Self { status: head.status, headers: head.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

/// The value of one series in metrics text.
pub(super) fn series(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// A server on the loopback and what its clients need.
pub(super) struct Server {
    pub(super) addr: SocketAddr,
    pub(super) metrics_addr: SocketAddr,
    pub(super) handle: JoinHandle<()>,
    pub(super) metrics: Metrics,
    pub(super) stop: Option<oneshot::Sender<()>>,
    roots: RootCertStore,
}

pub(super) fn quick() -> ServerSettings {
    ServerSettings {
        address: Some([127, 0, 0, 1].into()),
        listen_port: 0,
        metrics_port: 0,
        webhook_timeout: Duration::from_secs(5),
        shutdown_delay: Duration::from_millis(300),
        limits: Limits::default(),
    }
}

impl Server {
    pub(super) async fn start(script: Script, settings: ServerSettings) -> Self {
        let (tls, roots) = certificate();
        let metrics = Metrics::new("flyte:");
        let (stop, stopped) = oneshot::channel();
        let shutdown = async { stopped.await.unwrap_or_default() };
        let reviewer = Arc::new(script);
        let running = serve(settings, reviewer, Arc::new(tls), Readiness::new(), metrics.clone(), shutdown);
        let Running { addr, metrics_addr, handle } = running.await.unwrap();
        Self { addr, metrics_addr, handle, metrics, stop: Some(stop), roots }
    }

    pub(super) async fn connect(&self, alpn: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
        self.connect_with(self.roots.clone(), alpn).await
    }

    pub(super) async fn connect_with(
        &self,
        roots: RootCertStore,
        alpn: &[&[u8]],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        self.handshake(TcpStream::connect(self.addr).await?, roots, alpn).await
    }

    async fn handshake(
        &self,
        tcp: TcpStream,
        roots: RootCertStore,
        alpn: &[&[u8]],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), tcp).await
    }

    pub(super) async fn http1(&self) -> Client {
        self.http1_over(TcpStream::connect(self.addr).await.unwrap()).await
    }

    /// A client over a connection that is there already.
    pub(super) async fn http1_over(&self, tcp: TcpStream) -> Client {
        let stream = TokioIo::new(self.handshake(tcp, self.roots.clone(), &[b"http/1.1"]).await.unwrap());
        let (sender, connection) = http1::handshake(stream).await.unwrap();
        Client { sender: Sender::Http1(sender), ended: tokio::spawn(async { drop(connection.await) }) }
    }

    pub(super) async fn http2(&self) -> Client {
        let stream = TokioIo::new(self.connect(&[b"h2"]).await.unwrap());
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        Client { sender: Sender::Http2(sender), ended: tokio::spawn(async { drop(connection.await) }) }
    }

    /// Asks the plain port.
    pub(super) async fn plain(&self, path: &str) -> Option<Answer> {
        let stream = TcpStream::connect(self.metrics_addr).await.ok()?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        let request = Request::get(path).header(header::HOST, "localhost").body(Full::<Bytes>::default()).unwrap();
        Some(Answer::of(sender.send_request(request).await.ok()?).await)
    }
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// One connection of a client.
pub(super) struct Client {
    sender: Sender,
    /// Is done when the connection has ended.
    pub(super) ended: JoinHandle<()>,
}

impl Client {
    pub(super) async fn review(&mut self) -> hyper::Result<Answer> {
        let body = Full::new(Bytes::from(REVIEW));
        let response = match &mut self.sender {
            Sender::Http1(sender) => {
                sender.send_request(post("?timeout=10s").header(header::HOST, "localhost").body(body).unwrap()).await?
            }
            Sender::Http2(sender) => {
                let uri = format!("https://localhost{ADMISSION_PATH}?timeout=10s");
                let request = Request::post(uri).header(header::CONTENT_TYPE, "application/json").body(body).unwrap();
                sender.send_request(request).await?
            }
        };
        Ok(Answer::of(response).await)
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn certificate() -> (ServerConfig, RootCertStore) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let der = CertificateDer::from(made.cert.der().to_vec());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let mut roots = RootCertStore::empty();
    roots.add(der.clone()).unwrap();
    let mut server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![der], key)
        .unwrap();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    (server, roots)
}
