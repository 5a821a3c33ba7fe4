//! One connection, from the TLS handshake to its end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use http::{HeaderValue, header};
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, interval, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tower::Service;

use super::activity::{Activity, Verdict, Watched};
use super::settings::Limits;
use crate::metrics::Metrics;

/// An HTTP/2 client that does not answer a ping within [`PING_TIMEOUT`] is gone; one is sent that often.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// How long an idle connection may take to end in good order before it is cut.
const GOODBYE: Duration = Duration::from_secs(5);

/// An extension of every request: from where it came. Behind a proxy that is the proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Whether the server is about to end, so that answers over HTTP/1.1 ask for a new connection, which leads elsewhere. Clones
/// share it.
#[derive(Clone, Default)]
pub(super) struct Leaving(Arc<AtomicBool>);

impl Leaving {
    pub(super) fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What all connections of a port share.
pub(super) struct Protocol {
    router: Router,
    tls: Option<TlsAcceptor>,
    http1: Builder<TokioExecutor>,
    http2: Builder<TokioExecutor>,
    leaving: Leaving,
    limits: Limits,
    metrics: Metrics,
}

impl Protocol {
    pub(super) fn new(
        router: Router,
        tls: Option<TlsAcceptor>,
        leaving: Leaving,
        limits: Limits,
        metrics: Metrics,
    ) -> Self {
        let mut http1 = Builder::new(TokioExecutor::new()).http1_only();
        // hyper's time for headers counts idle time too; `Activity` keeps both limits apart.
        http1.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(limits.header.max(8 << 10));
        let mut http2 = Builder::new(TokioExecutor::new()).http2_only();
        http2
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(u32::try_from(limits.header).unwrap_or(u32::MAX))
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        Self { router, tls, http1, http2, leaving, limits, metrics }
    }

    /// Serves the connection until one side ends it. `end` asks for its end: what is under way is answered, nothing new is
    /// taken.
    pub(super) async fn serve(self: Arc<Self>, tcp: TcpStream, end: watch::Receiver<bool>) {
        // Answers are small and complete; waiting for more bytes would only delay them. A socket that refuses is closed
        // already, which reading it will tell.
        let _ = tcp.set_nodelay(true);
        let peer = tcp.peer_addr().ok().map(Peer);
        let Some(tls) = &self.tls else { return self.requests(tcp, &self.http1, true, peer, end).await };
        match timeout(self.limits.handshake, tls.accept(tcp)).await {
            Ok(Ok(stream)) => {
                // A client that names no protocol speaks HTTP/1.1.
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    self.requests(stream, &self.http2, false, peer, end).await;
                } else {
                    self.requests(stream, &self.http1, true, peer, end).await;
                }
            }
            Ok(Err(error)) => self.handshake_failed(&error),
            Err(_) => self.metrics.handshake_failed("timeout"),
        }
    }

    fn handshake_failed(&self, error: &io::Error) {
        let alert = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::AlertReceived(alert)) = alert {
            self.metrics.handshake_failed("refused");
            tracing::warn!(
                ?alert,
                "a client refused our certificate; if it is the API server, caBundle in the MutatingWebhookConfiguration \
                 is not the CA of the serving certificate, or the certificate does not name the Service"
            );
        } else {
            self.metrics.handshake_failed("broken");
            tracing::debug!(%error, "TLS handshake failed");
        }
    }

    async fn requests<S>(
        &self,
        stream: S,
        http: &Builder<TokioExecutor>,
        http1: bool,
        peer: Option<Peer>,
        mut end: watch::Receiver<bool>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Activity::new(http1);
        let io = TokioIo::new(Watched { stream, activity: Arc::clone(&activity) });
        let service = service_fn(|mut request: Request<Incoming>| {
            peer.map(|peer| request.extensions_mut().insert(peer));
            let under_way = activity.request();
            let answer = self.router.clone().call(request);
            // HTTP/2 has no such header; there it is GOAWAY that says so.
            let leaving = http1.then(|| self.leaving.clone());
            async move {
                let mut answer = answer.await;
                if let (Ok(answer), true) = (&mut answer, leaving.is_some_and(|leaving| leaving.has_begun())) {
                    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                drop(under_way);
                answer
            }
        });
        let mut connection = std::pin::pin!(http.serve_connection(io, service));
        let mut look = interval((self.limits.header_read.min(self.limits.idle) / 4).max(Duration::from_millis(1)));
        let mut cut_at: Option<Instant> = None;
        let mut ending: Option<Instant> = None;
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(error = &*error, "a connection broke");
                    }
                    return;
                }
                // An error means that the sender is gone, which is a wish to end as well.
                _ = end.wait_for(|end| *end), if ending.is_none() => {
                    ending = Some(Instant::now());
                    // hyper closes a connection of HTTP/1.1 on which nothing was asked for yet, while its first request may
                    // be on the way. The answer to that will end it.
                    if !(http1 && activity.is_fresh() && self.leaving.has_begun()) {
                        connection.as_mut().graceful_shutdown();
                    }
                }
                () = sleep_until(cut_at.unwrap_or_else(Instant::now)), if cut_at.is_some() => return,
                _ = look.tick() => match activity.verdict(&self.limits) {
                    // One that has not asked for anything yet may still do so, but is not waited for.
                    Verdict::Fine if activity.is_idle() && ending.is_some_and(|since| since.elapsed() > GOODBYE) => return,
                    Verdict::Fine => {}
                    Verdict::SlowHead => return,
                    Verdict::Idle if cut_at.is_none() => {
                        cut_at = Some(Instant::now() + GOODBYE);
                        connection.as_mut().graceful_shutdown();
                    }
                    Verdict::Idle => {}
                },
            }
        }
    }
}
