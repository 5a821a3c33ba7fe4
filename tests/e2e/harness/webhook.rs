//! The webhook as a process of its own, registered by URL for one namespace.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::bed::{bed, logs};
use super::plain_http::get;
use super::program::{self, run_ok};
use super::{Namespace, eventually, task_pod};

/// What no log, error or metric may hold: every value that a test plants begins with it.
pub(crate) const PLANTED: &str = "planted";

/// How a webhook is configured; `Setup::default()` is the K8s manager in profile `flyte2`.
pub(crate) struct Setup {
    /// The `webhook` section, over what the harness needs itself.
    pub(crate) webhook: Value,
    /// The `secrets` section.
    pub(crate) secrets: Value,
    /// The webhook's own environment.
    pub(crate) env: Vec<(String, String)>,
    /// Instead of the admin's.
    pub(crate) kubeconfig: Option<PathBuf>,
}

impl Default for Setup {
    fn default() -> Self {
        Self::with(json!({"secretManagerTypes": ["K8s"]}))
    }
}

impl Setup {
    pub(crate) fn with(webhook: Value) -> Self {
        Self { webhook, secrets: json!({}), env: Vec::new(), kubeconfig: None }
    }
}

/// The Embedded manager over an encrypted file below the webhook's own folder, see [`Webhook::import`].
pub(crate) fn local_store() -> Value {
    json!({"type": "Local"})
}

/// A configured webhook; ended, and searched for planted values, when dropped.
pub(crate) struct Webhook {
    /// Of the configuration, of the Secret, and of the log.
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) metrics_port: u16,
    pub(crate) log: PathBuf,
    folder: TempDir,
    program: PathBuf,
    env: Vec<(String, String)>,
    child: Option<Child>,
}

impl Webhook {
    /// A running webhook that the API server already calls for the pods of `namespace`.
    pub(crate) async fn start(namespace: &Namespace, setup: Setup) -> Self {
        let mut webhook = Self::configure(&namespace.name, &namespace.name, setup);
        webhook.init_certs().await;
        webhook.spawn();
        webhook.ready().await;
        webhook.called(namespace).await;
        webhook
    }

    /// The configuration of a webhook called `name` for the pods of `namespace`; nothing runs yet.
    pub(crate) fn configure(name: &str, namespace: &str, setup: Setup) -> Self {
        let mut webhook = Self::unconfigured(name, namespace);
        let folder = webhook.folder.path();
        let mut section = json!({
            "serviceName": name,
            "secretName": name,
            "listenPort": webhook.port,
            "metricsPort": webhook.metrics_port,
            "cacheInvalidationPort": 0,
            "url": format!("https://127.0.0.1:{}", webhook.port),
            "certDir": webhook.cert_dir(),
            "localCert": true,
            "delivery": "PodSpec",
            "accessPolicy": {"mode": "Off"},
            "embeddedSecretManagerConfig": {
                "localConfig": {"file": folder.join("secrets.age"), "keyFile": folder.join("key.txt")},
            },
            "namespaceSelector": selector(namespace),
        });
        merge(&mut section, setup.webhook);
        let mut secrets = json!({"secrets-prefix": webhook.secrets_prefix()});
        merge(&mut secrets, setup.secrets);
        webhook.add_config("config.yaml", &json!({"logger": {"level": 5}, "webhook": section, "secrets": secrets}));
        webhook.env.splice(..0, setup.env);
        if let Some(kubeconfig) = setup.kubeconfig {
            webhook.set_env("KUBECONFIG", kubeconfig.to_str().unwrap());
        }
        webhook
    }

    /// A webhook whose registration and log are called `name`, with an environment and without any configuration.
    pub(crate) fn unconfigured(name: &str, namespace: &str) -> Self {
        let folder = TempDir::with_prefix("fs-e2e-").unwrap();
        std::fs::create_dir(folder.path().join("config")).unwrap();
        let log = logs().join(format!("{name}.log"));
        let (port, metrics_port) = (free_port(), free_port());
        let (name, program) = (name.to_owned(), program::path());
        let mut webhook = Self { name, port, metrics_port, log, folder, program, env: Vec::new(), child: None };
        let home = webhook.folder.path().to_str().unwrap().to_owned();
        for (name, value) in
            [("KUBECONFIG", bed().kubeconfig.to_str().unwrap()), ("POD_NAMESPACE", namespace), ("HOME", &home)]
        {
            webhook.set_env(name, value);
        }
        webhook
    }

    /// Adds a file to the configuration; of all files, the last in alphabetical order wins.
    pub(crate) fn add_config(&self, file: &str, config: &Value) {
        // JSON is YAML.
        std::fs::write(self.config_dir().join(file), serde_json::to_vec_pretty(config).unwrap()).unwrap();
    }

    /// From now on the program goes by another name.
    pub(crate) fn rename_program(&mut self, name: &str) {
        let link = self.folder.path().join(name);
        std::os::unix::fs::symlink(&self.program, &link).unwrap();
        self.program = link;
    }

