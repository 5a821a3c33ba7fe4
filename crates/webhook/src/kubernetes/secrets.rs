//! Secrets of one namespace.

use k8s_openapi::api::core::v1::Secret;
use kube::core::Request;
use kube::core::params::{DeleteParams, GetParams, PostParams, Preconditions};
use kube::{Client, Resource};

use super::call::{ApiError, ApiErrorKind, Object, Verb};

/// The Secrets of one namespace, by name.
///
/// `kube::Api` writes an answer that it cannot read into the log as a whole. What is asked for here are
/// secrets, so answers are read as text and parsed here.
pub(crate) struct Secrets {
    client: Client,
    namespace: String,
    request: Request,
}

impl Secrets {
    pub(crate) fn new(client: Client, namespace: &str) -> Self {
        let request = Request::new(Secret::url_path(&(), Some(namespace)));
        Self { client, namespace: namespace.to_owned(), request }
    }

    pub(crate) fn object(&self, name: &str) -> Object {
        Object { group: "", resource: "secrets", namespace: Some(self.namespace.clone()), name: name.to_owned() }
    }

    pub(crate) async fn get(&self, name: &str) -> Result<Option<Secret>, ApiError> {
        match self.send(Verb::Get, name, self.request.get(name, &GetParams::default())).await {
            Err(error) if error.kind == ApiErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(text) => serde_json::from_str(&text).map(Some).map_err(|_| ApiError {
                verb: Verb::Get,
                object: self.object(name),
                kind: ApiErrorKind::Malformed,
                message: "the answer is no Secret".to_owned(),
            }),
        }
    }

    pub(crate) async fn create(&self, name: &str, secret: &Secret) -> Result<(), ApiError> {
        let request = self.request.create(&PostParams::default(), body(secret));
        self.send(Verb::Create, name, request).await.map(drop)
    }

    /// Replaces the Secret; a conflict if it is no longer the one whose `resourceVersion` `secret` holds.
    pub(crate) async fn update(&self, name: &str, secret: &Secret) -> Result<(), ApiError> {
        let request = self.request.replace(name, &PostParams::default(), body(secret));
        self.send(Verb::Update, name, request).await.map(drop)
    }

    /// Deletes exactly the Secret that was read: a conflict if another one has taken its place, or it was changed.
    pub(crate) async fn delete(&self, name: &str, read: &Secret) -> Result<(), ApiError> {
        let exactly =
            Preconditions { uid: read.metadata.uid.clone(), resource_version: read.metadata.resource_version.clone() };
        let params = DeleteParams::default().preconditions(exactly);
        self.send(Verb::Delete, name, self.request.delete(name, &params)).await.map(drop)
    }

    async fn send(
        &self,
        verb: Verb,
        name: &str,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<String, ApiError> {
        let answer = async { self.client.request_text(request.map_err(kube::Error::BuildRequest)?).await };
        self.object(name).call(verb, answer).await
    }
}

fn body(secret: &Secret) -> Vec<u8> {
    serde_json::to_vec(secret).expect("a Secret is strings, maps and bytes, which JSON always takes")
}
