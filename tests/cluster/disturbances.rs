//! Everything that happens to a webhook in years, within minutes: fifty admissions a second go on meanwhile.
//!
//! The chart with two replicas in real pods. Lives of certificates are the shortest that the configuration takes with such clocks.
//! That a thing has happened is read from the cluster and from the replicas' metrics, never from the time that has passed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::eventually;
use crate::support::installed::{Installed, LABELS, PER_SECOND, RELEASE};
use crate::support::kubectl::kubectl;
use crate::support::load::{Failed, Report, reasons};
use crate::support::processes::processes;
use crate::support::testbed::restart_api_server;
use crate::support::workload::{pods, rolled_out};

/// Before and after a disturbance.
const QUIET: Duration = Duration::from_secs(2);
/// How long an API server may take from an EndpointSlice that has changed to the last connection by the old one.
const NOTICED: Duration = Duration::from_secs(1);

/// Says what became of the load of a phase, and checks that nothing failed but what `excused` takes.
fn judge(phase: &str, report: &Report, excused: impl Fn(&Failed) -> bool) {
    let all = || report.failed.iter().chain(&report.unanswered);
    let (excused, ours): (Vec<&Failed>, Vec<&Failed>) = all().partition(|one| excused(one));
    println!("{phase}: {} admissions, the slowest that was served took {:?}", report.sent(), report.longest);
    for (why, times) in reasons(excused) {
        println!("{phase}: not ours: {times} times {why}");
    }
    let failed = ours.len() + report.late;
    println!("\nfigure: admissions_{phase} = {} admissions", report.sent());
    println!("\nfigure: failed_admissions_{phase} = {failed} admissions");
    assert!(report.sent() > 5 * PER_SECOND as usize, "{} pods are no load", report.sent());
    assert_eq!(failed, 0, "{phase}: {} late, {:?}", report.late, reasons(ours));
}

