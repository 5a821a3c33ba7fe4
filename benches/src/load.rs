//! A load client: connections that ask again as soon as they are answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::body::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// Where the load goes, and as whom.
#[derive(Clone)]
pub struct Target {
    /// Where to connect to.
    pub address: SocketAddr,
    /// The name in the certificate.
    pub server_name: String,
    /// Path and query.
    pub path: String,
    /// Trust and protocol; see [`crate::certificates::client`].
    pub tls: Arc<ClientConfig>,
}

/// How much load.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// Connections at a time.
    pub connections: usize,
    /// Requests at a time in each connection; more than one needs HTTP/2.
    pub streams: usize,
    /// When to stop.
    pub until: Until,
}

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After that many requests in all.
    Count(u64),
    /// After that time; what is under way is waited for.
    Time(Duration),
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// Answers with status 200.
    pub ok: u64,
    /// Answers with another status.
    pub not_200: u64,
    /// Answers with status 200 whose bytes are not those that were expected.
    pub different: u64,
    /// From the first request to the last answer, without the handshakes.
    pub elapsed: Duration,
    latencies: Vec<Duration>,
}

impl Report {
    /// Answers a second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub fn rate(&self) -> f64 {
        (self.ok + self.not_200) as f64 / self.elapsed.as_secs_f64()
    }

    /// The time that a share of all answers stayed below; `share` from 0 to 1. Zero when there was no answer.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    pub fn latency(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get((last as f64 * share) as usize).copied().unwrap_or_default()
    }

    fn add(&mut self, other: Self) {
        self.ok += other.ok;
        self.not_200 += other.not_200;
        self.different += other.different;
        self.latencies.extend(other.latencies);
    }
}

/// Sends `review` until the amount is reached. With `expected`, every answer is compared with those bytes.
///
/// # Errors
///
/// When a connection cannot be made or breaks.
pub async fn run(target: &Target, amount: Amount, review: Bytes, expected: Option<Bytes>) -> Result<Report> {
    let mut senders = Vec::new();
    for _ in 0..amount.connections {
        let sender = Sender::connect(target).await?;
        let streams = if matches!(sender, Sender::Http2(_)) { amount.streams } else { 1 };
        ensure!(
            streams == amount.streams,
            "HTTP/1.1 has one request at a time in a connection, not {}",
            amount.streams
        );
        for _ in 1..streams {
            senders.extend(sender.another());
        }
        senders.push(sender);
    }
    let begun = Instant::now();
    let plan = Arc::new(Plan {
        left: AtomicU64::new(match amount.until {
            Until::Count(count) => count,
            Until::Time(_) => u64::MAX,
        }),
        end: match amount.until {
            Until::Count(_) => None,
            Until::Time(time) => Some(begun + time),
        },
        target: target.clone(),
        review,
        expected,
    });
    let mut tasks = JoinSet::new();
    for sender in senders {
        tasks.spawn(Arc::clone(&plan).work(sender));
    }
    let mut report = Report::default();
    while let Some(ended) = tasks.join_next().await {
        report.add(ended??);
    }
    report.elapsed = begun.elapsed();
    report.latencies.sort_unstable();
    Ok(report)
}

/// Sends `review` once, over a connection of its own, and gives status and body.
///
/// # Errors
///
/// When there is no answer.
pub async fn once(target: &Target, review: Bytes) -> Result<(StatusCode, Bytes)> {
    Sender::connect(target).await?.ask(target, review).await
}

struct Plan {
    left: AtomicU64,
    end: Option<Instant>,
    target: Target,
    review: Bytes,
    expected: Option<Bytes>,
}

impl Plan {
    async fn work(self: Arc<Self>, mut sender: Sender) -> Result<Report> {
        let mut report = Report::default();
        while self.one_more() {
            let asked = Instant::now();
            let (status, body) = sender.ask(&self.target, self.review.clone()).await?;
            report.latencies.push(asked.elapsed());
            if status != StatusCode::OK {
                report.not_200 += 1;
                continue;
            }
            report.ok += 1;
            if self.expected.as_ref().is_some_and(|expected| *expected != body) {
                report.different += 1;
            }
        }
        Ok(report)
    }

    fn one_more(&self) -> bool {
        self.end.is_none_or(|end| Instant::now() < end)
            && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    async fn connect(target: &Target) -> Result<Self> {
        let at = || format!("connecting to {}", target.address);
        let tcp = TcpStream::connect(target.address).await.with_context(at)?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(target.server_name.clone())?;
        let stream = TlsConnector::from(Arc::clone(&target.tls)).connect(name, tcp).await.with_context(at)?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let stream = TokioIo::new(stream);
        if http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.with_context(at)?;
            tokio::spawn(connection);
            Ok(Self::Http2(sender))
        } else {
            let (sender, connection) = http1::handshake(stream).await.with_context(at)?;
            tokio::spawn(connection);
            Ok(Self::Http1(sender))
        }
    }

    /// Another stream of the same connection, where the protocol has them.
    fn another(&self) -> Option<Self> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(sender) => Some(Self::Http2(sender.clone())),
        }
    }

    async fn ask(&mut self, target: &Target, review: Bytes) -> Result<(StatusCode, Bytes)> {
        let request = |uri: String| {
            Request::post(uri)
                .header(header::HOST, &target.server_name)
                .header(header::CONTENT_TYPE, "application/json")
                .body(Full::new(review))
        };
        let response = match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request(target.path.clone())?).await?
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request(format!("https://{}{}", target.server_name, target.path))?).await?
            }
        };
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}
