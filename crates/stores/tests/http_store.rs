//! The Http store against the reference server and, for what that server never does, a fake at the protocol's edge.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used)]

mod edge;
#[allow(dead_code, missing_docs, unreachable_pub)]
#[path = "../../../examples/http-store/main.rs"]
mod reference_server;

use std::fs;
use std::time::Duration;

use edge::tls::Authority;
use edge::{Edge, ODD_NAMES, Reply, class, closed_port, error, id, logs, text};
use flyte_secrets_stores::http::{HttpSettings, HttpStore};
use flyte_secrets_stores::{FailureClass, SecretFetcher, SettingsError};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const TOKEN: &str = "planted-bearer-token";

fn store(url: &str) -> HttpStore {
    HttpStore::new(HttpSettings::new(url)).unwrap()
}

/// The reference server on a port of its own, over files in a folder of its own.
struct Reference {
    folder: TempDir,
    url: String,
}

impl Reference {
    async fn start(secrets: &[(&str, Value)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let by_id: serde_json::Map<_, _> =
            secrets.iter().map(|(name, value)| (id(name).to_string(), value.clone())).collect();
        fs::write(folder.path().join("secrets.json"), Value::from(by_id).to_string()).unwrap();
        fs::write(folder.path().join("token"), format!("{TOKEN}\n")).unwrap();
        let files =
            reference_server::Files { secrets: folder.path().join("secrets.json"), token: folder.path().join("token") };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, reference_server::router(files)).await });
        Self { folder, url }
    }

    fn store(&self) -> HttpStore {
        HttpStore::new(HttpSettings {
            token_file: Some(self.folder.path().join("token")),
            ..HttpSettings::new(&self.url)
        })
        .unwrap()
    }
}

#[tokio::test]
async fn text_and_bytes_arrive_as_they_are() {
    let server = Reference::start(&[
        ("text", json!({"value": "a\nb é"})),
        ("empty", json!({"value": ""})),
        ("bytes", json!({"value_base64": "/wD/"})),
    ])
    .await;
    let store = server.store();
    assert_eq!(text(&store, "text").await, "a\nb é");
    assert_eq!(text(&store, "empty").await, "");
    assert_eq!(store.get(&id("bytes")).await.unwrap().expose_bytes(), b"\xff\x00\xff");
}

#[tokio::test]
async fn a_missing_secret_and_one_without_a_value_are_told_apart() {
    let server = Reference::start(&[("hollow", json!({}))]).await;
    assert_eq!(class(&server.store(), "missing").await, FailureClass::NotFound);
    assert_eq!(class(&server.store(), "hollow").await, FailureClass::Empty);
}

#[tokio::test]
async fn odd_names_reach_the_server_as_they_are() {
    let mut names = ODD_NAMES.to_vec();
    names.extend(["a/b", "/", "../../x", "a\nb", "a\0b\u{7f}"]);
    let secrets: Vec<_> = names.iter().map(|name| (*name, json!({"value": format!("of {name}")}))).collect();
    let server = Reference::start(&secrets).await;
    for name in names {
        assert_eq!(text(&server.store(), name).await, format!("of {name}"));
    }
}

#[tokio::test]
async fn an_id_is_one_segment_on_the_wire() {
    let edge = Edge::start(|_| Reply::new(200, json!({"value": "v"}))).await;
    store(&format!("{}/base/", edge.url())).get(&id("../a/b?c#d%2f")).await.unwrap();
    let path =
        "/base/v1/secrets/u__org__flyte__domain__development__project__flytesnacks__key__..%2Fa%2Fb%3Fc%23d%252f";
    assert_eq!(edge.lines(), [format!("GET {path}")]);
}

