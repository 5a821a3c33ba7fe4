//! The GCP store against drongo, which plays Secret Manager's REST API.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

use data_encoding::BASE64;
use flyte_secrets_core::value::SecretValue;
use flyte_secrets_stores::gcp::{GcpSettings, GcpStore};
use flyte_secrets_stores::{FailureClass, FetchError, SecretFetcher};
use futures::future::join_all;
use serde_json::json;

use crate::common::id;
use crate::common::server::Server;

#[allow(dead_code, reason = "other tests use the rest")]
mod common;
#[path = "gcp_write/drongo.rs"]
mod write;

const PROJECT: &str = "my-project";

fn drongo() -> Server {
    Server::start("drongo", &["server", "--host", "127.0.0.1", "--port", "PORT"])
}

async fn store(server: &Server) -> GcpStore {
    let endpoint = Some(server.url.clone());
    GcpStore::new(GcpSettings { endpoint, anonymous: true, ..GcpSettings::new(PROJECT) }).await.unwrap()
}

fn post(server: &Server, path: &str, body: &serde_json::Value) {
    let path = format!("/v1/projects/{PROJECT}/secrets{path}");
    server.post(&path, &[("content-type", "application/json")], &body.to_string());
}

/// Makes a secret with these versions.
fn put(server: &Server, name: &str, versions: &[&[u8]]) {
    let name = id(name).to_string();
    post(server, &format!("?secretId={name}"), &json!({"replication": {"automatic": {}}}));
    for version in versions {
        post(server, &format!("/{name}:addVersion"), &json!({"payload": {"data": BASE64.encode(version)}}));
    }
}

async fn get(server: &Server, name: &str) -> Result<SecretValue, FetchError> {
    store(server).await.get(&id(name)).await
}

#[tokio::test]
async fn values_are_the_bytes_of_the_latest_version() {
    let server = drongo();
    for (name, versions, expected) in [
        ("text", &[&b"old"[..], b"new"][..], &b"new"[..]),
        ("bytes", &[b"\xff\x00\xff"], b"\xff\x00\xff"),
        ("empty", &[b""], b""),
    ] {
        put(&server, name, versions);
        let value = get(&server, name).await.unwrap();
        assert!(matches!(&value, SecretValue::Binary(_)));
        assert_eq!(value.expose_bytes(), expected, "{name}");
    }
}

#[tokio::test]
async fn a_missing_secret_and_one_without_a_version_are_not_found() {
    let server = drongo();
    put(&server, "nothing", &[]);
    for name in ["missing", "nothing"] {
        let error = get(&server, name).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::NotFound, "{error}");
    }
}

#[tokio::test]
async fn many_questions_at_once_are_answered_each_by_its_own_secret() {
    let server = drongo();
    let names: Vec<_> = (0..30).map(|number| format!("k{number}")).collect();
    for name in &names {
        put(&server, name, &[name.as_bytes()]);
    }
    let (store, ids) = (store(&server).await, names.iter().map(|name| id(name)).collect::<Vec<_>>());
    let answers = join_all(ids.iter().map(|id| store.get(id))).await;
    for (name, answer) in names.iter().zip(answers) {
        assert_eq!(answer.unwrap().expose_text(), Some(name.as_str()));
    }
}

#[tokio::test]
async fn another_project_does_not_have_the_secret() {
    let server = drongo();
    put(&server, "k", &[b"v"]);
    let endpoint = Some(server.url.clone());
    let other = GcpStore::new(GcpSettings { endpoint, anonymous: true, ..GcpSettings::new("other") }).await.unwrap();
    assert_eq!(other.get(&id("k")).await.unwrap_err().class(), FailureClass::NotFound);
}
