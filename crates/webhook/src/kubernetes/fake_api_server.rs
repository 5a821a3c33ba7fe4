//! A fake of the Kubernetes API at its HTTP edge, for Secrets and MutatingWebhookConfigurations only: names,
//! resource versions, preconditions, immutability and RBAC as the real one has them. What server-side apply does
//! with fields is not imitated: patches are recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// Runs once, just before a request with this verb is served: what somebody else does meanwhile.
type Meanwhile = Box<dyn FnOnce(&mut Cluster) + Send>;

/// What the fake holds.
#[derive(Default)]
pub(crate) struct Cluster {
    /// Objects by resource and name.
    pub(crate) objects: BTreeMap<(String, String), Value>,
    /// Verbs that RBAC forbids.
    pub(crate) forbidden: BTreeSet<&'static str>,
    /// Whether nothing can be reached.
    pub(crate) down: bool,
    /// What was asked for: `verb resource`.
    pub(crate) requests: Vec<String>,
    /// Patches with their content type.
    pub(crate) patches: Vec<(String, Value)>,
    meanwhile: Option<(&'static str, Meanwhile)>,
    versions: u64,
}

impl Cluster {
    /// Puts an object in, under a new uid and resource version.
    pub(crate) fn put(&mut self, resource: &str, name: &str, mut object: Value) {
        self.versions += 1;
        object["metadata"]["name"] = name.into();
        object["metadata"]["uid"] = format!("uid-{}", self.versions).into();
        object["metadata"]["resourceVersion"] = self.versions.to_string().into();
        self.objects.insert((resource.to_owned(), name.to_owned()), object);
    }

    pub(crate) fn get(&self, resource: &str, name: &str) -> Option<&Value> {
        self.objects.get(&(resource.to_owned(), name.to_owned()))
    }

    fn serve(&mut self, verb: &'static str, resource: &str, name: &str, body: Value) -> (u16, Value) {
        if self.meanwhile.as_ref().is_some_and(|(at, _)| *at == verb)
            && let Some((_, change)) = self.meanwhile.take()
        {
            change(self);
        }
        self.requests.push(format!("{verb} {resource}"));
        if self.forbidden.contains(verb) {
            let message =
                format!("{resource} \"{name}\" is forbidden: User \"me\" cannot {verb} resource \"{resource}\"");
            return failure(403, "Forbidden", &message);
        }
        let key = (resource.to_owned(), name.to_owned());
        let existing = self.objects.get(&key);
        match (verb, existing) {
            ("create", Some(_)) => failure(409, "AlreadyExists", "already exists"),
            ("create" | "patch", None) => self.store(resource, name, body),
            (_, None) => failure(404, "NotFound", "not found"),
            ("get", Some(object)) => (200, object.clone()),
            ("delete", Some(object)) => {
                let required = &body["preconditions"];
                let differs = |field: &str| !required[field].is_null() && required[field] != object["metadata"][field];
                if differs("uid") || differs("resourceVersion") {
                    return failure(409, "Conflict", "the precondition is not met");
                }
                self.objects.remove(&key);
                (200, json!({"kind": "Status", "status": "Success"}))
            }
            ("update", Some(object)) => {
                if body["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] {
                    return failure(409, "Conflict", "the object has been modified");
                }
                if object["immutable"] == true {
                    return failure(422, "Invalid", "data: Forbidden: field is immutable when `immutable` is set");
                }
                self.store(resource, name, body)
            }
            (_, Some(_)) => self.store(resource, name, body),
        }
    }

    fn store(&mut self, resource: &str, name: &str, object: Value) -> (u16, Value) {
        self.put(resource, name, object.clone());
        (200, object)
    }
}

/// The fake; clones share one cluster.
#[derive(Clone, Default)]
pub(crate) struct FakeApiServer(Arc<Mutex<Cluster>>);

impl FakeApiServer {
    /// The cluster, to look into or to change.
    pub(crate) fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.0.lock().unwrap()
    }

    /// Does `change` once, just before the next request with `verb`.
    pub(crate) fn meanwhile(&self, verb: &'static str, change: impl FnOnce(&mut Cluster) + Send + 'static) {
        self.cluster().meanwhile = Some((verb, Box::new(change)));
    }

    /// A client of the fake.
    pub(crate) fn client(&self) -> Client {
        let fake = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let fake = fake.clone();
            async move { Ok::<_, Infallible>(fake.answer(request).await) }
        });
        Client::new(service, "default")
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body: Value = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        let mut segments = parts.uri.path().split('/').skip_while(|part| !RESOURCES.contains(part));
        let resource = segments.next().unwrap().to_owned();
        let name = segments.next().map_or_else(|| body["metadata"]["name"].as_str().unwrap().to_owned(), str::to_owned);
        let verb = match parts.method {
            Method::GET => "get",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            other => panic!("unexpected method {other}"),
        };
        let mut cluster = self.cluster();
        let (status, answer) = if cluster.down {
            failure(503, "ServiceUnavailable", "the server is starting")
        } else {
            if verb == "patch" {
                let kind = parts.headers[http::header::CONTENT_TYPE].to_str().unwrap().to_owned();
                cluster.patches.push((format!("{kind}?{}", parts.uri.query().unwrap_or_default()), body.clone()));
            }
            cluster.serve(verb, &resource, &name, body)
        };
        Response::builder().status(status).body(Body::from(serde_json::to_vec(&answer).unwrap())).unwrap()
    }
}

const RESOURCES: [&str; 2] = ["secrets", "mutatingwebhookconfigurations"];

fn failure(code: u16, reason: &str, message: &str) -> (u16, Value) {
    let status = json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message});
    (code, status)
}
