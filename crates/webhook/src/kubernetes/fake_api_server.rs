//! A fake of the Kubernetes API at its HTTP edge: names, namespaces, resource versions, preconditions, immutability,
//! pages, selectors by label and RBAC as the real one has them. What server-side apply does with fields is not imitated:
//! patches are recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// The namespace of what is put in without one.
const DEFAULT_NAMESPACE: &str = "flyte";

/// Runs once, just before a request with this verb is served: what somebody else does meanwhile.
type Meanwhile = Box<dyn FnOnce(&mut Cluster) + Send>;
/// How long a request is under way, and how long its answer is.
type Latency = Box<dyn FnMut() -> (Duration, Duration) + Send>;
/// Looks at everything after each request.
type Watch = Box<dyn FnMut(&BTreeMap<Key, Value>) + Send>;
/// Resource, namespace (empty for resources of the cluster) and name.
pub(crate) type Key = (String, String, String);

/// What the fake holds.
#[derive(Default)]
pub(crate) struct Cluster {
    /// Objects by resource, namespace and name.
    pub(crate) objects: BTreeMap<Key, Value>,
    /// What RBAC forbids: `verb`, or `verb resource`.
    pub(crate) forbidden: BTreeSet<&'static str>,
    /// Namespaces that are being removed.
    pub(crate) terminating: BTreeSet<String>,
    /// Failures of all requests with this verb: code, reason and message.
    pub(crate) failures: BTreeMap<&'static str, (u16, &'static str, &'static str)>,
    /// So many lists that are to be continued have run out of time (410).
    pub(crate) expire_continuations: usize,
    /// Whether nothing can be reached.
    pub(crate) down: bool,
    /// What was asked for: `verb resource`.
    pub(crate) requests: Vec<String>,
    /// Patches with their content type.
    pub(crate) patches: Vec<(String, Value)>,
    /// How long each request takes; no time if there is none.
    pub(crate) latency: Option<Latency>,
    /// Called after every request.
    pub(crate) watch: Option<Watch>,
    meanwhile: Option<(&'static str, Meanwhile)>,
    versions: u64,
}

/// One request, read.
struct Call {
    verb: &'static str,
    resource: String,
    namespace: String,
    name: String,
    query: BTreeMap<String, String>,
    metadata_only: bool,
    body: Value,
}

impl Cluster {
    /// Puts an object in, under a new uid and resource version; namespaced ones into the namespace `flyte`.
    pub(crate) fn put(&mut self, resource: &str, name: &str, object: Value) {
        let namespace = if resource == "mutatingwebhookconfigurations" { "" } else { DEFAULT_NAMESPACE };
        self.put_in(namespace, resource, name, object);
    }

    /// Puts an object into a namespace, under a new uid and resource version.
    pub(crate) fn put_in(&mut self, namespace: &str, resource: &str, name: &str, mut object: Value) {
        object["metadata"]["uid"] = format!("uid-{}", self.versions + 1).into();
        self.store(namespace, resource, name, object);
    }

    pub(crate) fn get(&self, resource: &str, name: &str) -> Option<&Value> {
        let namespace = if resource == "mutatingwebhookconfigurations" { "" } else { DEFAULT_NAMESPACE };
        self.get_in(namespace, resource, name)
    }

    pub(crate) fn get_in(&self, namespace: &str, resource: &str, name: &str) -> Option<&Value> {
        self.objects.get(&(resource.to_owned(), namespace.to_owned(), name.to_owned()))
    }

    /// Removes an object, whatever anybody wants of it.
    pub(crate) fn remove_in(&mut self, namespace: &str, resource: &str, name: &str) {
        self.objects.remove(&(resource.to_owned(), namespace.to_owned(), name.to_owned()));
    }

    /// How many requests with one of these verbs on `resource` there were.
    pub(crate) fn count(&self, verbs: &[&str], resource: &str) -> usize {
        let wanted: Vec<String> = verbs.iter().map(|verb| format!("{verb} {resource}")).collect();
        self.requests.iter().filter(|request| wanted.contains(request)).count()
    }

