//! Tasks, as Flyte runs them.

use serde_json::{Value, json};

use super::kubectl::kubectl;
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

/// A task's Job as one of Flyte's plugins makes it; its name is that of the pod.
pub(crate) fn job(pod: &Value) -> Value {
    let metadata = json!({"labels": pod["metadata"]["labels"], "annotations": pod["metadata"]["annotations"]});
    let template = json!({"metadata": metadata, "spec": pod["spec"]});
    let name = &pod["metadata"]["name"];
    json!({"metadata": {"name": name}, "spec": {"backoffLimit": 0, "template": template}})
}

/// A secret that flytekit asks for: group, key and what it must read.
type Expected<'a> = (&'a str, &'a str, &'a str);

/// Runs a Job whose pod asks for a variable and a file of a Kubernetes Secret; flytekit reads both in it.
pub(crate) async fn flytekit_reads_secrets(tasks: &Namespace) {
    flytekit_reads_more(tasks, &[], &[]).await;
}

/// As [`flytekit_reads_secrets`], with more requests, and what flytekit must read because of them. When it is over, nothing is
/// left in the namespace.
pub(crate) async fn flytekit_reads_more(tasks: &Namespace, more: &[String], expected: &[Expected<'_>]) {
    let secret = json!({"metadata": {"name": "db"}, "stringData": {"password": "planted $HOME", "cert": "planted\n"}});
    tasks.api.create(&tasks.path("secrets"), &secret).await.unwrap();
    let mut requests = vec![
        request(&[("group", "db"), ("key", "password"), ("mount_requirement", "ENV_VAR")]),
        request(&[("group", "db"), ("key", "cert"), ("mount_requirement", "FILE"), ("env_var", "CERTIFICATE")]),
    ];
    requests.extend_from_slice(more);
    let expected = [&[("db", "password", "planted $HOME"), ("db", "cert", "planted")], expected].concat();
    let questions: Vec<_> = expected.iter().map(|(group, key, _)| json!({"group": group, "key": key})).collect();
    let values: Vec<_> = expected.iter().map(|(_, _, value)| json!(value)).collect();
    let pod = reading_pod(&requests, &json!(questions), &json!(["CERTIFICATE"]));
    tasks.api.create(&format!("/apis/batch/v1/namespaces/{}/jobs", tasks.name), &job(&pod)).await.unwrap();

    let pod = completed(tasks, "task").await;
    let read = printed(tasks, &pod).await;
    assert_eq!(read["secrets"], json!(values));
    assert_eq!(read["variables"]["CERTIFICATE"]["path"], "/etc/flyte/secrets/db/cert");
    for object in ["job/task", "secret/db"] {
        let delete = ["delete", object, "--namespace", &tasks.name, "--cascade=foreground"];
        kubectl(&delete).await.unwrap();
    }
}
