//! Secrets of one namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};

use flyte_secrets_core::value::SecretValue;
use k8s_openapi::api::core::v1::Secret;
use kube::core::Request;
use kube::core::params::{DeleteParams, GetParams, PostParams, Preconditions};
use kube::{Client, Resource};
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::time::Instant;
use zeroize::{Zeroize, Zeroizing};

use super::call::{ApiError, ApiErrorKind, Object, Verb};
use super::exchange::{ONE, exchange};

/// The Secrets of one namespace, by name.
///
/// `kube::Api` writes an answer that it cannot read into the log as a whole. What is asked for here are
/// secrets, so answers are read as bytes and parsed here.
pub(crate) struct Secrets {
    client: Client,
    namespace: String,
    request: Request,
    until: Option<Instant>,
}

impl Secrets {
    pub(crate) fn new(client: Client, namespace: &str) -> Self {
        let request = Request::new(Secret::url_path(&(), Some(namespace)));
        Self { client, namespace: namespace.to_owned(), request, until: None }
    }

    /// The same, with requests that end at `until` at the latest.
    pub(crate) fn until(self, until: Instant) -> Self {
        Self { until: Some(until), ..self }
    }

    pub(crate) fn object(&self, name: &str) -> Object {
        Object { group: "", resource: "secrets", namespace: Some(self.namespace.clone()), name: name.to_owned() }
    }

    /// The Secret as it is now: without a `resourceVersion` parameter the API server answers from the latest state, not
    /// from a cache (<https://kubernetes.io/docs/reference/using-api/api-concepts/#semantics-for-get-and-list>).
    pub(crate) async fn get(&self, name: &str) -> Result<Option<Secret>, ApiError> {
        match self.send(Verb::Get, name, self.request.get(name, &GetParams::default())).await {
            Err(error) if error.kind == ApiErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(answer) => self.parse(Verb::Get, name, &answer).map(Some),
        }
    }

    /// The names of the Secret's keys. Its values are skipped where they stand in the answer, which is wiped.
    pub(crate) async fn keys(&self, name: &str) -> Result<Option<BTreeSet<String>>, ApiError> {
        match self.send(Verb::Get, name, self.request.get(name, &GetParams::default())).await {
            Err(error) if error.kind == ApiErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(answer) => {
                let Keyed { data } = self.parse(Verb::Get, name, &answer)?;
                Ok(Some(data.unwrap_or_default().into_keys().collect()))
            }
        }
    }

    pub(crate) async fn create(&self, name: &str, secret: &Secret) -> Result<(), ApiError> {
        let request = self.request.create(&PostParams::default(), body(secret));
        self.send(Verb::Create, name, request).await.map(drop)
    }

    /// Replaces the Secret; a conflict if it is no longer the one whose `resourceVersion` `secret` holds. Returns the new
    /// `resourceVersion`. If nothing differs, the API server changes nothing, the version included.
    pub(crate) async fn update(&self, name: &str, secret: &Secret) -> Result<String, ApiError> {
        let request = self.request.replace(name, &PostParams::default(), body(secret));
        let answer = self.send(Verb::Update, name, request).await?;
        let Versioned { metadata } = self.parse(Verb::Update, name, &answer)?;
        Ok(metadata.resource_version)
    }

    /// Deletes exactly the Secret that was read: a conflict if another one has taken its place, or it was changed.
    pub(crate) async fn delete(&self, name: &str, read: &Secret) -> Result<(), ApiError> {
        let exactly =
            Preconditions { uid: read.metadata.uid.clone(), resource_version: read.metadata.resource_version.clone() };
        self.delete_exactly(name, exactly).await
    }

    /// Deletes the Secret if it is the one that `exactly` describes, else it is a conflict.
    pub(crate) async fn delete_exactly(&self, name: &str, exactly: Preconditions) -> Result<(), ApiError> {
        let params = DeleteParams::default().preconditions(exactly);
        self.send(Verb::Delete, name, self.request.delete(name, &params)).await.map(drop)
    }

    fn parse<'a, T: Deserialize<'a>>(&self, verb: Verb, name: &str, answer: &'a [u8]) -> Result<T, ApiError> {
        serde_json::from_slice(answer).map_err(|_| ApiError {
            verb,
            object: self.object(name),
            kind: ApiErrorKind::Malformed,
            message: "the answer is no Secret".to_owned(),
        })
    }

    async fn send(
        &self,
        verb: Verb,
        name: &str,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Zeroizing<Vec<u8>>, ApiError> {
        self.object(name).call_until(verb, self.until, exchange(&self.client, request, ONE)).await
    }
}

/// What a Secret of `namespace` holds, by key; `None` where there is no such Secret. Needs `get` on Secrets there. A name that no
/// object can have is not asked for. Takes as long as the client allows.
///
/// # Errors
///
/// When the API server does not tell; the text names the RBAC rule that is missing.
pub async fn read_secret(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<BTreeMap<String, SecretValue>>, ApiError> {
    if !is_object_name(namespace) || !is_object_name(name) {
        return Ok(None);
    }
    let Some(secret) = Secrets::new(client.clone(), namespace).get(name).await? else { return Ok(None) };
    let mut secret = Wiped(secret);
    let values = secret.data.take().unwrap_or_default();
    Ok(Some(values.into_iter().map(|(key, value)| (key, SecretValue::binary(value.0))).collect()))
}

/// The longest name of an object (RFC 1123, as Kubernetes applies it).
const MAX_NAME: usize = 253;

/// Whether an object can have this name: RFC 1123's names of domains, in lower case. Names come from requests and become part
/// of a path.
pub(crate) fn is_object_name(name: &str) -> bool {
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    bytes.len() <= MAX_NAME
        && bytes.first().is_some_and(plain)
        && bytes.last().is_some_and(plain)
        && bytes.iter().all(|byte| plain(byte) || matches!(byte, b'-' | b'.'))
}

/// What an answer is read for where its values are not wanted.
#[derive(Deserialize)]
struct Keyed {
    #[serde(default)]
    data: Option<BTreeMap<String, IgnoredAny>>,
}

/// What an update's answer is read for.
#[derive(Deserialize)]
struct Versioned {
    metadata: VersionedMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VersionedMetadata {
    resource_version: String,
}

/// A Secret that is wiped when it is dropped.
pub(crate) struct Wiped(pub(crate) Secret);

impl Deref for Wiped {
    type Target = Secret;

    fn deref(&self) -> &Secret {
        &self.0
    }
}

impl DerefMut for Wiped {
    fn deref_mut(&mut self) -> &mut Secret {
        &mut self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        for bytes in self.0.data.iter_mut().flat_map(|data| data.values_mut()) {
            bytes.0.zeroize();
        }
    }
}

/// The Secret in JSON, written into memory that is large enough from the start, so that growing it leaves no copies.
fn body(secret: &Secret) -> Vec<u8> {
    const METADATA: usize = 64 << 10;
    let values: usize = secret.data.iter().flat_map(|data| data.values()).map(|bytes| bytes.0.len()).sum();
    let mut body = Vec::with_capacity(values / 3 * 4 + METADATA);
    serde_json::to_writer(&mut body, secret).expect("a Secret is strings, maps and bytes, which JSON always takes");
    body
}
