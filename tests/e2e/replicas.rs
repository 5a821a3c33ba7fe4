//! Two replicas behind their Service, under load: restarts and sudden deaths.
//!
//! The API server picks an endpoint by itself for each new connection, as in every cluster, and keeps connections in a pool
//! that knows nothing of endpoints.

use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::harness::endpoints::Endpoints;
use crate::harness::load::{Failed, Load, Report};
use crate::harness::{Namespace, Setup, Webhook, bed, eventually, request, task_pod};

const PER_SECOND: u32 = 50;
/// Between two disturbances, and before and after them.
const QUIET: Duration = Duration::from_secs(2);
/// How long an API server may take from an EndpointSlice that has changed to the last connection by the old one.
const NOTICED: Duration = Duration::from_secs(1);

struct Replicas {
    namespace: Namespace,
    all: Vec<Webhook>,
    endpoints: Endpoints,
}

impl Replicas {
    async fn start(purpose: &str) -> Self {
        let namespace = bed().namespace(purpose).await;
        let name = namespace.name.clone();
        let mut all = Vec::new();
        for replica in 0..2 {
            let setup = Setup::with(json!({
                // A value that is referred to makes mirrors, and mirrors a leader.
                "secretManagerTypes": ["K8s", "Embedded"], "delivery": "SecretRef", "url": "", "webhookTimeout": "5s",
                "embeddedSecretManagerConfig": {"type": "K8s", "k8sConfig": {"namespace": name}},
                "shutdownDelay": "3s",
            }));
            let mut webhook = Webhook::configure(&name, &name, setup);
            webhook.log.set_file_name(format!("{name}-{replica}.log"));
            webhook.set_env("POD_NAME", &format!("replica-{replica}"));
            webhook.init_certs().await;
            all.push(webhook);
        }
        let endpoints = Endpoints::follow(&namespace, &name, &all).await;
        for webhook in &mut all {
            webhook.spawn();
            webhook.ready().await;
        }
        for replica in 0..2 {
            endpoints.told(replica, true).await;
        }
        let replicas = Self { namespace, all, endpoints };
        eventually("a call of either replica", 20, || async {
            replicas.namespace.try_pod(&task_pod("probe", &[])).await.map_err(|failure| failure.message)?;
            let calls = replicas.all[0].calls().await + replicas.all[1].calls().await;
            if calls > 0.0 { Ok(()) } else { Err("no admission yet".to_owned()) }
        })
        .await;
        replicas
    }

    /// The replica that has most of the API server's connections.
    async fn busiest(&self) -> usize {
        usize::from(self.all[1].calls().await > self.all[0].calls().await)
    }

    fn load(&self) -> Load {
        let wanted = request(&[("group", "g"), ("key", "k"), ("mount_requirement", "ENV_VAR")]);
        let pod = task_pod("t", &[wanted]);
        Load::start(self.namespace.api.clone(), &self.namespace.path("pods"), pod, PER_SECOND)
    }

    /// Starts a replica that has ended, and waits until the cluster knows it.
    async fn again(&mut self, replica: usize) {
        self.all[replica].spawn();
        self.all[replica].ready().await;
        self.endpoints.told(replica, true).await;
    }

    /// Who leads, another than `not`.
    async fn leader(&self, not: Option<usize>) -> usize {
        let Namespace { name, api } = &self.namespace;
        let lease = format!("/apis/coordination.k8s.io/v1/namespaces/{name}/leases/{name}-leader");
        eventually("a leader", 40, || async {
            let lease: Value = api.get(&lease).await.map_err(|failure| failure.message)?;
            let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned();
            let leads = |replica: &usize| holder.starts_with(&format!("replica-{replica}_"));
            (0..2).find(leads).filter(|leader| Some(*leader) != not).ok_or(holder)
        })
        .await
    }
}

/// The first failures, one a line.
fn some(failed: &[&Failed]) -> String {
    failed.iter().take(5).map(|one| format!("\n{one:?}")).collect()
}

/// Says what became of a load, and checks that it was one.
fn tell(what: &str, report: &Report) {
    let Report { sent, slowest, failed } = report;
    say(&format!("{what}: {sent} pods, {} failed, the slowest took {slowest:?}", failed.len()));
    assert!(*sent > 5 * PER_SECOND as usize, "{sent} pods are no load");
}

fn figure(name: &str, count: usize) {
    say(&format!("figure: {name} = {count} admissions"));
}

/// On a line of its own, past what captures the output of tests.
fn say(line: &str) {
    std::io::stdout().write_all(format!("\n{line}\n").as_bytes()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_of_both_replicas_fails_no_admission() {
    let mut replicas = Replicas::start("rolling").await;
    let load = replicas.load();
    sleep(QUIET).await;
    let busiest = replicas.busiest().await;
    for replica in [busiest, 1 - busiest] {
        assert!(replicas.all[replica].calls().await > 0.0, "nobody would miss replica {replica}");
        replicas.all[replica].terminate();
        replicas.endpoints.told(replica, false).await;
        assert_eq!(replicas.all[replica].ended().await.code(), Some(0));
        replicas.again(replica).await;
        sleep(QUIET).await;
    }
    let report = load.stop().await;
    tell("rolling restart", &report);
    figure("failed_admissions_rolling_restart_host_processes", report.failed.len());
    assert!(report.failed.is_empty(), "{}", some(&report.failed.iter().collect::<Vec<_>>()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_replica_is_killed_no_admission_fails_but_those_that_went_to_it() {
    let mut replicas = Replicas::start("killed").await;
    let leader = replicas.leader(None).await;
    let load = replicas.load();
    let mut deaths = Vec::new();
    // The leader first, then the other one, which leads by then.
    for replica in [leader, 1 - leader] {
        sleep(QUIET).await;
        let killed = Instant::now();
        replicas.all[replica].kill().await;
        let told = replicas.endpoints.told(replica, false).await;
        deaths.push((killed, told + NOTICED));
        if replica == leader {
            replicas.leader(Some(leader)).await;
        }
        replicas.again(replica).await;
    }
    sleep(QUIET).await;
    let report = load.stop().await;
    tell("a leader and another replica killed", &report);
    let (theirs, ours): (Vec<&Failed>, Vec<&Failed>) =
        report.failed.iter().partition(|one| went_to_the_dead(one, &deaths));
    // Kubernetes asks once, and learns late that nobody is there: what it sends meanwhile is lost, whoever is asked.
    say(&format!("figure: admissions_lost_with_a_killed_replica_host_processes = {} admissions", theirs.len()));
    figure("failed_admissions_leader_kill_host_processes", ours.len());
    assert!(ours.is_empty(), "{}", some(&ours));
}

/// Whether a connection to a dead process failed, while the cluster could not know that it is dead.
fn went_to_the_dead(failed: &Failed, deaths: &[(Instant, Instant)]) -> bool {
    let meanwhile = |(killed, noticed): &(Instant, Instant)| failed.ended >= *killed && failed.sent <= *noticed;
    let broken = ["connection refused", "connection reset", "EOF", "broken pipe", "server closed idle connection"];
    deaths.iter().any(meanwhile)
        && failed.why.contains("failed calling webhook")
        && broken.iter().any(|text| failed.why.contains(text))
}
