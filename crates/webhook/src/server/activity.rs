//! What a connection is doing, so that one that does nothing can be ended.
//!
//! hyper's own limit for the headers of an HTTP/1.1 request also runs while a connection is idle. A healthy API server
//! keeps idle connections for 90 s, and a connection that is closed just when a request leaves is a failed admission. So
//! the two are told apart here.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::settings::Limits;

/// No head of a request has begun.
const NONE: u64 = u64::MAX;

/// Requests under way in one connection, and since when there is none.
pub(super) struct Activity {
    opened: Instant,
    /// HTTP/2 has frames that belong to no request (pings), so bytes do not mean that a request has begun.
    http1: bool,
    requests: AtomicUsize,
    /// Whether there has ever been a request.
    asked: AtomicBool,
    /// Milliseconds after `opened`.
    idle_since: AtomicU64,
    /// Milliseconds after `opened`, or [`NONE`].
    head_since: AtomicU64,
}

/// What is to be done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on.
    Fine,
    /// Nothing was asked for too long: it ends in good order.
    Idle,
    /// The head of a request takes too long: it is cut.
    SlowHead,
}

impl Activity {
    pub(super) fn new(http1: bool) -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            http1,
            requests: AtomicUsize::new(0),
            asked: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
            head_since: AtomicU64::new(NONE),
        })
    }

    /// A request begins; it ends when the guard is dropped.
    pub(super) fn request(self: &Arc<Self>) -> RequestGuard {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.asked.store(true, Ordering::Relaxed);
        self.head_since.store(NONE, Ordering::Relaxed);
        RequestGuard(Arc::clone(self))
    }

    /// Whether no request is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.requests.load(Ordering::Relaxed) == 0
    }

    /// Whether nothing was ever asked for.
    pub(super) fn is_fresh(&self) -> bool {
        !self.asked.load(Ordering::Relaxed)
    }

    pub(super) fn verdict(&self, limits: &Limits) -> Verdict {
        if !self.is_idle() {
            return Verdict::Fine;
        }
        let now = self.now();
        let head_since = self.head_since.load(Ordering::Relaxed);
        if head_since != NONE && now.saturating_sub(head_since) > millis(limits.header_read) {
            return Verdict::SlowHead;
        }
        if now.saturating_sub(self.idle_since.load(Ordering::Relaxed)) > millis(limits.idle) {
            return Verdict::Idle;
        }
        Verdict::Fine
    }

    fn bytes_arrived(&self) {
        if self.http1 && self.requests.load(Ordering::Relaxed) == 0 {
            let _ = self.head_since.compare_exchange(NONE, self.now(), Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn now(&self) -> u64 {
        millis(self.opened.elapsed())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NONE - 1)
}

/// One request under way.
pub(super) struct RequestGuard(Arc<Activity>);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.idle_since.store(self.0.now(), Ordering::Relaxed);
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream that tells when bytes arrive.
pub(super) struct Watched<S> {
    pub(super) stream: S,
    pub(super) activity: Arc<Activity>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.activity.bytes_arrived();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(header_read_ms: u64, idle_ms: u64) -> Limits {
        Limits {
            header_read: Duration::from_millis(header_read_ms),
            idle: Duration::from_millis(idle_ms),
            ..Limits::default()
        }
    }

    fn wait() {
        std::thread::sleep(Duration::from_millis(5));
    }

    #[test]
    fn a_head_that_has_begun_has_to_end_soon() {
        let activity = Activity::new(true);
        activity.bytes_arrived();
        wait();
        assert_eq!(activity.verdict(&limits(1, 60_000)), Verdict::SlowHead);
        let _request = activity.request();
        assert_eq!(activity.verdict(&limits(1, 60_000)), Verdict::Fine);
    }

    #[test]
    fn waiting_for_a_first_byte_is_idle_and_not_slow() {
        let activity = Activity::new(true);
        wait();
        assert_eq!(activity.verdict(&limits(1, 60_000)), Verdict::Fine);
        assert_eq!(activity.verdict(&limits(1, 1)), Verdict::Idle);
    }

    #[test]
    fn a_ping_of_http2_is_no_head() {
        let activity = Activity::new(false);
        activity.bytes_arrived();
        wait();
        assert_eq!(activity.verdict(&limits(1, 60_000)), Verdict::Fine);
    }

    #[test]
    fn a_connection_with_a_request_is_never_idle_and_idleness_begins_with_its_end() {
        let activity = Activity::new(true);
        let request = activity.request();
        activity.bytes_arrived();
        wait();
        assert_eq!(activity.verdict(&limits(1, 1)), Verdict::Fine);
        drop(request);
        assert_eq!(activity.verdict(&limits(1, 1)), Verdict::Fine);
        wait();
        assert_eq!(activity.verdict(&limits(1, 1)), Verdict::Idle);
    }
}
