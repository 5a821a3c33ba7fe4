#![allow(clippy::unwrap_used)]

use std::time::Duration;

use flyte_secrets_sdk::plugins::TaskExecutionMetadata;

use super::*;

fn id(execution: &str, node: &str, retry_attempt: u32) -> TaskExecutionId {
    let (execution, node_id) = (execution.to_owned(), node.to_owned());
    let (org, project, domain) = ("flyte".to_owned(), "p".to_owned(), "d".to_owned());
    TaskExecutionId { org, project, domain, execution, node_id, retry_attempt }
}

fn task(timeout: Option<Duration>) -> Task {
    let metadata = TaskExecutionMetadata { id: id("a1", "n0", 0), ..TaskExecutionMetadata::default() };
    Task { task_type: String::new(), metadata, container: None, timeout, connection: None }
}

#[test]
fn an_execution_has_one_name_and_no_other_execution_has_it() {
    let one = name(&id("f1b2", "n0", 0));
    assert_eq!(one, name(&id("f1b2", "n0", 0)));
    assert!(one.starts_with("f1b2-n0-0-"), "{one}");
    for other in [id("f1b2", "n0", 1), id("f1b2-n0", "0", 0), id("F1B2", "n0", 0)] {
        assert_ne!(one, name(&other));
    }
}

#[test]
fn every_name_is_one_that_kubernetes_takes() {
    for execution in ["f1", "", "---", "UPPER_case/..", "ü", &"x".repeat(500)] {
        let name = name(&id(execution, "n0.1", 3));
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(name.len() <= 63 && name.chars().all(plain), "{name}");
        assert!(!name.starts_with('-') && !name.ends_with('-'), "{name}");
    }
}

#[test]
fn a_task_becomes_a_job_that_runs_its_container_once() {
    let container = Container {
        image: "busybox".to_owned(),
        args: vec!["echo".to_owned(), "$(X)".to_owned()],
        env: vec![("A".to_owned(), "b".to_owned())],
        limits: vec![("cpu", "1".to_owned()), ("memory", "1Gi".to_owned())],
        ..Container::default()
    };
    let job = manifest(&task(Some(Duration::from_millis(1500))), &container);
    let spec = &job["spec"];
    assert_eq!((&spec["backoffLimit"], &spec["activeDeadlineSeconds"]), (&json!(0), &json!(1)));
    let main = &spec["template"]["spec"]["containers"][0];
    assert_eq!(
        *main,
        json!({"name": "task", "image": "busybox", "args": ["echo", "$(X)"], "env": [{"name": "A", "value": "b"}],
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}})
    );
    assert!(is_of(&job, &id("a1", "n0", 0)) && !is_of(&job, &id("a1", "n0", 1)));
    let unlimited = manifest(&task(None), &container);
    assert!(unlimited["spec"].get("activeDeadlineSeconds").is_none());
}

#[test]
fn the_states_of_a_job_are_phases_of_flyte() {
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "R", "message": "m"});
    for (status_of_job, phase, message) in [
        (json!({}), Phase::Queued, "the Job has no pod yet"),
        (json!({"active": 1, "ready": 0}), Phase::Initializing, "the Job's pod is not ready yet"),
        (json!({"active": 1, "ready": 1}), Phase::Running, "the Job's pod runs"),
        (
            json!({"active": 1, "conditions": [condition("SuccessCriteriaMet", "True")]}),
            Phase::Initializing,
            "the Job's pod is not ready yet",
        ),
        (json!({"conditions": [condition("Suspended", "True")]}), Phase::Queued, "R: m"),
        (
            json!({"conditions": [condition("Suspended", "False"), condition("Complete", "True")]}),
            Phase::Succeeded,
            "R: m",
        ),
        (json!({"conditions": [condition("Failed", "True")]}), Phase::Failed, "R: m"),
    ] {
        let status = status(&json!({"status": status_of_job}), None);
        assert_eq!((status.phase, status.message.as_str()), (phase, message), "{status_of_job}");
    }
}
