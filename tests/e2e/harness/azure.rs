//! Azure Key Vault and its token endpoint, played because no server of it exists: over TLS and under their real names, to
//! which a proxy leads.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum_server::tls_rustls::RustlsConfig;
use data_encoding::BASE32_NOPAD;
use http::StatusCode;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, WWW_AUTHENTICATE};
use http::request::Parts;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::certs::Authority;
use super::webhook::free_port;

/// The host of the vault.
pub(crate) const VAULT: &str = "flyte.vault.azure.net";
const LOGIN: &str = "login.microsoftonline.com";
const TOKEN: &str = "planted-access-token";

/// A vault; it serves until the test ends.
pub(crate) struct Azure {
    folder: TempDir,
    proxy: u16,
}

impl Azure {
    /// A vault with these secrets of the project `flytesnacks` in `development`, by key.
    pub(crate) async fn start(secrets: &[(&str, &str)]) -> Self {
        let stored = secrets.iter().map(|(key, value)| {
            let name = format!("1-flyte-development-flytesnacks-{}", BASE32_NOPAD.encode(key.as_bytes()));
            (name, json!({"type": "STRING", "value": value}).to_string())
        });
        let stored: BTreeMap<String, String> = stored.collect();
        Self::with(move |request, _| answer(&stored, request)).await
    }

    /// A vault that answers like this to those who show the token.
    pub(crate) async fn with(vault: impl Fn(&Parts, &[u8]) -> Response + Send + Sync + 'static) -> Self {
        let folder = TempDir::with_prefix("fs-azure-").unwrap();
        let authority = Authority::new("Azure of the tests");
        let leaf = authority.leaf(&[VAULT, LOGIN], 2100);
        std::fs::write(folder.path().join("ca.crt"), &authority.pem).unwrap();
        std::fs::write(folder.path().join("federated"), "planted-federated-token").unwrap();
        let tls = RustlsConfig::from_pem(leaf.certificate.into(), leaf.key.into()).await.unwrap();

        let vault = Arc::new(vault);
        let router = Router::new().fallback(move |request: Request| {
            let vault = Arc::clone(&vault);
            async move {
                let (request, body) = request.into_parts();
                let body = to_bytes(body, 1 << 20).await.unwrap();
                login(&request).unwrap_or_else(|| vault(&request, &body))
            }
        });
        let port = free_port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        tokio::spawn(axum_server::bind_rustls(address, tls).serve(router.into_make_service()));
        Self { folder, proxy: lead_to(port).await }
    }

    /// The configuration of the store.
    pub(crate) fn config(&self) -> Value {
        json!({"vaultURI": format!("https://{VAULT}"), "caFile": self.folder.path().join("ca.crt")})
    }

    /// The environment of a pod with a workload identity, behind the proxy.
    pub(crate) fn env(&self) -> [(&'static str, String); 5] {
        let token: PathBuf = self.folder.path().join("federated");
        [
            ("HTTPS_PROXY", format!("http://127.0.0.1:{}", self.proxy)),
            ("NO_PROXY", "127.0.0.1".to_owned()),
            ("AZURE_TENANT_ID", "72f988bf-86f1-41af-91ab-2d7cd011db47".to_owned()),
            ("AZURE_CLIENT_ID", "c".to_owned()),
            ("AZURE_FEDERATED_TOKEN_FILE", token.to_str().unwrap().to_owned()),
        ]
    }
}

/// What the token endpoint answers, and the vault to those who do not show the token.
fn login(request: &Parts) -> Option<Response> {
    let header = |name| request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if header(HOST) == LOGIN {
        return Some(body(StatusCode::OK, &json!({"token_type": "Bearer", "expires_in": 3599, "access_token": TOKEN})));
    }
    if header(AUTHORIZATION) != format!("Bearer {TOKEN}") {
        let challenge = format!("Bearer authorization=\"https://{LOGIN}/t\", resource=\"https://vault.azure.net\"");
        let error = json!({"error": {"code": "Unauthorized", "message": "AKV10000"}});
        return Some(([(WWW_AUTHENTICATE, challenge)], body(StatusCode::UNAUTHORIZED, &error)).into_response());
    }
    None
}

/// What a vault answers that is only read.
fn answer(stored: &BTreeMap<String, String>, request: &Parts) -> Response {
    let name = request.uri.path().trim_start_matches("/secrets/").trim_end_matches('/');
    match stored.get(name) {
        Some(value) => {
            body(StatusCode::OK, &json!({"value": value, "id": format!("https://{VAULT}/secrets/{name}/1")}))
        }
        None => body(StatusCode::NOT_FOUND, &json!({"error": {"code": "SecretNotFound", "message": "none"}})),
    }
}

pub(crate) fn body(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// The port of a proxy that leads both hosts to this port.
async fn lead_to(port: u16) -> u16 {
    let proxy = free_port();
    let listener = TcpListener::bind(("127.0.0.1", proxy)).await.unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(tunnel(client, port));
        }
    });
    proxy
}

async fn tunnel(mut client: TcpStream, port: u16) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let known = [VAULT, LOGIN].iter().any(|host| head.starts_with(format!("CONNECT {host}:443 ").as_bytes()));
    if !known {
        return client.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await;
    }
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
}
