//! The chart with two replicas in real pods, for tests that disturb it.

use std::collections::BTreeSet;

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::helm::Helm;
use super::image;
use super::kubectl::kubectl;
use super::load::{EMBEDDED, Load, Pods};
use super::tasks::called;
use super::workload::{labelled, pods, rolled_out, try_page};
use crate::harness::{Namespace, bed, eventually};

/// The name of everything that is installed.
pub(crate) const RELEASE: &str = "disturbed";
/// Of the replicas.
pub(crate) const LABELS: &str = "app.kubernetes.io/component=webhook";
/// How many pods a second the load makes.
pub(crate) const PER_SECOND: u32 = 50;

/// The id of the value that pods ask the Embedded manager for, and its hex MD5 (made with md5sum), under which it is stored.
const ID: &str = "u__org__flyte__domain__development__project__flytesnacks__key__load_token";
const STORED_AS: &str = "9a359be8fb5f3b80cc52d939a9b29982";

/// The chart, installed: two replicas, certificates with short lives.
pub(crate) struct Installed {
    helm: Helm,
    /// Of the webhook.
    pub(crate) home: Namespace,
    /// Of stored secrets.
    store: Namespace,
    /// Of the pods that ask.
    pub(crate) tasks: Namespace,
}

impl Installed {
    pub(crate) async fn new() -> Self {
        image::on_the_node().await;
        let home = bed().namespace("disturbed").await;
        let store = bed().namespace("disturbed-store").await;
        let tasks = bed().namespace("disturbed-tasks").await;
        assert!(ID.ends_with(EMBEDDED));
        let secret = json!({"metadata": {"name": STORED_AS}, "stringData": {ID: "planted in the store"}});
        store.api.create(&store.path("secrets"), &secret).await.unwrap();
        let helm = Helm::new();
        helm.install(RELEASE, &home.name, &values(&store.name)).await.unwrap();
        rolled_out(&home, RELEASE).await;
        called(&tasks).await;
        Self { helm, home, store, tasks }
    }

    pub(crate) async fn removed(self) {
        self.helm.uninstall(RELEASE, &self.home.name).await.unwrap();
        for namespace in [&self.home, &self.store, &self.tasks] {
            kubectl(&["delete", "namespace", &namespace.name, "--wait=false"]).await.unwrap();
        }
        eventually("the end of the namespaces", 120, || async {
            let left = kubectl(&["get", "namespaces", "--output=name"]).await?;
            if left.contains("disturbed") { Err(left) } else { Ok(()) }
        })
        .await;
    }

    /// A sample of each replica; 0 where nothing was counted yet.
    pub(crate) async fn samples(&self, name: &str, label: &str) -> Result<Vec<f64>, String> {
        let mut samples = Vec::new();
        for pod in pods(&self.home, LABELS).await {
            let page = try_page(&pod, "/metrics").await?;
            samples.push(labelled(&page, name, label).unwrap_or(0.0));
        }
        if samples.len() == 2 { Ok(samples) } else { Err(format!("{} replicas", samples.len())) }
    }

    pub(crate) fn registration() -> String {
        format!("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{RELEASE}")
    }

    /// The registered CAs, each as PEM.
    pub(crate) async fn bundle(&self) -> Result<BTreeSet<String>, String> {
        let registration = self.home.api.get(&Self::registration()).await.map_err(|failure| failure.message)?;
        let bundle = registration["webhooks"][0]["clientConfig"]["caBundle"].as_str().ok_or("no bundle")?;
        let bundle = BASE64.decode(bundle.as_bytes()).map_err(|error| error.to_string())?;
        let end = "-----END CERTIFICATE-----";
        let bundle = String::from_utf8_lossy(&bundle);
        let all = bundle.split_inclusive(end).map(str::trim).filter(|pem| pem.ends_with(end));
        Ok(all.map(str::to_owned).collect())
    }

    pub(crate) fn ca_secret(&self) -> String {
        format!("{}/{RELEASE}-ca", self.home.path("secrets"))
    }

    /// Who leads: the name of its pod and a mark of its process.
    pub(crate) async fn holder(&self) -> Result<String, String> {
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases/{RELEASE}-leader", self.home.name);
        let lease = self.home.api.get(&path).await.map_err(|failure| failure.message)?;
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
        if holder.is_empty() { Err("nobody leads".to_owned()) } else { Ok(holder.to_owned()) }
    }

    pub(crate) fn load(&self) -> Load {
        Load::start(&self.tasks, PER_SECOND, Pods::OfBothManagers)
    }
}

fn values(store: &str) -> Value {
    json!({
        "fullnameOverride": RELEASE,
        "image": {"repository": "localhost/flyte-secrets", "tag": "test", "pullPolicy": "Never"},
        "replicas": 2,
        "rbac": {"recreate": true},
        "config": {"webhook": {
            "secretManagerTypes": ["Embedded", "K8s"],
            "embeddedSecretManagerConfig": {"type": "K8s", "k8sConfig": {"namespace": store}},
            "certificates": {"caLifetime": "72s", "leafLifetime": "10s", "caOverlap": "4s", "clockSkew": "1s"},
        }},
    })
}
