//! Requests to the API server about the Secrets of one namespace. Bodies are neither logged nor quoted, and wiped.

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::client::Body;
use kube::core::params::{DeleteParams, GetParams, ListParams, PostParams, Preconditions};
use kube::core::{ObjectList, PartialObjectMeta, Request, Status, request};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::MAX_ANSWER;
use crate::causes::with_causes;
use crate::writer::{WriteError, WriteFailure};

/// So many Secrets come at once when all are asked for, as metadata.
const PAGE: u32 = 500;

/// The Secrets of one namespace.
#[derive(Clone)]
pub(super) struct Api {
    client: Client,
    namespace: String,
    request: Request,
}

type Built = Result<http::Request<Vec<u8>>, request::Error>;

impl Api {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        let request = Request::new(Secret::url_path(&(), Some(namespace)));
        Self { client, namespace: namespace.to_owned(), request }
    }

    /// Everything of a Secret but its data; `None` if it is not there.
    pub(super) async fn metadata(&self, name: &str) -> Result<Option<ObjectMeta>, WriteError> {
        let answer = self.send("get", name, self.request.get_metadata(name, &GetParams::default())).await;
        let Some(answer) = found(answer)? else { return Ok(None) };
        let object: PartialObjectMeta<Secret> = parse(&answer)?;
        Ok(Some(object.metadata))
    }

    /// A Secret as bytes of JSON; `None` if it is not there.
    pub(super) async fn get(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, WriteError> {
        found(self.send("get", name, self.request.get(name, &GetParams::default())).await)
    }

    pub(super) async fn create(&self, name: &str, body: Zeroizing<Vec<u8>>) -> Result<(), WriteError> {
        let request = self.request.create(&PostParams::default(), Vec::new());
        self.send_body("create", name, request, body).await.map(drop)
    }

    /// Replaces a Secret, if it is still the one whose `resourceVersion` stands in `body`.
    pub(super) async fn replace(&self, name: &str, body: Zeroizing<Vec<u8>>) -> Result<(), WriteError> {
        let request = self.request.replace(name, &PostParams::default(), Vec::new());
        self.send_body("update", name, request, body).await.map(drop)
    }

    /// Deletes a Secret, if it is still the one that was read.
    pub(super) async fn delete(&self, name: &str, read: &ObjectMeta) -> Result<(), WriteError> {
        let exactly = Preconditions { uid: read.uid.clone(), resource_version: read.resource_version.clone() };
        let params = DeleteParams::default().preconditions(exactly);
        self.send("delete", name, self.request.delete(name, &params)).await.map(drop)
    }

    /// The metadata of all Secrets with these labels, up to `limit`.
    pub(super) async fn list(&self, labels: &str, limit: usize) -> Result<Vec<ObjectMeta>, WriteError> {
        let (mut all, mut params) = (Vec::new(), ListParams::default().labels(labels).limit(PAGE));
        loop {
            let answer = self.send("list", "", self.request.list_metadata(&params)).await?;
            let page: ObjectList<PartialObjectMeta<Secret>> = parse(&answer)?;
            all.extend(page.items.into_iter().map(|item| item.metadata));
            if all.len() > limit {
                let detail = format!(
                    "more than {limit} secrets, which is more than can be put in order; ask for a domain, or for a project of it"
                );
                return Err(WriteError::new(WriteFailure::Invalid, detail));
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(all),
            }
        }
    }

    async fn send(&self, verb: &str, name: &str, request: Built) -> Result<Zeroizing<Vec<u8>>, WriteError> {
        let request = request.map_err(|error| unavailable(format!("cannot form the request: {error}")))?;
        self.exchange(verb, name, request.map(Body::from)).await
    }

    async fn send_body(
        &self,
        verb: &str,
        name: &str,
        request: Built,
        body: Zeroizing<Vec<u8>>,
    ) -> Result<Zeroizing<Vec<u8>>, WriteError> {
        let request = request.map_err(|error| unavailable(format!("cannot form the request: {error}")))?;
        self.exchange(verb, name, request.map(|_| Body::from(Bytes::from_owner(body)))).await
    }

    async fn exchange(
        &self,
        verb: &str,
        name: &str,
        request: http::Request<Body>,
    ) -> Result<Zeroizing<Vec<u8>>, WriteError> {
        // Not `Client::request`: on an answer that it cannot read, that logs the whole answer.
        let answer = self
            .client
            .send(request)
            .await
            .map_err(|error| unavailable(format!("the API server cannot be reached: {}", with_causes(&error))))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await.map_err(|error| {
            unavailable(format!("the API server's answer ended early or exceeds {MAX_ANSWER} bytes: {error}"))
        })?;
        let body = Zeroizing::new(Vec::from(body.to_bytes()));
        if status.is_success() { Ok(body) } else { Err(self.refusal(status.as_u16(), &body, verb, name)) }
    }

    /// What an answer that is no success means.
    fn refusal(&self, code: u16, body: &[u8], verb: &str, name: &str) -> WriteError {
        let status = serde_json::from_slice::<Status>(body).unwrap_or_default();
        let says = if status.message.is_empty() { "nothing more" } else { &status.message };
        let namespace = &self.namespace;
        let object = if name.is_empty() { "Secrets".to_owned() } else { format!("the Secret {name}") };
        let (failure, detail) = match code {
            // Any web server answers 404; only an API server gives this reason. What is created is never what is missing.
            404 if status.reason == "NotFound" && verb != "create" => {
                (WriteFailure::NotFound, format!("no Secret {name} in namespace {namespace}"))
            }
            409 if status.reason == "AlreadyExists" => {
                (WriteFailure::AlreadyExists, format!("{object} is in namespace {namespace} already"))
            }
            409 => (WriteFailure::Conflict, format!("{object} in namespace {namespace} was changed by others")),
            401 => {
                (WriteFailure::Denied, format!("the API server does not accept our credentials (401); it says: {says}"))
            }
            403 if status.message.contains("exceeded quota: ") => {
                (WriteFailure::Full, format!("a ResourceQuota of namespace {namespace} is used up: {says}"))
            }
            403 => (
                WriteFailure::Denied,
                format!(
                    "the API server does not let us {verb} {object} of namespace {namespace}; grant the verbs get, list, create, \
                     update and delete on secrets there, by a Role and a RoleBinding, unless a policy is against it; it says: {says}"
                ),
            ),
            // The message of these may quote what was sent.
            400 | 413 | 415 | 422 => {
                let causes = status.details.iter().flat_map(|details| &details.causes);
                let fields: Vec<_> = causes.map(|cause| cause.field.as_str()).collect();
                let fields = if fields.is_empty() { String::new() } else { format!(": {}", fields.join(", ")) };
                (
                    WriteFailure::Invalid,
                    format!("the API server does not take {object} ({code} {}{fields})", status.reason),
                )
            }
            429 => (WriteFailure::Unavailable, format!("the API server asks us to slow down (429); it says: {says}")),
            _ => (
                WriteFailure::Unavailable,
                format!("the API server answered {code} to {verb} {object} in namespace {namespace}; it says: {says}"),
            ),
        };
        WriteError::new(failure, detail)
    }
}

/// An answer about one Secret, which may not be there.
fn found<T>(answer: Result<T, WriteError>) -> Result<Option<T>, WriteError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.failure() == WriteFailure::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads an answer. The parser's own words may quote it, so they are not passed on.
pub(super) fn parse<T: DeserializeOwned>(answer: &[u8]) -> Result<T, WriteError> {
    serde_json::from_slice(answer)
        .map_err(|_| unavailable("the API server's answer is not what was asked for".to_owned()))
}

pub(super) fn unavailable(detail: String) -> WriteError {
    WriteError::new(WriteFailure::Unavailable, detail)
}
