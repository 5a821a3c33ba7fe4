//! What the injectors need to know of the configuration, as plain data.
//!
//! The defaults are those of the reference (Flyte 2.0, `webhook` and `secrets` sections); the
//! `config` crate reads files, flags and environment into these types.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::injectors::CustomManager;

/// Whose behaviour is reproduced where Flyte 1 and Flyte 2 differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Flyte 1.x (flytepropeller's pod webhook).
    Flyte1,
    /// Flyte 2.x.
    #[default]
    Flyte2,
}

/// The kinds of secret managers (`SecretManagerType` in Flyte).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SecretManagerType {
    /// Environment and files of the webhook itself.
    Global,
    /// References to Kubernetes Secrets of the pod's namespace.
    K8s,
    /// AWS Secrets Manager, by a fetch container.
    #[serde(rename = "AWS")]
    Aws,
    /// GCP Secret Manager, by a fetch container.
    #[serde(rename = "GCP")]
    Gcp,
    /// Azure Key Vault, by a fetch container.
    Azure,
    /// HashiCorp Vault, by annotations for the Vault agent injector.
    Vault,
    /// A store that the webhook reads itself.
    Embedded,
    /// One of [`Settings::custom`], by its name. Configuration is read once, so its names live as long as the program.
    #[serde(skip)]
    Custom(&'static str),
}

impl SecretManagerType {
    /// All kinds that are built in, in the order of Flyte's documentation.
    pub const ALL: [Self; 7] =
        [Self::Global, Self::K8s, Self::Aws, Self::Gcp, Self::Azure, Self::Vault, Self::Embedded];

    /// The name in configuration, messages and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Global => "Global",
            Self::K8s => "K8s",
            Self::Aws => "AWS",
            Self::Gcp => "GCP",
            Self::Azure => "Azure",
            Self::Vault => "Vault",
            Self::Embedded => "Embedded",
            Self::Custom(name) => name,
        }
    }
}

impl std::fmt::Display for SecretManagerType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What happens to a pod with a request that cannot be read or that no manager serves (`webhook.onUnserved`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnUnserved {
    /// The pod is refused; the default in [`Profile::Flyte2`], as in the reference.
    Refuse,
    /// The pod is admitted unchanged, with a warning; the default in [`Profile::Flyte1`].
    Admit,
}

/// What happens when a store is unavailable, throttled, late or malformed (`webhook.onManagerFailure`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnManagerFailure {
    /// The pod is refused with 503, so that Flyte tries again.
    #[default]
    Refuse,
    /// The next manager is asked, as in the reference.
    Next,
}

/// What happens when two requests end in one variable or file with different sources (`webhook.onCollision`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnCollision {
    /// The later one wins, as in the reference, with an admission warning.
    #[default]
    Warn,
    /// The pod is refused.
    Refuse,
}

/// Where fetch containers stand among the pod's init containers (`webhook.initContainerPlacement`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum InitContainerPlacement {
    /// Before the first init container that is not a native sidecar.
    #[default]
    AfterSidecars,
    /// Before all others.
    First,
    /// Behind all others, as in the reference.
    Last,
}

/// The security context of the init containers that we add (`webhook.initContainerSecurityContext`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum InitContainerSecurityContext {
    /// None, as in the reference; what the pod's own says counts.
    #[default]
    None,
    /// What the Pod Security Standard `restricted` asks of every container
    /// (<https://kubernetes.io/docs/concepts/security/pod-security-standards/>).
    Restricted,
}

/// Whether the K8s manager looks if a Secret and its key are there (`webhook.k8s.checkExists`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckExists {
    /// It does not, as in the reference: the task starts without what is missing.
    #[default]
    Off,
    /// It looks, serves the request all the same, and warns.
    Warn,
    /// It looks, and declines what is missing.
    Refuse,
}

/// How values that the webhook itself reads reach the container (`webhook.delivery`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delivery {
    /// In a Secret of the pod's namespace: the stored one itself, or a mirror of it.
    SecretRef,
    /// In the Pod object, as in the reference.
    #[default]
    PodSpec,
}

/// What the access policy does (`webhook.accessPolicy.mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccessMode {
    /// A request that breaks it is declined.
    Enforce,
    /// A request that breaks it is served, with a warning, a metric and a log line.
    Audit,
    /// Labels are believed, as in the reference.
    #[default]
    Off,
}

/// `webhook.accessPolicy`: which pods may ask for the values of a project, where the webhook's own identity reads them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessSettings {
    /// What is done about a breach.
    pub mode: AccessMode,
    /// Values that the label `organization` may have.
    pub organizations: Vec<String>,
    /// Domains of the installation; those with a `-` have to be known to tell `{project}-{domain}` apart.
    pub domains: Vec<String>,
    /// Namespaces in which Flyte runs a project's pods: names or templates with `{organization}`, `{project}`, `{domain}`.
    /// A name is every project's; of several templates the first that can be read in a namespace decides whose it is.
    pub namespaces: Vec<String>,
    /// User names that may create pods with requests; empty: everybody.
    pub trusted_creators: Vec<String>,
}

/// A container that fetches a secret, with `image` and Kubernetes `resources`.
#[derive(Clone, Debug, PartialEq)]
pub struct FetchContainerSettings {
    /// The image.
    pub image: String,
    /// Kubernetes' `resources` member, as it shall stand in the pod.
    pub resources: serde_json::Value,
}

impl FetchContainerSettings {
    fn with(image: &str, cpu: &str, memory: &str) -> Self {
        let amount = serde_json::json!({"cpu": cpu, "memory": memory});
        Self { image: image.to_owned(), resources: serde_json::json!({"limits": amount, "requests": amount}) }
    }
}

