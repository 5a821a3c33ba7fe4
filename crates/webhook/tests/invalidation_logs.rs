//! What invalidations leave in the log: names and who called; never a body or a token. A test program of its own: the
//! subscriber belongs to the whole process.

#![allow(clippy::unwrap_used)]

#[path = "common/log.rs"]
mod log;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use flyte_secrets_webhook::invalidation::{Authenticator, InvalidationSettings, Running, serve_invalidation};
use flyte_secrets_webhook::metrics::Metrics;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use log::{capture, whole_log};

/// Stands in for a secret that somebody sends where none belongs.
const PLANTED: &str = "hunter2-planted-value";
/// A token, of which the middle is looked for.
const TOKEN: &str = "aaaa.hunter2-planted-token.cccc";

/// A server whose callers are all known to the API server as one ServiceAccount.
async fn serve() -> Running {
    let api_server = tower::service_fn(|_: http::Request<Body>| async {
        let answer = json!({
            "spec": {"token": TOKEN},
            "status": {"authenticated": true, "user": {"username": "system:serviceaccount:flyte:secret-service"}},
        });
        Ok::<_, Infallible>(http::Response::new(Body::from(answer.to_string().into_bytes())))
    });
    let authenticator = Authenticator::new(kube::Client::new(api_server, "default"), &[]);
    let settings =
        InvalidationSettings { address: Some([127, 0, 0, 1].into()), port: 0, ..InvalidationSettings::default() };
    let metrics = Metrics::new("flyte:");
    serve_invalidation(settings, Arc::new(|_| {}), Some(authenticator), metrics, std::future::pending()).await.unwrap()
}

async fn send(running: &Running, body: &str) -> String {
    let mut stream = TcpStream::connect(running.addr).await.unwrap();
    let request = format!(
        "POST /invalidate-secret HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(10), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn an_invalidation_is_one_line_with_names_and_its_caller_and_nothing_else_of_the_body() {
    capture();
    let running = serve().await;
    let good = format!(r#"{{"org":"flyte","domain":"development","project":"p","name":"db","value":"{PLANTED}"}}"#);
    let bad = format!(r#"{{"name":{{"{PLANTED}":1}}}}"#);
    let answers = [send(&running, &good).await, send(&running, &bad).await];
    assert!(answers[0].starts_with("HTTP/1.1 200") && answers[1].starts_with("HTTP/1.1 400"), "{answers:?}");

    let log = whole_log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ours: Vec<&Value> = lines.iter().filter(|line| line["target"] == "invalidation").collect();
    assert_eq!(ours.len(), 1, "{ours:?}");
    let (level, mut fields) = (&ours[0]["level"], ours[0]["fields"].clone());
    let address = fields["address"].take();
    assert!(address.as_str().unwrap().starts_with("127.0.0.1:"), "{address}");
    let expected = json!({
        "org": "flyte", "domain": "development", "project": "p", "name": "db", "outcome": "dropped", "address": null,
        "user": "system:serviceaccount:flyte:secret-service",
    });
    assert_eq!((level, fields), (&json!("INFO"), expected));
    for planted in [PLANTED, "hunter2-planted-token"] {
        assert!(!log.contains(planted) && !answers.concat().contains(planted), "{planted} is in the log or an answer");
    }
}