    /// The program with this webhook's configuration and environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program::command(&self.program, arguments);
        // The program expands it, not a shell.
        command.arg("--config").arg(self.config_dir().join("*.yaml"));
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The folder of the configuration's files.
    pub(crate) fn config_dir(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// Where the Global manager looks for files.
    pub(crate) fn secrets_prefix(&self) -> PathBuf {
        self.folder.path().join("secrets")
    }

    /// The file of the Local store.
    pub(crate) fn local_file(&self) -> PathBuf {
        self.folder.path().join("secrets.age")
    }

    pub(crate) fn cert_dir(&self) -> PathBuf {
        self.folder.path().join("certs")
    }

    /// The authority of the serving certificate, in PEM.
    pub(crate) fn ca(&self) -> String {
        std::fs::read_to_string(self.cert_dir().join("ca.crt")).unwrap()
    }

    /// Sets a variable of the process' environment, for what is started from now on.
    pub(crate) fn set_env(&mut self, name: &str, value: &str) {
        self.env.retain(|(other, _)| other != name);
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// Puts values, by encoded id, into the Local store of the configuration, in the place of those that are there.
    pub(crate) async fn import(&self, values: &Value) {
        let file = self.folder.path().join("values.json");
        std::fs::write(&file, values.to_string()).unwrap();
        let mut command = self.command(&["secret", "import", "--replace"]);
        command.arg(file);
        run_ok(command).await;
    }

    pub(crate) async fn init_certs(&self) -> String {
        run_ok(self.command(&["init-certs"])).await
    }

    /// Starts the process; `ready` tells when it serves.
    pub(crate) fn spawn(&mut self) {
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let child = self.command(&["webhook"]).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        self.child = Some(child);
    }

    /// Waits until it says that it is ready.
    pub(crate) async fn ready(&mut self) {
        let end = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
        loop {
            let answer = self.plain("/readyz").await;
            if answer.as_ref().is_ok_and(|(status, _)| *status == 200) {
                return;
            }
            let ended = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
            let late = tokio::time::Instant::now() > end;
            assert!(ended.is_none() && !late, "not ready: {answer:?}, ended: {ended:?}, log:\n{}", self.logged());
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// Waits until the API server calls it: what was registered takes a moment to get there.
    pub(crate) async fn called(&self, namespace: &Namespace) {
        eventually("a call of the webhook", 20, || async {
            // Nothing is asked for, so any webhook lets it pass.
            namespace.try_pod(&task_pod("probe", &[])).await.map_err(|failure| failure.message)?;
            match self.calls().await {
                count if count > 0.0 => Ok(()),
                _ => Err("no admission yet".to_owned()),
            }
        })
        .await;
    }

    /// How often the API server has called it.
    pub(crate) async fn calls(&self) -> f64 {
        self.metric("admission_duration_seconds_count").await
    }

    /// The sum of all samples of a metric, whatever its prefix and labels.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.plain("/metrics").await.unwrap();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let of_name = samples.filter(|line| line.split(['{', ' ']).next().is_some_and(|n| n.ends_with(name)));
        of_name.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Status and body of a page of the plain port.
    pub(crate) async fn plain(&self, path: &str) -> Result<(u16, String), String> {
        get(self.metrics_port, path).await
    }

    /// Everything it has written to standard output and standard error.
    pub(crate) fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        let id = self.child.as_ref().and_then(Child::id).expect("the webhook has ended");
        assert!(std::process::Command::new("kill").arg(id.to_string()).status().unwrap().success());
    }

    /// Ends the process where it stands: SIGKILL.
    pub(crate) async fn kill(&mut self) {
        self.child.take().expect("the webhook was started").kill().await.unwrap();
    }

    /// Stops the process where it stands, or lets it go on.
    pub(crate) fn pause(&self, paused: bool) {
        let id = self.child.as_ref().and_then(Child::id).expect("the webhook has ended").to_string();
        let signal = if paused { "-STOP" } else { "-CONT" };
        assert!(std::process::Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Waits for the end, at most 30 seconds.
    pub(crate) async fn ended(&mut self) -> std::process::ExitStatus {
        let mut child = self.child.take().expect("the webhook was started");
        let limit = std::time::Duration::from_secs(30);
        tokio::time::timeout(limit, child.wait()).await.expect("the webhook does not end").unwrap()
    }

    /// The path of its MutatingWebhookConfiguration.
    pub(crate) fn registration(&self) -> String {
        format!("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{}", self.name)
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        // The child is killed with its handle.
        drop(self.child.take());
        if !std::thread::panicking() {
            assert!(!self.logged().contains(PLANTED), "a secret value is in {}", self.log.display());
        }
    }
}

/// What limits a registration to one namespace, so that tests can run side by side.
pub(crate) fn selector(namespace: &str) -> Value {
    json!({"matchLabels": {"kubernetes.io/metadata.name": namespace}})
}

/// Puts the members of `over` into `under`, objects member by member.
pub(crate) fn merge(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (name, value) in over {
                merge(under.entry(name).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}

/// A port that is free on every address, and that nobody else in this run gets. It lies below those that the kernel gives
/// to outgoing connections, so none of these can take it before its server does. Nobody gets the one above it: OpenBao
/// opens that too, for its cluster.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    loop {
        let port = NEXT.fetch_add(2, Ordering::Relaxed);
        assert!(port < 26_000, "there is no free port left");
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}
