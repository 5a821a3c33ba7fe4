//! Tasks as their authors write them (`tests/python/tasks`), made into templates and run by flytekit itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Value, json};

use super::flytekit::{self, printed, python_pod};
use super::{Namespace, program, task_pod};

/// The modules whose tasks are looked at.
const MODULES: [&str; 3] = ["secrets_workflow", "embedded_workflow", "fetched_workflow"];

/// What the control plane knows of a task, out of the template that flytekit makes.
#[derive(Deserialize)]
pub(crate) struct Template {
    /// The requests of its security context, field by field.
    pub(crate) secrets: Vec<BTreeMap<String, String>>,
    /// The same as the control plane writes them into annotations.
    pub(crate) annotations: Vec<String>,
    /// Of its container.
    command: Value,
}

/// The folder of the authors' files.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python/tasks")
}

/// All tasks, as `MODULE.TASK`.
pub(crate) fn templates() -> &'static BTreeMap<String, Template> {
    static TEMPLATES: LazyLock<BTreeMap<String, Template>> = LazyLock::new(|| {
        let mut python = std::process::Command::new(flytekit::venv().join("bin/python"));
        python.arg(folder().join("run.py")).arg("templates").args(MODULES).env("PYTHONDONTWRITEBYTECODE", "1");
        let output = python.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    });
    &TEMPLATES
}

/// The template of a task.
pub(crate) fn template(task: &str) -> &'static Template {
    templates().get(task).unwrap_or_else(|| panic!("there is no task {task}"))
}

/// The task's pod, to be looked at as stored.
pub(crate) fn pod_of(task: &str) -> Value {
    task_pod(&pod_name(task), &template(task).annotations)
}

/// The name that a task gets as a pod.
pub(crate) fn pod_name(task: &str) -> String {
    task.replace(['_', '.'], "-")
}

/// What `run.py` is to do: run the container of a task.
pub(crate) fn job(task: &str) -> Value {
    json!({"task": task, "command": template(task).command})
}

/// What `run.py` is to do: run a workflow, as on a laptop.
pub(crate) fn workflow(name: &str) -> Value {
    json!({"workflow": name})
}

/// Runs jobs on this host, one after the other, in the environment that each has as `env`; gives what they return.
pub(crate) async fn execute(jobs: &[Value]) -> Vec<Value> {
    assert!(jobs.iter().all(|job| job["env"].is_object()), "each job has an environment");
    let script = folder().join("run.py");
    let arguments = [script.to_str().unwrap(), "execute", &json!(jobs).to_string()];
    let mut command = program::command(&flytekit::venv().join("bin/python"), &arguments);
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    let output = program::run_ok(command).await;
    serde_json::from_str(output.lines().last().unwrap_or_default()).unwrap_or_else(|e| panic!("{e}: {output}"))
}

/// Makes a pod that runs these jobs under the kubelet; the requests of all of them stand in it.
pub(crate) async fn start_pod(namespace: &Namespace, name: &str, tasks: &[&str], jobs: &[Value]) -> Value {
    let mut requests: Vec<String> = tasks.iter().flat_map(|task| template(task).annotations.clone()).collect();
    requests.dedup();
    let script = folder().join("run.py");
    let jobs = json!(jobs).to_string();
    let pod = python_pod(name, &requests, &[script.to_str().unwrap(), "execute", &jobs], Some(&folder()));
    namespace.create_pod(&pod).await.unwrap()
}

/// What the jobs of a pod have returned.
pub(crate) async fn returned(namespace: &Namespace, pod: &str) -> Vec<Value> {
    serde_json::from_value(printed(namespace, pod).await).unwrap()
}
