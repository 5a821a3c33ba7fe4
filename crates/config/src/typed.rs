//! From resolved values to settings, and what values must have to do with each other.

use std::collections::BTreeMap;
use std::time::Duration;

use flyte_secrets_core::settings::{
    AccessSettings, EmbeddedSettings, FetchContainerSettings, GlobalSettings, ProtectedSecrets, SecretManagerType,
    Settings, VaultSettings,
};

use crate::certificates;
use crate::custom_managers;
use crate::durations;
use crate::environment::variable;
use crate::errors::ConfigError;
use crate::getter::Getter;
use crate::keys::Key;
use crate::origin::Origin;
use crate::secret_service;
use crate::settings::{
    CertificateSettings, Config, InvalidationAuthentication, InvalidationSettings, KubeClientSettings, LogSettings,
    MirrorSettings, RegistrationSettings, TracingSettings, WebhookSettings,
};
use crate::typed_stores;
use crate::values::Value;

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

const EMBEDDED_MANAGER: &str = "Embedded";
const CUSTOM_MANAGERS: &str = "webhook.customSecretManagers";
const EMBEDDED: &str = "webhook.embeddedSecretManagerConfig";

/// Checks what values have to do with each other.
pub(crate) fn check(values: &Values, environment: &[(String, String)], errors: &mut Vec<ConfigError>) {
    let values = Getter(values);
    check_ports(values, errors);
    check_access(values, errors);
    secret_service::check(values, errors);
    certificates::check(values, errors);
    let embedded = manager_names(values).contains(&EMBEDDED_MANAGER.to_owned());
    typed_stores::check(values, embedded, environment, errors);
    let allowed = "webhook.invalidation.allowedServiceAccounts";
    let authentication = "webhook.invalidation.authentication";
    if values.text(authentication) == "None" && !values.list(allowed).is_empty() {
        let message = format!("nobody is checked; add `{authentication}: TokenReview`");
        errors.push(ConfigError::new(values.origin(allowed), allowed, message));
    }
}

