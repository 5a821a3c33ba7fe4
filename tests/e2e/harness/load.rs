//! Pods that are created at a steady rate, whatever becomes of them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Api;

/// Requests under way at a time; more means that the cluster does not keep up, and nothing is measured any more.
const MOST: usize = 2000;

/// A load that goes on until it is stopped.
pub(crate) struct Load {
    stop: watch::Sender<bool>,
    task: JoinHandle<Report>,
}

/// What became of it.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// All that were sent.
    pub(crate) sent: usize,
    /// The longest time that an answer took.
    pub(crate) slowest: Duration,
    /// Those that were not admitted, in no order.
    pub(crate) failed: Vec<Failed>,
}

/// One that was not admitted.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) sent: Instant,
    pub(crate) ended: Instant,
    /// The code and the message.
    pub(crate) why: String,
}

impl Load {
    /// Sends `pod` `per_second` times a second to `path` (of the pods of a namespace) as a dry run. The next one is sent when
    /// it is due, and not when the last one is answered.
    pub(crate) fn start(api: Api, path: &str, pod: Value, per_second: u32) -> Self {
        let (stop, stopped) = watch::channel(false);
        let path: Arc<str> = format!("{path}?dryRun=All").into();
        let task = tokio::spawn(run(api, path, Arc::new(pod), per_second, stopped));
        Self { stop, task }
    }

    /// Stops it, and waits for the last answer.
    pub(crate) async fn stop(self) -> Report {
        self.stop.send_replace(true);
        self.task.await.unwrap()
    }
}

impl Report {
    fn count(&mut self, (sent, ended, outcome): (Instant, Instant, Result<(), String>)) {
        self.slowest = self.slowest.max(ended - sent);
        self.failed.extend(outcome.err().map(|why| Failed { sent, ended, why }));
    }
}

async fn run(api: Api, path: Arc<str>, pod: Arc<Value>, per_second: u32, mut stopped: watch::Receiver<bool>) -> Report {
    let mut due = interval(Duration::from_secs(1) / per_second);
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut report, mut under_way) = (Report::default(), JoinSet::new());
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => break,
            Some(one) = under_way.join_next() => report.count(one.unwrap()),
            _ = due.tick() => {
                assert!(under_way.len() < MOST, "the cluster does not keep up with {per_second} pods a second");
                report.sent += 1;
                under_way.spawn(create(api.clone(), Arc::clone(&path), Arc::clone(&pod)));
            }
        }
    }
    while let Some(one) = under_way.join_next().await {
        report.count(one.unwrap());
    }
    report
}

async fn create(api: Api, path: Arc<str>, pod: Arc<Value>) -> (Instant, Instant, Result<(), String>) {
    let sent = Instant::now();
    let outcome = api.create(&path, &pod).await;
    let outcome = outcome.map(drop).map_err(|failure| format!("{} {}", failure.code, failure.message));
    (sent, Instant::now(), outcome)
}
