//! Admissions at a steady pace, each with its outcome.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::harness::api::Failure;
use crate::harness::{Api, Namespace, request, task_pod};

/// No more admissions wait for an answer at a time; those above are counted as late.
const MOST_IN_FLIGHT: usize = 1_000;

/// What every pod of the load asks the K8s manager for, and the variable that shows that it got it.
const GROUP: &str = "load";
const VARIABLE: &str = "LOAD_KEY";

/// The key of a value that pods may ask the Embedded manager for, and the variable that refers to its mirror.
pub(crate) const EMBEDDED: &str = "load_token";
const EMBEDDED_VARIABLE: &str = "LOAD_TOKEN";

/// What becomes of the pods.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Pods {
    /// Nothing: each is a dry run.
    DryRun,
    /// They are stored; no scheduler takes them.
    Stored,
    /// Each asks for the value of [`EMBEDDED`] too. One of ten is stored, so that mirrors are written; the others are dry runs.
    OfBothManagers,
}

/// What came of all admissions.
#[derive(Default, Clone)]
pub(crate) struct Report {
    /// Admitted with their secrets.
    pub(crate) served: usize,
    /// Failed because of the webhook, or admitted without a secret.
    pub(crate) failed: Vec<Failed>,
    /// The API server itself gave no answer, or one that speaks of no webhook.
    pub(crate) unanswered: Vec<Failed>,
    /// Not even sent, as too many were waiting.
    pub(crate) late: usize,
    /// The longest wait of one that was served.
    pub(crate) longest: Duration,
}

/// An admission that did not come off.
#[derive(Clone)]
pub(crate) struct Failed {
    pub(crate) sent: Instant,
    pub(crate) ended: Instant,
    /// What was said.
    pub(crate) why: String,
}

impl Report {
    /// How many failed because of the webhook.
    pub(crate) fn failures(&self) -> usize {
        self.failed.len()
    }

    /// How many were sent.
    pub(crate) fn sent(&self) -> usize {
        self.served + self.failed.len() + self.unanswered.len()
    }
}

/// How often each thing was said.
pub(crate) fn reasons<'a>(failed: impl IntoIterator<Item = &'a Failed>) -> BTreeMap<&'a str, usize> {
    let mut reasons = BTreeMap::new();
    for one in failed {
        *reasons.entry(one.why.as_str()).or_default() += 1;
    }
    reasons
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report")
            .field("served", &self.served)
            .field("failed", &reasons(&self.failed))
            .field("unanswered", &reasons(&self.unanswered))
            .field("late", &self.late)
            .field("longest", &self.longest)
            .finish()
    }
}

/// A load that is running.
pub(crate) struct Load {
    report: Arc<Mutex<Report>>,
    end: watch::Sender<bool>,
    work: JoinHandle<()>,
}

impl Load {
    /// Makes `per_second` pods a second in the namespace, each with a request that the K8s manager serves as a variable. The next
    /// one is sent when it is due, and not when the last one is answered.
    pub(crate) fn start(namespace: &Namespace, per_second: u32, pods: Pods) -> Self {
        let report = Arc::new(Mutex::new(Report::default()));
        let (end, ended) = watch::channel(false);
        let pause = Duration::from_secs(1) / per_second;
        let work = run(namespace.api.clone(), namespace.path("pods"), pods, pause, Arc::clone(&report), ended);
        Self { report, end, work: tokio::spawn(work) }
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

async fn run(
    api: Api,
    stored: String,
    pods: Pods,
    pause: Duration,
    report: Arc<Mutex<Report>>,
    mut ended: watch::Receiver<bool>,
) {
    let dry_run = format!("{stored}?dryRun=All");
    let both = pods == Pods::OfBothManagers;
    let mut asked = vec![request(&[("group", GROUP), ("key", "key"), ("mount_requirement", "ENV_VAR")])];
    if both {
        asked.push(request(&[("key", EMBEDDED), ("mount_requirement", "ENV_VAR")]));
    }
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
        let store = pods == Pods::Stored || (both && number.is_multiple_of(10));
        let mut pod = task_pod("load", &asked);
        // The API server completes the name: no two loads get in each other's way.
        pod["metadata"]["name"].take();
        pod["metadata"]["generateName"] = json!("load-");
        let (api, path, report) =
            (api.clone(), if store { stored.clone() } else { dry_run.clone() }, Arc::clone(&report));
        sent.spawn(async move {
            let begun = Instant::now();
            let answer = api.create(&path, &pod).await;
            report.lock().unwrap().count(answer, begun, both);
        });
    }
    sent.join_all().await;
}

impl Report {
    fn count(&mut self, answer: Result<Value, Failure>, sent: Instant, both: bool) {
        let ended = Instant::now();
        let (list, why) = match answer {
            Ok(pod) if has_secret(&pod) && (!both || has_mirror(&pod)) => {
                self.served += 1;
                self.longest = self.longest.max(ended - sent);
                return;
            }
            Ok(_) => (&mut self.failed, "admitted without a secret".to_owned()),
            // "failed calling webhook …" and "admission webhook … denied the request"
            Err(failure) if failure.message.contains("webhook") => (&mut self.failed, failure.message),
            Err(failure) => (&mut self.unanswered, format!("{} {}", failure.code, failure.message)),
        };
        list.push(Failed { sent, ended, why });
    }
}

/// The source of the variable whose name ends so.
fn source<'a>(pod: &'a Value, name: &str) -> Option<&'a Value> {
    let mut variables = pod["spec"]["containers"][0]["env"].as_array().into_iter().flatten();
    variables
        .find(|variable| variable["name"].as_str().is_some_and(|full| full.ends_with(name)))
        .map(|it| &it["valueFrom"])
}

fn has_secret(pod: &Value) -> bool {
    source(pod, VARIABLE) == Some(&json!({"secretKeyRef": {"name": GROUP, "key": "key", "optional": true}}))
}

fn has_mirror(pod: &Value) -> bool {
    source(pod, EMBEDDED_VARIABLE).is_some_and(|source| source["secretKeyRef"]["name"].is_string())
}
