use std::sync::Mutex;

use serde_json::json;

use super::test_installation::{installation, options};
use super::*;
use crate::kubernetes::fake_api_server::FakeApiServer;

async fn examined(server: &FakeApiServer) -> (Report, Vec<Check>) {
    let done = Mutex::new(Vec::new());
    let note = |check| done.lock().unwrap().push(check);
    let report = examine(server.client(), &installation(), Vec::new(), &options(true), note).await;
    let done = done.into_inner().unwrap();
    (report, done)
}

fn cluster_of_version(version: &str) -> FakeApiServer {
    let server = FakeApiServer::default();
    server.cluster().pages.insert("version", json!({"gitVersion": version}));
    server
}

#[tokio::test]
async fn every_check_is_told_of_once_and_in_order() {
    let (report, mut done) = examined(&cluster_of_version("v1.36.0")).await;
    let checks: Vec<Check> = report.checks.iter().map(|(check, _)| *check).collect();
    assert_eq!(checks, Check::ALL);
    done.sort_unstable();
    assert_eq!(done, Check::ALL);
    assert!(report.checks.iter().all(|(_, findings)| !findings.is_empty()), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_silent_is_told_of_once() {
    let server = cluster_of_version("v1.36.0");
    server.cluster().latency = Some(Box::new(|| (Duration::from_secs(3600), Duration::ZERO)));
    let (report, _) = examined(&server).await;
    let errors: Vec<Id> = report.findings().filter(|one| one.level == Level::Error).map(|one| one.id).collect();
    assert_eq!(errors, [Id::ClusterUnreachable]);
    let checks: Vec<Check> = report.checks.iter().map(|(check, _)| *check).collect();
    assert_eq!(checks, [Check::Cluster, Check::Stores, Check::Policy], "what needs no cluster is looked at");
}

#[tokio::test]
async fn without_any_right_nothing_is_an_error_but_what_the_webhook_may_not_do() {
    let server = cluster_of_version("v1.36.0");
    server.cluster().forbidden.extend(["get", "list", "create pods"]);
    let (report, _) = examined(&server).await;
    for finding in report.findings() {
        let missing = finding.id == Id::PermissionsMissing;
        assert!(missing || finding.level <= Level::Warning, "{finding:?}");
    }
    let blind = report.findings().filter(|finding| finding.id == Id::CouldNotLook).collect::<Vec<_>>();
    assert!(blind.len() >= 6, "{blind:?}");
    assert!(blind.iter().all(|finding| finding.remedy.contains("verbs: [")), "{blind:?}");
}
