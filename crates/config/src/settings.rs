//! The configuration as typed settings.

use std::path::PathBuf;
use std::time::Duration;

use flyte_secrets_core::Settings;
use serde::{Deserialize, Serialize};

use crate::origin::Origin;
use crate::secret_service::SecretServiceSettings;
use crate::stores::StoresSettings;

/// What [`load`](crate::load) returns.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Every key with its value and where that came from, in the order of the reference.
    pub effective: Vec<Effective>,
    /// What is accepted but probably not meant, ready to be logged.
    pub warnings: Vec<String>,
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Effective {
    /// The full key; for a structure, that of a member (`webhook.awsSecretManager.resources.limits.cpu`).
    pub key: String,
    /// The value as JSON, which is YAML too; `null` where there is none.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// All settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What the injectors and the merge need.
    pub injection: Settings,
    /// The server, its certificates and its registration.
    pub webhook: WebhookSettings,
    /// The stores of the Embedded manager.
    pub stores: StoresSettings,
    /// How long mirrors stay (`webhook.delivery: SecretRef`).
    pub mirrors: MirrorSettings,
    /// The Secret service.
    pub secret_service: SecretServiceSettings,
    /// The log.
    pub log: LogSettings,
}

/// `webhook`, as far as the server, its certificates and its registration are concerned.
#[derive(Clone, Debug, PartialEq)]
pub struct WebhookSettings {
    /// `certDir`: the folder of `ca.crt`, `tls.crt` and `tls.key`, variables replaced.
    pub cert_dir: PathBuf,
    /// `localCert`: whether certificates are also written to `cert_dir`.
    pub local_cert: bool,
    /// `listenPort`: the HTTPS port of the admission webhook.
    pub listen_port: u16,
    /// `cacheInvalidationPort`; `None` turns it off.
    pub cache_invalidation_port: Option<u16>,
    /// `invalidation`: who may use that port, and how often.
    pub invalidation: InvalidationSettings,
    /// `serviceName`: the Service, and the MutatingWebhookConfiguration.
    pub service_name: String,
    /// `secretName`: the Secret of the certificates.
    pub secret_name: String,
    /// `certificates`: who makes the serving certificate, and how long things last.
    pub certificates: CertificateSettings,
    /// `servicePort`: the port of the Service.
    pub service_port: u16,
    /// `url`: registered instead of the Service where set; starts with `https://`.
    pub url: Option<String>,
    /// `webhookTimeout`: what the API server waits; whole seconds, 1 to 30.
    pub timeout: Duration,
    /// `shutdownDelay`: how long it goes on serving after it was told to end; at most ten minutes.
    pub shutdown_delay: Duration,
    /// Whether the MutatingWebhookConfiguration is written (`disableCreateMutatingWebhookConfig` is false).
    pub register: bool,
    /// `namespaceSelector`: a valid Kubernetes LabelSelector; `None` selects all namespaces.
    pub namespace_selector: Option<serde_json::Value>,
    /// `registration`: how the MutatingWebhookConfiguration is kept, and what it says.
    pub registration: RegistrationSettings,
    /// `metricsPort`: plain HTTP, `/healthz`, `/readyz` and `/metrics`.
    pub metrics_port: u16,
    /// `metrics-prefix`: in front of the names of metrics.
    pub metrics_prefix: String,
    /// `tracing`: where traces go.
    pub tracing: TracingSettings,
    /// `events.enabled`: whether Kubernetes Events are written.
    pub events: bool,
    /// `kubeClientConfig`.
    pub kube_client: KubeClientSettings,
    /// The namespace of the webhook's own pod (`POD_NAMESPACE`).
    pub pod_namespace: Option<String>,
    /// The name of the webhook's own pod (`POD_NAME`).
    pub pod_name: Option<String>,
}

/// `webhook.registration`: how the MutatingWebhookConfiguration is kept, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationSettings {
    /// `failurePolicy`.
    pub failure_policy: FailurePolicy,
    /// `reinvocationPolicy`.
    pub reinvocation_policy: ReinvocationPolicy,
    /// `matchConditions`: names, each once and none of our own, and their CEL expressions; 62 at most.
    pub match_conditions: Vec<(String, String)>,
    /// `adoptedCaRetention`: how long a CA of others stays in the bundle; a second to a year.
    pub adopted_ca_retention: Duration,
    /// `refresh`: how often the object is read; a second to an hour.
    pub refresh: Duration,
}

