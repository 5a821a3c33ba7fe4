//! Admissions at a steady pace, each with its outcome.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::harness::api::Failure;
use crate::harness::{Api, Namespace, request, task_pod};

/// No more admissions wait for an answer at a time; those above are counted as late.
const MOST_IN_FLIGHT: usize = 1_000;

/// What the pods of the load ask for, and the variable that shows that they got it.
const GROUP: &str = "load";
const VARIABLE: &str = "LOAD_KEY";

/// What becomes of the pods.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Pods {
    /// Nothing: each is a dry run.
    DryRun,
    /// They are stored; no scheduler takes them.
    Stored,
}

/// What came of all admissions.
#[derive(Debug, Default, Clone)]
pub(crate) struct Report {
    /// Admitted with their secret.
    pub(crate) served: usize,
    /// Failed because of the webhook, or admitted without their secret; by what was said.
    pub(crate) failed: BTreeMap<String, usize>,
    /// The API server itself gave no answer, or one that speaks of no webhook; by what was said.
    pub(crate) unanswered: BTreeMap<String, usize>,
    /// Not even sent, as too many were waiting.
    pub(crate) late: usize,
    /// The longest wait of one that was served.
    pub(crate) longest: Duration,
}

impl Report {
    /// How many failed because of the webhook.
    pub(crate) fn failures(&self) -> usize {
        self.failed.values().sum()
    }
}

/// A load that is running.
pub(crate) struct Load {
    report: Arc<Mutex<Report>>,
    end: watch::Sender<bool>,
    work: JoinHandle<()>,
}

impl Load {
    /// Makes `per_second` pods a second in the namespace, each with a request that the K8s manager serves as a variable.
    pub(crate) fn start(namespace: &Namespace, per_second: u32, pods: Pods) -> Self {
        let report = Arc::new(Mutex::new(Report::default()));
        let (end, ended) = watch::channel(false);
        let path = match pods {
            Pods::DryRun => format!("{}?dryRun=All", namespace.path("pods")),
            Pods::Stored => namespace.path("pods"),
        };
        let pause = Duration::from_secs(1) / per_second;
        let work = tokio::spawn(run(namespace.api.clone(), path, pause, Arc::clone(&report), ended));
        Self { report, end, work }
    }

    /// What has come of it until now.
    pub(crate) fn so_far(&self) -> Report {
        self.report.lock().unwrap().clone()
    }

    /// Ends it when all that were sent have been answered.
    pub(crate) async fn stop(self) -> Report {
        self.end.send_replace(true);
        self.work.await.unwrap();
        self.report.lock().unwrap().clone()
    }
}

async fn run(api: Api, path: String, pause: Duration, report: Arc<Mutex<Report>>, mut ended: watch::Receiver<bool>) {
    let asked = [request(&[("group", GROUP), ("key", "key"), ("mount_requirement", "ENV_VAR")])];
    let mut ticks = tokio::time::interval(pause);
    let mut sent = JoinSet::new();
    for number in 0_u64.. {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = ended.wait_for(|ended| *ended) => break,
        }
        while sent.try_join_next().is_some() {}
        if sent.len() >= MOST_IN_FLIGHT {
            report.lock().unwrap().late += 1;
            continue;
        }
        let pod = task_pod(&format!("load-{number}"), &asked);
        let (api, path, report) = (api.clone(), path.clone(), Arc::clone(&report));
        sent.spawn(async move {
            let begun = Instant::now();
            let answer = api.create(&path, &pod).await;
            report.lock().unwrap().count(answer, begun.elapsed());
        });
    }
    sent.join_all().await;
}

impl Report {
    fn count(&mut self, answer: Result<Value, Failure>, waited: Duration) {
        let (list, why) = match answer {
            Ok(pod) if has_secret(&pod) => {
                self.served += 1;
                self.longest = self.longest.max(waited);
                return;
            }
            Ok(_) => (&mut self.failed, "admitted without its secret".to_owned()),
            // "failed calling webhook …" and "admission webhook … denied the request"
            Err(failure) if failure.message.contains("webhook") => (&mut self.failed, failure.message),
            Err(failure) => (&mut self.unanswered, format!("{} {}", failure.code, failure.message)),
        };
        *list.entry(why).or_default() += 1;
    }
}

fn has_secret(pod: &Value) -> bool {
    let variables = pod["spec"]["containers"][0]["env"].as_array().into_iter().flatten();
    let source = json!({"secretKeyRef": {"name": GROUP, "key": "key", "optional": true}});
    variables.into_iter().any(|variable| {
        variable["name"].as_str().is_some_and(|name| name.ends_with(VARIABLE)) && variable["valueFrom"] == source
    })
}
