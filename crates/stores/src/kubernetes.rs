//! The `K8s` fetcher of Flyte's Embedded manager: Secrets of one namespace.
//!
//! A secret is the Kubernetes Secret whose name is the hex MD5 of the encoded id, under the data key that is
//! the encoded id itself (`flyteplugins/go/tasks/pluginmachinery/secret/k8s_secrets.go` of Flyte 2).
//! The store uses only the verb `get` on `secrets`; [`watch()`] needs `list` and `watch` too. [`KubernetesWriter`] writes such
//! Secrets, as Flyte's Secret service does.

use std::collections::BTreeMap;
use std::time::Duration;

use data_encoding::BASE64;
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::secret_name::kubernetes_secret_name;
use flyte_secrets_core::value::SecretValue;
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Limited};
use k8s_openapi::api::core::v1::Secret;
use kube::client::Body;
use kube::core::{Request, Status, params::GetParams};
use kube::{Client, Resource};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::causes::with_causes;
use crate::fetcher::{FailureClass, FetchError, SecretFetcher, SecretPlace};

mod api;
mod objects;
mod pull_secret;
mod watch;
mod write;

pub use self::watch::watch;
pub use self::write::KubernetesWriter;

/// The largest answer, in bytes: a full Secret (1 MiB of data in base64) with all its metadata.
const MAX_ANSWER: usize = 4 << 20;

/// How often a write is tried when others get in its way.
const ATTEMPTS: u32 = 10;

/// Waits before an attempt to write: not at all before the first, then longer and longer, and never as long as others do.
async fn pause(attempt: u32) {
    if attempt > 0 {
        let longest = 5 << attempt.min(6);
        tokio::time::sleep(Duration::from_millis(fastrand::u64(longest / 2..=longest))).await;
    }
}

/// The Secrets of one namespace, read with the identity of the client.
#[derive(Clone)]
pub struct KubernetesStore {
    client: Client,
    namespace: String,
    timeout: Duration,
}

impl KubernetesStore {
    /// A store over `namespace`; a request that takes longer than `timeout`, the client's own retries
    /// included, is [`FailureClass::Late`].
    ///
    /// # Errors
    ///
    /// [`InvalidNamespace`] if the name cannot be that of a namespace.
    pub fn new(client: Client, namespace: impl Into<String>, timeout: Duration) -> Result<Self, InvalidNamespace> {
        let namespace = namespace.into();
        if is_namespace(&namespace) {
            Ok(Self { client, namespace, timeout })
        } else {
            Err(InvalidNamespace(namespace))
        }
    }

    async fn fetch(&self, id: &str) -> Result<SecretValue, FetchError> {
        let name = kubernetes_secret_name(id);
        let request = Request::new(Secret::url_path(&(), Some(&self.namespace)))
            .get(&name, &GetParams::default())
            .map_err(|error| FetchError::new(FailureClass::Unavailable, format!("cannot form the request: {error}")))?;
        // Not `Client::request`: on an answer that it cannot read, that logs the whole answer.
        let answer = self.client.send(request.map(Body::from)).await.map_err(|error| unreachable_server(&error))?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await.map_err(|error| {
            let detail = format!("the API server's answer ended early or exceeds {MAX_ANSWER} bytes: {error}");
            FetchError::new(FailureClass::Malformed, detail)
        })?;
        let body = body.to_bytes();
        match status {
            200 => value(&body, id, &name),
            _ => Err(self.refusal(status, &body, &name)),
        }
    }

    /// What an answer other than 200 means.
    fn refusal(&self, code: u16, body: &[u8], name: &str) -> FetchError {
        let status = serde_json::from_slice::<Status>(body).unwrap_or_default();
        let says = if status.message.is_empty() { "nothing more" } else { &status.message };
        let namespace = &self.namespace;
        match code {
            // Any web server answers 404; only an API server gives this reason.
            404 if status.reason == "NotFound" => {
                FetchError::new(FailureClass::NotFound, format!("no Secret {name} in namespace {namespace}"))
            }
            401 => {
                let detail = format!("the API server does not accept our credentials (401); it says: {says}");
                FetchError::new(FailureClass::Denied, detail)
            }
            403 => {
                let detail = format!(
                    "reading Secrets of namespace {namespace} is forbidden: grant the verb get on secrets there, \
                     by a Role and a RoleBinding; the API server says: {says}"
                );
                FetchError::new(FailureClass::Denied, detail)
            }
            429 => {
                let detail = format!("the API server asks us to slow down (429); it says: {says}");
                FetchError::new(FailureClass::Throttled, detail)
            }
            _ => {
                let detail =
                    format!("the API server answered {code} for Secret {name} in {namespace}; it says: {says}");
                FetchError::new(FailureClass::Unavailable, detail)
            }
        }
    }
}

impl SecretFetcher for KubernetesStore {
    fn name(&self) -> &'static str {
        "K8s"
    }

    fn get<'a>(&'a self, id: &'a SecretId) -> BoxFuture<'a, Result<SecretValue, FetchError>> {
        Box::pin(async move {
            let late = |_| {
                let detail = format!("the API server did not answer within {} ms", self.timeout.as_millis());
                FetchError::new(FailureClass::Late, detail)
            };
            tokio::time::timeout(self.timeout, self.fetch(&id.to_string())).await.map_err(late)?
        })
    }

    fn place(&self, id: &SecretId) -> Option<SecretPlace> {
        let key = id.to_string();
        Some(SecretPlace { namespace: self.namespace.clone(), name: kubernetes_secret_name(&key), key })
    }
}

/// A text that cannot be the name of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no name of a namespace: 1 to 63 characters of a-z, 0-9 and -, with a letter or digit at both ends \
     (RFC 1123)"
)]
pub struct InvalidNamespace(pub String);

fn is_namespace(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=63).contains(&name.len())
        && name.bytes().all(|byte| plain(byte) || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// A request without an answer; the causes say which step failed.
fn unreachable_server(error: &kube::Error) -> FetchError {
    FetchError::new(FailureClass::Unavailable, format!("the API server cannot be reached: {}", with_causes(error)))
}

/// The part of a Secret that is needed.
#[derive(Deserialize)]
struct SecretData {
    data: Option<BTreeMap<String, Option<Zeroizing<String>>>>,
}

/// The value in a Secret. The parser's own messages may quote it, so they are not passed on.
fn value(body: &[u8], id: &str, name: &str) -> Result<SecretValue, FetchError> {
    let malformed = |what: &str| FetchError::new(FailureClass::Malformed, format!("Secret {name}: {what}"));
    let secret: SecretData =
        serde_json::from_slice(body).map_err(|_| malformed("the API server's answer is not a Secret in JSON"))?;
    let Some(base64) = secret.data.unwrap_or_default().remove(id) else {
        let detail = format!("the Secret {name} has no data key {id}");
        return Err(FetchError::new(FailureClass::Empty, detail));
    };
    let bytes = BASE64.decode(base64.unwrap_or_default().as_bytes());
    bytes.map(SecretValue::binary).map_err(|_| malformed("the value is not in base64"))
}

#[cfg(test)]
#[path = "kubernetes_tests.rs"]
mod tests;
