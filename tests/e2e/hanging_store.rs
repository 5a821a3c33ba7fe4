//! A store that takes calls and never answers some of them.

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use crate::harness::pod::variable;
use crate::harness::{Namespace, Setup, Webhook, bed, request, task_pod};

/// How long the API server waits for the webhook.
const API_SERVER: Duration = Duration::from_secs(6);
/// Pods that are measured, of each kind.
const PODS: usize = 15;
/// Pods that hang meanwhile; each asks for three ids.
const HANGING: usize = 8;

/// A store that has every secret of an organization but those called `hang…`, about which it says nothing.
async fn secret(Path(id): Path<String>) -> Response {
    if id.contains("__key__hang") {
        std::future::pending::<()>().await;
    }
    if id.contains("__domain____project____") {
        return answer(StatusCode::OK, &json!({"value": "planted by the store"}));
    }
    answer(StatusCode::NOT_FOUND, &json!({"error": {"code": "not_found"}}))
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// The store's address; it serves until the test ends.
async fn store() -> String {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/v1/secrets/{id}", get(secret));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}

async fn webhook(namespace: &Namespace, store: &str) -> Webhook {
    let setup = Setup::with(json!({
        "secretManagerTypes": ["Embedded"],
        "embeddedSecretManagerConfig": {"type": "Http", "httpConfig": {"url": store}},
        "webhookTimeout": format!("{}s", API_SERVER.as_secs()),
    }));
    Webhook::start(namespace, setup).await
}

fn pod(key: &str) -> Value {
    task_pod("asking", &[request(&[("key", key), ("mount_requirement", "ENV_VAR"), ("env_var", "WANTED")])])
}

/// How long the pod that asks for this secret takes.
async fn served(namespace: &Namespace, key: &str) -> Duration {
    let begin = Instant::now();
    let tried = namespace.try_pod(&pod(key)).await.unwrap();
    let took = begin.elapsed();
    assert_eq!(variable(&tried, "main", "WANTED")["value"], "planted by the store");
    took
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all[all.len() / 2]
}

#[tokio::test]
async fn a_pod_that_needs_what_hangs_is_answered_503_with_the_stores_name_before_the_api_server_gives_up() {
    let namespace = bed().namespace("hanging").await;
    let _webhook = webhook(&namespace, &store().await).await;

    let begin = Instant::now();
    let refusal = namespace.create_pod(&pod("hang")).await.unwrap_err();

    assert!(begin.elapsed() < API_SERVER, "{:?}", begin.elapsed());
    assert_eq!((refusal.code, &*refusal.reason), (503, "ServiceUnavailable"), "{refusal:?}");
    assert!(refusal.message.contains("denied the request"), "the webhook's own answer: {refusal:?}");
    assert!(refusal.message.contains("Http"), "{refusal:?}");
}

#[tokio::test]
async fn pods_that_do_not_need_what_hangs_are_not_slowed() {
    let store = store().await;
    let (calm, busy) = (bed().namespace("calm-store").await, bed().namespace("busy-store").await);
    let (_calm_webhook, _busy_webhook) = (webhook(&calm, &store).await, webhook(&busy, &store).await);
    let hanging: Vec<_> = (0..HANGING)
        .map(|number| {
            let (api, path) = (busy.api.clone(), format!("{}?dryRun=All", busy.path("pods")));
            tokio::spawn(async move { api.create(&path, &pod(&format!("hang{number}"))).await.unwrap_err().code })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;

    // Every pod asks for a secret of its own, so none is in the cache; taking turns, both see the same machine.
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for number in 0..PODS {
        alone.push(served(&calm, &format!("quick{number}")).await);
        beside.push(served(&busy, &format!("quick{number}")).await);
    }

    assert!(hanging.iter().all(|pod| !pod.is_finished()), "they still hang");
    let (alone, beside) = (median(alone), median(beside));
    assert!(beside < alone * 2 + Duration::from_millis(20), "{beside:?} beside hanging pods, {alone:?} alone");
    for pod in hanging {
        assert_eq!(pod.await.unwrap(), 503);
    }
}
