//! A server at the protocol's edge: it records what comes over a real connection and answers what a test says.
#![allow(dead_code, clippy::unwrap_used, missing_docs, unreachable_pub)]

pub mod logs;
pub mod tls;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_stores::{FailureClass, FetchError, SecretFetcher};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    /// Path and query, undecoded.
    pub target: String,
    pub headers: hyper::HeaderMap,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    pub after: Duration,
}

impl Reply {
    pub fn new(status: u16, body: impl ToString) -> Self {
        Self { status, headers: Vec::new(), body: body.to_string().into_bytes(), after: Duration::ZERO }
    }

    pub fn with(mut self, header: &'static str, value: impl ToString) -> Self {
        self.headers.push((header, value.to_string()));
        self
    }

    pub fn after(mut self, delay: Duration) -> Self {
        self.after = delay;
        self
    }
}

type Handler = Arc<dyn Fn(&Seen) -> Reply + Send + Sync>;

pub struct Edge {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<Seen>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Edge {
    /// Plain HTTP on a free port of this host.
    pub async fn start(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve(None, Arc::new(answer)).await
    }

    /// The same over TLS.
    pub async fn start_tls(
        config: Arc<rustls::ServerConfig>,
        answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::serve(Some(config), Arc::new(answer)).await
    }

    async fn serve(tls: Option<Arc<rustls::ServerConfig>>, handler: Handler) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<Seen>>>::default();
        let seen = Arc::clone(&requests);
        let server = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (tls, handler, seen) = (tls.clone(), Arc::clone(&handler), Arc::clone(&seen));
                tokio::spawn(async move {
                    match tls {
                        None => connection(socket, handler, seen).await,
                        Some(config) => {
                            if let Ok(stream) = tokio_rustls::TlsAcceptor::from(config).accept(socket).await {
                                connection(stream, handler, seen).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, requests, server }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn requests(&self) -> Vec<Seen> {
        self.requests.lock().unwrap().clone()
    }

    /// Method and target of every request.
    pub fn lines(&self) -> Vec<String> {
        self.requests().iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect()
    }

    pub fn count(&self, part: &str) -> usize {
        self.lines().iter().filter(|line| line.contains(part)).count()
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn connection<S>(stream: S, handler: Handler, seen: Arc<Mutex<Vec<Seen>>>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (handler, seen) = (Arc::clone(&handler), Arc::clone(&seen));
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes().to_vec();
            let target = head.uri.path_and_query().unwrap().as_str().to_owned();
            let request = Seen { method: head.method.to_string(), target, headers: head.headers, body };
            seen.lock().unwrap().push(request.clone());
            let reply = handler(&request);
            tokio::time::sleep(reply.after).await;
            let mut answer = hyper::Response::builder().status(reply.status);
            for (name, value) in &reply.headers {
                answer = answer.header(*name, value);
            }
            Ok::<_, Infallible>(answer.body(Full::new(Bytes::from(reply.body))).unwrap())
        }
    });
    // A client that goes away ends the connection; that is no failure of a test.
    drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

/// A port on which nobody listens.
pub async fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

pub fn id(name: &str) -> SecretId {
    SecretId {
        org: "flyte".to_owned(),
        domain: "development".to_owned(),
        project: "flytesnacks".to_owned(),
        name: name.to_owned(),
    }
}

/// Names that stand for something else in a URL.
pub const ODD_NAMES: [&str; 10] =
    ["..", "%2f", "%2e%2e", "?a=b", "#a", "a b+c", "a;b&c=d", "a\\b", "ü€", "a:b@c,d*e'(f)!$[g]{h}|~"];

pub async fn text(store: &dyn SecretFetcher, name: &str) -> String {
    store.get(&id(name)).await.unwrap().expose_text().unwrap().to_owned()
}

pub async fn error(store: &dyn SecretFetcher, name: &str) -> FetchError {
    store.get(&id(name)).await.unwrap_err()
}

pub async fn class(store: &dyn SecretFetcher, name: &str) -> FailureClass {
    error(store, name).await.class()
}
