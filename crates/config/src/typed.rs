//! From resolved values to settings, and what values must have to do with each other.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use flyte_secrets_core::settings::{
    AccessSettings, EmbeddedSettings, FetchContainerSettings, GlobalSettings, ProtectedSecrets, SecretManagerType,
    Settings, VaultSettings,
};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::environment::variable;
use crate::errors::ConfigError;
use crate::keys::Key;
use crate::origin::Origin;
use crate::settings::{Config, KubeClientSettings, LogSettings, StoreSettings, WebhookSettings};
use crate::values::{Value, nested};

/// A key with its final value.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) key: &'static Key,
    pub(crate) value: Option<Value>,
    pub(crate) origin: Origin,
}

/// All keys by their path.
pub(crate) type Values = BTreeMap<&'static str, Resolved>;

/// The Secret that older documentation of Flyte 1 names for the certificates.
const OLD_SECRET_NAME: &str = "flyte-pod-webhook-secret";

/// What 0 stands for in Flyte's `kubeClientConfig` (client-go's defaults); a request without any limit
/// of time is not offered.
const DEFAULT_CLIENT: KubeClientSettings = KubeClientSettings { qps: 5, burst: 10, timeout: Duration::from_secs(30) };

const EMBEDDED: &str = "webhook.embeddedSecretManagerConfig";

/// Checks what values have to do with each other.
pub(crate) fn check(values: &Values, errors: &mut Vec<ConfigError>) {
    let values = Getter(values);
    check_ports(values, errors);
    if managers(values).contains(&SecretManagerType::Embedded) {
        let kind = format!("{EMBEDDED}.type");
        let needed = match values.text(&kind).as_str() {
            "GCP" => "gcpConfig.project",
            "Azure" => "azureConfig.vaultURI",
            _ => return,
        };
        let needed = format!("{EMBEDDED}.{needed}");
        if values.text(&needed).is_empty() {
            let message = format!("needed where {kind} is {}", values.text(&kind));
            errors.push(ConfigError::new(values.origin(&kind), needed, message));
        }
    }
}

/// Two servers cannot listen on one port.
fn check_ports(values: Getter<'_>, errors: &mut Vec<ConfigError>) {
    const PORTS: [&str; 3] = ["webhook.listenPort", "webhook.metricsPort", "webhook.cacheInvalidationPort"];
    for (index, &path) in PORTS.iter().enumerate() {
        let port = values.integer(path).filter(|port| *port != 0);
        let same = PORTS[..index].iter().find(|other| port.is_some() && values.integer(other) == port);
        if let Some(&other) = same {
            // The one that was written is the one to change.
            let (path, other) = if values.origin(path) == Origin::Default { (other, path) } else { (path, other) };
            errors.push(ConfigError::new(values.origin(path), path, format!("the same port as {other}")));
        }
    }
}

/// Makes the settings; `values` have no error.
pub(crate) fn config(values: &Values, environment: &[(String, String)], warnings: &mut Vec<String>) -> Config {
    let values = Getter(values);
    let pod_namespace = variable(environment, "POD_NAMESPACE").map(str::to_owned);
    let kube_client = kube_client(values, "webhook.kubeClientConfig", DEFAULT_CLIENT);
    let timeout = "webhook.kubeClientConfig.timeout";
    if values.duration(timeout) == Some(Duration::ZERO) {
        let (origin, used) = (values.origin(timeout), kube_client.timeout.as_secs());
        warnings.push(format!("{origin}: {timeout}: 0, no limit, is not offered; {used}s is used"));
    }
    Config {
        injection: injection(values, pod_namespace.as_deref()),
        store: store(values, kube_client),
        webhook: webhook(values, kube_client, pod_namespace, variable(environment, "POD_NAME").map(str::to_owned)),
        log: LogSettings { level: values.named("logger.level"), format: values.named("logger.formatter.type") },
    }
}

