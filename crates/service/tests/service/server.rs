//! The ports.

use std::time::Duration;

use flyte_secrets_service::{Authentication, Everybody, Limits, Metrics, Running, ServerSettings, serve};
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::support::{SERVICE, named, secrets};

async fn start() -> (Running, oneshot::Sender<()>, tempfile::TempDir) {
    let (secrets, _store, _told, folder) = secrets(Everybody);
    let (end, ended) = oneshot::channel::<()>();
    let settings = ServerSettings {
        host: "127.0.0.1".to_owned(),
        port: 0,
        metrics_port: 0,
        shutdown_delay: Duration::from_millis(300),
        limits: Limits::default(),
    };
    let shutdown = async { drop(ended.await) };
    let running =
        serve(settings, secrets, Authentication::default(), "", None, Metrics::new(""), shutdown).await.unwrap();
    (running, end, folder)
}

async fn status(running: &Running, path: &str) -> (StatusCode, String) {
    let stream = TcpStream::connect(running.metrics_addr).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get(path).header("host", "x").body(Full::<bytes::Bytes>::default()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let status = answer.status();
    (status, String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

fn call() -> Request<Full<bytes::Bytes>> {
    Request::post(format!("http://x{SERVICE}/GetSecret"))
        .header("host", "x")
        .header("content-type", "application/json")
        .body(Full::from(named("a").to_string()))
        .unwrap()
}

#[tokio::test]
async fn one_port_speaks_both_versions_of_http_without_tls() {
    let (running, _end, _folder) = start().await;
    let stream = || async { TokioIo::new(TcpStream::connect(running.addr).await.unwrap()) };
    let (mut one, connection) = http1::handshake(stream().await).await.unwrap();
    tokio::spawn(connection);
    let (mut two, connection) = http2::handshake(TokioExecutor::new(), stream().await).await.unwrap();
    tokio::spawn(connection);
    let answer = one.send_request(call()).await.unwrap();
    assert_eq!((answer.status(), answer.version()), (StatusCode::NOT_FOUND, Version::HTTP_11));
    let answer = two.send_request(call()).await.unwrap();
    assert_eq!((answer.status(), answer.version()), (StatusCode::NOT_FOUND, Version::HTTP_2));
    assert_eq!(status(&running, "/healthz").await.0, StatusCode::OK);
    let (_, text) = status(&running, "/metrics").await;
    assert!(text.contains("secret_service_requests_total{method=\"GetSecret\",code=\"not_found\"} 2"), "{text}");
}

#[tokio::test]
async fn it_is_unready_before_it_stops_and_answers_meanwhile() {
    let (running, end, _folder) = start().await;
    assert_eq!(status(&running, "/readyz").await.0, StatusCode::OK);
    end.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(status(&running, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    let stream = TcpStream::connect(running.addr).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    assert_eq!(sender.send_request(call()).await.unwrap().status(), StatusCode::NOT_FOUND);
    tokio::time::timeout(Duration::from_secs(5), running.handle).await.unwrap().unwrap();
    assert!(TcpStream::connect(running.addr).await.is_err());
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_its_key() {
    let (running, _end, _folder) = start().await;
    let (secrets, ..) = secrets(Everybody);
    let settings = ServerSettings {
        host: "127.0.0.1".to_owned(),
        port: running.addr.port(),
        metrics_port: 0,
        shutdown_delay: Duration::ZERO,
        limits: Limits::default(),
    };
    let error = serve(settings, secrets, Authentication::default(), "", None, Metrics::new(""), std::future::pending())
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(text.contains("secret.server.port") && text.contains(&running.addr.port().to_string()), "{text}");
}
