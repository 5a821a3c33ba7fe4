//! The ports: connections in, answers out, everything bounded.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower::Service;

use crate::authentication::Authentication;
use crate::health::{Readiness, status_router};
use crate::metrics::Metrics;
use crate::router::router;
use crate::secrets::Secrets;

/// An HTTP/2 client that does not answer a ping in time is gone.
const PING: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));
/// How long we wait before the next attempt when connections cannot be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An extension of every request: from where it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Where and how is served.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// The host to listen on (`secret.server.host`).
    pub host: String,
    /// The port of the service (`secret.server.port`); 0 takes any that is free.
    pub port: u16,
    /// The plain port of `/healthz`, `/readyz` and `/metrics` (`secret.server.metricsPort`); 0 takes any that is free.
    pub metrics_port: u16,
    /// How long it goes on serving after it was told to end, so that the endpoints of its Service can change.
    pub shutdown_delay: Duration,
    /// What may be used up.
    pub limits: Limits,
}

/// What may be used up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; more wait.
    pub connections: usize,
    /// Calls at once on one connection of HTTP/2.
    pub streams: u32,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long a connection of HTTP/1.1 may be idle, or take to send its headers.
    pub idle: Duration,
    /// How long calls under way may go on at the end.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            streams: 128,
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            drain: Duration::from_secs(40),
        }
    }
}

/// A port that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {host}:{port} ({key}): {source}")]
pub struct BindError {
    host: String,
    port: u16,
    key: &'static str,
    source: io::Error,
}

/// A service that listens.
#[derive(Debug)]
pub struct Running {
    /// Where it is; the real port when 0 was asked for.
    pub addr: SocketAddr,
    /// Where `/healthz`, `/readyz` and `/metrics` are.
    pub metrics_addr: SocketAddr,
    /// Ends when the service has shut down. Dropping it does not stop the service.
    pub handle: JoinHandle<()>,
}

/// Binds both ports and serves until `shutdown` is done: then it is not ready any more, serves on for
/// [`ServerSettings::shutdown_delay`], takes no new connections, and answers the calls that are under way.
///
/// With `tls` the service speaks TLS, else plain HTTP/1.1 and HTTP/2 with prior knowledge, which gRPC needs.
///
/// # Errors
///
/// When a port cannot be bound.
pub async fn serve(
    settings: ServerSettings,
    secrets: Secrets,
    authentication: Authentication,
    cluster: &str,
    tls: Option<Arc<rustls::ServerConfig>>,
    metrics: Metrics,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<Running, BindError> {
    let ServerSettings { host, port, metrics_port, shutdown_delay, limits } = settings;
    let calls = bind(&host, port, "secret.server.port").await?;
    let status = bind(&host, metrics_port, "secret.server.metricsPort").await?;
    let (Ok(addr), Ok(metrics_addr)) = (calls.local_addr(), status.local_addr()) else {
        let source = io::Error::other("the socket has no address");
        return Err(BindError { host, port, key: "secret.server.port", source });
    };
    let (routes, health) = router(secrets, authentication, cluster, metrics.clone());
    let readiness = Readiness::default();
    let tls = tls.map(TlsAcceptor::from);
    let calls = Port::new(calls, routes, tls, limits, metrics.clone());
    let routes = status_router(readiness.clone(), metrics.clone());
    let status = Port::new(status, routes, None, Limits { drain: Duration::from_secs(1), ..limits }, metrics);
    readiness.set(true);
    let handle = tokio::spawn(async move {
        let (end_calls, calls_end) = watch::channel(());
        let (end_status, status_end) = watch::channel(());
        let calls = tokio::spawn(calls.run(calls_end));
        let status = tokio::spawn(status.run(status_end));
        shutdown.await;
        readiness.set(false);
        health.shutdown();
        tracing::info!(delay = ?shutdown_delay, "shutting down: no longer ready, still serving");
        sleep(shutdown_delay).await;
        drop(end_calls);
        // A failed join is a panic in the accept loop; the other port has to be closed all the same.
        let _ = calls.await;
        drop(end_status);
        let _ = status.await;
        tracing::info!("shut down");
    });
    Ok(Running { addr, metrics_addr, handle })
}

async fn bind(host: &str, port: u16, key: &'static str) -> Result<TcpListener, BindError> {
    TcpListener::bind((host, port)).await.map_err(|source| BindError { host: host.to_owned(), port, key, source })
}

/// A port with what is served there.
struct Port {
    tcp: TcpListener,
    served: Arc<Served>,
}

/// What all connections of a port share.
struct Served {
    routes: Router,
    tls: Option<TlsAcceptor>,
    http: Builder<TokioExecutor>,
    limits: Limits,
    metrics: Metrics,
}

impl Port {
    fn new(tcp: TcpListener, routes: Router, tls: Option<TlsAcceptor>, limits: Limits, metrics: Metrics) -> Self {
        let http = protocol(limits);
        Self { tcp, served: Arc::new(Served { routes, tls, http, limits, metrics }) }
    }

    /// Takes connections until the sender of `end` is gone; then waits for the calls that are under way.
    async fn run(self, mut end: watch::Receiver<()>) {
        let Self { tcp, served } = self;
        let slots = Arc::new(Semaphore::new(served.limits.connections));
        let open = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                _ = end.changed() => break,
                accepted = accept(&tcp, &slots) => accepted,
            };
            let Some((stream, peer, slot)) = accepted else { continue };
            let (served, watcher) = (Arc::clone(&served), open.watcher());
            tokio::spawn(async move {
                let counted = served.metrics.connection();
                served.connection(stream, peer, watcher).await;
                drop((slot, counted));
            });
        }
        drop(tcp);
        let patience = served.limits.drain;
        if timeout(patience, open.shutdown()).await.is_err() {
            tracing::warn!(?patience, "calls that did not end in time are cut");
        }
    }
}

/// The next connection, as soon as there is room for one more. `None` when it could not be accepted.
async fn accept(tcp: &TcpListener, slots: &Arc<Semaphore>) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match tcp.accept().await {
        Ok((stream, peer)) => Some((stream, peer, slot)),
        Err(error) => {
            // One that its client gave up already is no trouble of ours.
            if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
                tracing::warn!(%error, "cannot accept connections; trying again");
                sleep(ACCEPT_PAUSE).await;
            }
            None
        }
    }
}

/// HTTP/1.1 and HTTP/2, told apart by their first bytes.
fn protocol(limits: Limits) -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(limits.idle);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1);
    http
}

impl Served {
    async fn connection(&self, tcp: TcpStream, peer: SocketAddr, watcher: Watcher) {
        // Answers are small and complete; waiting for more bytes would only delay them. A socket that refuses is closed
        // already, which reading it will tell.
        let _ = tcp.set_nodelay(true);
        let Some(tls) = &self.tls else { return self.calls(tcp, peer, watcher).await };
        match timeout(self.limits.handshake, tls.accept(tcp)).await {
            Ok(Ok(stream)) => self.calls(stream, peer, watcher).await,
            Ok(Err(error)) => tracing::debug!(%error, %peer, "TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
        }
    }

    async fn calls<S>(&self, stream: S, peer: SocketAddr, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            self.routes.clone().call(request)
        });
        let connection = self.http.serve_connection(TokioIo::new(stream), service);
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%error, %peer, "a connection broke");
        }
    }
}
