//! A port: bind it, take connections, end in good order.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::connection::{Leaving, Protocol};
use super::settings::Limits;
use crate::metrics::Metrics;

/// How long to wait when no connection can be accepted (no file descriptors left, say) before trying again.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// How long connections are taken at the end that the kernel has already: it may be about to tell of them.
const LAST_LOOK: Duration = Duration::from_millis(50);

/// A port that cannot be listened at.
#[derive(Debug, Error)]
#[error(
    "cannot listen at port {port} ({key}): {source}; is another program using it, or is a port below 1024 not allowed?"
)]
pub struct BindError {
    /// The port that was asked for.
    pub port: u16,
    /// The key of the configuration that holds it.
    pub key: &'static str,
    /// What the operating system says.
    pub source: io::Error,
}

/// A port that is bound and not served yet.
pub(crate) struct Bound {
    tcp: TcpListener,
    pub(crate) address: SocketAddr,
}

/// Binds `port`, at every address of the machine when `address` is none.
pub(crate) async fn bind(address: Option<IpAddr>, port: u16, key: &'static str) -> Result<Bound, BindError> {
    let failed = |source| BindError { port, key, source };
    let tcp = match address {
        Some(address) => TcpListener::bind((address, port)).await,
        None => bind_everywhere(port).await,
    };
    let tcp = tcp.map_err(failed)?;
    let address = tcp.local_addr().map_err(failed)?;
    Ok(Bound { tcp, address })
}

/// On Linux `::` takes IPv4 as well. A kernel without IPv6 does not have it.
async fn bind_everywhere(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Err(error) if !matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await
        }
        bound => bound,
    }
}

/// A port with what is served there.
pub(crate) struct Listener {
    tcp: TcpListener,
    protocol: Arc<Protocol>,
    slots: Arc<Semaphore>,
}

impl Listener {
    pub(super) fn with_tls(
        bound: Bound,
        router: Router,
        tls: Arc<rustls::ServerConfig>,
        leaving: Leaving,
        limits: Limits,
        metrics: Metrics,
    ) -> Self {
        Self::new(bound, Protocol::new(router, Some(TlsAcceptor::from(tls)), leaving, limits, metrics), limits)
    }

    pub(crate) fn plain(bound: Bound, router: Router, limits: Limits, metrics: Metrics) -> Self {
        Self::new(bound, Protocol::new(router, None, Leaving::default(), limits, metrics), limits)
    }

    fn new(bound: Bound, protocol: Protocol, limits: Limits) -> Self {
        let slots = Arc::new(Semaphore::new(limits.connections));
        Self { tcp: bound.tcp, protocol: Arc::new(protocol), slots }
    }

    /// Takes connections until the sender of `end` is gone or says so; then takes those that wait already, closes the port, and
    /// waits at most `patience` for the connections that are open.
    pub(crate) async fn run(self, end: watch::Receiver<bool>, patience: Duration) {
        let mut connections = JoinSet::new();
        let mut asked_to_end = end.clone();
        loop {
            let accepted = tokio::select! {
                _ = asked_to_end.wait_for(|end| *end) => break,
                accepted = self.accept() => accepted,
            };
            while connections.try_join_next().is_some() {}
            if let Some(accepted) = accepted {
                self.serve(accepted, &end, &mut connections);
            }
        }
        // For its client a connection is open as soon as the kernel has it: closing the port would cut it.
        let last = Instant::now() + LAST_LOOK;
        while let Ok(accepted) = timeout_at(last, self.accept()).await {
            if let Some(accepted) = accepted {
                self.serve(accepted, &end, &mut connections);
            }
        }
        drop(self.tcp);
        let all_ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, all_ended).await.is_err() {
            tracing::warn!(connections = connections.len(), ?patience, "cutting connections that did not end in time");
            connections.shutdown().await;
        }
    }

    fn serve(
        &self,
        (tcp, slot): (TcpStream, OwnedSemaphorePermit),
        end: &watch::Receiver<bool>,
        connections: &mut JoinSet<()>,
    ) {
        let served = Arc::clone(&self.protocol).serve(tcp, end.clone());
        connections.spawn(async move {
            served.await;
            drop(slot);
        });
    }

    /// The next connection, as soon as there is room for one more. `None` when it could not be accepted.
    async fn accept(&self) -> Option<(TcpStream, OwnedSemaphorePermit)> {
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok()?;
        match self.tcp.accept().await {
            Ok((tcp, _)) => Some((tcp, slot)),
            Err(error) => {
                // One that its client gave up already is no trouble of ours.
                if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
                    tracing::warn!(%error, "cannot accept connections; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                None
            }
        }
    }
}
