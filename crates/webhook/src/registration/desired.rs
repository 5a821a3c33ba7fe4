//! What the MutatingWebhookConfiguration shall say: data in, data out.

use std::time::Duration;

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::endpoint::Endpoint;

/// The name of the one webhook in the configuration, as in Flyte. Kubernetes merges `webhooks` by name.
pub const WEBHOOK_NAME: &str = "flyte-pod-webhook.flyte.org";
/// Who owns our fields in server-side apply.
pub const FIELD_MANAGER: &str = "flyte-secrets";
/// The annotation by which cert-manager's cainjector is told whose CA to put into every `caBundle` of an object.
pub const INJECT_CA_FROM: &str = "cert-manager.io/inject-ca-from";
/// What the names of our own match conditions begin with; configured ones must not.
pub const OWN_CONDITIONS: &str = "flyte-secrets-";

/// Kubernetes' limits of `timeoutSeconds`.
const TIMEOUT_SECONDS: std::ops::RangeInclusive<u64> = 1..=30;
/// Values of [`NAME_LABELS`] on pods of this webhook, besides the name of its Service: our chart's, and Flyte's.
const OWN_NAMES: [&str; 2] = ["flyte-secrets", "flyte-pod-webhook"];
/// The labels that name an application: Kubernetes' recommended one, and the one of Flyte's manifests.
const NAME_LABELS: [&str; 2] = ["app.kubernetes.io/name", "app"];

/// What happens to a pod when the webhook cannot be asked (`webhook.registration.failurePolicy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailurePolicy {
    /// The pod is refused, as in Flyte.
    #[default]
    Fail,
    /// The pod starts without its secrets.
    Ignore,
}

/// Whether the webhook is asked again when another one has changed the pod since (`webhook.registration.reinvocationPolicy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReinvocationPolicy {
    /// Yes. A second pass changes nothing, and serves containers that others have added after the first.
    #[default]
    IfNeeded,
    /// No, as in Flyte.
    Never,
}

/// A CEL expression that a pod must meet to be sent to the webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchCondition {
    /// A qualified name, unique in the webhook.
    pub name: String,
    /// CEL over `object`, `oldObject`, `request` and `authorizer`.
    pub expression: String,
}

/// What the registration needs to know.
#[derive(Clone, Debug, PartialEq)]
pub struct RegistrationSettings {
    /// The name of the MutatingWebhookConfiguration (`webhook.serviceName`).
    pub name: String,
    /// Where the webhook is.
    pub endpoint: Endpoint,
    /// A Kubernetes LabelSelector for namespaces (`webhook.namespaceSelector`); `None` leaves alone what is there.
    pub namespace_selector: Option<Value>,
    /// How long the API server waits for us (`webhook.webhookTimeout`); whole seconds, 1 to 30 are what
    /// Kubernetes takes, and what this is cut to.
    pub timeout: Duration,
    /// What happens to a pod when the webhook cannot be asked.
    pub failure_policy: FailurePolicy,
    /// Whether the webhook is asked again.
    pub reinvocation_policy: ReinvocationPolicy,
    /// Conditions besides our own (`webhook.registration.matchConditions`); others that were set by hand stay.
    pub match_conditions: Vec<MatchCondition>,
    /// The namespace of the webhook's own pods (`POD_NAMESPACE`), which are never sent to it; `None` outside a cluster.
    pub own_namespace: Option<String>,
    /// The Certificate of cert-manager whose CA is put into the bundle (`webhook.certificates.certManagerCertificate`,
    /// `namespace/name`); `None`: the bundle is ours.
    pub cert_manager_certificate: Option<String>,
    /// How long a CA that others have registered stays in the bundle (`webhook.registration.adoptedCaRetention`), so that
    /// replicas whose certificate it has signed can end.
    pub adopted_ca_retention: Duration,
}

