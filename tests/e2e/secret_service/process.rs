//! The service as a process of its own.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Child;

use crate::harness::bed::logs;
use crate::harness::certs::Authority;
use crate::harness::identity::service_account;
use crate::harness::plain_http::{get, post_text};
use crate::harness::webhook::{PLANTED, free_port, merge};
use crate::harness::{Namespace, eventually, program};

/// A configured service; ended, and its log searched for planted values, when dropped.
pub(crate) struct Service {
    pub(crate) port: u16,
    pub(crate) folder: TempDir,
    metrics_port: u16,
    log: PathBuf,
    kubeconfig: PathBuf,
    env: Vec<(&'static str, String)>,
    child: Option<Child>,
}

/// A kubeconfig with the rights that the service needs, and no others.
pub(crate) async fn rights(namespace: &Namespace) -> PathBuf {
    let verbs = json!(["get", "list", "create", "update", "delete"]);
    service_account(namespace, json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": verbs}])).await
}

impl Service {
    /// A running service over the Secrets of a namespace; `more` is of the section `secret`.
    pub(crate) async fn over_kubernetes(name: &str, namespace: &str, kubeconfig: PathBuf, more: Value) -> Self {
        let mut section = json!({"kubernetes": {"namespace": namespace, "clusterName": "bed", "timeout": "20s"}});
        merge(&mut section, more);
        Self::start(name, kubeconfig, section, json!({})).await
    }

    /// A running service over a local store of its own; `more` is of the section `secret`.
    pub(crate) async fn over_local(name: &str, more: Value) -> Self {
        let mut section = json!({"store": "Local"});
        merge(&mut section, more);
        Self::start(name, PathBuf::new(), section, json!({})).await
    }

    /// A running service over a store that others have; `config` is of the section `embeddedSecretManagerConfig`.
    pub(crate) async fn over(store: &str, config: Value, env: &[(&'static str, impl ToString)]) -> Self {
        let mut service =
            Self::configured(&format!("crashes-{store}"), PathBuf::new(), json!({"store": store}), config);
        service.env = env.iter().map(|(name, value)| (*name, value.to_string())).collect();
        service.spawn().await;
        service
    }

    /// A running service with these settings of the section `secret`, and `more_stores` of the Embedded manager's.
    pub(crate) async fn start(name: &str, kubeconfig: PathBuf, more: Value, more_stores: Value) -> Self {
        let mut service = Self::configured(name, kubeconfig, more, more_stores);
        service.spawn().await;
        service
    }

    fn configured(name: &str, kubeconfig: PathBuf, more: Value, more_stores: Value) -> Self {
        let folder = TempDir::with_prefix("fs-secrets-").unwrap();
        let (port, metrics_port) = (free_port(), free_port());
        let mut section = json!({
            "webhookURL": "",
            "server": {"host": "127.0.0.1", "port": port, "metricsPort": metrics_port, "shutdownDelay": "0s"},
        });
        merge(&mut section, more);
        let local = json!({"file": folder.path().join("secrets.age"), "keyFile": folder.path().join("key.txt")});
        let mut stores = json!({"localConfig": local});
        merge(&mut stores, more_stores);
        let config = json!({
            "logger": {"level": 6},
            "secret": section,
            "webhook": {"embeddedSecretManagerConfig": stores},
        });
        std::fs::write(folder.path().join("config.yaml"), config.to_string()).unwrap();
        let log = logs().join(format!("{name}.log"));
        Self { port, folder, metrics_port, log, kubeconfig, env: Vec::new(), child: None }
    }

    /// Starts the process, and waits until it is ready.
    pub(crate) async fn spawn(&mut self) {
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let mut command = program::command(&program::path(), &["service", "--config"]);
        command.arg(self.folder.path().join("config.yaml"));
        command.env("KUBECONFIG", &self.kubeconfig).env("HOME", self.folder.path()).envs(self.env.iter().cloned());
        self.child = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let port = self.metrics_port;
        eventually("a service that is ready", 20, || async {
            match get(port, "/readyz").await {
                Ok((200, _)) => Ok(()),
                other => Err(format!("{other:?}: {}", self.logged())),
            }
        })
        .await;
    }

    /// Ends the process where it stands: SIGKILL.
    pub(crate) async fn kill(&mut self) {
        self.child.take().expect("the service was started").kill().await.unwrap();
    }

    pub(crate) fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) async fn metrics(&self) -> String {
        get(self.metrics_port, "/metrics").await.unwrap().1
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Calls a method over Connect; gives `ok` or the name of the error.
    pub(crate) async fn call(&self, method: &str, message: &Value) -> String {
        code(&post_text(&self.address(), &path(method), "", &message.to_string()).await)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.take());
        if !std::thread::panicking() {
            assert!(!self.logged().contains(PLANTED), "a secret value is in {}", self.log.display());
        }
    }
}

pub(crate) fn path(method: &str) -> String {
    format!("/flyteidl2.secret.SecretService/{method}")
}

/// `ok`, or the name of the error, of an answer in JSON.
pub(crate) fn code((status, body): &(u16, String)) -> String {
    let answer: Value = serde_json::from_str(body).unwrap_or_default();
    match (status, answer["code"].as_str()) {
        (200, _) => "ok".to_owned(),
        (_, Some(code)) => code.to_owned(),
        (status, None) => format!("{status} {body}"),
    }
}

/// A secret of flytesnacks in development.
pub(crate) fn secret(name: &str, value: &str) -> Value {
    json!({"id": id(name), "secretSpec": {"stringValue": value}})
}

/// The same for pulling images.
pub(crate) fn pull_secret(name: &str, auth: &str) -> Value {
    let config = json!({"auths": {"registry.example": {"auth": auth}}}).to_string();
    json!({"id": id(name), "secretSpec": {"stringValue": config, "type": "SECRET_TYPE_IMAGE_PULL_SECRET"}})
}

pub(crate) fn named(name: &str) -> Value {
    json!({"id": id(name)})
}

fn id(name: &str) -> Value {
    json!({"name": name, "domain": "development", "project": "flytesnacks"})
}

pub(crate) fn encoded(name: &str) -> String {
    format!("u__org__flyte__domain__development__project__flytesnacks__key__{name}")
}

/// All Secrets of a namespace.
pub(crate) async fn stored(namespace: &Namespace) -> Vec<Value> {
    let list = namespace.api.get(&namespace.path("secrets")).await.unwrap();
    list["items"].as_array().unwrap().clone()
}

/// What a Secret holds under a key.
pub(crate) fn value_in(secret: &Value, key: &str) -> Option<String> {
    let bytes = data_encoding::BASE64.decode(secret["data"][key].as_str()?.as_bytes()).unwrap();
    Some(String::from_utf8(bytes).unwrap())
}

/// A folder with a certificate for 127.0.0.1, and its authority in PEM.
pub(crate) fn certificate() -> (TempDir, String) {
    let (folder, authority) = (TempDir::with_prefix("fs-certs-").unwrap(), Authority::new("of the Secret service"));
    let leaf = authority.leaf(&["127.0.0.1", "localhost"], 2100);
    std::fs::write(folder.path().join("tls.crt"), leaf.certificate).unwrap();
    std::fs::write(folder.path().join("tls.key"), leaf.key).unwrap();
    std::fs::write(folder.path().join("ca.crt"), &authority.pem).unwrap();
    (folder, authority.pem)
}
