//! Calls to Vault's HTTP API.

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::session::Session;
use super::settings::VaultSettings;
use crate::fetcher::{FailureClass, FetchError};
use crate::https::{Answer, Call, Https, Network, SettingsError, TlsFiles, base_url};

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
/// Vault Agent may insist on this header, as a guard against forged requests of a browser.
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");

/// A server, and a namespace on it.
pub(super) struct Api {
    https: Https,
    address: Url,
    headers: HeaderMap,
}

/// A request that may be sent with more than one session.
pub(super) struct Request {
    method: Method,
    path: String,
    /// Content type and body.
    body: Option<(&'static str, Zeroizing<Vec<u8>>)>,
}

impl Request {
    /// Reads a path, which is encoded.
    pub(super) const fn get(path: String) -> Self {
        Self { method: Method::GET, path, body: None }
    }

    /// Deletes what is at a path.
    pub(super) const fn delete(path: String) -> Self {
        Self { method: Method::DELETE, path, body: None }
    }

    /// Writes JSON to a path.
    pub(super) const fn post(path: String, json: Zeroizing<Vec<u8>>) -> Self {
        Self { method: Method::POST, path, body: Some(("application/json", json)) }
    }

    /// Changes the members at a path that the JSON names (RFC 7396).
    pub(super) const fn patch(path: String, json: Zeroizing<Vec<u8>>) -> Self {
        Self { method: Method::PATCH, path, body: Some(("application/merge-patch+json", json)) }
    }
}

impl Api {
    pub(super) fn new(settings: &VaultSettings) -> Result<Self, SettingsError> {
        let address = base_url("address", &settings.address)?;
        let files = TlsFiles { ca: settings.ca_file.clone(), client: None };
        let network = Network { plain: address.scheme() == "http", ..Network::default() };
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST, HeaderValue::from_static("true"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(namespace) = &settings.namespace {
            let wrong = |_| SettingsError::Path { setting: "namespace", value: namespace.clone() };
            headers.insert(NAMESPACE, namespace.parse().map_err(wrong)?);
        }
        Ok(Self { https: Https::new(files, network)?, address, headers })
    }

    /// Reads a path, which is encoded.
    pub(super) async fn get(&self, path: &str, session: &Session) -> Result<Answer, FetchError> {
        self.https.send(self.call(Method::GET, path, Some(session.token()))?).await
    }

    /// Sends a request.
    pub(super) async fn send(&self, request: &Request, session: &Session) -> Result<Answer, FetchError> {
        let mut call = self.call(request.method.clone(), &request.path, Some(session.token()))?;
        if let Some((content_type, body)) = &request.body {
            call.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            call.body = Some(body.clone());
        }
        self.https.send(call).await
    }

    /// Writes to a path, which is encoded; without a token for a login.
    pub(super) async fn post(
        &self,
        path: &str,
        token: Option<&SecretString>,
        body: &impl Serialize,
    ) -> Result<Answer, FetchError> {
        // Large enough for most, so that growing leaves no copies of a credential behind.
        let mut json = Zeroizing::new(Vec::with_capacity(16 << 10));
        serde_json::to_writer(&mut *json, body).map_err(|_| internal("a request cannot be written as JSON"))?;
        let mut call = self.call(Method::POST, path, token)?;
        call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        call.body = Some(json);
        self.https.send(call).await
    }

    fn call(&self, method: Method, path: &str, token: Option<&SecretString>) -> Result<Call, FetchError> {
        let address = self.address.as_str().trim_end_matches('/');
        let url = Url::parse(&format!("{address}/v1/{path}")).map_err(|_| internal("a path makes no URL"))?;
        let mut headers = self.headers.clone();
        if let Some(token) = token {
            let mut token = HeaderValue::from_str(token.expose_secret()).map_err(|_| {
                FetchError::new(FailureClass::Denied, "the token holds characters that no token of Vault has")
            })?;
            token.set_sensitive(true);
            headers.insert(TOKEN, token);
        }
        Ok(Call { method, url, headers, body: None })
    }
}

fn internal(what: &str) -> FetchError {
    FetchError::new(FailureClass::Unavailable, what)
}

/// What Vault says in an answer that is no success: `{"errors": […]}`.
pub(super) struct Words(Option<Errors>);

#[derive(Deserialize)]
struct Errors {
    /// Missing in a 404 that has data or warnings.
    errors: Option<Vec<String>>,
    warnings: Option<Vec<String>>,
    request_id: Option<String>,
}

impl Words {
    pub(super) fn of(answer: &Answer) -> Self {
        Self(serde_json::from_slice(&answer.body).ok())
    }

    /// Whether Vault itself answered, and not some other web server.
    pub(super) fn are_vaults(&self) -> bool {
        self.0.as_ref().is_some_and(|words| words.errors.is_some() || words.request_id.is_some())
    }

    /// The first warning.
    pub(super) fn warning(&self) -> Option<&str> {
        self.0.as_ref()?.warnings.as_ref()?.first().map(String::as_str)
    }

    /// The errors on one line.
    pub(super) fn text(&self) -> String {
        let errors = self.0.as_ref().and_then(|words| words.errors.as_deref()).unwrap_or_default();
        let plain = errors.join("; ").split_whitespace().collect::<Vec<_>>().join(" ");
        if plain.is_empty() { "nothing more".to_owned() } else { plain }
    }
}

/// What a status means that says nothing about the path: Vault itself is not well, or not there.
pub(super) fn general_failure(answer: &Answer) -> FetchError {
    let says = Words::of(answer).text();
    let status = answer.status;
    let (class, what) = match status {
        429 | 473 => (FailureClass::Throttled, "Vault asks us to slow down"),
        300..=399 => (
            FailureClass::Unavailable,
            "Vault redirects, which is not followed: set the address of the active server or of a load balancer",
        ),
        503 => (FailureClass::Unavailable, "Vault is sealed or not ready"),
        472 => (FailureClass::Unavailable, "this server is a secondary for disaster recovery"),
        500.. | 412 => (FailureClass::Unavailable, "Vault failed"),
        _ => (FailureClass::Malformed, "an answer that Vault does not give"),
    };
    FetchError::new(class, format!("{what} ({status}{}); it says: {says}", answer.retry_after()))
}
