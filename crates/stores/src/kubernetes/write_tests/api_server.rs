//! An API server's edge, in memory: Secrets with versions, below the real client.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use data_encoding::BASE64;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tower::service_fn;

use super::super::KubernetesWriter;

/// What goes wrong from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Trouble {
    #[default]
    None,
    /// So many replacements find that somebody was faster.
    ChangedBeforeReplace(u32),
    /// Everything is answered with this code, reason and message.
    Answer(u16, &'static str, &'static str),
    /// Nothing is answered.
    Silence,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    version: u64,
    trouble: Trouble,
    requests: Vec<String>,
    /// Every state of every object.
    history: Vec<Value>,
}

#[derive(Clone, Default)]
pub(super) struct ApiServer(Arc<Mutex<State>>);

type Answer = (u16, Value);

fn status(code: u16, reason: &str, message: &str) -> Answer {
    (code, json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}))
}

impl ApiServer {
    pub(super) fn writer(&self) -> KubernetesWriter {
        let server = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                tokio::task::yield_now().await;
                let accept = parts.headers.get("accept").map_or("", |accept| accept.to_str().unwrap()).to_owned();
                let answer = server.answer(&parts.method, &parts.uri.to_string(), &accept, &body);
                let Some((code, answer)) = answer else { return std::future::pending().await };
                tokio::task::yield_now().await;
                Ok::<_, Infallible>(
                    Response::builder().status(code).body(Body::from(answer.to_string().into_bytes())).unwrap(),
                )
            }
        });
        KubernetesWriter::new(Client::new(service, "default"), "flyte", Duration::from_secs(2)).unwrap()
    }

    fn answer(&self, method: &Method, uri: &str, accept: &str, body: &[u8]) -> Option<Answer> {
        let state = &mut *self.0.lock().unwrap();
        state.requests.push(format!("{method} {uri}"));
        match state.trouble {
            Trouble::Silence => return None,
            Trouble::Answer(code, reason, message) => return Some(status(code, reason, message)),
            _ => {}
        }
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let name = path.strip_prefix("/api/v1/namespaces/flyte/secrets").unwrap().trim_start_matches('/');
        let sent = || serde_json::from_slice::<Value>(body).unwrap();
        Some(match method.as_str() {
            "GET" if name.is_empty() => state.list(query),
            "GET" => match state.objects.get(name) {
                Some(object) if accept.contains("PartialObjectMetadata") => (200, metadata(object)),
                Some(object) => (200, object.clone()),
                None => status(404, "NotFound", "not found"),
            },
            "POST" => state.create(sent()),
            "PUT" => state.replace(name, sent()),
            "DELETE" => state.delete(name, &sent()),
            _ => status(405, "MethodNotAllowed", "no"),
        })
    }

    pub(super) fn get(&self, name: &str) -> Option<Value> {
        self.0.lock().unwrap().objects.get(name).cloned()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().objects.keys().cloned().collect()
    }

    pub(super) fn remove(&self, name: &str) {
        self.0.lock().unwrap().objects.remove(name).unwrap();
    }

    pub(super) fn change(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let state = &mut *self.0.lock().unwrap();
        let mut object = state.objects[name].clone();
        change(&mut object);
        state.store(object);
    }

    /// A Secret that has the label and is none of the service's.
    pub(super) fn put_foreign(&self) {
        let labels = json!({"app.flyte.org/managed": "true", "app.flyte.org/domain": "development", "app.flyte.org/project": "flytesnacks"});
        let managed = json!([{"fieldsV1": {"f:data": {"f:u__org__flyte__domain__development__project__flytesnacks__key__x": {}}}}]);
        let object = json!({"metadata": {"name": "foreign", "labels": labels, "managedFields": managed}, "data": {}});
        self.0.lock().unwrap().objects.insert("foreign".to_owned(), object);
    }

    pub(super) fn trouble(&self, trouble: Trouble) {
        self.0.lock().unwrap().trouble = trouble;
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap()
            .requests
            .iter()
            .filter(|request| !request.contains("/secrets/foreign"))
            .cloned()
            .collect()
    }

    pub(super) fn forget_requests(&self) {
        self.0.lock().unwrap().requests.clear();
    }

    /// Every value that a Secret ever had under a key, in order.
    pub(super) fn values_of(&self, name: &str, key: &str) -> Vec<String> {
        let state = self.0.lock().unwrap();
        let of = state.history.iter().filter(|object| object["metadata"]["name"] == name);
        of.map(|object| {
            String::from_utf8(BASE64.decode(object["data"][key].as_str().unwrap().as_bytes()).unwrap()).unwrap()
        })
        .collect()
    }
}

impl State {
    /// Keeps an object as its next version.
    fn store(&mut self, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        self.objects.insert(name, object.clone());
        self.history.push(object.clone());
        object
    }

    fn create(&mut self, mut object: Value) -> Answer {
        if self.objects.contains_key(object["metadata"]["name"].as_str().unwrap()) {
            return status(409, "AlreadyExists", "already exists");
        }
        let keys: serde_json::Map<String, Value> =
            object["data"].as_object().unwrap().keys().map(|key| (format!("f:{key}"), json!({}))).collect();
        object["metadata"]["uid"] = json!(format!("uid-{}", self.version));
        object["metadata"]["creationTimestamp"] = json!("2026-11-23T15:00:00Z");
        object["metadata"]["managedFields"] =
            json!([{"operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": keys}}]);
        (201, self.store(object))
    }

    fn replace(&mut self, name: &str, mut object: Value) -> Answer {
        let Some(found) = self.objects.get(name).cloned() else { return status(404, "NotFound", "not found") };
        if let Trouble::ChangedBeforeReplace(times) = self.trouble {
            self.trouble =
                times.checked_sub(1).filter(|left| *left > 0).map_or(Trouble::None, Trouble::ChangedBeforeReplace);
            self.store(found.clone());
        }
        let found = self.objects[name].clone();
        if object["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"] {
            return status(409, "Conflict", "the object has been modified");
        }
        assert_eq!(object["type"], found["type"], "the type is immutable");
        object["metadata"]["managedFields"] = found["metadata"]["managedFields"].clone();
        (200, self.store(object))
    }

    fn delete(&mut self, name: &str, options: &Value) -> Answer {
        let Some(found) = self.objects.get(name) else { return status(404, "NotFound", "not found") };
        for member in ["uid", "resourceVersion"] {
            let wanted = &options["preconditions"][member];
            if !wanted.is_null() && *wanted != found["metadata"][member] {
                return status(409, "Conflict", "precondition failed");
            }
        }
        self.objects.remove(name);
        (200, json!({"kind": "Status", "status": "Success"}))
    }

    /// Two at a time, as metadata.
    fn list(&self, query: &str) -> Answer {
        let mut parameters = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap();
            parameters.insert(name, value.replace("%3D", "=").replace("%2C", ",").replace("%2F", "/"));
        }
        let wanted: Vec<_> =
            parameters["labelSelector"].split(',').map(|label| label.split_once('=').unwrap()).collect();
        let fits = |object: &&Value| wanted.iter().all(|(label, value)| object["metadata"]["labels"][label] == *value);
        let from: usize = parameters.get("continue").map_or(0, |token| token.parse().unwrap());
        let all: Vec<_> = self.objects.values().filter(fits).collect();
        let next = if from + 2 < all.len() { (from + 2).to_string() } else { String::new() };
        let items: Vec<_> = all.into_iter().skip(from).take(2).map(metadata).collect();
        (
            200,
            json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": {"continue": next}, "items": items}),
        )
    }
}

fn metadata(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}
