//! Mirrors of secrets in the namespace of tasks, until the release ends.

use crate::harness::Namespace;

/// The label of mirrors.
const LABEL: &str = "secrets.flyte.org%2Fmirror%3Dtrue";
const JOB: &str = "flyte-secrets-unregister";

pub(super) async fn are_there(tasks: &Namespace) {
    let path = format!("{}?labelSelector={LABEL}", tasks.path("secrets"));
    let mirrors = tasks.api.get(&path).await.unwrap();
    assert_eq!(mirrors["items"].as_array().unwrap().len(), 1, "one for each secret, however many pods: {mirrors}");
}

/// The Job is gone with the rest; what its controller said of it stays for a while.
pub(super) async fn were_removed_by_the_job(home: &Namespace) {
    let events = home.api.get(&home.path("events")).await.unwrap();
    let of_job = |event: &&serde_json::Value| event["involvedObject"]["name"] == JOB;
    let reasons: Vec<_> = events["items"].as_array().unwrap().iter().filter(of_job).collect();
    assert!(reasons.iter().any(|event| event["reason"] == "Completed"), "{reasons:?}");
}
