//! Captures everything that is logged by this process, by anybody, at every level.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};

use flyte_secrets_webhook::server::log_panics_without_payload;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn log() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().json().with_max_level(tracing::Level::TRACE);
        subscriber.with_writer(move || writer.clone()).init();
        log_panics_without_payload();
        log
    })
}

/// Starts capturing; more than once is once.
pub fn capture() {
    log();
}

/// Everything so far.
pub fn whole_log() -> String {
    String::from_utf8(log().0.lock().unwrap().clone()).unwrap()
}