fn injection(values: Getter<'_>, pod_namespace: Option<&str>) -> Settings {
    let container = |at: &str, image: &str| FetchContainerSettings {
        image: values.text(&format!("webhook.{at}.{image}")),
        resources: values.structure(&format!("webhook.{at}.resources")),
    };
    let annotations = values.structure("webhook.vaultSecretManager.annotations");
    Settings {
        profile: values.named("webhook.profile"),
        managers: managers(values),
        env_var_prefix: values.text("webhook.secretEnvVarPrefix"),
        global: GlobalSettings {
            env_prefix: values.text("secrets.env-prefix"),
            secrets_prefix: values.text("secrets.secrets-prefix").into(),
        },
        aws: container("awsSecretManager", "sidecarImage"),
        gcp: container("gcpSecretManager", "sidecarImage"),
        azure: container("azureSecretManager", "sidecarImage"),
        vault: VaultSettings {
            role: values.text("webhook.vaultSecretManager.role"),
            kv_version: values.named("webhook.vaultSecretManager.kvVersion"),
            annotations: serde_json::from_value(annotations).expect("annotations are read as texts"),
        },
        embedded: EmbeddedSettings {
            writer: container("embeddedSecretManagerConfig.fileMountInitContainer", "image"),
            writer_name: values.text(&format!("{EMBEDDED}.fileMountInitContainer.containerName")),
            image_pull_secrets: values.bool(&format!("{EMBEDDED}.imagePullSecrets.enabled")),
        },
        protected: protected(values, pod_namespace),
        delivery: values.named("webhook.delivery"),
        access: AccessSettings::default(),
        on_unserved: values.named("webhook.onUnserved"),
        on_manager_failure: values.named("webhook.onManagerFailure"),
        on_collision: values.named("webhook.onCollision"),
        init_container_placement: values.named("webhook.initContainerPlacement"),
    }
}

/// Global, then the list, or the single one where the list is empty.
fn managers(values: Getter<'_>) -> Vec<SecretManagerType> {
    let mut names = vec!["Global".to_owned()];
    let listed = values.list("webhook.secretManagerTypes");
    if listed.is_empty() {
        names.push(values.text("webhook.secretManagerType"));
    }
    names.extend(listed);
    names.iter().map(|name| named(name)).collect()
}

fn protected(values: Getter<'_>, pod_namespace: Option<&str>) -> ProtectedSecrets {
    let mut names = vec![values.text("webhook.secretName"), OLD_SECRET_NAME.to_owned()];
    names.dedup();
    let own = pod_namespace
        .map_or_else(Vec::new, |namespace| names.into_iter().map(|name| (namespace.to_owned(), name)).collect());
    let mut store_namespaces = vec![values.text(&format!("{EMBEDDED}.k8sConfig.namespace"))];
    store_namespaces.extend(values.optional_text("secret.kubernetes.namespace"));
    store_namespaces.dedup();
    ProtectedSecrets { own, store_namespaces, deny: values.list("webhook.k8sSecretManager.deny") }
}

fn webhook(
    values: Getter<'_>,
    kube_client: KubeClientSettings,
    pod_namespace: Option<String>,
    pod_name: Option<String>,
) -> WebhookSettings {
    let selector = values.structure("webhook.namespaceSelector");
    WebhookSettings {
        cert_dir: values.text("webhook.certDir").into(),
        local_cert: values.bool("webhook.localCert"),
        listen_port: values.port("webhook.listenPort"),
        cache_invalidation_port: Some(values.port("webhook.cacheInvalidationPort")).filter(|port| *port != 0),
        service_name: values.text("webhook.serviceName"),
        secret_name: values.text("webhook.secretName"),
        service_port: values.port("webhook.servicePort"),
        url: values.optional_text("webhook.url"),
        timeout: values.duration("webhook.webhookTimeout").unwrap_or(DEFAULT_CLIENT.timeout),
        register: !values.bool("webhook.disableCreateMutatingWebhookConfig"),
        namespace_selector: selector.as_object().is_some_and(|members| !members.is_empty()).then_some(selector),
        metrics_port: values.port("webhook.metricsPort"),
        metrics_prefix: values.text("webhook.metrics-prefix"),
        kube_client,
        pod_namespace,
        pod_name,
    }
}

