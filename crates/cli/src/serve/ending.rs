//! The end of the program.

use anyhow::{Context, Result};
use tokio::sync::watch;

/// The moment at which the program is asked to end, for all its parts.
#[derive(Clone)]
pub(crate) struct Ending {
    /// How often it was asked.
    asked: watch::Receiver<usize>,
    /// How often it has to be asked to end at once.
    at_once: watch::Sender<usize>,
}

impl Ending {
    /// SIGTERM or SIGINT. As the first process of a container has no other answer to them, this is called before anything is
    /// waited for.
    pub(crate) fn at_signal() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
        let (signals, asked) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                signals.send_modify(|asked| *asked += 1);
            }
        });
        Ok(Self { asked, at_once: watch::Sender::new(1) })
    }

    /// The program was asked to end.
    pub(crate) async fn reached(self) {
        self.asked_for(1).await;
    }

    /// From here on there is something to end in good order: only a second signal ends the program at once.
    pub(crate) fn in_good_order(&self) {
        self.at_once.send_replace(2);
    }

    /// The program was asked to end at once.
    pub(crate) async fn at_once(self) {
        let mut needed = self.at_once.subscribe();
        loop {
            let signals = *needed.borrow_and_update();
            tokio::select! {
                () = self.clone().asked_for(signals) => return,
                // The sender is ours.
                _ = needed.changed() => {}
            }
        }
    }

    async fn asked_for(mut self, signals: usize) {
        if self.asked.wait_for(|asked| *asked >= signals).await.is_err() {
            // Nobody tells any more, which happens when the program ends anyway.
            std::future::pending::<()>().await;
        }
    }
}
