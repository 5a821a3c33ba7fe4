//! The Secret service's store in Kubernetes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::secret_name::kubernetes_secret_name;
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::api::{Api, parse};
use super::objects::{
    DOMAIN, MANAGED, MAX_VALUE, PROJECT, body, check, described, kept_metadata, kind, new_metadata, noted_id, proven_id,
};
use super::pull_secret::keep_in_step;
use super::{ATTEMPTS, InvalidNamespace, is_namespace, pause};
use crate::docker_config;
use crate::turns::Turns;
use crate::writer::{
    NewSecret, Page, PageRequest, SecretKind, SecretMetadata, SecretWriter, WriteError, WriteFailure, other_kind,
};

/// The most secrets that are put in order for a list.
const MAX_LISTED: usize = 10_000;
/// So many Secrets are read at once where metadata does not tell the id.
const CONCURRENT_READS: usize = 8;

/// The Secrets of one namespace, as the Secret service of Flyte 2 keeps them; written with the identity of the client.
///
/// Needs the verbs `get`, `list`, `create`, `update` and `delete` on `secrets` there. Lists read metadata only, never values.
#[derive(Clone)]
pub struct KubernetesWriter {
    api: Api,
    timeout: Duration,
    turns: Arc<Turns>,
}

impl KubernetesWriter {
    /// A store in `namespace`; what is asked of it fails after `timeout` as [`WriteFailure::Late`].
    ///
    /// # Errors
    ///
    /// [`InvalidNamespace`] if the name cannot be that of a namespace.
    pub fn new(client: Client, namespace: impl Into<String>, timeout: Duration) -> Result<Self, InvalidNamespace> {
        let namespace = namespace.into();
        if !is_namespace(&namespace) {
            return Err(InvalidNamespace(namespace));
        }
        Ok(Self { api: Api::new(client, &namespace), timeout, turns: Arc::default() })
    }

    async fn add(&self, secret: &NewSecret) -> Result<(), WriteError> {
        let NewSecret { id, value, kind: wanted } = secret;
        check_secret(secret)?;
        if *wanted == SecretKind::ImagePull {
            docker_config::check(value).map_err(invalid)?;
        }
        let _turn = self.turns.take(id).await;
        let name = name(id);
        let created = self.api.create(&name, body(&new_metadata(id, *wanted), id, value)).await;
        match (&created, wanted) {
            (Ok(()), SecretKind::ImagePull) => keep_in_step(&self.api, id).await?,
            // The first attempt may have ended half-way.
            (Err(error), SecretKind::ImagePull) if error.failure() == WriteFailure::AlreadyExists => {
                keep_in_step(&self.api, id).await?;
            }
            _ => {}
        }
        created
    }

    async fn replace(&self, secret: &NewSecret) -> Result<(), WriteError> {
        let NewSecret { id, value, kind: wanted } = secret;
        check_secret(secret)?;
        let _turn = self.turns.take(id).await;
        let name = name(id);
        for attempt in 0..ATTEMPTS {
            pause(attempt).await;
            let found = self.found(&name).await?;
            let kind = kind(&found);
            match (kind, wanted) {
                (SecretKind::ImagePull, _) => docker_config::check(value).map_err(invalid)?,
                (SecretKind::Generic, SecretKind::ImagePull) => return Err(invalid(other_kind())),
                (SecretKind::Generic, SecretKind::Generic) => {}
            }
            match self.api.replace(&name, body(&kept_metadata(&found, id), id, value)).await {
                Err(error) if error.failure() == WriteFailure::Conflict => {}
                Ok(()) if kind == SecretKind::ImagePull => return keep_in_step(&self.api, id).await,
                other => return other,
            }
        }
        Err(overtaken(&name))
    }

    async fn remove(&self, id: &SecretId) -> Result<(), WriteError> {
        let _turn = self.turns.take(id).await;
        let name = name(id);
        for attempt in 0..ATTEMPTS {
            pause(attempt).await;
            let Some(found) = self.api.metadata(&name).await? else {
                // The first attempt may have ended half-way.
                keep_in_step(&self.api, id).await?;
                return Err(missing(&name));
            };
            match self.api.delete(&name, &found).await {
                Err(error) if error.failure() == WriteFailure::Conflict => {}
                Ok(()) if kind(&found) == SecretKind::ImagePull => return keep_in_step(&self.api, id).await,
                other => return other,
            }
        }
        Err(overtaken(&name))
    }