fn store(values: Getter<'_>, kube_client: KubeClientSettings) -> StoreSettings {
    let at = |name: &str| format!("{EMBEDDED}.{name}");
    StoreSettings {
        store_type: values.named(&at("type")),
        aws_region: values.optional_text(&at("awsConfig.region")),
        gcp_project: values.optional_text(&at("gcpConfig.project")),
        azure_vault_uri: values.optional_text(&at("azureConfig.vaultURI")),
        k8s_namespace: values.text(&at("k8sConfig.namespace")),
        k8s_kube_client: self::kube_client(values, &at("k8sConfig.kubeClientConfig"), kube_client),
        local_file: values.optional_text(&at("localConfig.file")).map(PathBuf::from),
        local_key_file: values.optional_text(&at("localConfig.keyFile")).map(PathBuf::from),
    }
}

/// The limits at `path`; `otherwise` for each that is 0 or not set.
fn kube_client(values: Getter<'_>, path: &str, otherwise: KubeClientSettings) -> KubeClientSettings {
    let number = |name: &str| values.integer(&format!("{path}.{name}")).filter(|number| *number != 0);
    let timeout = values.duration(&format!("{path}.timeout")).filter(|timeout| !timeout.is_zero());
    KubeClientSettings {
        qps: number("qps").unwrap_or(otherwise.qps),
        burst: number("burst").unwrap_or(otherwise.burst),
        timeout: timeout.unwrap_or(otherwise.timeout),
    }
}

/// The variant of a name that a `Choice` accepted.
fn named<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_value(Json::from(name)).expect("the names in the table of keys are those of the types")
}

/// Reads values by path and kind. A path that is not in the table, or of another kind, reads as not
/// set: the tests hold every setting against its default.
#[derive(Clone, Copy)]
struct Getter<'a>(&'a Values);

impl Getter<'_> {
    fn value(&self, path: &str) -> Option<&Value> {
        self.0.get(path).and_then(|resolved| resolved.value.as_ref())
    }

    fn origin(&self, path: &str) -> Origin {
        self.0.get(path).map_or(Origin::Default, |resolved| resolved.origin.clone())
    }

    fn text(&self, path: &str) -> String {
        self.optional_text(path).unwrap_or_default()
    }

    /// `None` where it is empty.
    fn optional_text(&self, path: &str) -> Option<String> {
        match self.value(path) {
            Some(Value::Text(text)) if !text.is_empty() => Some(text.clone()),
            _ => None,
        }
    }

    fn bool(&self, path: &str) -> bool {
        matches!(self.value(path), Some(Value::Bool(true)))
    }

    fn integer(&self, path: &str) -> Option<u32> {
        if let Some(Value::Integer(number)) = self.value(path) { Some(*number) } else { None }
    }

    fn port(&self, path: &str) -> u16 {
        let port = self.integer(path).unwrap_or_default();
        u16::try_from(port).expect("ports are read as at most 65535")
    }

    fn duration(&self, path: &str) -> Option<Duration> {
        if let Some(Value::Duration(duration)) = self.value(path) { Some(*duration) } else { None }
    }

    fn list(&self, path: &str) -> Vec<String> {
        if let Some(Value::List(list)) = self.value(path) { list.clone() } else { Vec::new() }
    }

    fn structure(&self, path: &str) -> Json {
        if let Some(Value::Members(members)) = self.value(path) { nested(members) } else { nested(&[]) }
    }

    fn named<T: DeserializeOwned>(&self, path: &str) -> T {
        named(&self.text(path))
    }
}