    fn store(&mut self, namespace: &str, resource: &str, name: &str, mut object: Value) -> Value {
        self.versions += 1;
        let metadata = &mut object["metadata"];
        metadata["name"] = name.into();
        metadata["resourceVersion"] = self.versions.to_string().into();
        if !namespace.is_empty() {
            metadata["namespace"] = namespace.into();
        }
        self.objects.insert((resource.to_owned(), namespace.to_owned(), name.to_owned()), object.clone());
        object
    }

    fn serve(&mut self, call: Call) -> (u16, Value) {
        let Call { verb, resource, namespace, name, body, .. } = &call;
        if self.meanwhile.as_ref().is_some_and(|(at, _)| at == verb)
            && let Some((_, change)) = self.meanwhile.take()
        {
            change(self);
        }
        let request = format!("{verb} {resource}");
        self.requests.push(request.clone());
        if self.forbids(verb, resource) {
            let message =
                format!("{resource} \"{name}\" is forbidden: User \"me\" cannot {verb} resource \"{resource}\"");
            return failure(403, "Forbidden", &message);
        }
        if let Some((code, reason, message)) = self.failures.get(verb) {
            return failure(*code, reason, message);
        }
        if resource == "selfsubjectaccessreviews" {
            let asked = &body["spec"]["resourceAttributes"];
            let allowed = !self.forbids(asked["verb"].as_str().unwrap(), asked["resource"].as_str().unwrap());
            return (201, json!({"spec": {}, "status": {"allowed": allowed}}));
        }
        if *verb == "list" {
            return self.list(&call);
        }
        let key = (resource.clone(), namespace.clone(), name.clone());
        let existing = self.objects.get(&key);
        match (*verb, existing) {
            ("create", Some(_)) => failure(409, "AlreadyExists", "already exists"),
            ("create", None) if self.terminating.contains(namespace) => terminating(namespace),
            ("create" | "patch", None) => {
                self.put_in(namespace, resource, name, call.body.clone());
                (201, self.objects[&key].clone())
            }
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
                let differs = |field: &str| body["metadata"][field] != object["metadata"][field];
                if differs("resourceVersion") || (!body["metadata"]["uid"].is_null() && differs("uid")) {
                    return failure(409, "Conflict", "the object has been modified");
                }
                if object["immutable"] == true {
                    return failure(422, "Invalid", "data: Forbidden: field is immutable when `immutable` is set");
                }
                if body == object {
                    return (200, object.clone());
                }
                (200, self.store(namespace, resource, name, call.body.clone()))
            }
            ("patch", Some(object))
                if !body["metadata"]["resourceVersion"].is_null()
                    && body["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] =>
            {
                failure(409, "Conflict", "the object has been modified")
            }
            (_, Some(object)) => {
                let mut patched = body.clone();
                if let Some(annotations) = patched["metadata"]["annotations"].as_object_mut() {
                    annotations.retain(|_, value| !value.is_null());
                }
                patched["metadata"]["uid"] = object["metadata"]["uid"].clone();
                (200, self.store(namespace, resource, name, patched))
            }
        }
    }

    fn forbids(&self, verb: &str, resource: &str) -> bool {
        self.forbidden.contains(verb) || self.forbidden.contains(format!("{verb} {resource}").as_str())
    }