    async fn found(&self, name: &str) -> Result<ObjectMeta, WriteError> {
        self.api.metadata(name).await?.ok_or_else(|| missing(name))
    }

    async fn page(&self, scope: &SecretId, page: &PageRequest) -> Result<Page, WriteError> {
        let mut labels = format!("{MANAGED}=true");
        for (label, value) in [(DOMAIN, &scope.domain), (PROJECT, &scope.project)] {
            if !value.is_empty() {
                labels.push_str(&format!(",{label}={value}"));
            }
        }
        let all = self.api.list(&labels, MAX_LISTED).await?;
        let all = stream::iter(all).map(|metadata| self.identified(metadata)).buffer_unordered(CONCURRENT_READS);
        let all: Vec<Option<SecretMetadata>> = all.try_collect().await?;
        Ok(Page::of(all.into_iter().flatten(), scope, page))
    }

    /// The secret that a Secret is; `None` if it is none, or is gone by now.
    async fn identified(&self, metadata: ObjectMeta) -> Result<Option<SecretMetadata>, WriteError> {
        let id = match noted_id(&metadata) {
            Some(id) => Some(id),
            None => self.read_id(metadata.name.as_deref().unwrap_or_default()).await?,
        };
        Ok(id.map(|id| described(id, &metadata)))
    }

    /// The id among the data keys of a Secret; the values are skipped where they stand in the answer.
    async fn read_id(&self, name: &str) -> Result<Option<SecretId>, WriteError> {
        #[derive(Deserialize)]
        struct Keyed {
            data: Option<BTreeMap<String, IgnoredAny>>,
        }
        let Some(answer) = self.api.get(name).await? else { return Ok(None) };
        let Keyed { data } = parse(&answer)?;
        Ok(data.unwrap_or_default().keys().find_map(|key| proven_id(name, key)))
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, WriteError>>) -> Result<T, WriteError> {
        let late = |_| {
            let detail = format!("the API server did not answer within {} ms", self.timeout.as_millis());
            WriteError::new(WriteFailure::Late, detail)
        };
        tokio::time::timeout(self.timeout, work).await.map_err(late)?
    }
}

impl SecretWriter for KubernetesWriter {
    fn name(&self) -> &'static str {
        "K8s"
    }

    fn check(&self, id: &SecretId) -> Result<(), WriteError> {
        check(id).map_err(invalid)
    }

    fn create<'a>(&'a self, secret: &'a NewSecret) -> BoxFuture<'a, Result<(), WriteError>> {
        Box::pin(self.in_time(self.add(secret)))
    }

    fn update<'a>(&'a self, secret: &'a NewSecret) -> BoxFuture<'a, Result<(), WriteError>> {
        Box::pin(self.in_time(self.replace(secret)))
    }

    fn delete<'a>(&'a self, id: &'a SecretId) -> BoxFuture<'a, Result<(), WriteError>> {
        Box::pin(self.in_time(self.remove(id)))
    }

    fn describe<'a>(&'a self, id: &'a SecretId) -> BoxFuture<'a, Result<SecretMetadata, WriteError>> {
        Box::pin(self.in_time(async move { Ok(described(id.clone(), &self.found(&name(id)).await?)) }))
    }

    fn list<'a>(&'a self, scope: &'a SecretId, page: PageRequest) -> BoxFuture<'a, Result<Page, WriteError>> {
        Box::pin(self.in_time(async move { self.page(scope, &page).await }))
    }
}

fn name(id: &SecretId) -> String {
    kubernetes_secret_name(&id.to_string())
}

fn check_secret(secret: &NewSecret) -> Result<(), WriteError> {
    check(&secret.id).map_err(invalid)?;
    let size = secret.value.expose_bytes().len();
    if size > MAX_VALUE {
        return Err(invalid(format!("the value has {size} bytes; a Kubernetes Secret holds at most {MAX_VALUE}")));
    }
    Ok(())
}

fn invalid(problem: String) -> WriteError {
    WriteError::new(WriteFailure::Invalid, problem)
}

fn missing(name: &str) -> WriteError {
    WriteError::new(WriteFailure::NotFound, format!("there is no Secret {name}"))
}

fn overtaken(name: &str) -> WriteError {
    let detail = format!("others kept changing the Secret {name}; nothing was changed by this request; try again");
    WriteError::new(WriteFailure::Conflict, detail)
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
