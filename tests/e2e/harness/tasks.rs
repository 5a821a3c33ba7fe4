//! Tasks as their authors write them (`tests/python/tasks`), made into templates and run by Flyte's own SDKs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::flytekit::{environment, printed, python_pod};
use super::{Namespace, program, task_pod};

/// What the control plane knows of a task, out of the template that flytekit makes.
#[derive(Deserialize)]
pub(crate) struct Template {
    /// The requests of its security context, field by field.
    secrets: Vec<BTreeMap<String, String>>,
    /// The same as the control plane writes them into annotations.
    annotations: Vec<String>,
    /// Of its container.
    command: Value,
}

impl Template {
    /// Checks that `annotations encode` makes the same annotations of the requests.
    pub(crate) async fn annotations_are_ours(&self, name: &str) {
        assert!(!self.secrets.is_empty(), "{name} asks for secrets");
        for (secret, annotation) in self.secrets.iter().zip(&self.annotations) {
            let mut command = program::command(&program::path(), &["annotations", "encode"]);
            for (field, value) in secret {
                command.arg(format!("--{}={value}", field.replace('_', "-")));
            }
            let printed = program::run_ok(command).await;
            assert!(printed.ends_with(&format!(" {annotation}\n")), "{name}: {annotation} is not in {printed}");
        }
    }
}

/// One of Flyte's SDKs, and tasks that are written with it.
pub(crate) struct Sdk {
    /// Names the folder of a Python that holds it.
    variable: &'static str,
    script: &'static str,
    modules: &'static [&'static str],
    templates: OnceLock<BTreeMap<String, Template>>,
}

/// flytekit, for Flyte 1.
pub(crate) static FLYTEKIT: Sdk = Sdk {
    variable: "FLYTE_SECRETS_VENV",
    script: "run_flytekit.py",
    modules: &["secrets_workflow", "embedded_workflow", "fetched_workflow", "sql_tasks"],
    templates: OnceLock::new(),
};

/// The SDK of Flyte 2.
pub(crate) static FLYTE2: Sdk = Sdk {
    variable: "FLYTE_SECRETS_FLYTE2_VENV",
    script: "run_flyte2.py",
    modules: &["flyte2_tasks"],
    templates: OnceLock::new(),
};

impl Sdk {
    /// Its Python.
    pub(crate) fn python(&self) -> PathBuf {
        environment(self.variable).join("bin/python")
    }

    /// All tasks, as `MODULE.TASK`.
    pub(crate) fn templates(&self) -> &BTreeMap<String, Template> {
        self.templates.get_or_init(|| {
            let mut python = std::process::Command::new(self.python());
            let rest = TempDir::with_prefix("fs-tasks-").unwrap();
            python.env("TMPDIR", rest.path());
            python
                .arg(folder().join(self.script))
                .arg("templates")
                .args(self.modules)
                .env("PYTHONDONTWRITEBYTECODE", "1");
            let output = python.stdin(Stdio::null()).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            last_line(&String::from_utf8(output.stdout).unwrap())
        })
    }

    /// The tasks of a module.
    pub(crate) fn tasks_of(&self, module: &str) -> Vec<&str> {
        self.templates().keys().map(String::as_str).filter(|name| name.starts_with(module)).collect()
    }

    fn template(&self, task: &str) -> &Template {
        self.templates().get(task).unwrap_or_else(|| panic!("there is no task {task}"))
    }

    /// The task's pod, to be looked at as stored.
    pub(crate) fn pod_of(&self, task: &str) -> Value {
        task_pod(&pod_name(task), &self.template(task).annotations)
    }

    /// What the script is to do: run the container of a task.
    pub(crate) fn job(&self, task: &str) -> Value {
        json!({"task": task, "command": self.template(task).command})
    }

    /// Runs jobs on this host, one after the other, in the environment that each has as `env`; gives what they return.
    pub(crate) async fn execute(&self, jobs: &[Value]) -> Vec<Value> {
        assert!(jobs.iter().all(|job| job["env"].is_object()), "each job has an environment");
        let script = folder().join(self.script);
        let folder = TempDir::with_prefix("fs-tasks-").unwrap();
        // Values stand in them, so they go by a file.
        let file = folder.path().join("jobs.json");
        std::fs::write(&file, json!(jobs).to_string()).unwrap();
        let arguments = [script.to_str().unwrap(), "execute", file.to_str().unwrap()];
        let mut command = program::command(&self.python(), &arguments);
        // flytekit leaves things behind.
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("TMPDIR", folder.path());
        last_line(&program::run_ok(command).await)
    }

    /// Makes a pod that runs these jobs under the kubelet; it asks for what the tasks ask for.
    pub(crate) async fn start_pod(&self, namespace: &Namespace, name: &str, tasks: &[&str], jobs: &[Value]) {
        let requests: Vec<String> = tasks.iter().flat_map(|task| self.template(task).annotations.clone()).collect();
        let script = folder().join(self.script);
        let arguments = [script.to_str().unwrap(), "execute", &json!(jobs).to_string()];
        let pod = python_pod(name, &environment(self.variable), &requests, &arguments, Some(&folder()));
        namespace.create_pod(&pod).await.unwrap();
    }
}

/// What a script has printed, as JSON in its last line; before it there may be what its libraries say.
fn last_line<T: DeserializeOwned>(output: &str) -> T {
    serde_json::from_str(output.lines().last().unwrap_or_default()).unwrap_or_else(|e| panic!("{e}: {output}"))
}

/// The folder of the authors' files.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python/tasks")
}

/// The name that a task gets as a pod.
pub(crate) fn pod_name(task: &str) -> String {
    task.replace(['_', '.'], "-")
}

/// What flytekit's script is to do: run a workflow, as on a laptop.
pub(crate) fn workflow(name: &str) -> Value {
    json!({"workflow": name})
}

/// What the jobs of a pod have returned.
pub(crate) async fn returned(namespace: &Namespace, pod: &str) -> Vec<Value> {
    serde_json::from_value(printed(namespace, pod).await).unwrap()
}