impl RegistrationSettings {
    /// The settings that stand where nothing is configured, for the webhook at `endpoint`.
    #[must_use]
    pub fn new(name: impl Into<String>, endpoint: Endpoint) -> Self {
        Self {
            name: name.into(),
            endpoint,
            namespace_selector: None,
            timeout: Duration::from_secs(30),
            failure_policy: FailurePolicy::default(),
            reinvocation_policy: ReinvocationPolicy::default(),
            match_conditions: Vec::new(),
            own_namespace: None,
            cert_manager_certificate: None,
            adopted_ca_retention: Duration::from_secs(24 * 60 * 60),
        }
    }

    /// Ours first, then the configured ones.
    fn conditions(&self) -> Vec<Value> {
        let own = [Some(not_kube_system()), self.own_namespace.as_ref().map(|namespace| self.not_itself(namespace))];
        let all = own.into_iter().flatten().chain(self.match_conditions.iter().cloned());
        all.map(|MatchCondition { name, expression }| json!({"name": name, "expression": expression})).collect()
    }

    /// With no replica left, a webhook that had to admit its own pods could never start again. They are known by
    /// their label; that a task's pod bears it too takes it nothing but its secrets.
    fn not_itself(&self, namespace: &str) -> MatchCondition {
        let mut names = OWN_NAMES.to_vec();
        if !names.contains(&self.name.as_str()) {
            names.push(&self.name);
        }
        let quoted = |texts: &[&str]| texts.iter().map(|text| format!("'{text}'")).collect::<Vec<_>>().join(", ");
        MatchCondition {
            name: format!("{OWN_CONDITIONS}not-itself"),
            expression: format!(
                "request.namespace != '{namespace}' || !has(object.metadata.labels) || ![{}].exists(label, label in \
                 object.metadata.labels && object.metadata.labels[label] in [{}])",
                quoted(&NAME_LABELS),
                quoted(&names),
            ),
        }
    }
}

/// A condition and not a namespaceSelector: the selector is one field as a whole, and would take the place of what people and
/// cloud providers put there.
fn not_kube_system() -> MatchCondition {
    MatchCondition {
        name: format!("{OWN_CONDITIONS}not-kube-system"),
        expression: "request.namespace != 'kube-system'".to_owned(),
    }
}

/// The fields that are ours, as an apply configuration of `admissionregistration.k8s.io/v1`. `ca_bundle` is PEM; without it
/// the bundle is not ours. `inject` asks cert-manager for its CA.
#[must_use]
pub fn desired(settings: &RegistrationSettings, ca_bundle: Option<&str>, inject: bool) -> Value {
    let mut client_config = settings.endpoint.client_config();
    if let Some(pem) = ca_bundle {
        client_config["caBundle"] = BASE64.encode(pem.as_bytes()).into();
    }
    let mut webhook = json!({
        "name": WEBHOOK_NAME,
        "clientConfig": client_config,
        "rules": [{
            "operations": ["CREATE"], "apiGroups": ["*"], "apiVersions": ["v1"], "resources": ["pods"], "scope": "*",
        }],
        "objectSelector": {"matchLabels": {"inject-flyte-secrets": "true"}},
        "matchConditions": settings.conditions(),
        "failurePolicy": match settings.failure_policy {
            FailurePolicy::Fail => "Fail",
            FailurePolicy::Ignore => "Ignore",
        },
        "sideEffects": "NoneOnDryRun",
        "admissionReviewVersions": ["v1", "v1beta1"],
        "timeoutSeconds": settings.timeout.as_secs().clamp(*TIMEOUT_SECONDS.start(), *TIMEOUT_SECONDS.end()),
        "reinvocationPolicy": match settings.reinvocation_policy {
            ReinvocationPolicy::IfNeeded => "IfNeeded",
            ReinvocationPolicy::Never => "Never",
        },
    });
    if let Some(selector) = &settings.namespace_selector {
        webhook["namespaceSelector"] = selector.clone();
    }
    let mut metadata = json!({"name": settings.name});
    if let Some(certificate) = settings.cert_manager_certificate.as_ref().filter(|_| inject) {
        metadata["annotations"] = json!({ INJECT_CA_FROM: certificate });
    }
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": metadata,
        "webhooks": [webhook],
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "desired_tests.rs"]
mod tests;
