//! Where the API server finds the webhook.

use serde_json::{Value, json};

use crate::certificates::{CertificateNames, InvalidName};

/// The path that pods are sent to, as in Flyte.
pub const PATH: &str = "/mutate--v1-pod";

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

    pub(super) fn client_config(&self) -> Value {
        match self {
            Self::Service { namespace, name, port } => {
                json!({"service": {"namespace": namespace, "name": name, "port": port, "path": PATH}})
            }
            Self::Url { base, .. } => json!({"url": format!("{base}{PATH}")}),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn service() -> Endpoint {
        Endpoint::Service { namespace: "flyte".to_owned(), name: "flyte-pod-webhook".to_owned(), port: 443 }
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
}
