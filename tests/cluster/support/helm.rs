//! helm, as people use it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::harness::bed;

/// The chart of this tree.
pub(crate) const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/flyte-secrets");

/// helm, as the cluster's admin, with a home of its own.
pub(crate) struct Helm {
    program: PathBuf,
    home: TempDir,
}

impl Helm {
    pub(crate) fn new() -> Self {
        let program = std::env::var_os("FLYTE_SECRETS_HELM").map(PathBuf::from);
        let program = program.expect("FLYTE_SECRETS_HELM is not set: run `make cluster`");
        Self { program, home: TempDir::with_prefix("fs-helm-").unwrap() }
    }

    /// Runs helm to its end, at most three minutes; gives what it printed, or why it failed.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(&self.program);
        command.args(arguments).env("KUBECONFIG", &bed().kubeconfig).env("HOME", self.home.path());
        for folder in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(folder, self.home.path());
        }
        for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            command.env_remove(proxy);
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        let limit = Duration::from_secs(180);
        let output = tokio::time::timeout(limit, command.output()).await.map_err(|_| "helm does not end")?;
        let output = output.map_err(|error| format!("{}: {error}", self.program.display()))?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let failed = || format!("helm {arguments:?}: {printed}{}", String::from_utf8_lossy(&output.stderr));
        if output.status.success() { Ok(printed) } else { Err(failed()) }
    }

    /// `helm install` of a chart into a namespace that is there, with these values; waits until everything is ready.
    pub(crate) async fn install(&self, release: &str, namespace: &str, values: &Value) -> Result<String, String> {
        self.release("install", release, namespace, values).await
    }

    /// `helm upgrade`, as [`Helm::install`].
    pub(crate) async fn upgrade(&self, release: &str, namespace: &str, values: &Value) -> Result<String, String> {
        self.release("upgrade", release, namespace, values).await
    }

    /// `helm uninstall`; waits until the objects are gone.
    pub(crate) async fn uninstall(&self, release: &str, namespace: &str) -> Result<String, String> {
        self.run(&["uninstall", release, "--namespace", namespace, "--wait", "--timeout", "2m"]).await
    }

    async fn release(&self, verb: &str, release: &str, namespace: &str, values: &Value) -> Result<String, String> {
        assert!(Path::new(CHART).is_dir(), "{CHART} is not there");
        let file = self.home.path().join(format!("{release}.json"));
        std::fs::write(&file, values.to_string()).map_err(|error| error.to_string())?;
        let file = file.to_str().expect("the folder's name is text");
        let place = ["--namespace", namespace, "--values", file, "--wait", "--timeout", "2m"];
        self.run(&[&[verb, release, CHART][..], &place].concat()).await
    }
}