#[tokio::test]
async fn a_wrong_token_is_denied_and_a_new_one_in_the_file_counts_at_once() {
    let server = Reference::start(&[("k", json!({"value": "v"}))]).await;
    let file = server.folder.path().join("ours");
    let store =
        HttpStore::new(HttpSettings { token_file: Some(file.clone()), ..HttpSettings::new(&server.url) }).unwrap();
    let missing = error(&store, "k").await;
    assert_eq!(missing.class(), FailureClass::Denied);
    assert!(missing.detail().contains(file.to_str().unwrap()), "{missing}");
    fs::write(&file, "other").unwrap();
    let wrong = error(&store, "k").await;
    assert_eq!(wrong.class(), FailureClass::Denied);
    assert!(wrong.detail().contains("the bearer token is missing or wrong"), "{wrong}");
    fs::write(&file, TOKEN).unwrap();
    assert_eq!(text(&store, "k").await, "v");
}

#[tokio::test]
async fn every_failure_has_its_class() {
    for (reply, expected) in [
        (Reply::new(403, json!({"error": {"code": "denied", "message": "not yours"}})), FailureClass::Denied),
        (Reply::new(429, "").with("retry-after", 3), FailureClass::Throttled),
        (Reply::new(503, "<html>"), FailureClass::Unavailable),
        (Reply::new(404, "<html>Not Found</html>"), FailureClass::Unavailable),
        (Reply::new(200, "planted"), FailureClass::Malformed),
        (Reply::new(200, " ".repeat((4 << 20) + 1)), FailureClass::Malformed),
        (Reply::new(200, json!({"value": "v"})).after(Duration::from_secs(5)), FailureClass::Late),
    ] {
        let status = reply.status;
        let edge = Edge::start(move |_| reply.clone()).await;
        let impatient = expected == FailureClass::Late;
        let timeout = if impatient { Duration::from_millis(300) } else { Duration::from_secs(10) };
        let store = HttpStore::new(HttpSettings { timeout, ..HttpSettings::new(edge.url()) }).unwrap();
        assert_eq!(class(&store, "k").await, expected, "{status}");
    }
}

#[tokio::test]
async fn no_redirect_is_followed_even_to_the_same_host() {
    let edge = Edge::start(|_| Reply::new(302, "").with("location", "/elsewhere")).await;
    let error = error(&store(&edge.url()), "k").await;
    assert_eq!(error.class(), FailureClass::Unavailable);
    assert!(error.detail().contains("redirect"), "{error}");
    assert_eq!(edge.requests().len(), 1);
}

#[tokio::test]
async fn nothing_is_repeated() {
    let edge = Edge::start(|_| Reply::new(503, "")).await;
    class(&store(&edge.url()), "k").await;
    assert_eq!(edge.requests().len(), 1);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let error = error(&store(&format!("http://127.0.0.1:{}", closed_port().await)), "k").await;
    assert_eq!(error.class(), FailureClass::Unavailable);
    assert!(error.detail().contains("refused"), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_broken_off_is_no_value() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        assert!(socket.read(&mut [0; 4096]).await.unwrap() > 0);
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"value\": \"v\"}").await.unwrap();
    });
    let error = error(&store(&url), "k").await;
    assert_eq!(error.class(), FailureClass::Unavailable);
    assert!(error.detail().contains("broke off its answer"), "{error}");
}

#[tokio::test]
async fn a_certificate_counts_only_with_its_authority() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let edge =
        Edge::start_tls(authority.server(&["localhost"], None), |_| Reply::new(200, json!({"value": "v"}))).await;
    let url = format!("https://localhost:{}", edge.address.port());
    let error = error(&store(&url), "k").await;
    assert_eq!(error.class(), FailureClass::Unavailable);
    assert!(error.detail().contains("certificate"), "{error}");

    let ca = folder.path().join("ca.crt");
    fs::write(&ca, authority.pem()).unwrap();
    let trusting =
        HttpStore::new(HttpSettings { ca_file: Some(ca.clone()), ..HttpSettings::new(url.clone()) }).unwrap();
    assert_eq!(text(&trusting, "k").await, "v");
    let other_name =
        HttpSettings { ca_file: Some(ca), ..HttpSettings::new(format!("https://127.0.0.1:{}", edge.address.port())) };
    assert_eq!(class(&HttpStore::new(other_name).unwrap(), "k").await, FailureClass::Unavailable);
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_read_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, cert, key) = (folder.path().join("ca.crt"), folder.path().join("tls.crt"), folder.path().join("tls.key"));
    let (authority, clients, others) = (Authority::new(), Authority::new(), Authority::new());
    fs::write(&ca, authority.pem()).unwrap();
    let config = authority.server(&["localhost"], Some(&clients));
    let edge = Edge::start_tls(config, |_| Reply::new(200, json!({"value": "v"}))).await;
    let settings = HttpSettings {
        ca_file: Some(ca),
        client_cert: Some(cert.clone()),
        client_key: Some(key.clone()),
        ..HttpSettings::new(format!("https://localhost:{}", edge.address.port()))
    };
    others.write_client(&cert, &key);
    let store = HttpStore::new(settings).unwrap();
    assert_eq!(class(&store, "k").await, FailureClass::Unavailable);
    // File times may be as coarse as a kernel tick.
    tokio::time::sleep(Duration::from_millis(20)).await;
    clients.write_client(&cert, &key);
    assert_eq!(text(&store, "k").await, "v");
}

