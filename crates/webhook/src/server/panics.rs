//! Panics are logged by place only: their message may hold anything, a secret too.

use std::panic;

/// Makes every panic of the process one log line with its place in the source, without its message, in place of Rust's
/// own report on standard error, which prints the message. To be called once, by the program.
pub fn log_panics_without_payload() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        tracing::error!(%place, "a panic: a mistake in the program; its message is not shown, as it may hold a secret");
    }));
}