    /// A page; as opposed to the real one, a list that goes on sees what has changed since it began.
    fn list(&mut self, call: &Call) -> (u16, Value) {
        let number = |name: &str| call.query.get(name).map(|text| text.parse::<usize>().unwrap());
        if call.query.contains_key("continue") && self.expire_continuations > 0 {
            self.expire_continuations -= 1;
            return failure(410, "Expired", "The provided continue parameter is too old");
        }
        let label = call.query.get("labelSelector").map(|selector| selector.split_once('=').unwrap());
        let matches = |((resource, namespace, _), object): &(&Key, &Value)| {
            *resource == call.resource
                && (call.namespace.is_empty() || *namespace == call.namespace)
                && label.is_none_or(|(name, value)| object["metadata"]["labels"][name] == value)
                && (call.resource != "pods"
                    || !call.query.contains_key("fieldSelector")
                    || !matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed")))
        };
        let from = number("continue").unwrap_or(0);
        let limit = number("limit").unwrap_or(usize::MAX);
        let found: Vec<&Value> = self.objects.iter().filter(matches).map(|(_, object)| object).collect();
        let page = found.iter().skip(from).take(limit);
        let items: Vec<Value> = page
            .map(|object| if call.metadata_only { json!({"metadata": object["metadata"]}) } else { (*object).clone() })
            .collect();
        let end = from + items.len();
        // As the real one has it.
        let items = if items.is_empty() && call.metadata_only { Value::Null } else { items.into() };
        let next = if end < found.len() { end.to_string() } else { String::new() };
        (200, json!({"kind": "List", "metadata": {"continue": next}, "items": items}))
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

    /// A client of the fake. A request that was sent is served, even if nobody waits for the answer any more.
    pub(crate) fn client(&self) -> Client {
        let fake = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let fake = fake.clone();
            async move {
                let answer = tokio::spawn(async move { fake.answer(request).await });
                Ok::<_, Infallible>(answer.await.unwrap())
            }
        });
        Client::new(service, "default")
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let call = read(request).await;
        let latency = self.cluster().latency.as_mut().map(|latency| latency());
        if let Some((there, _)) = latency {
            tokio::time::sleep(there).await;
        }
        let (status, answer) = self.served(call);
        if let Some((_, back)) = latency {
            tokio::time::sleep(back).await;
        }
        Response::builder().status(status).body(Body::from(serde_json::to_vec(&answer).unwrap())).unwrap()
    }

    fn served(&self, call: (Call, String)) -> (u16, Value) {
        let (call, kind) = call;
        let mut cluster = self.cluster();
        if cluster.down {
            return failure(503, "ServiceUnavailable", "the server is starting");
        }
        if call.verb == "patch" {
            cluster.patches.push((kind, call.body.clone()));
        }
        let answer = cluster.serve(call);
        if let Some(mut watch) = cluster.watch.take() {
            watch(&cluster.objects);
            cluster.watch = Some(watch);
        }
        answer
    }
}

/// The request, and for patches its content type with the query.
async fn read(request: Request<Body>) -> (Call, String) {
    let (parts, body) = request.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let body: Value = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
    let header = |name| parts.headers.get(name).map_or("", |value| value.to_str().unwrap());
    let path: Vec<&str> = parts.uri.path().trim_start_matches('/').split('/').collect();
    let inside = if path[0] == "api" { &path[2..] } else { &path[3..] };
    let (namespace, rest) = match inside {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
        rest => ("", rest),
    };
    let in_body = || body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let name = rest.get(1).map_or_else(in_body, |name| (*name).to_owned());
    let verb = match parts.method {
        Method::GET if rest.len() == 1 => "list",
        Method::GET => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        other => panic!("unexpected method {other}"),
    };
    let query = parts.uri.query().unwrap_or_default();
    let decoded = |text: &str| text.replace("%2F", "/").replace("%3D", "=").replace("%21", "!").replace("%2C", ",");
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let kind = format!("{}?{query}", header("content-type"));
    let call = Call {
        verb,
        resource: rest[0].to_owned(),
        namespace: namespace.to_owned(),
        name,
        query: pairs.map(|(name, value)| (name.to_owned(), decoded(value))).collect(),
        metadata_only: header("accept").contains("PartialObjectMetadataList"),
        body,
    };
    (call, kind)
}

fn failure(code: u16, reason: &str, message: &str) -> (u16, Value) {
    let status = json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message});
    (code, status)
}

fn terminating(namespace: &str) -> (u16, Value) {
    let (code, mut status) = failure(403, "Forbidden", "unable to create new content");
    status["details"] = json!({"causes": [{
        "reason": "NamespaceTerminating",
        "message": format!("namespace {namespace} is being terminated"),
        "field": "metadata.namespace",
    }]});
    (code, status)
}
