//! The stores of the Embedded manager, as typed settings (`webhook.embeddedSecretManagerConfig`).

use std::path::PathBuf;
use std::time::Duration;

use flyte_secrets_core::settings::KvVersion;
use serde::{Deserialize, Serialize};

use crate::settings::KubeClientSettings;

/// Where the Embedded manager finds values, and how it asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoresSettings {
    /// `types`, or the single `type`: the stores in the order they are asked, each once. Empty where the Embedded
    /// manager is not asked.
    pub stores: Vec<StoreSettings>,
    /// `scopes`.
    pub scopes: Scopes,
    /// `concurrentCalls`: calls to one store at a time; 1 to 100,000.
    pub concurrent_calls: usize,
    /// `callTimeout`: how long one call may take; 10 ms to 10 minutes.
    pub call_timeout: Duration,
    /// What is remembered of answers.
    pub cache: CacheSettings,
    /// `localConfig`: also where `Local` is not asked, for commands that work on that store.
    pub local: LocalStoreSettings,
}

/// How the scopes of a secret, and the stores, are asked (`scopes`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scopes {
    /// All at once.
    Parallel,
    /// One after another, as in Flyte.
    Sequential,
}

/// What is remembered of answers: the section `cache`, and two keys of the Embedded manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    /// `cache.inMemoryFixedSize.defaultExpiration`: how long a value is; zero turns the cache off.
    pub ttl: Duration,
    /// `notFoundTtl`: how long it is that a store has no such secret; zero: not at all.
    pub not_found_ttl: Duration,
    /// `cache.inMemoryFixedSize.size`, in bytes.
    pub max_bytes: u64,
    /// `staleIfUnavailable`: how long past `ttl` a value may be served while its store is down; zero: not at all.
    pub stale_if_unavailable: Duration,
}

/// One store, with what it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreSettings {
    /// AWS Secrets Manager.
    Aws(AwsStoreSettings),
    /// GCP Secret Manager.
    Gcp(GcpStoreSettings),
    /// Azure Key Vault.
    Azure(AzureStoreSettings),
    /// Kubernetes Secrets of one namespace.
    K8s(K8sStoreSettings),
    /// HashiCorp Vault or OpenBao.
    Vault(VaultStoreSettings),
    /// A server that speaks our protocol.
    Http(HttpStoreSettings),
    /// One encrypted file.
    Local(LocalStoreSettings),
}

/// The kinds of stores (`type`, `types`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StoreType {
    /// AWS Secrets Manager.
    #[serde(rename = "AWS")]
    Aws,
    /// GCP Secret Manager.
    #[serde(rename = "GCP")]
    Gcp,
    /// Azure Key Vault.
    Azure,
    /// Kubernetes Secrets of one namespace.
    K8s,
    /// HashiCorp Vault or OpenBao.
    Vault,
    /// A server that speaks our protocol.
    Http,
    /// One encrypted file.
    Local,
}

impl StoreType {
    /// The name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aws => "AWS",
            Self::Gcp => "GCP",
            Self::Azure => "Azure",
            Self::K8s => "K8s",
            Self::Vault => "Vault",
            Self::Http => "Http",
            Self::Local => "Local",
        }
    }
}

impl StoreSettings {
    /// The kind of this store.
    #[must_use]
    pub const fn store_type(&self) -> StoreType {
        match self {
            Self::Aws(_) => StoreType::Aws,
            Self::Gcp(_) => StoreType::Gcp,
            Self::Azure(_) => StoreType::Azure,
            Self::K8s(_) => StoreType::K8s,
            Self::Vault(_) => StoreType::Vault,
            Self::Http(_) => StoreType::Http,
            Self::Local(_) => StoreType::Local,
        }
    }
}

/// `awsConfig`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsStoreSettings {
    /// `region`; `None` leaves it to the environment.
    pub region: Option<String>,
    /// `endpoint`: an `http://` or `https://` URL instead of the region's.
    pub endpoint: Option<String>,
    /// `batch`: whether `BatchGetSecretValue` is used where it is permitted.
    pub batch: bool,
}

/// `gcpConfig`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GcpStoreSettings {
    /// `project`; not empty.
    pub project: String,
    /// `endpoint`: an `http://` or `https://` URL instead of Google's.
    pub endpoint: Option<String>,
    /// `anonymous`: whether no credentials are sent; only together with `endpoint`.
    pub anonymous: bool,
}

/// `azureConfig`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AzureStoreSettings {
    /// `vaultURI`: an `https://` URL.
    pub vault_uri: String,
    /// `caFile`: CAs besides those of the system, in PEM.
    pub ca_file: Option<PathBuf>,
}

/// `k8sConfig`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct K8sStoreSettings {
    /// `namespace`.
    pub namespace: String,
    /// `watch`: whether changes in the namespace drop what is cached.
    pub watch: bool,
    /// `kubeClientConfig`; what it does not set is that of `webhook.kubeClientConfig`.
    pub kube_client: KubeClientSettings,
}

/// `vaultConfig`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultStoreSettings {
    /// `address`: an `http://` or `https://` URL.
    pub address: String,
    /// `namespace`.
    pub namespace: Option<String>,
    /// `mount`: where the KV engine is; not empty.
    pub mount: String,
    /// `pathPrefix`; may be empty.
    pub path_prefix: String,
    /// `kvVersion`.
    pub kv_version: KvVersion,
    /// `field`: the field with the value; not empty.
    pub field: String,
    /// `caFile`: CAs besides those of the system, in PEM.
    pub ca_file: Option<PathBuf>,
    /// `auth`.
    pub auth: VaultAuth,
}

/// `vaultConfig.auth`: how the webhook logs in to Vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VaultAuth {
    /// With the token of the pod's ServiceAccount.
    Kubernetes {
        /// Where the method is mounted; `kubernetes` by default.
        mount: String,
        /// The role; not empty.
        role: String,
        /// The file of the token; `None` is the pod's own.
        token_file: Option<PathBuf>,
    },
    /// With a JWT.
    Jwt {
        /// Where the method is mounted; `jwt` by default.
        mount: String,
        /// The role; not empty.
        role: String,
        /// The file of the JWT.
        token_file: PathBuf,
    },
    /// With a role id and a secret id.
    AppRole {
        /// Where the method is mounted; `approle` by default.
        mount: String,
        /// The role id; not empty.
        role_id: String,
        /// The file of the secret id.
        secret_id_file: PathBuf,
    },
    /// With a token of Vault's.
    Token {
        /// The file of the token; `None` is the variable `VAULT_TOKEN`, which is set.
        token_file: Option<PathBuf>,
    },
}

/// `httpConfig`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpStoreSettings {
    /// `url`: an `http://` or `https://` URL.
    pub url: String,
    /// `tokenFile`: the file of the bearer token.
    pub token_file: Option<PathBuf>,
    /// `clientCert` and `clientKey`: PEM files for mTLS.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// `caFile`: CAs besides those of the system, in PEM.
    pub ca_file: Option<PathBuf>,
}

/// `localConfig`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalStoreSettings {
    /// `file`; `None` is the store's own place.
    pub file: Option<PathBuf>,
    /// `keyFile`; `None` is the store's own place.
    pub key_file: Option<PathBuf>,
}
