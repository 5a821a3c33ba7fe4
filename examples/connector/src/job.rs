//! A task as a Kubernetes Job, and what a Job's state means for Flyte. No I/O.

use data_encoding::HEXLOWER;
use flyte_secrets_sdk::plugins::TaskExecutionId;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::task::{Container, Phase, Status, Task};

/// Says for which execution a Job was made.
const EXECUTION: &str = "flyte-secrets-connector/execution";
/// How long a Job stays after its end, in seconds: Flyte has asked for its state long before.
const KEPT: u32 = 24 * 3600;
/// The longest message for Flyte, in characters.
const MAX_MESSAGE: usize = 1000;
/// The most of an execution's name in a Job's name, which has 63 characters at most.
const MAX_READABLE: usize = 40;

/// The name of an execution's Job: always the same, so that a Create that Flyte repeats finds the Job of the first.
pub(crate) fn name(id: &TaskExecutionId) -> String {
    let digest = HEXLOWER.encode(&Sha256::digest(execution(id)));
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let readable: String = id.to_string().chars().map(plain).take(MAX_READABLE).collect();
    format!("{}-{}", readable.trim_matches('-'), &digest[..16]).trim_start_matches('-').to_owned()
}

/// Everything that tells an execution from others.
fn execution(id: &TaskExecutionId) -> String {
    let TaskExecutionId { org, project, domain, execution, node_id, retry_attempt } = id;
    json!([org, project, domain, execution, node_id, retry_attempt]).to_string()
}

/// The Job of a task.
pub(crate) fn manifest(task: &Task, container: &Container) -> Value {
    let id = &task.metadata.id;
    let env: Vec<_> = container.env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let mut main = json!({"name": "task", "image": container.image, "env": env});
    for (member, words) in [("command", &container.command), ("args", &container.args)] {
        if !words.is_empty() {
            main[member] = json!(words);
        }
    }
    for (member, quantities) in [("requests", &container.requests), ("limits", &container.limits)] {
        for (name, quantity) in quantities {
            main["resources"][member][name] = json!(quantity);
        }
    }
    let mut pod = json!({"restartPolicy": "Never", "containers": [main]});
    if !task.metadata.k8s_service_account.is_empty() {
        pod["serviceAccountName"] = json!(task.metadata.k8s_service_account);
    }
    // Flyte repeats attempts itself.
    let mut spec = json!({"backoffLimit": 0, "ttlSecondsAfterFinished": KEPT, "template": {"spec": pod}});
    if let Some(timeout) = task.timeout {
        spec["activeDeadlineSeconds"] = json!(timeout.as_secs().max(1));
    }
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": name(id),
            "labels": {"app.kubernetes.io/managed-by": "flyte-secrets-connector"},
            "annotations": {EXECUTION: execution(id)},
        },
        "spec": spec,
    })
}

/// Whether a Job was made for this execution.
pub(crate) fn is_of(job: &Value, id: &TaskExecutionId) -> bool {
    job["metadata"]["annotations"][EXECUTION].as_str() == Some(&execution(id))
}

/// How a Job is doing, in Flyte's words.
pub(crate) fn status(job: &Value, log_link: Option<String>) -> Status {
    let status = &job["status"];
    let condition = |kind: &str| {
        let conditions = status["conditions"].as_array().into_iter().flatten();
        conditions.into_iter().find(|c| c["type"] == kind && c["status"] == "True").and_then(Value::as_object)
    };
    let pods = |member: &str| status[member].as_u64().unwrap_or(0);
    let (phase, message) = if let Some(end) = condition("Complete") {
        (Phase::Succeeded, reason(end, "the Job is complete"))
    } else if let Some(end) = condition("Failed") {
        (Phase::Failed, reason(end, "the Job has failed"))
    } else if let Some(pause) = condition("Suspended") {
        (Phase::Queued, reason(pause, "the Job is suspended"))
    } else if pods("ready") > 0 {
        (Phase::Running, "the Job's pod runs".to_owned())
    } else if pods("active") > 0 {
        (Phase::Initializing, "the Job's pod is not ready yet".to_owned())
    } else {
        (Phase::Queued, "the Job has no pod yet".to_owned())
    };
    Status { phase, message, log_link }
}

/// A Job that is not there any more: somebody has deleted it.
pub(crate) fn gone() -> Status {
    Status { phase: Phase::Aborted, message: "the Job is not there any more".to_owned(), log_link: None }
}

fn reason(condition: &Map<String, Value>, otherwise: &str) -> String {
    let text = |member: &str| condition.get(member).and_then(Value::as_str).unwrap_or_default();
    let told = match (text("reason"), text("message")) {
        ("", "") => otherwise.to_owned(),
        (reason, "") => reason.to_owned(),
        ("", message) => message.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    };
    told.chars().take(MAX_MESSAGE).collect()
}

#[cfg(test)]
#[path = "job_tests.rs"]
mod tests;
