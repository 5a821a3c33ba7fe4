//! Captures everything that is logged by this process, by anybody, at every level.

use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};

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
        log
    })
}

/// Starts capturing; more than once is once.
pub fn capture() {
    log();
}

/// Everything so far.
pub fn whole_log() -> String {
    String::from_utf8_lossy(&log().0.lock().unwrap()).into_owned()
}