/// What becomes of a pod when the webhook cannot be asked; Kubernetes' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailurePolicy {
    /// It is refused.
    Fail,
    /// It starts without its secrets.
    Ignore,
}

/// Whether the webhook is asked again when another one has changed the pod; Kubernetes' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReinvocationPolicy {
    /// Yes.
    IfNeeded,
    /// No.
    Never,
}

/// `webhook.certificates`: who makes the serving certificate, and how long things last where that is us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSettings {
    /// `mode`; `None`: by what is found at start-up.
    pub mode: Option<CertificateMode>,
    /// `caSecretName`: the Secret of the CAs.
    pub ca_secret_name: String,
    /// `caSecretNamespace`: its namespace; that of the webhook's own pod (`POD_NAMESPACE`) where none is given, `None` if that is not known.
    pub ca_secret_namespace: Option<String>,
    /// `caLifetime`: a second to ten years.
    pub ca_lifetime: Duration,
    /// `leafLifetime`: a second to ten years.
    pub leaf_lifetime: Duration,
    /// `caOverlap`: a second to thirty days.
    pub ca_overlap: Duration,
    /// `clockSkew`: up to a day.
    pub clock_skew: Duration,
    /// `certManagerCertificate`: whose CA cert-manager puts into the bundle, `namespace/name`; only in mode `cert-manager`,
    /// and always there unless the registration is somebody else's.
    pub cert_manager_certificate: Option<String>,
}

/// Who makes the serving certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateMode {
    /// Whoever writes the files in `certDir`.
    Files,
    /// Every replica for itself.
    Auto,
    /// cert-manager, which writes the files and the `caBundle`.
    CertManager,
}

/// `webhook.tracing`: where traces go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracingSettings {
    /// `endpoint`: the collector's address, without the path; starts with `https://` or `http://`.
    pub endpoint: Option<String>,
    /// `caFile`: CAs to trust besides those of the system.
    pub ca_file: Option<PathBuf>,
}

/// `webhook.invalidation`: who may have cached values dropped, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidationSettings {
    /// `authentication`.
    pub authentication: InvalidationAuthentication,
    /// `allowedServiceAccounts`, as `namespace/name`; empty: every ServiceAccount. Empty without authentication.
    pub allowed_service_accounts: Vec<String>,
    /// `perIdPerMinute`: how many times a minute one secret is dropped; 1 to 100,000.
    pub per_id_per_minute: u32,
    /// `perMinute`: how many times a minute all secrets together are; 1 to 100,000.
    pub per_minute: u32,
}

/// How a caller of `POST /invalidate-secret` shows who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InvalidationAuthentication {
    /// Not at all, as in Flyte.
    None,
    /// With the token of a ServiceAccount.
    TokenReview,
}

/// How long mirrored Secrets stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MirrorSettings {
    /// `webhook.mirrorRetention`: how long one that no pod needs is kept; a second to a year.
    pub retention: Duration,
    /// `webhook.mirrorGrace`: how long it then waits for its removal; a second to a year.
    pub grace: Duration,
}

/// Limits for a client of the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KubeClientSettings {
    /// Requests a second; at least 1.
    pub qps: u32,
    /// Requests that may exceed `qps` at once; at least 1.
    pub burst: u32,
    /// How long one request may take: a millisecond to an hour.
    pub timeout: Duration,
}

/// `logger`, Flyte's section for the logs of every component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// `level`.
    pub level: LogLevel,
    /// `formatter.type`.
    pub format: LogFormat,
}

/// The least severe messages that are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Flyte's `panic`, `fatal` and `error` (0 to 2).
    Error,
    /// Flyte's `warn` (3).
    Warn,
    /// Flyte's `info` (4).
    Info,
    /// Flyte's `debug` (5).
    Debug,
    /// Flyte's `trace` (6).
    Trace,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}
