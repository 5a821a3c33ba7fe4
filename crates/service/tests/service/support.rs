//! A service over a local store, and a client that speaks Connect with JSON.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_service::{AccessPolicy, Authentication, Everybody, Invalidate, Metrics, Secrets, router};
use flyte_secrets_stores::local::{LocalStore, Places, Unlock};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

pub(crate) const SERVICE: &str = "/flyteidl2.secret.SecretService";
/// A value that must never be seen again.
pub(crate) const PLANTED: &str = "planted-value";

/// A service; its files go when it does.
pub(crate) struct Service {
    pub(crate) router: Router,
    pub(crate) store: LocalStore,
    pub(crate) metrics: Metrics,
    /// The ids that caches were told of.
    pub(crate) told: Arc<Mutex<Vec<SecretId>>>,
    _folder: TempDir,
}

impl Service {
    pub(crate) fn new() -> Self {
        Self::with(Everybody)
    }

    pub(crate) fn with(policy: impl AccessPolicy + 'static) -> Self {
        Self::guarded(Authentication::default(), policy)
    }

    pub(crate) fn guarded(authentication: Authentication, policy: impl AccessPolicy + 'static) -> Self {
        let (secrets, store, told, folder) = secrets(policy);
        let metrics = Metrics::new("flyte:");
        let (router, _health) = router(secrets, authentication, "here", metrics.clone());
        Self { router, store, metrics, told, _folder: folder }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        answer(self.router.clone(), request).await
    }

    /// Calls a method of the Secret service.
    pub(crate) async fn call(&self, method: &str, message: &Value) -> (StatusCode, Value) {
        self.send(post(&format!("{SERVICE}/{method}"), message.to_string())).await
    }

    /// As [`Service::call`], for calls that must succeed.
    pub(crate) async fn done(&self, method: &str, message: &Value) -> Value {
        let (status, answer) = self.call(method, message).await;
        assert_eq!(status, StatusCode::OK, "{method} {message}: {answer}");
        answer
    }

    /// The value that is stored.
    pub(crate) fn stored(&self, name: &str) -> Option<String> {
        let id = SecretId { org: "flyte".to_owned(), name: name.to_owned(), ..SecretId::default() };
        self.store.get(&id).ok().map(|value| value.expose_text().unwrap().to_owned())
    }

    /// How many changes caches were told of since this was asked last.
    pub(crate) fn told(&self) -> usize {
        std::mem::take(&mut *self.told.lock().unwrap()).len()
    }
}

/// The secrets of a new local store.
pub(crate) fn secrets(
    policy: impl AccessPolicy + 'static,
) -> (Secrets, LocalStore, Arc<Mutex<Vec<SecretId>>>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let places = Places { file: folder.path().join("secrets.age"), key: folder.path().join("key.txt") };
    let store = LocalStore::open(places, Unlock::KeyFile).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let ids = Arc::clone(&told);
    let cache: Arc<dyn Invalidate> = Arc::new(move |id: &SecretId| ids.lock().unwrap().push(id.clone()));
    (Secrets::new(Arc::new(store.clone()), Arc::new(policy), vec![cache]), store, told, folder)
}

pub(crate) async fn answer(router: Router, request: Request<Body>) -> (StatusCode, Value) {
    let answer = router.oneshot(request).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body))))
}

pub(crate) fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path).header("content-type", "application/json").body(body.into()).unwrap()
}

/// A secret of the organization with a text.
pub(crate) fn secret(name: &str, value: &str) -> Value {
    json!({"id": {"name": name}, "secretSpec": {"stringValue": value}})
}

pub(crate) fn named(name: &str) -> Value {
    json!({"id": {"name": name}})
}

/// The name of a Connect error.
pub(crate) fn code((_, answer): &(StatusCode, Value)) -> String {
    answer["code"].as_str().unwrap_or("no error").to_owned()
}
