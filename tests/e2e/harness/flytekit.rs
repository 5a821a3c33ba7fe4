//! Flyte's own SDK in a pod that really runs.
//!
//! What is real: the API server, the kubelet, containerd, runc, Python and flytekit. The image is busybox; Python and
//! flytekit are the machine's own, mounted from the host, so that no image of hundreds of MB has to be made.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{Namespace, eventually, task_pod};

/// Reads secrets with flytekit and prints them.
pub(crate) const PROGRAM: &str = include_str!("../../python/read_secrets.py");

/// The folder of a Python, which a variable names: flytekit's is `FLYTE_SECRETS_VENV`.
pub(crate) fn environment(variable: &str) -> PathBuf {
    let folder = std::env::var_os(variable).map(PathBuf::from);
    folder.unwrap_or_else(|| panic!("{variable} is not set: run `make e2e`"))
}

/// The folder from which that Python takes its library.
fn base_prefix(venv: &Path) -> String {
    let mut python = Command::new(venv.join("bin/python"));
    let output = python.args(["-c", "import sys; print(sys.base_prefix, end='')"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// A task's pod that reads these secrets and variables with flytekit and prints them.
pub(crate) fn reading_pod(requests: &[String], questions: &Value, variables: &Value) -> Value {
    let arguments = ["-c", PROGRAM, &questions.to_string(), &variables.to_string()];
    python_pod("task", &environment("FLYTE_SECRETS_VENV"), requests, &arguments, None)
}

/// A task's pod whose container `main` runs this Python; one more folder of the host is there if given.
pub(crate) fn python_pod(
    name: &str,
    venv: &Path,
    requests: &[String],
    arguments: &[&str],
    folder: Option<&Path>,
) -> Value {
    let mut pod = task_pod(name, requests);
    let base = base_prefix(venv);
    let venv = venv.to_str().unwrap().to_owned();
    let mut folders = vec!["/usr".to_owned(), "/lib".to_owned(), "/lib64".to_owned(), venv.clone()];
    folders.extend(folder.map(|folder| folder.to_str().unwrap().to_owned()));
    if !base.starts_with("/usr") {
        folders.push(base);
    }
    let folders: Vec<_> = folders.into_iter().filter(|folder| std::fs::exists(folder).unwrap()).enumerate().collect();
    let spec = &mut pod["spec"];
    spec["schedulerName"] = json!("default-scheduler");
    spec["restartPolicy"] = json!("Never");
    spec["volumes"] =
        folders.iter().map(|(n, folder)| json!({"name": format!("host-{n}"), "hostPath": {"path": folder}})).collect();
    let python = format!("{venv}/bin/python");
    spec["containers"] = json!([{
        "name": "main", "image": "localhost/busybox:1", "imagePullPolicy": "Never",
        "command": std::iter::once(python.as_str()).chain(arguments.iter().copied()).collect::<Vec<_>>(),
        "env": [{"name": "HOME", "value": "/tmp"}, {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"}],
        "volumeMounts": folders
            .iter()
            .map(|(n, folder)| json!({"name": format!("host-{n}"), "mountPath": folder, "readOnly": true}))
            .collect::<Vec<_>>(),
    }]);
    pod
}

/// Runs the pod to its end and gives what it printed.
pub(crate) async fn run(namespace: &Namespace, pod: &Value) -> Value {
    namespace.create_pod(pod).await.unwrap();
    printed(namespace, "task").await
}

/// What the pod of that name has printed at its end; it must succeed.
pub(crate) async fn printed(namespace: &Namespace, pod: &str) -> Value {
    let path = format!("{}/{pod}", namespace.path("pods"));
    let phase = eventually("the end of the pod", 90, || async {
        let pod = namespace.api.get(&path).await.map_err(|failure| failure.message)?;
        match pod["status"]["phase"].as_str() {
            Some(phase @ ("Succeeded" | "Failed")) => Ok(phase.to_owned()),
            _ => Err(pod["status"].to_string()),
        }
    })
    .await;
    let log = namespace.api.text(&format!("{path}/log?container=main")).await.unwrap();
    assert_eq!(phase, "Succeeded", "{log}");
    let last = log.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|e| panic!("{e}: {log}"))
}