/// Version of Vault's KV engine (`webhook.vaultSecretManager.kvVersion`, deprecated in Flyte).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvVersion {
    /// Values stand below `.Data`.
    #[serde(rename = "1")]
    V1,
    /// Values stand below `.Data.data`.
    #[default]
    #[serde(rename = "2")]
    V2,
}

/// `webhook.vaultSecretManager`.
#[derive(Clone, Debug, PartialEq)]
pub struct VaultSettings {
    /// The Vault role of the pod.
    pub role: String,
    /// The KV version where the request does not say.
    pub kv_version: KvVersion,
    /// Annotations for every pod, over the common ones.
    pub annotations: BTreeMap<String, String>,
}

/// `webhook.embeddedSecretManagerConfig`, as far as the pod is concerned.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddedSettings {
    /// The container that writes files.
    pub writer: FetchContainerSettings,
    /// Its name.
    pub writer_name: String,
    /// Whether image-pull secrets are added.
    pub image_pull_secrets: bool,
}

/// `secrets`: where the Global manager looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobalSettings {
    /// In front of the names of variables; never empty.
    pub env_prefix: String,
    /// The folder of the files.
    pub secrets_prefix: PathBuf,
}

/// Kubernetes Secrets that the K8s manager never hands out (W22).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProtectedSecrets {
    /// `(namespace, name)` of our own certificate and CA Secrets.
    pub own: Vec<(String, String)>,
    /// Namespaces in which a Secret service or a Kubernetes store keeps its Secrets (32 hex digits).
    pub store_namespaces: Vec<String>,
    /// Patterns `name` or `namespace/name`; `*` stands for anything.
    pub deny: Vec<String>,
}

/// Everything the injectors and the merge need to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Flyte 1 or Flyte 2.
    pub profile: Profile,
    /// The managers in the order they are asked, Global first.
    pub managers: Vec<SecretManagerType>,
    /// `webhook.secretEnvVarPrefix`; fixed to `_FSEC_` in [`Profile::Flyte1`].
    pub env_var_prefix: String,
    /// `secrets`.
    pub global: GlobalSettings,
    /// `webhook.awsSecretManager`.
    pub aws: FetchContainerSettings,
    /// `webhook.gcpSecretManager`.
    pub gcp: FetchContainerSettings,
    /// `webhook.azureSecretManager`.
    pub azure: FetchContainerSettings,
    /// `webhook.vaultSecretManager`.
    pub vault: VaultSettings,
    /// `webhook.embeddedSecretManagerConfig`.
    pub embedded: EmbeddedSettings,
    /// `webhook.customSecretManagers`.
    pub custom: Vec<CustomManager>,
    /// Secrets that the K8s manager declines.
    pub protected: ProtectedSecrets,
    /// `webhook.delivery`.
    pub delivery: Delivery,
    /// `webhook.accessPolicy`.
    pub access: AccessSettings,
    /// `webhook.onUnserved`.
    pub on_unserved: OnUnserved,
    /// `webhook.onManagerFailure`.
    pub on_manager_failure: OnManagerFailure,
    /// `webhook.onCollision`.
    pub on_collision: OnCollision,
    /// `webhook.initContainerPlacement`.
    pub init_container_placement: InitContainerPlacement,
    /// `webhook.initContainerSecurityContext`.
    pub init_container_security_context: InitContainerSecurityContext,
    /// `webhook.k8s.checkExists`.
    pub check_exists: CheckExists,
}

impl Settings {
    /// The defaults of a profile.
    #[must_use]
    pub fn defaults(profile: Profile) -> Self {
        let (env_var_prefix, manager, on_unserved) = match profile {
            Profile::Flyte1 => ("_FSEC_", SecretManagerType::K8s, OnUnserved::Admit),
            Profile::Flyte2 => ("_UNION_", SecretManagerType::Embedded, OnUnserved::Refuse),
        };
        Self {
            profile,
            managers: vec![SecretManagerType::Global, manager],
            env_var_prefix: env_var_prefix.to_owned(),
            global: GlobalSettings {
                env_prefix: "FLYTE_SECRET_".to_owned(),
                secrets_prefix: PathBuf::from("/etc/secrets"),
            },
            aws: FetchContainerSettings::with(
                "docker.io/amazon/aws-secrets-manager-secret-sidecar:v0.1.4",
                "200m",
                "500Mi",
            ),
            gcp: FetchContainerSettings::with("gcr.io/google.com/cloudsdktool/cloud-sdk:alpine", "200m", "500Mi"),
            azure: FetchContainerSettings::with("mcr.microsoft.com/azure-cli:cbl-mariner2.0", "200m", "500Mi"),
            vault: VaultSettings { role: "flyte".to_owned(), kv_version: KvVersion::V2, annotations: BTreeMap::new() },
            embedded: EmbeddedSettings {
                writer: FetchContainerSettings::with("public.ecr.aws/docker/library/busybox:latest", "100m", "100Mi"),
                writer_name: "init-embedded-secret".to_owned(),
                image_pull_secrets: false,
            },
            custom: Vec::new(),
            protected: ProtectedSecrets::default(),
            delivery: Delivery::PodSpec,
            access: AccessSettings::default(),
            on_unserved,
            on_manager_failure: OnManagerFailure::Refuse,
            on_collision: OnCollision::Warn,
            init_container_placement: InitContainerPlacement::AfterSidecars,
            init_container_security_context: InitContainerSecurityContext::None,
            check_exists: CheckExists::Off,
        }
    }
}
