//! What the MutatingWebhookConfiguration shall say: data in, data out.

use std::time::Duration;

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::certificates::{CertificateNames, InvalidName};

/// The name of the one webhook in the configuration, as in Flyte. Kubernetes merges `webhooks` by name.
pub const WEBHOOK_NAME: &str = "flyte-pod-webhook.flyte.org";
/// The path that pods are sent to, as in Flyte.
pub const PATH: &str = "/mutate--v1-pod";
/// Who owns our fields in server-side apply.
pub const FIELD_MANAGER: &str = "flyte-secrets";

/// Kubernetes' limits of `timeoutSeconds`.
const TIMEOUT_SECONDS: std::ops::RangeInclusive<u64> = 1..=30;

/// A URL under which the API server cannot call a webhook.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} cannot be the URL of the webhook: {reason}; write https://HOST[:PORT]")]
pub struct InvalidUrl {
    /// The URL.
    pub url: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Where the API server finds the webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A Service of the cluster.
    Service {
        /// Its namespace (`POD_NAMESPACE`).
        namespace: String,
        /// Its name (`webhook.serviceName`).
        name: String,
        /// Its port (`webhook.servicePort`).
        port: u16,
    },
    /// A server that the API server reaches by its address; made by [`Endpoint::url`].
    Url {
        /// Scheme, host and port, without a path.
        base: String,
        /// The host alone.
        host: String,
    },
}

impl Endpoint {
    /// A server by its URL, `https://HOST[:PORT]`.
    ///
    /// # Errors
    ///
    /// When the scheme is not `https`, or there is more than scheme, host and port. Kubernetes takes no user information, query or fragment.
    pub fn url(url: &str) -> Result<Self, InvalidUrl> {
        let invalid = |reason| InvalidUrl { url: url.to_owned(), reason };
        let parsed: http::Uri = url.parse().map_err(|_| invalid("it cannot be read"))?;
        if parsed.scheme_str() != Some("https") {
            return Err(invalid("the scheme is not https"));
        }
        if parsed.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(invalid("it holds user information"));
        }
        if !matches!(parsed.path(), "" | "/") || parsed.query().is_some() || url.contains('#') {
            return Err(invalid("it holds more than scheme, host and port"));
        }
        let host = parsed.host().filter(|host| !host.is_empty()).ok_or_else(|| invalid("it has no host"))?;
        Ok(Self::Url {
            base: url.trim_end_matches('/').to_owned(),
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        })
    }

    /// The names that the serving certificate must be for.
    ///
    /// # Errors
    ///
    /// When a name is neither a DNS name nor an IP address.
    pub fn certificate_names(&self, extra: &[String]) -> Result<CertificateNames, InvalidName> {
        match self {
            Self::Service { namespace, name, .. } => CertificateNames::for_service(name, namespace, extra),
            Self::Url { host, .. } => CertificateNames::for_hosts(&[std::slice::from_ref(host), extra].concat()),
        }
    }

    fn client_config(&self) -> Value {
        match self {
            Self::Service { namespace, name, port } => {
                json!({"service": {"namespace": namespace, "name": name, "port": port, "path": PATH}})
            }
            Self::Url { base, .. } => json!({"url": format!("{base}{PATH}")}),
        }
    }
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
}

/// The fields that are ours, as an apply configuration of `admissionregistration.k8s.io/v1`. `ca_bundle` is PEM; without it
/// the API server trusts the issuers that its system trusts.
#[must_use]
pub fn desired(settings: &RegistrationSettings, ca_bundle: Option<&str>) -> Value {
    let mut client_config = settings.endpoint.client_config();
    if let Some(pem) = ca_bundle {
        client_config["caBundle"] = BASE64.encode(pem.as_bytes()).into();
    }
    let mut webhook = json!({
        "name": WEBHOOK_NAME,
        "clientConfig": client_config,
        "rules": [{"operations": ["CREATE"], "apiGroups": ["*"], "apiVersions": ["v1"], "resources": ["pods"]}],
        "objectSelector": {"matchLabels": {"inject-flyte-secrets": "true"}},
        "failurePolicy": "Fail",
        "sideEffects": "NoneOnDryRun",
        "admissionReviewVersions": ["v1", "v1beta1"],
        "timeoutSeconds": settings.timeout.as_secs().clamp(*TIMEOUT_SECONDS.start(), *TIMEOUT_SECONDS.end()),
        // A second pass changes nothing, and serves containers that other webhooks have added after the first.
        "reinvocationPolicy": "IfNeeded",
    });
    if let Some(selector) = &settings.namespace_selector {
        webhook["namespaceSelector"] = selector.clone();
    }
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": settings.name},
        "webhooks": [webhook],
    })
}

