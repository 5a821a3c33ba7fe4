//! The settings of the Secret service (`secret`).

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::errors::ConfigError;
use crate::getter::Getter;
use crate::settings::KubeClientSettings;
use crate::stores::StoreSettings;
use crate::typed_stores;

/// `secret`: the service that `flyte create secret` talks to.
#[derive(Clone, Debug, PartialEq)]
pub struct SecretServiceSettings {
    /// `store`: where it keeps secrets.
    pub store: SecretServiceStore,
    /// The Embedded manager's settings of that store, whether it is asked by it or not.
    pub store_settings: StoreSettings,
    /// `server.host`: the address it listens on.
    pub host: String,
    /// `server.port`.
    pub port: u16,
    /// `server.metricsPort`: plain HTTP, `/healthz`, `/readyz` and `/metrics`.
    pub metrics_port: u16,
    /// `server.certDir`: the folder of `tls.crt` and `tls.key`, variables replaced; `None` is plain HTTP.
    pub cert_dir: Option<PathBuf>,
    /// `server.shutdownDelay`: how long it goes on serving after it was told to end; at most ten minutes.
    pub shutdown_delay: Duration,
    /// `webhookURL`: where caches are told of changes; `None` where it is empty and nobody is told.
    pub webhook_url: Option<String>,
    /// `webhookTokenFile`: the bearer token for that.
    pub webhook_token_file: Option<PathBuf>,
    /// `kubernetes.namespace`; that of the Embedded manager's K8s store where none is given.
    pub namespace: String,
    /// `kubernetes.{qps,burst,timeout}`; those of `webhook.kubeClientConfig` where none are given.
    pub kube_client: KubeClientSettings,
    /// `kubernetes.clusterName`: the cluster that secrets are said to be present in; empty: none.
    pub cluster_name: String,
}

/// Where the Secret service keeps secrets (`secret.store`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecretServiceStore {
    /// Secrets of one namespace, as in Flyte.
    K8s,
    /// One encrypted file.
    Local,
    /// AWS Secrets Manager.
    #[serde(rename = "AWS")]
    Aws,
    /// GCP Secret Manager.
    #[serde(rename = "GCP")]
    Gcp,
    /// Azure Key Vault.
    Azure,
    /// A KV engine of HashiCorp Vault or OpenBao.
    Vault,
}

/// Checks what values have to do with each other.
pub(crate) fn check(values: Getter<'_>, errors: &mut Vec<ConfigError>) {
    let (port, metrics) = ("secret.server.port", "secret.server.metricsPort");
    if values.port(port) == values.port(metrics) {
        let message = format!("the same port as {port}; choose another one for either");
        errors.push(ConfigError::new(values.origin(metrics), metrics, message));
    }
}

/// Makes the settings; the values have no error.
pub(crate) fn settings(values: Getter<'_>, kube_client: KubeClientSettings) -> SecretServiceSettings {
    let of_store = "webhook.embeddedSecretManagerConfig.k8sConfig.namespace";
    SecretServiceSettings {
        store: values.named("secret.store"),
        store_settings: typed_stores::written(values, kube_client),
        host: values.text("secret.server.host"),
        port: values.port("secret.server.port"),
        metrics_port: values.port("secret.server.metricsPort"),
        cert_dir: values.path("secret.server.certDir"),
        shutdown_delay: values.duration("secret.server.shutdownDelay").unwrap_or_default(),
        webhook_url: values.optional_text("secret.webhookURL"),
        webhook_token_file: values.path("secret.webhookTokenFile"),
        namespace: values.optional_text("secret.kubernetes.namespace").unwrap_or_else(|| values.text(of_store)),
        kube_client: values.kube_client("secret.kubernetes", kube_client),
        cluster_name: values.text("secret.kubernetes.clusterName"),
    }
}
