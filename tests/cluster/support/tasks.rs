//! Tasks, as Flyte runs them.

use serde_json::{Value, json};

use super::workload::completed;
use crate::harness::flytekit::{printed, reading_pod};
use crate::harness::{Namespace, eventually, request, task_pod};

/// Waits until pods of the namespace get their secrets: what was registered takes a moment to get to the API server.
pub(crate) async fn called(tasks: &Namespace) {
    let asked = [request(&[("group", "any"), ("key", "key"), ("mount_requirement", "ENV_VAR")])];
    eventually("a call of the webhook", 30, || async {
        let pod = tasks.try_pod(&task_pod("probe", &asked)).await.map_err(|failure| failure.message)?;
        if pod["spec"]["containers"][0]["env"].is_array() { Ok(()) } else { Err("not called yet".to_owned()) }
    })
    .await;
}

/// A task's Job as one of Flyte's plugins makes it.
fn job(pod: &Value) -> Value {
    let metadata = json!({"labels": pod["metadata"]["labels"], "annotations": pod["metadata"]["annotations"]});
    let template = json!({"metadata": metadata, "spec": pod["spec"]});
    json!({"metadata": {"name": "task"}, "spec": {"backoffLimit": 0, "template": template}})
}

/// Runs a Job whose pod asks for a variable and a file of a Kubernetes Secret; flytekit reads both in it.
pub(crate) async fn flytekit_reads_secrets(tasks: &Namespace) {
    let secret = json!({"metadata": {"name": "db"}, "stringData": {"password": "planted $HOME", "cert": "planted\n"}});
    tasks.api.create(&tasks.path("secrets"), &secret).await.unwrap();
    let requests = [
        request(&[("group", "db"), ("key", "password"), ("mount_requirement", "ENV_VAR")]),
        request(&[("group", "db"), ("key", "cert"), ("mount_requirement", "FILE"), ("env_var", "CERTIFICATE")]),
    ];
    let questions = json!([{"group": "db", "key": "password"}, {"group": "db", "key": "cert"}]);
    let pod = reading_pod(&requests, &questions, &json!(["CERTIFICATE"]));
    tasks.api.create(&format!("/apis/batch/v1/namespaces/{}/jobs", tasks.name), &job(&pod)).await.unwrap();

    let pod = completed(tasks, "task").await;
    let read = printed(tasks, &pod).await;
    assert_eq!(read["secrets"], json!(["planted $HOME", "planted"]));
    assert_eq!(read["variables"]["CERTIFICATE"]["path"], "/etc/flyte/secrets/db/cert");
}
