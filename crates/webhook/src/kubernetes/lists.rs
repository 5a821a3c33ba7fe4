//! Lists of the cluster, page by page, parsed only as far as they are needed.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::Request;
use kube::core::params::ListParams;
use kube::{Client, Resource};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::call::{ApiError, ApiErrorKind, Object, Verb};
use super::exchange::{PAGE, exchange};

/// Objects of one page.
const PAGE_SIZE: u32 = 250;
/// How often a list is begun again because the API server no longer knows where it was (410).
const BEGINNINGS: usize = 3;
/// Pods that have ended for good: a pod in one of these phases starts no container any more.
const NOT_ENDED: &str = "status.phase!=Succeeded,status.phase!=Failed";

/// The metadata of all Secrets with the label `label`=`true`, of all namespaces.
pub(crate) async fn labelled_secrets(client: &Client, label: &str) -> Result<Vec<ObjectMeta>, ApiError> {
    let object = Object { group: "", resource: "secrets", namespace: None, name: String::new() };
    let request = Request::new(Secret::url_path(&(), None));
    let params = ListParams::default().labels(&format!("{label}=true")).limit(PAGE_SIZE);
    pages(
        client,
        &object,
        params,
        |params| request.list_metadata(params),
        |found: &mut Vec<ObjectMeta>, page| {
            let page = serde_json::from_slice::<List<OnlyMetadata>>(page)?;
            found.extend(page.items.into_iter().flatten().map(|item| item.metadata));
            Ok(page.metadata.next)
        },
    )
    .await
}

/// The names of the Secrets, of those that `wanted` picks, that live pods of `namespace` refer to. A pod is live until its
/// phase is `Succeeded` or `Failed`.
pub(crate) async fn secrets_of_live_pods(
    client: &Client,
    namespace: &str,
    wanted: impl Fn(&str) -> bool,
) -> Result<HashSet<String>, ApiError> {
    let object = Object { group: "", resource: "pods", namespace: Some(namespace.to_owned()), name: String::new() };
    let request = Request::new(format!("/api/v1/namespaces/{namespace}/pods"));
    let params = ListParams::default().fields(NOT_ENDED).limit(PAGE_SIZE);
    pages(
        client,
        &object,
        params,
        |params| request.list(params),
        |found: &mut HashSet<String>, page| {
            let page = serde_json::from_slice::<List<Pod>>(page)?;
            let names = page.items.iter().flatten().flat_map(|pod| pod.spec.secrets());
            found.extend(names.filter(|name| wanted(name)).cloned());
            Ok(page.metadata.next)
        },
    )
    .await
}

/// All pages of one list; `read` takes what is needed from a page and says where the next one begins.
async fn pages<T: Default>(
    client: &Client,
    object: &Object,
    first: ListParams,
    request: impl Fn(&ListParams) -> Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    read: impl Fn(&mut T, &[u8]) -> Result<Option<String>, serde_json::Error>,
) -> Result<T, ApiError> {
    let mut beginnings = 1;
    let mut params = first.clone();
    let mut found = T::default();
    loop {
        let page: Result<Zeroizing<Vec<u8>>, ApiError> =
            object.call(Verb::List, exchange(client, request(&params), PAGE)).await;
        let next = match page {
            Err(error) if error.kind == (ApiErrorKind::Rejected { code: 410 }) && beginnings < BEGINNINGS => {
                beginnings += 1;
                found = T::default();
                params = first.clone();
                continue;
            }
            page => read(&mut found, &page?).map_err(|_| ApiError {
                verb: Verb::List,
                object: object.clone(),
                kind: ApiErrorKind::Malformed,
                message: "the answer is no such list".to_owned(),
            })?,
        };
        match next.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(found),
        }
    }
}

#[derive(Deserialize)]
struct List<Item> {
    #[serde(default)]
    metadata: ListMetadata,
    /// `null` in an empty list of metadata.
    items: Option<Vec<Item>>,
}

#[derive(Default, Deserialize)]
struct ListMetadata {
    #[serde(rename = "continue")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct OnlyMetadata {
    metadata: ObjectMeta,
}

#[derive(Deserialize)]
struct Pod {
    spec: Spec,
}

/// The members of a PodSpec that can name a Secret which a container sees, and image-pull Secrets.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default)]
    containers: Vec<Container>,
    #[serde(default)]
    init_containers: Vec<Container>,
    #[serde(default)]
    ephemeral_containers: Vec<Container>,
    #[serde(default)]
    volumes: Vec<Volume>,
    #[serde(default)]
    image_pull_secrets: Vec<Named>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    #[serde(default)]
    env: Vec<Variable>,
    #[serde(default)]
    env_from: Vec<VariablesFrom>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Variable {
    value_from: Option<ValueFrom>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ValueFrom {
    secret_key_ref: Option<Named>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VariablesFrom {
    secret_ref: Option<Named>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Volume {
    secret: Option<SecretVolume>,
    projected: Option<Projected>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SecretVolume {
    secret_name: Option<String>,
}

#[derive(Deserialize)]
struct Projected {
    #[serde(default)]
    sources: Vec<Projection>,
}

#[derive(Deserialize)]
struct Projection {
    secret: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: Option<String>,
}

impl Spec {
    fn secrets(&self) -> impl Iterator<Item = &String> {
        let containers = [&self.containers, &self.init_containers, &self.ephemeral_containers].into_iter().flatten();
        let variables = containers.flat_map(|container| {
            let each =
                container.env.iter().filter_map(|variable| variable.value_from.as_ref()?.secret_key_ref.as_ref());
            each.chain(container.env_from.iter().filter_map(|from| from.secret_ref.as_ref()))
        });
        let projections = self.volumes.iter().filter_map(|volume| volume.projected.as_ref());
        let projected = projections.flat_map(|projected| &projected.sources).filter_map(|part| part.secret.as_ref());
        let volumes = self.volumes.iter().filter_map(|volume| volume.secret.as_ref()?.secret_name.as_ref());
        let named = variables.chain(projected).chain(&self.image_pull_secrets);
        named.filter_map(|reference| reference.name.as_ref()).chain(volumes)
    }
}

#[cfg(test)]
#[path = "lists_tests.rs"]
#[allow(clippy::unwrap_used)]
mod tests;
