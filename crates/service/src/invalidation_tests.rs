#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::post;
use tokio::net::TcpListener;

use super::*;

type Heard = Arc<Mutex<Vec<(String, String)>>>;

/// A webhook's invalidation port that answers with `status`.
async fn webhook(status: StatusCode) -> (u16, Heard) {
    let heard = Heard::default();
    let notes = Arc::clone(&heard);
    let hear = move |headers: HeaderMap, body: String| async move {
        let token = headers.get("authorization").map_or("", |token| token.to_str().unwrap()).to_owned();
        notes.lock().unwrap().push((token, body));
        status
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let service =
        hyper_util::service::TowerToHyperService::new(Router::new().route("/below/invalidate-secret", post(hear)));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone());
            tokio::spawn(connection);
        }
    });
    (port, heard)
}

fn id() -> SecretId {
    let text = str::to_owned;
    SecretId { org: text("flyte"), domain: text("d"), project: text("p"), name: text("k") }
}

#[test]
fn only_a_plain_address_is_taken() {
    for url in ["http://localhost:9444", "http://webhook", "http://[::1]:9444/", "http://w:1/below/"] {
        assert!(Webhooks::new(url, None, Metrics::new("")).is_ok(), "{url}");
    }
    for url in ["", "localhost:9444", "https://webhook:9444", "http://", "http://a@b", "/x", "http://a b"] {
        let error = Webhooks::new(url, None, Metrics::new("")).unwrap_err();
        assert!(error.to_string().contains("plain HTTP"), "{error}");
    }
}

#[tokio::test]
async fn a_replica_hears_which_secret_has_changed_and_who_says_so() {
    let (port, heard) = webhook(StatusCode::OK).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "abc\n").unwrap();
    let metrics = Metrics::new("");
    let url = format!("http://localhost:{port}/below/");
    Webhooks::new(&url, Some(file), metrics.clone()).unwrap().invalidate(&id()).await;
    let body = r#"{"org":"flyte","domain":"d","project":"p","name":"k"}"#;
    assert_eq!(*heard.lock().unwrap(), [("Bearer abc".to_owned(), body.to_owned())]);
    assert!(metrics.text().contains("secret_service_invalidations_total{outcome=\"ok\"} 1"), "{}", metrics.text());
}

#[tokio::test]
async fn what_does_not_work_is_counted_and_nobody_is_held_up() {
    let (refusing, _) = webhook(StatusCode::UNAUTHORIZED).await;
    let metrics = Metrics::new("");
    for url in [
        format!("http://127.0.0.1:{refusing}/below"),
        "http://127.0.0.1:1".to_owned(),
        "http://no-such-host.invalid".to_owned(),
    ] {
        let told = Webhooks::new(&url, None, metrics.clone()).unwrap();
        tokio::time::timeout(Duration::from_secs(10), told.invalidate(&id())).await.unwrap();
    }
    let text = metrics.text();
    for outcome in ["refused", "unreachable"] {
        assert!(text.contains(&format!("outcome=\"{outcome}\"}} 1")), "{outcome}: {text}");
    }
    assert!(text.contains("unresolved") || text.contains("late"), "{text}");
}
