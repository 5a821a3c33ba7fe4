use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use rustls::RootCertStore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::support::{REVIEW, Script, Server, quick, series};
use crate::metrics::Metrics;
use crate::server::{ADMISSION_PATH, Limits, Readiness, ServerSettings, serve};

/// Long enough for a busy machine; a test that waits this long has failed.
const SOON: Duration = Duration::from_secs(10);

fn with(limits: Limits) -> ServerSettings {
    ServerSettings { limits, ..quick() }
}

/// What the server sends until it closes; a reset is an end, too.
async fn until_closed(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut bytes = Vec::new();
    let _ = timeout(SOON, stream.read_to_end(&mut bytes)).await.expect("the server keeps the connection");
    String::from_utf8_lossy(&bytes).into_owned()
}

fn head(length: usize) -> String {
    format!(
        "POST {ADMISSION_PATH} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

#[tokio::test]
async fn http1_and_http2_are_spoken_at_one_port_and_connections_are_kept() {
    let server = Server::start(Script::Patch, quick()).await;
    let (mut http1, mut http2) = (server.http1().await, server.http2().await);
    for _ in 0..3 {
        assert_eq!(http1.review().await.unwrap().json()["length"], REVIEW.len());
        assert_eq!(http2.review().await.unwrap().json()["length"], REVIEW.len());
    }
}

#[tokio::test]
async fn a_client_that_names_no_protocol_is_served_http1() {
    let server = Server::start(Script::Patch, quick()).await;
    let mut stream = server.connect(&[]).await.unwrap();
    stream.write_all(head(REVIEW.len()).replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    stream.write_all(REVIEW.as_bytes()).await.unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn headers_of_64_kib_are_rejected() {
    let server = Server::start(Script::Patch, quick()).await;
    let mut stream = server.connect(&[]).await.unwrap();
    let request = head(0).replace("host: x", &format!("host: x\r\nx-long: {}", "a".repeat(64 << 10)));
    // The server may close while we write.
    let _ = stream.write_all(request.as_bytes()).await;
    let answer = until_closed(&mut stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(
        series(&server.metrics.text(), r#"flyte:admission_duration_seconds_count{outcome="patched"}"#),
        Some(0.0)
    );
}

#[tokio::test]
async fn a_client_that_sends_its_headers_byte_by_byte_is_cut() {
    let limits = Limits { header_read: Duration::from_millis(200), ..Limits::default() };
    let server = Server::start(Script::Patch, with(limits)).await;
    let (mut reader, mut writer) = tokio::io::split(server.connect(&[]).await.unwrap());
    writer.write_all(format!("POST {ADMISSION_PATH} HTTP/1.1\r\nx-long: ").as_bytes()).await.unwrap();
    let drip = async {
        while writer.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        answer = until_closed(&mut reader) => assert_eq!(answer, ""),
        () = drip => {}
    }
}

#[tokio::test]
async fn a_connection_is_idle_for_longer_than_headers_may_take() {
    let limits =
        Limits { header_read: Duration::from_millis(100), idle: Duration::from_millis(1500), ..Limits::default() };
    let server = Server::start(Script::Patch, with(limits)).await;
    let mut clients = [server.http1().await, server.http2().await];
    for client in &mut clients {
        client.review().await.unwrap();
    }
    sleep(Duration::from_millis(500)).await;
    for client in &mut clients {
        client.review().await.unwrap();
    }
    for client in clients {
        timeout(SOON, client.ended).await.expect("an idle connection stays open").unwrap();
    }
}

#[tokio::test]
async fn a_client_that_does_not_shake_hands_is_cut() {
    let limits = Limits { handshake: Duration::from_millis(100), ..Limits::default() };
    let server = Server::start(Script::Patch, with(limits)).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    assert_eq!(until_closed(&mut stream).await, "");
    assert_eq!(series(&server.metrics.text(), r#"flyte:tls_handshake_failures_total{reason="timeout"}"#), Some(1.0));
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_certificate_is_counted() {
    let server = Server::start(Script::Patch, quick()).await;
    server.connect_with(RootCertStore::empty(), &[b"h2"]).await.unwrap_err();
    let refused = || series(&server.metrics.text(), r#"flyte:tls_handshake_failures_total{reason="refused"}"#);
    let counted = async {
        while refused().is_none() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, counted).await.unwrap();
}

#[tokio::test]
async fn a_connection_beyond_the_limit_waits_for_another_to_end() {
    let server = Server::start(Script::Patch, with(Limits { connections: 1, ..Limits::default() })).await;
    let mut first = server.http1().await;
    first.review().await.unwrap();
    let second = server.connect(&[b"h2"]);
    let mut second = std::pin::pin!(second);
    assert!(timeout(Duration::from_millis(200), second.as_mut()).await.is_err(), "a second connection was taken");
    drop(first);
    timeout(SOON, second).await.expect("the second connection is never taken").unwrap();
}

#[tokio::test]
async fn a_panic_does_not_end_the_connection() {
    let server = Server::start(Script::Panic, quick()).await;
    let mut client = server.http2().await;
    for _ in 0..2 {
        let answer = client.review().await.unwrap();
        assert_eq!((answer.status, &answer.json()["response"]["status"]["code"]), (StatusCode::OK, &503.into()));
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error_that_names_its_key() {
    let server = Server::start(Script::Patch, quick()).await;
    let (reviews, status) = (server.addr.port(), server.metrics_addr.port());
    let table = [("webhook.listenPort", reviews, 0), ("webhook.metricsPort", 0, status)];
    for (key, listen_port, metrics_port) in table {
        let settings = ServerSettings { listen_port, metrics_port, ..quick() };
        let tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(rustls::server::ResolvesServerCertUsingSni::new()));
        let reviewer = Arc::new(Script::Patch);
        let never = std::future::pending();
        let error =
            serve(settings, reviewer, Arc::new(tls), Readiness::new(), Metrics::new(""), never).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(key) && text.contains(&(listen_port + metrics_port).to_string()), "{text}");
    }
}
