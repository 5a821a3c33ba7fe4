//! The webhook in a cluster: two replicas behind their Service, in a namespace that admits only restricted pods.

use std::time::Duration;

use crate::harness::webhook::PLANTED;
use crate::harness::{Namespace, bed, eventually};
use crate::support::image;
use crate::support::kubectl::{apply, delete, kubectl};
use crate::support::load::{Load, Pods};
use crate::support::processes::processes;
use crate::support::tasks::{called, flytekit_reads_secrets};
use crate::support::testbed::restart_api_server;
use crate::support::workload::{log, metric, page, pods, rolled_out};

/// A Job that makes the certificates, a Deployment, its Service and its rights.
const MANIFESTS: &str = include_str!("manifests/webhook.yaml");
const NAMESPACE: &str = "flyte-webhook";
const NAME: &str = "flyte-secrets";
const LABELS: &str = "app.kubernetes.io/name=flyte-secrets";

/// The manifests, applied; gives the webhook's namespace.
async fn installed() -> Namespace {
    image::on_the_node().await;
    apply(MANIFESTS).await;
    let namespace = Namespace { name: NAMESPACE.to_owned(), api: bed().api().await };
    rolled_out(&namespace, NAME).await;
    namespace
}

#[tokio::test]
async fn a_jobs_pod_reads_its_secrets_from_a_webhook_of_two_replicas_that_may_do_nothing_else() {
    let webhook = installed().await;
    let tasks = bed().namespace("tasks").await;
    called(&tasks).await;

    flytekit_reads_secrets(&tasks).await;
    every_replica_is_confined(&webhook).await;
    a_steady_load_is_served(&webhook, &tasks).await;
    a_replica_that_is_killed_comes_back(&webhook).await;
    pods_are_served_when_the_api_server_is_back(&tasks).await;
    delete(MANIFESTS).await;
    kubectl(&["delete", "mutatingwebhookconfiguration", NAME]).await.unwrap();
}

async fn every_replica_is_confined(webhook: &Namespace) {
    let replicas = pods(webhook, LABELS).await;
    assert_eq!(replicas.len(), 2);
    for pod in &replicas {
        let processes = processes(pod, "flyte-secrets");
        assert_eq!(processes.len(), 1, "one process a pod");
        let process = &processes[0];
        assert_eq!(process.status("Uid"), "65532 65532 65532 65532");
        assert_eq!(process.status("CapBnd"), "0000000000000000", "not even a way to capabilities");
        assert_eq!(process.status("NoNewPrivs"), "1");
        assert_eq!(process.status("Seccomp"), "2", "the runtime's filter");
        assert!(process.root_options().split(',').any(|option| option == "ro"), "{}", process.root_options());
        let log = log(webhook, pod).await;
        assert!(!log.contains(PLANTED), "a value is in the log: {log}");
    }
}

/// The API server keeps its connections (HTTP/2), so that one replica may get all of it.
async fn a_steady_load_is_served(webhook: &Namespace, tasks: &Namespace) {
    let load = Load::start(tasks, 50, Pods::DryRun);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let report = load.stop().await;
    assert!(report.served >= 140, "{report:?}");
    assert_eq!((report.failures(), report.unanswered.len(), report.late), (0, 0, 0), "{report:?}");
    let mut counted = Vec::new();
    for pod in pods(webhook, LABELS).await {
        counted.push(metric(&page(&pod, "/metrics").await, "admission_duration_seconds_count"));
    }
    println!("admissions of each replica: {counted:?}");
    assert!(counted.iter().sum::<f64>() >= 140.0, "{counted:?}");
}

async fn a_replica_that_is_killed_comes_back(webhook: &Namespace) {
    let killed = &pods(webhook, LABELS).await[0];
    processes(killed, "flyte-secrets")[0].kill();
    let path = format!("{}/{}", webhook.path("pods"), killed["metadata"]["name"].as_str().unwrap());
    eventually("a restart of the container", 60, || async {
        let pod = webhook.api.get(&path).await.map_err(|failure| failure.message)?;
        let container = &pod["status"]["containerStatuses"][0];
        let back = container["restartCount"] == 1 && container["ready"] == true;
        if back { Ok(()) } else { Err(container.to_string()) }
    })
    .await;
}

async fn pods_are_served_when_the_api_server_is_back(tasks: &Namespace) {
    restart_api_server().await;
    let load = Load::start(tasks, 50, Pods::Stored);
    eventually("the first hundred pods", 10, || async {
        let report = load.so_far();
        if report.served >= 100 { Ok(()) } else { Err(format!("{report:?}")) }
    })
    .await;
    let report = load.stop().await;
    assert_eq!((report.failures(), report.unanswered.len()), (0, 0), "{report:?}");
}
