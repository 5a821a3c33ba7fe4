//! Reading the cluster: only what a check needs of each object is parsed, bodies are wiped, lists are bounded.

use k8s_openapi::api::authorization::v1::{SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Client;
use kube::api::{Api, PostParams};
use kube::core::Request;
use kube::core::params::{GetParams, ListParams};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::finding::Finding;
use super::ids::Id;
use crate::kubernetes::{ApiError, ApiErrorKind, ONE, Object, PAGE, Verb, allowed, attributes, exchange};

/// Objects of one page of a list.
const PAGE_SIZE: u32 = 500;
/// The most pages of one list that are looked at.
const PAGES: usize = 20;

/// An object of the core group in a namespace.
pub(super) fn core(resource: &'static str, namespace: Option<&str>, name: &str) -> Object {
    object("", resource, namespace, name)
}

/// An object of an API group.
pub(super) fn object(group: &'static str, resource: &'static str, namespace: Option<&str>, name: &str) -> Object {
    Object { group, resource, namespace: namespace.map(str::to_owned), name: name.to_owned() }
}

/// `kind name` or `kind namespace/name`, for the place of a finding.
pub(super) fn place(object: &Object) -> String {
    match &object.namespace {
        Some(namespace) => format!("{} {namespace}/{}", object.resource, object.name),
        None => format!("{} {}", object.resource, object.name),
    }
}

/// Whose permissions are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// Those of the client itself.
    Own,
    /// Those of a ServiceAccount: namespace and name.
    ServiceAccount(String, String),
}

/// Reads objects, all of API version `v1` of their group.
#[derive(Clone)]
pub(super) struct Reader {
    client: Client,
}

#[derive(Deserialize)]
struct Page<Item> {
    #[serde(default)]
    metadata: PageMetadata,
    items: Option<Vec<Item>>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    #[serde(rename = "continue")]
    next: Option<String>,
}

type Asking = Result<http::Request<Vec<u8>>, kube::core::request::Error>;

impl Reader {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// One object; `None` if it is not there.
    pub(super) async fn get<T: DeserializeOwned>(&self, object: &Object) -> Result<Option<T>, ApiError> {
        let request = Request::new(path(object)).get(&object.name, &GetParams::default());
        self.one(object, request).await
    }

    /// The metadata of one object; the API server sends nothing else.
    pub(super) async fn get_metadata<T: DeserializeOwned>(&self, object: &Object) -> Result<Option<T>, ApiError> {
        let request = Request::new(path(object)).get_metadata(&object.name, &GetParams::default());
        self.one(object, request).await
    }

    /// All objects with these labels (a selector as Kubernetes writes it; empty: any), 10,000 at most.
    pub(super) async fn list<T: DeserializeOwned>(&self, object: &Object, labels: &str) -> Result<Vec<T>, ApiError> {
        let request = Request::new(path(object));
        self.pages(object, labels, |params| request.list(params)).await
    }

    /// The metadata of all objects, 10,000 at most.
    pub(super) async fn list_metadata<T: DeserializeOwned>(&self, object: &Object) -> Result<Vec<T>, ApiError> {
        let request = Request::new(path(object));
        self.pages(object, "", |params| request.list_metadata(params)).await
    }

    /// A page that is no object, such as `/version`.
    pub(super) async fn page_of_server<T: DeserializeOwned>(&self, page: &'static str) -> Result<T, ApiError> {
        let asked = object("", page, None, "");
        let request = http::Request::get(format!("/{page}")).body(Vec::new());
        let request = request.map_err(kube::core::request::Error::BuildRequest);
        let body = asked.call(Verb::Get, exchange(&self.client, request, ONE)).await?;
        serde_json::from_slice(&body).map_err(|_| malformed(&asked, Verb::Get))
    }

    /// Whether RBAC lets `whose` do `verb` to the object.
    pub(super) async fn allows(&self, whose: &Whose, object: &Object, verb: Verb) -> Result<bool, ApiError> {
        let Whose::ServiceAccount(namespace, name) = whose else { return allowed(&self.client, object, verb).await };
        let spec = SubjectAccessReviewSpec {
            resource_attributes: Some(attributes(object, verb)),
            user: Some(format!("system:serviceaccount:{namespace}:{name}")),
            groups: Some(vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".to_owned(),
            ]),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let asked = self::object("authorization.k8s.io", "subjectaccessreviews", None, "");
        let reviews = Api::<SubjectAccessReview>::all(self.client.clone());
        let answer = asked.call(Verb::Create, reviews.create(&PostParams::default(), &review)).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }

    async fn one<T: DeserializeOwned>(&self, object: &Object, request: Asking) -> Result<Option<T>, ApiError> {
        match object.call(Verb::Get, exchange(&self.client, request, ONE)).await {
            Err(error) if error.kind == ApiErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(body) => serde_json::from_slice(&body).map(Some).map_err(|_| malformed(object, Verb::Get)),
        }
    }

    async fn pages<T: DeserializeOwned>(
        &self,
        object: &Object,
        labels: &str,
        request: impl Fn(&ListParams) -> Asking,
    ) -> Result<Vec<T>, ApiError> {
        let params = ListParams::default().limit(PAGE_SIZE);
        let mut params = if labels.is_empty() { params } else { params.labels(labels) };
        let mut found = Vec::new();
        for _ in 0..PAGES {
            let body = object.call(Verb::List, exchange(&self.client, request(&params), PAGE)).await?;
            let page: Page<T> = serde_json::from_slice(&body).map_err(|_| malformed(object, Verb::List))?;
            found.extend(page.items.unwrap_or_default());
            match page.metadata.next.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => break,
            }
        }
        Ok(found)
    }
}

fn path(object: &Object) -> String {
    let group = if object.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", object.group) };
    match &object.namespace {
        Some(namespace) => format!("{group}/v1/namespaces/{namespace}/{}", object.resource),
        None => format!("{group}/v1/{}", object.resource),
    }
}

fn malformed(object: &Object, verb: Verb) -> ApiError {
    let message = "the answer is not what was asked for".to_owned();
    ApiError { verb, object: object.clone(), kind: ApiErrorKind::Malformed, message }
}

/// What could not be looked at, and the rule that would allow it.
pub(super) fn could_not_look(error: &ApiError) -> Finding {
    let ApiError { verb, object, kind, message } = error;
    let finding = |what: String| Finding::info(Id::CouldNotLook, what).at(place(object).trim_end());
    if *kind == ApiErrorKind::Forbidden {
        let rule = object.rule(*verb);
        return finding(format!("could not {verb} {object}: not allowed for whoever runs doctor"))
            .remedy(format!("add to a {} of theirs: {rule}", object.role()));
    }
    finding(format!("could not {verb} {object}: {message}"))
}
