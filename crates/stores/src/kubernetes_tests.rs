#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::Response;
use serde_json::json;
use tower::service_fn;

use super::*;

const ID: &str = "u__org__flyte__domain__development__project__flytesnacks__key__k";
const NAME: &str = "ddc1f24fc20de2a43d2f4b9122296cb6";

fn id() -> SecretId {
    SecretId {
        org: "flyte".to_owned(),
        domain: "development".to_owned(),
        project: "flytesnacks".to_owned(),
        name: "k".to_owned(),
    }
}

type Requests = Arc<Mutex<Vec<String>>>;

/// A fake at the protocol's edge: what an API server would answer over HTTP, below the real client.
fn api_server(code: u16, body: impl Into<Vec<u8>>) -> (KubernetesStore, Requests) {
    let (body, requests) = (body.into(), Requests::default());
    let seen = Arc::clone(&requests);
    let service = service_fn(move |request: http::Request<Body>| {
        seen.lock().unwrap().push(format!("{} {}", request.method(), request.uri()));
        let answer = Response::builder().status(code).body(Body::from(body.clone())).unwrap();
        async move { Ok::<_, Infallible>(answer) }
    });
    (store(Client::new(service, "default")), requests)
}

fn store(client: Client) -> KubernetesStore {
    KubernetesStore::new(client, "flyte", Duration::from_millis(200)).unwrap()
}

fn status(code: u16, reason: &str, message: &str) -> Vec<u8> {
    let status = json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message});
    status.to_string().into_bytes()
}

fn secret(data: &serde_json::Value) -> Vec<u8> {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME}, "data": data});
    secret.to_string().into_bytes()
}

async fn answer(code: u16, body: impl Into<Vec<u8>>) -> Result<SecretValue, FetchError> {
    api_server(code, body).0.get(&id()).await
}

#[tokio::test]
async fn the_secret_is_asked_for_by_the_md5_of_its_id_in_the_namespace_of_the_store() {
    let (store, requests) = api_server(200, secret(&json!({ID: "dg=="})));
    store.get(&id()).await.unwrap();
    assert_eq!(*requests.lock().unwrap(), [format!("GET /api/v1/namespaces/flyte/secrets/{NAME}")]);
}

#[tokio::test]
async fn the_data_key_that_is_the_id_holds_the_value() {
    for (data, expected) in [
        (json!({ID: "dg=="}), &b"v"[..]),
        (json!({"other": "eA==", ID: "dg=="}), b"v"),
        (json!({ID: "/wD/"}), b"\xff\x00\xff"),
    ] {
        assert_eq!(answer(200, secret(&data)).await.unwrap().expose_bytes(), expected);
    }
}

#[tokio::test]
async fn an_empty_value_is_a_value() {
    assert_eq!(answer(200, secret(&json!({ID: ""}))).await.unwrap().expose_bytes(), b"");
}

#[tokio::test]
async fn a_secret_without_the_key_is_empty() {
    for data in [json!({"other": "dg=="}), json!({}), json!(null)] {
        let error = answer(200, secret(&data)).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Empty, "{data}");
        assert!(error.detail().contains(ID), "{error}");
    }
    assert_eq!(answer(200, r#"{"kind": "Secret"}"#).await.unwrap_err().class(), FailureClass::Empty);
}

#[tokio::test]
async fn every_refusal_has_its_class() {
    for (code, reason, class) in [
        (404, "NotFound", FailureClass::NotFound),
        (401, "Unauthorized", FailureClass::Denied),
        (403, "Forbidden", FailureClass::Denied),
        (429, "TooManyRequests", FailureClass::Throttled),
        (500, "InternalError", FailureClass::Unavailable),
        (503, "ServiceUnavailable", FailureClass::Unavailable),
        (504, "Timeout", FailureClass::Unavailable),
        (400, "BadRequest", FailureClass::Unavailable),
        (302, "", FailureClass::Unavailable),
    ] {
        let error = answer(code, status(code, reason, "the server's words")).await.unwrap_err();
        assert_eq!(error.class(), class, "{code}: {error}");
    }
}

#[tokio::test]
async fn a_missing_permission_is_named_with_verb_resource_and_namespace() {
    let words = r#"secrets "x" is forbidden: User "system:serviceaccount:flyte:webhook" cannot get resource"#;
    let error = answer(403, status(403, "Forbidden", words)).await.unwrap_err();
    for part in ["verb get", "on secrets", "namespace flyte", words] {
        assert!(error.detail().contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_404_of_something_else_than_an_api_server_is_not_a_missing_secret() {
    for body in ["<html>Not Found</html>", "{}", ""] {
        assert_eq!(answer(404, body).await.unwrap_err().class(), FailureClass::Unavailable, "{body}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_secret_is_malformed_and_not_quoted() {
    for body in [
        "planted".to_owned(),
        "[\"planted\"]".to_owned(),
        format!(r#"{{"data": {{"{ID}": "planted*"}}}}"#),
        format!(r#"{{"data": {{"{ID}": 5, "planted": "planted"}}}}"#),
        r#"{"data": "planted"}"#.to_owned(),
    ] {
        let error = answer(200, body.clone()).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Malformed, "{body}");
        assert!(!format!("{error} {error:?}").contains("planted"), "{error}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let error = answer(200, vec![b' '; MAX_ANSWER + 1]).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Malformed);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_late() {
    let silent = service_fn(|_: http::Request<Body>| std::future::pending::<Result<Response<Body>, Infallible>>());
    let error = store(Client::new(silent, "default")).get(&id()).await.unwrap_err();
    assert_eq!((error.class(), error.detail()), (FailureClass::Late, "the API server did not answer within 200 ms"));
}

#[tokio::test]
async fn a_connection_that_fails_is_unavailable_and_says_why() {
    let broken = service_fn(|_: http::Request<Body>| async {
        Err::<Response<Body>, _>(std::io::Error::other("connection refused"))
    });
    let error = store(Client::new(broken, "default")).get(&id()).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Unavailable);
    assert!(error.detail().contains("connection refused"), "{error}");
}

#[tokio::test]
async fn only_the_name_of_a_namespace_is_taken_as_one() {
    let (store, _) = api_server(200, "");
    for bad in ["", "-a", "a-", "A", "a/b", "../x", "a.b", &"a".repeat(64)] {
        assert!(KubernetesStore::new(store.client.clone(), bad, Duration::ZERO).is_err(), "{bad}");
    }
    for good in ["a", "flyte", "flytesnacks-development", &"a".repeat(63)] {
        assert!(KubernetesStore::new(store.client.clone(), good, Duration::ZERO).is_ok(), "{good}");
    }
}
