//! The log on standard error, as `logger` in the configuration says.

use flyte_secrets_config::{LogFormat, LogLevel, LogSettings};
use flyte_secrets_webhook::server::log_panics_without_payload;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

/// What we log under. The AWS SDK, for one, writes session tokens at the level trace.
const OURS: [&str; 3] = ["flyte_secrets", "admission", "access_policy"];

/// What makes traces of spans.
pub(crate) type Traced = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts logging. Only our own crates are logged: others may log what they send and receive.
pub(crate) fn start(settings: &LogSettings) {
    start_with(settings, None);
}

/// As [`start`], and makes traces. Lines and traces have filters of their own: no span gets into a line, no line into a trace.
pub(crate) fn start_with(settings: &LogSettings, traced: Option<Traced>) {
    let level = match settings.level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    let ours = Targets::new().with_targets(OURS.map(|target| (target, level)));
    // Who changed which secret is noted, however little else is.
    let ours = ours.with_target("flyte_secrets::audit", level.max(Level::INFO));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(traced);
    // A second start, in a test, changes nothing.
    let _ = match settings.format {
        LogFormat::Json => registry.with(lines.json().flatten_event(true).with_filter(ours)).try_init(),
        LogFormat::Text => {
            use std::io::IsTerminal;
            registry.with(lines.with_ansi(std::io::stderr().is_terminal()).with_filter(ours)).try_init()
        }
    };
    log_panics_without_payload();
}
