//! Pods where Pod Security enforces `restricted`.

use serde_json::{Value, json};

use super::STORED;
use crate::harness::pod::container;
use crate::harness::{Namespace, eventually, request, task_pod};
use crate::support::kubectl::kubectl;

/// From now on the namespace takes only pods that Pod Security calls restricted.
pub(super) async fn enforced(namespace: &Namespace) {
    let label = "pod-security.kubernetes.io/enforce=restricted";
    kubectl(&["label", "namespace", &namespace.name, label]).await.unwrap();
}

/// The init container that writes the file really runs with what `restricted` leaves it.
pub(super) async fn a_pod_gets_a_file(tasks: &Namespace) {
    // An old replica that still serves has lost its rights on Secrets; what it refuses may be tried again.
    let stored = eventually("a replica of the new form", 60, || async {
        tasks.create_pod(&reading_pod()).await.map_err(|failure| {
            assert_eq!(failure.code, 503, "{}", failure.message);
            failure.message
        })
    })
    .await;
    assert_eq!(container(&stored, "init-embedded-secret")["securityContext"]["runAsNonRoot"], true, "{stored}");
    let path = format!("{}/restricted", tasks.path("pods"));
    eventually("the end of the pod", 60, || async {
        let pod = tasks.api.get(&path).await.map_err(|failure| failure.message)?;
        if pod["status"]["phase"] == "Succeeded" { Ok(()) } else { Err(pod["status"].to_string()) }
    })
    .await;
    let log = tasks.api.text(&format!("{path}/log?container=main")).await.unwrap();
    assert_eq!(log.trim_end(), STORED);
    kubectl(&["delete", "pod", "restricted", "--namespace", &tasks.name]).await.unwrap();
}

/// A pod that fits `restricted` by itself and prints the file that it asks for.
fn reading_pod() -> Value {
    let mut pod = task_pod("restricted", &[request(&[("key", "emb_token"), ("mount_requirement", "FILE")])]);
    let spec = &mut pod["spec"];
    spec["schedulerName"] = json!("default-scheduler");
    spec["restartPolicy"] = json!("Never");
    spec["securityContext"] = json!({"runAsUser": 1000});
    spec["containers"] = json!([{
        "name": "main", "image": "localhost/busybox:1", "imagePullPolicy": "Never",
        "command": ["/bin/sh", "-c", "cat $(find /etc/flyte/secrets -type f)"],
        "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": true,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }]);
    pod
}