fn never(_: &Failed) -> bool {
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_admissions_a_second_go_through_every_disturbance() {
    let installed = Installed::new().await;
    leaves_rotate(&installed).await;
    the_ca_rotates(&installed).await;
    both_replicas_are_restarted(&installed).await;
    the_leader_is_killed(&installed).await;
    the_api_server_is_restarted(&installed).await;
    installed.removed().await;
}

async fn leaves_rotate(installed: &Installed) {
    let rotations = || installed.samples("certificate_rotations_total", "certificate=\"serving\"");
    let load = installed.load();
    let before = rotations().await.unwrap();
    eventually("two new leaves of each replica", 60, || async {
        let now = rotations().await?;
        let all = now.iter().zip(&before).all(|(now, before)| *now >= before + 2.0);
        if all { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
    tokio::time::sleep(QUIET).await;
    judge("leaf_rotation", &load.stop().await, never);
}

/// Announced, signed by, retired, gone.
async fn the_ca_rotates(installed: &Installed) {
    let load = installed.load();
    let one = async || {
        let bundle = installed.bundle().await?;
        if bundle.len() == 1 { Ok(bundle) } else { Err(format!("{} CAs", bundle.len())) }
    };
    let first = eventually("one CA", 90, one).await;
    let signed = installed.samples("certificate_rotations_total", "certificate=\"ca\"").await.unwrap();
    let announced = eventually("a second CA in the bundle", 90, || async {
        let bundle = installed.bundle().await?;
        if bundle.len() == 2 && bundle.is_superset(&first) { Ok(bundle) } else { Err(format!("{} CAs", bundle.len())) }
    })
    .await;
    let announced_at = Instant::now();
    assert_eq!(
        installed.samples("certificate_rotations_total", "certificate=\"ca\"").await.unwrap(),
        signed,
        "nobody signs by a CA that has just been announced"
    );
    eventually("leaves by the new CA in both replicas", 60, || async {
        let now = installed.samples("certificate_rotations_total", "certificate=\"ca\"").await?;
        let all = now.iter().zip(&signed).all(|(now, before)| *now == before + 1.0);
        if all { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
    assert!(announced_at.elapsed() > Duration::from_secs(3), "a CA signs {:?} after", announced_at.elapsed());
    assert_eq!(installed.bundle().await.unwrap(), announced, "the old CA is trusted while leaves by it may be served");
    let last = eventually("the end of the old CA", 60, one).await;
    assert!(last.is_disjoint(&first) && last.is_subset(&announced));
    let keys = installed.home.api.get(&installed.ca_secret()).await.unwrap();
    assert_eq!(keys["data"].as_object().unwrap().len(), 3, "a list, the new CA and its key");
    tokio::time::sleep(QUIET).await;
    judge("ca_rotation", &load.stop().await, never);
}

async fn both_replicas_are_restarted(installed: &Installed) {
    let names = async || {
        let pods = pods(&installed.home, LABELS).await;
        pods.iter().map(|pod| pod["metadata"]["uid"].to_string()).collect::<BTreeSet<_>>()
    };
    let load = installed.load();
    tokio::time::sleep(QUIET).await;
    let before = names().await;
    let (deployment, namespace) = (format!("deployment/{RELEASE}"), &installed.home.name);
    kubectl(&["rollout", "restart", &deployment, "--namespace", namespace]).await.unwrap();
    rolled_out(&installed.home, RELEASE).await;
    // Those that end still hold connections.
    eventually("the end of the old replicas", 60, || async {
        let all = format!("{}?labelSelector={}", installed.home.path("pods"), LABELS.replace('=', "%3D"));
        let list = installed.home.api.get(&all).await.map_err(|failure| failure.message)?;
        let count = list["items"].as_array().unwrap().len();
        if count == 2 { Ok(()) } else { Err(format!("{count} pods")) }
    })
    .await;
    let after = names().await;
    assert!(after.len() == 2 && after.is_disjoint(&before), "{before:?} {after:?}");
    tokio::time::sleep(QUIET).await;
    judge("rolling_restart", &load.stop().await, never);
}

/// Kubernetes calls once, and learns late that nobody is there: what it sends to the dead process meanwhile is lost, whoever is called.
async fn the_leader_is_killed(installed: &Installed) {
    let leader = eventually("a leader", 60, || installed.holder()).await;
    let replicas = pods(&installed.home, LABELS).await;
    let name = |pod: &Value| pod["metadata"]["name"].as_str().unwrap().to_owned();
    let leads = |pod: &&Value| leader.starts_with(&format!("{}_", name(pod)));
    let pod = replicas.iter().find(leads).unwrap_or_else(|| panic!("{leader} is no replica"));
    let load = installed.load();
    tokio::time::sleep(QUIET).await;

    let killed = Instant::now();
    processes(pod, "flyte-secrets")[0].kill();
    let path = format!("{}/{}", installed.home.path("pods"), name(pod));
    eventually("a restart of the container", 60, || async {
        let pod = installed.home.api.get(&path).await.map_err(|failure| failure.message)?;
        let container = &pod["status"]["containerStatuses"][0];
        let back = container["restartCount"] == 1 && container["ready"] == true;
        if back { Ok(()) } else { Err(container.to_string()) }
    })
    .await;
    let back = Instant::now() + NOTICED;
    eventually("another leader", 90, || async {
        let holder = installed.holder().await?;
        if holder == leader { Err(holder) } else { Ok(()) }
    })
    .await;
    tokio::time::sleep(QUIET).await;
    let report = load.stop().await;

    let dead = |one: &Failed| {
        let broken = ["connection refused", "connection reset", "EOF", "broken pipe", "server closed idle connection"];
        let meanwhile = one.ended >= killed && one.sent <= back;
        meanwhile && one.why.contains("failed calling webhook") && broken.iter().any(|text| one.why.contains(text))
    };
    let lost = report.failed.iter().filter(|one| dead(one)).count();
    println!("\nfigure: admissions_lost_with_the_killed_leader = {lost} admissions");
    judge("leader_kill", &report, dead);
}

async fn the_api_server_is_restarted(installed: &Installed) {
    let load = installed.load();
    tokio::time::sleep(QUIET).await;
    let gone = Instant::now();
    restart_api_server().await;
    let back = Instant::now();
    let served = load.so_far().served;
    eventually("two hundred admissions by the new one", 60, || async {
        let report = load.so_far();
        if report.served >= served + 200 { Ok(()) } else { Err(format!("{report:?}")) }
    })
    .await;
    rolled_out(&installed.home, RELEASE).await;
    eventually("a leader", 60, || installed.holder()).await;
    tokio::time::sleep(QUIET).await;
    let report = load.stop().await;
    // Those that say nothing of a webhook: the API server itself has not answered.
    let away = |one: &Failed| !one.why.contains("webhook") && one.ended >= gone && one.sent <= back + NOTICED;
    judge("api_restart", &report, away);
    let restarts: u64 = pods(&installed.home, LABELS).await.iter().map(restarts).sum();
    assert_eq!(restarts, 1, "only the leader that was killed has begun anew");
}

fn restarts(pod: &Value) -> u64 {
    pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap()
}
