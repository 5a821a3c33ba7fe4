//! The end of the program.

use anyhow::{Context, Result};
use tokio::sync::watch;

/// The moment at which the program is asked to end, for all its parts.
#[derive(Clone)]
pub(super) struct Ending(watch::Receiver<bool>);

impl Ending {
    /// SIGTERM or SIGINT.
    pub(super) fn at_signal() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
        let (asked, ending) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            asked.send_replace(true);
        });
        Ok(Self(ending))
    }

    pub(super) async fn reached(mut self) {
        // The other side goes away only after it has told.
        let _ = self.0.wait_for(|asked| *asked).await;
    }
}