/// A policy that no pod could satisfy is a mistake.
fn check_access(values: Getter<'_>, errors: &mut Vec<ConfigError>) {
    if values.text("webhook.accessPolicy.mode") == "Off" {
        return;
    }
    for path in ["webhook.accessPolicy.organizations", "webhook.accessPolicy.namespaces"] {
        if values.list(path).is_empty() {
            let message = "empty, so that no pod could be served; name one, or set webhook.accessPolicy.mode: Off";
            errors.push(ConfigError::new(values.origin(path), path, message));
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
    let kube_client = values.kube_client("webhook.kubeClientConfig", DEFAULT_CLIENT);
    let timeout = "webhook.kubeClientConfig.timeout";
    if values.duration(timeout) == Some(Duration::ZERO) {
        let (origin, used) = (values.origin(timeout), kube_client.timeout.as_secs());
        warnings.push(format!("{origin}: {timeout}: 0, no limit, is not offered; {used}s is used"));
    }
    let asked = manager_names(values).contains(&EMBEDDED_MANAGER.to_owned());
    let stores = typed_stores::settings(values, asked, kube_client);
    typed_stores::warn(values, &stores, warnings);
    let mirrors = mirrors(values, warnings);
    warn_of_unlisted_managers(values, warnings);
    warn_of_short_retention(values, warnings);
    let check = "webhook.k8s.checkExists";
    if values.text(check) == "Refuse" && values.text("webhook.onUnserved") == "Admit" {
        let origin = values.origin(check);
        let consequence =
            "pods whose Secrets are not there are admitted without them; add `webhook.onUnserved: Refuse`";
        warnings.push(format!("{origin}: {check}: {consequence}"));
    }
    let certificates = certificates::settings(values, pod_namespace.as_deref(), warnings);
    Config {
        injection: injection(values, pod_namespace.as_deref()),
        stores,
        mirrors,
        secret_service: secret_service::settings(values, kube_client),
        webhook: webhook(
            values,
            kube_client,
            certificates,
            pod_namespace,
            variable(environment, "POD_NAME").map(str::to_owned),
        ),
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
        custom: values.members(CUSTOM_MANAGERS).iter().map(custom_managers::compiled).collect(),
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
        access: AccessSettings {
            mode: values.named("webhook.accessPolicy.mode"),
            organizations: values.list("webhook.accessPolicy.organizations"),
            domains: values.list("webhook.accessPolicy.domains"),
            namespaces: values.list("webhook.accessPolicy.namespaces"),
            trusted_creators: values.list("webhook.accessPolicy.trustedCreators"),
        },
        on_unserved: values.named("webhook.onUnserved"),
        on_manager_failure: values.named("webhook.onManagerFailure"),
        on_collision: values.named("webhook.onCollision"),
        init_container_placement: values.named("webhook.initContainerPlacement"),
        init_container_security_context: values.named("webhook.initContainerSecurityContext"),
        check_exists: values.named("webhook.k8s.checkExists"),
    }
}

/// The names of the managers that configuration describes.
pub(crate) fn described(values: &Values) -> Vec<String> {
    Getter(values).members(CUSTOM_MANAGERS).iter().flat_map(|member| member.path.iter().cloned()).collect()
}

/// Global, then the list, or the single one where the list is empty.
fn manager_names(values: Getter<'_>) -> Vec<String> {
    let mut names = vec!["Global".to_owned()];
    let listed = values.list("webhook.secretManagerTypes");
    if listed.is_empty() {
        names.push(values.text("webhook.secretManagerType"));
    }
    names.extend(listed);
    names
}

fn managers(values: Getter<'_>) -> Vec<SecretManagerType> {
    let described = values.members(CUSTOM_MANAGERS);
    let manager = |name: String| {
        let known = SecretManagerType::ALL.into_iter().find(|known| known.name() == name);
        known.unwrap_or_else(|| {
            let member =
                described.iter().find(|member| member.path.iter().any(|known| known.eq_ignore_ascii_case(&name)));
            let name = member.and_then(|member| member.value["name"].as_str()).unwrap_or(&name);
            // Configuration is read once.
            SecretManagerType::Custom(name.to_owned().leak())
        })
    };
    manager_names(values).into_iter().map(manager).collect()
}

fn warn_of_unlisted_managers(values: Getter<'_>, warnings: &mut Vec<String>) {
    let names = manager_names(values);
    for member in values.members(CUSTOM_MANAGERS) {
        let Some(name) = member.path.first() else { continue };
        if !names.iter().any(|listed| listed.eq_ignore_ascii_case(name)) {
            warnings.push(format!(
                "{}: {CUSTOM_MANAGERS}.{name}: no request comes to it; add {name} to webhook.secretManagerTypes",
                member.origin
            ));
        }
    }
}

fn protected(values: Getter<'_>, pod_namespace: Option<&str>) -> ProtectedSecrets {
    let mut names = vec![values.text("webhook.secretName"), OLD_SECRET_NAME.to_owned()];
    names.dedup();
    let mut own: Vec<(String, String)> = pod_namespace
        .map_or_else(Vec::new, |namespace| names.into_iter().map(|name| (namespace.to_owned(), name)).collect());
    if let (Some(namespace), name) = certificates::secret(values, pod_namespace) {
        own.push((namespace, name));
    }
    let mut store_namespaces = vec![values.text(&format!("{EMBEDDED}.k8sConfig.namespace"))];
    store_namespaces.extend(values.optional_text("secret.kubernetes.namespace"));
    store_namespaces.dedup();
    ProtectedSecrets { own, store_namespaces, deny: values.list("webhook.accessPolicy.denySecrets") }
}

fn webhook(
    values: Getter<'_>,
    kube_client: KubeClientSettings,
    certificates: CertificateSettings,
    pod_namespace: Option<String>,
    pod_name: Option<String>,
) -> WebhookSettings {
    let selector = values.structure("webhook.namespaceSelector");
    WebhookSettings {
        cert_dir: values.text("webhook.certDir").into(),
        local_cert: values.bool("webhook.localCert"),
        listen_port: values.port("webhook.listenPort"),
        cache_invalidation_port: Some(values.port("webhook.cacheInvalidationPort")).filter(|port| *port != 0),
        invalidation: InvalidationSettings {
            authentication: values.named::<InvalidationAuthentication>("webhook.invalidation.authentication"),
            allowed_service_accounts: values.list("webhook.invalidation.allowedServiceAccounts"),
            per_id_per_minute: values.count("webhook.invalidation.perIdPerMinute"),
            per_minute: values.count("webhook.invalidation.perMinute"),
        },
        service_name: values.text("webhook.serviceName"),
        secret_name: values.text("webhook.secretName"),
        certificates,
        service_port: values.port("webhook.servicePort"),
        url: values.optional_text("webhook.url"),
        timeout: values.duration("webhook.webhookTimeout").unwrap_or(DEFAULT_CLIENT.timeout),
        shutdown_delay: values.duration("webhook.shutdownDelay").unwrap_or_default(),
        register: !values.bool("webhook.disableCreateMutatingWebhookConfig"),
        namespace_selector: selector.as_object().is_some_and(|members| !members.is_empty()).then_some(selector),
        registration: registration(values),
        metrics_port: values.port("webhook.metricsPort"),
        metrics_prefix: values.text("webhook.metrics-prefix"),
        tracing: TracingSettings {
            endpoint: values.optional_text("webhook.tracing.endpoint"),
            ca_file: values.optional_text("webhook.tracing.caFile").map(Into::into),
        },
        events: values.bool("webhook.events.enabled"),
        kube_client,
        pod_namespace,
        pod_name,
    }
}

fn registration(values: Getter<'_>) -> RegistrationSettings {
    let conditions = values.structure("webhook.registration.matchConditions");
    let texts = conditions.as_object().into_iter().flatten();
    let duration = |path: &str| values.duration(path).unwrap_or_default();
    RegistrationSettings {
        failure_policy: values.named("webhook.registration.failurePolicy"),
        reinvocation_policy: values.named("webhook.registration.reinvocationPolicy"),
        match_conditions: texts
            .map(|(name, expression)| (name.clone(), expression.as_str().unwrap_or_default().to_owned()))
            .collect(),
        adopted_ca_retention: duration("webhook.registration.adoptedCaRetention"),
        refresh: duration("webhook.registration.refresh"),
    }
}

/// A rolling update takes minutes.
fn warn_of_short_retention(values: Getter<'_>, warnings: &mut Vec<String>) {
    let (path, least) = ("webhook.registration.adoptedCaRetention", Duration::from_secs(600));
    if values.duration(path).is_some_and(|retention| retention < least) {
        let (origin, least) = (values.origin(path), durations::format(least));
        warnings.push(format!(
            "{origin}: {path}: shorter than {least}: replicas that still serve a certificate of an earlier CA may be \
             distrusted before they end"
        ));
    }
}

/// How long mirrors stay. Too short a time is for tests, so it is a warning.
fn mirrors(values: Getter<'_>, warnings: &mut Vec<String>) -> MirrorSettings {
    const SHORT: [(&str, Duration, &str); 2] = [
        (
            "webhook.mirrorRetention",
            Duration::from_secs(600),
            "mirrors are removed and written again between one pod and the next",
        ),
        (
            "webhook.mirrorGrace",
            Duration::from_secs(80),
            "an API server may still store a pod whose mirror is gone by then",
        ),
    ];
    let [retention, grace] = SHORT.map(|(path, least, consequence)| {
        let duration = values.duration(path).unwrap_or(least);
        if duration < least {
            let least = durations::format(least);
            warnings.push(format!("{}: {path}: shorter than {least}: {consequence}", values.origin(path)));
        }
        duration
    });
    MirrorSettings { retention, grace }
}
