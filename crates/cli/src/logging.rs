//! The log on standard error, as `logger` in the configuration says.

use flyte_secrets_config::{LogFormat, LogLevel, LogSettings};
use flyte_secrets_webhook::server::log_panics_without_payload;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// What we log under. The AWS SDK, for one, writes session tokens at the level trace.
const OURS: [&str; 3] = ["flyte_secrets", "admission", "access_policy"];

/// Starts logging. Only our own crates are logged: others may log what they send and receive.
pub(crate) fn start(settings: &LogSettings) {
    let level = match settings.level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    let ours = Targets::new().with_targets(OURS.map(|target| (target, level)));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(ours);
    // A second start, in a test, changes nothing.
    let _ = match settings.format {
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
        LogFormat::Text => {
            use std::io::IsTerminal;
            registry.with(lines.with_ansi(std::io::stderr().is_terminal())).try_init()
        }
    };
    log_panics_without_payload();
}