/// Runs in a process of its own, because proxies are variables of a process.
#[tokio::test]
#[ignore = "started by another test"]
async fn process_behind_a_proxy() {
    assert_eq!(text(&store("http://secrets.invalid"), "k").await, "through the proxy");
    let direct = Edge::start(|_| Reply::new(200, json!({"value": "direct"}))).await;
    assert_eq!(text(&store(&direct.url()), "k").await, "direct");
}

#[tokio::test]
async fn the_proxies_of_the_environment_are_used_and_no_proxy_is_heeded() {
    let proxy = Edge::start(|_| Reply::new(200, json!({"value": "through the proxy"}))).await;
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "process_behind_a_proxy", "--ignored"]);
    child.env("HTTP_PROXY", proxy.url()).env("http_proxy", proxy.url());
    child.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
    let output = tokio::task::spawn_blocking(move || child.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!((proxy.requests().len(), proxy.requests()[0].header("host")), (1, "secrets.invalid"));
}

#[test]
fn settings_that_cannot_work_are_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.pem");
    fs::write(&file, "planted").unwrap();
    let https = || HttpSettings::new("https://h");
    for (settings, problem) in [
        (HttpSettings::new("h"), "url: "),
        (HttpSettings { client_cert: Some(file.clone()), ..https() }, "only work together"),
        (HttpSettings { ca_file: Some(file.clone()), ..https() }, "no certificate"),
        (HttpSettings { ca_file: Some("/nowhere".into()), ..https() }, "/nowhere: "),
        (
            HttpSettings { client_cert: Some(file.clone()), client_key: Some(file.clone()), ..https() },
            "no certificate and private key",
        ),
        (
            HttpSettings { client_cert: Some(file.clone()), client_key: Some(file), ..HttpSettings::new("http://h") },
            "needs an https:// url",
        ),
    ] {
        let error: SettingsError = HttpStore::new(settings).err().unwrap();
        assert!(error.to_string().contains(problem), "{error}");
        assert!(!error.to_string().contains("planted"), "{error}");
    }
}

#[tokio::test]
async fn no_value_and_no_token_is_in_a_log_or_an_error() {
    logs::capture();
    let server =
        Reference::start(&[("k", json!({"value": "planted-value"})), ("b", json!({"value_base64": "planted-value"}))])
            .await;
    let store = server.store();
    assert_eq!(text(&store, "k").await, "planted-value");
    let mut errors = format!("{:?}", error(&store, "b").await);
    let edge = Edge::start(|_| Reply::new(200, r#"{"value": "planted-value" "#)).await;
    let file = server.folder.path().join("token");
    let broken = HttpStore::new(HttpSettings { token_file: Some(file), ..HttpSettings::new(edge.url()) }).unwrap();
    errors += &format!("{:?}", error(&broken, "k").await);
    let log = logs::whole_log();
    assert!(log.contains("TRACE"), "the log is captured");
    for planted in ["planted-value", TOKEN] {
        assert!(!log.contains(planted) && !errors.contains(planted), "{planted}: {errors}");
    }
}
