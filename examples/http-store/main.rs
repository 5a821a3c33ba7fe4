//! A server of the protocol in docs/http-store.md: secrets from a JSON file, behind a bearer token.
//!
//! ```console
//! $ echo '{"u__org__flyte__domain__development__project__flytesnacks__key__token": {"value": "v"}}' > secrets.json
//! $ echo 'a long random text' > token
//! $ cargo run -p flyte-secrets-stores --features http --example http-store -- 127.0.0.1:8300 secrets.json token
//! ```
//!
//! It serves plain HTTP: let a proxy that speaks TLS and passes paths on undecoded stand before it. Both files
//! are read for every request, so a change counts at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What the server reads.
pub struct Files {
    /// A JSON object: encoded id → `{"value": "…"}` or `{"value_base64": "…"}`.
    pub secrets: PathBuf,
    /// The bearer token.
    pub token: PathBuf,
}

/// A secret in the file, and in an answer.
#[derive(Deserialize, Serialize)]
struct Secret {
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
}

/// The routes.
pub fn router(files: Files) -> Router {
    // `{id}` is one segment, and axum decodes it once.
    Router::new().route("/v1/secrets/{id}", get(secret)).with_state(Arc::new(files))
}

async fn secret(State(files): State<Arc<Files>>, UrlPath(id): UrlPath<String>, headers: HeaderMap) -> Response {
    match may_read(&files.token, &headers) {
        Ok(true) => {}
        Ok(false) => return failure(StatusCode::UNAUTHORIZED, "unauthorized", "the bearer token is missing or wrong"),
        Err(_) => return failure(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the token file cannot be read"),
    }
    match read(&files.secrets) {
        // The parser's message might quote a secret, so it is left out.
        Err(_) => failure(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the file of secrets cannot be read"),
        Ok(mut secrets) => match secrets.remove(&id) {
            Some(secret) => ([(header::CACHE_CONTROL, "no-store")], Json(secret)).into_response(),
            None => failure(StatusCode::NOT_FOUND, "not_found", "no secret has this id"),
        },
    }
}

fn may_read(token: &Path, headers: &HeaderMap) -> std::io::Result<bool> {
    let expected = std::fs::read_to_string(token)?;
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    Ok(!expected.trim().is_empty() && same(given.as_bytes(), expected.trim().as_bytes()))
}

/// Compares in a time that does not tell how much was right.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

fn read(path: &Path) -> std::io::Result<BTreeMap<String, Secret>> {
    serde_json::from_str(&std::fs::read_to_string(path)?).map_err(std::io::Error::other)
}

fn failure(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({"error": {"code": code, "message": message}}))).into_response()
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, secrets, token] = arguments.as_slice() else {
        return Err(std::io::Error::other("usage: http-store ADDRESS SECRETS.json TOKEN-FILE"));
    };
    let listener = tokio::net::TcpListener::bind(address).await?;
    axum::serve(listener, router(Files { secrets: secrets.into(), token: token.into() })).await
}