/// The patch that removes what stands in our webhook's `clientConfig` and must not: Kubernetes takes either `url` or
/// `service`, and an old `caBundle` would make it distrust a public issuer. Server-side apply would leave members that
/// somebody else has set, Flyte for example. `None` if there is nothing to remove.
pub(super) fn removal(existing: &Value, desired: &Value) -> Option<Value> {
    let theirs = existing["webhooks"].as_array()?.iter().find(|webhook| webhook["name"] == WEBHOOK_NAME)?;
    let ours = &desired["webhooks"][0]["clientConfig"];
    let mut client_config = ours.clone();
    let mut found = false;
    for member in ["url", "service", "caBundle"] {
        if !theirs["clientConfig"][member].is_null() && ours[member].is_null() {
            client_config[member] = Value::Null;
            found = true;
        }
    }
    found.then(|| {
        json!({
            // If it was changed since it was read, this is a conflict and we read again.
            "metadata": {"resourceVersion": existing["metadata"]["resourceVersion"]},
            "webhooks": [{"name": WEBHOOK_NAME, "clientConfig": client_config}],
        })
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn settings(endpoint: Endpoint) -> RegistrationSettings {
        RegistrationSettings {
            name: "flyte-pod-webhook".to_owned(),
            endpoint,
            namespace_selector: None,
            timeout: Duration::from_secs(30),
        }
    }

    fn service() -> Endpoint {
        Endpoint::Service { namespace: "flyte".to_owned(), name: "flyte-pod-webhook".to_owned(), port: 443 }
    }

    #[test]
    fn a_service_is_registered_with_exactly_these_fields() {
        assert_eq!(
            desired(&settings(service()), Some("PEM")),
            json!({
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": "MutatingWebhookConfiguration",
                "metadata": {"name": "flyte-pod-webhook"},
                "webhooks": [{
                    "name": "flyte-pod-webhook.flyte.org",
                    "clientConfig": {
                        "service": {
                            "namespace": "flyte", "name": "flyte-pod-webhook", "port": 443, "path": "/mutate--v1-pod"
                        },
                        "caBundle": "UEVN"
                    },
                    "rules": [{
                        "operations": ["CREATE"], "apiGroups": ["*"], "apiVersions": ["v1"], "resources": ["pods"]
                    }],
                    "objectSelector": {"matchLabels": {"inject-flyte-secrets": "true"}},
                    "failurePolicy": "Fail",
                    "sideEffects": "NoneOnDryRun",
                    "admissionReviewVersions": ["v1", "v1beta1"],
                    "timeoutSeconds": 30,
                    "reinvocationPolicy": "IfNeeded"
                }]
            })
        );
    }

    #[test]
    fn a_url_stands_in_place_of_the_service_and_without_a_ca_there_is_no_bundle() {
        let endpoint = Endpoint::url("https://127.0.0.1:9443/").unwrap();
        let document = desired(&settings(endpoint), None);
        assert_eq!(document["webhooks"][0]["clientConfig"], json!({"url": "https://127.0.0.1:9443/mutate--v1-pod"}));
    }

    #[test]
    fn a_namespace_selector_is_taken_as_it_is() {
        let selector = json!({"matchExpressions": [{"key": "a", "operator": "Exists"}]});
        let settings = RegistrationSettings { namespace_selector: Some(selector.clone()), ..settings(service()) };
        assert_eq!(desired(&settings, None)["webhooks"][0]["namespaceSelector"], selector);
    }

    #[test]
    fn the_timeout_is_cut_to_what_kubernetes_takes() {
        for (millis, seconds) in [(0, 1), (999, 1), (1_999, 1), (10_000, 10), (30_000, 30), (60_000, 30)] {
            let settings = RegistrationSettings { timeout: Duration::from_millis(millis), ..settings(service()) };
            assert_eq!(desired(&settings, None)["webhooks"][0]["timeoutSeconds"], seconds, "{millis} ms");
        }
    }

    #[test]
    fn the_certificate_is_for_what_the_api_server_calls() {
        for (url, host) in [
            ("https://hook.example.com", "hook.example.com"),
            ("https://192.0.2.1:9443", "192.0.2.1"),
            ("https://[::1]:1/", "::1"),
        ] {
            let names = Endpoint::url(url).unwrap().certificate_names(&["localhost".to_owned()]).unwrap();
            assert_eq!(names.required(), [host, "localhost"], "{url}");
        }
        assert_eq!(service().certificate_names(&[]).unwrap().required(), ["flyte-pod-webhook.flyte.svc"]);
    }

    #[test]
    fn urls_that_kubernetes_refuses_are_refused_with_the_reason() {
        for (url, reason) in [
            ("http://hook", "the scheme is not https"),
            ("hook:9443", "the scheme is not https"),
            ("https://me@hook", "it holds user information"),
            ("https://hook/path", "it holds more than scheme, host and port"),
            ("https://hook?x", "it holds more than scheme, host and port"),
            ("https://hook/#x", "it holds more than scheme, host and port"),
            ("https://", "it cannot be read"),
        ] {
            assert_eq!(Endpoint::url(url).unwrap_err(), InvalidUrl { url: url.to_owned(), reason });
        }
    }

    fn existing(client_config: &Value) -> Value {
        json!({
            "metadata": {"resourceVersion": "7"},
            "webhooks": [
                {"name": "another.example.com", "clientConfig": {"url": "https://another", "caBundle": "UEVN"}},
                {"name": WEBHOOK_NAME, "clientConfig": client_config},
            ]
        })
    }

    #[test]
    fn members_of_the_client_config_that_must_not_stay_are_removed_at_once_with_ours_put_in() {
        let url = Endpoint::url("https://hook").unwrap();
        let theirs = existing(&json!({"service": {"name": "x"}, "caBundle": "T0xE"}));
        let patch = removal(&theirs, &desired(&settings(url), None)).unwrap();
        assert_eq!(
            patch,
            json!({
                "metadata": {"resourceVersion": "7"},
                "webhooks": [{
                    "name": WEBHOOK_NAME,
                    "clientConfig": {"url": "https://hook/mutate--v1-pod", "service": null, "caBundle": null}
                }]
            })
        );
    }

    #[test]
    fn what_apply_replaces_anyway_needs_no_removal() {
        let ours = desired(&settings(service()), Some("PEM"));
        for theirs in [
            existing(&json!({"service": {"name": "x"}, "caBundle": "T0xE"})),
            existing(&json!({"service": {"name": "x"}, "caBundle": null})),
            json!({"metadata": {}, "webhooks": []}),
            json!({"metadata": {}}),
        ] {
            assert_eq!(removal(&theirs, &ours), None, "{theirs}");
        }
    }
}
