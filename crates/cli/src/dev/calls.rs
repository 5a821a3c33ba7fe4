//! What an API server sends to the webhook, and Flyte's client to the Secret service.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use data_encoding::BASE64;
use flyte_secrets_webhook::certificates::KeyPairPem;
use flyte_secrets_webhook::registration::PATH;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// How long a server may take to answer on this computer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends a review, as an API server does, and applies the answer; with the managers that served each request.
pub(super) async fn review(address: SocketAddr, pair: &KeyPairPem, pod: &Value) -> Result<(Value, String)> {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "7d7c0e3a-0000-4000-8000-000000000000",
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": pod["metadata"]["namespace"],
            "name": pod["metadata"]["name"],
            "operation": "CREATE",
            "dryRun": true,
            "object": pod,
        },
    });
    let exchange = async {
        let stream = encrypted(address, pair).await?;
        send(stream, address, Method::POST, &format!("{PATH}?timeout=10s"), &review).await
    };
    let (_, answer) = timeout(PATIENCE, exchange).await.context("the webhook did not answer")??;
    let answer: Value = serde_json::from_slice(&answer).context("the webhook's answer is no JSON")?;
    let response = &answer["response"];
    if response["allowed"] != true {
        return Err(anyhow!("the webhook refused the pod: {}", response["status"]["message"]));
    }
    let patch = BASE64.decode(response["patch"].as_str().unwrap_or_default().as_bytes())?;
    let patch: json_patch::Patch = serde_json::from_slice(&patch).context("the answer holds no patch")?;
    let mut after = pod.clone();
    json_patch::patch(&mut after, &patch)?;
    Ok((after, response["auditAnnotations"]["served-by"].as_str().unwrap_or_default().to_owned()))
}

/// Calls the Secret service over REST.
pub(super) async fn rest(address: SocketAddr, method: Method, path: &str, message: &Value) -> Result<StatusCode> {
    let exchange = async { send(TcpStream::connect(address).await?, address, method, path, message).await };
    let (status, _) = timeout(PATIENCE, exchange).await.context("the Secret service did not answer")??;
    Ok(status)
}

async fn encrypted(address: SocketAddr, pair: &KeyPairPem) -> Result<impl AsyncRead + AsyncWrite + Send + use<>> {
    let mut roots = rustls::RootCertStore::empty();
    let authority = pair.ca_crt.as_deref().context("the certificate has no CA")?;
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    Ok(TlsConnector::from(Arc::new(tls)).connect(ServerName::from(address.ip()), stream).await?)
}

async fn send<S>(stream: S, to: SocketAddr, method: Method, path: &str, body: &Value) -> Result<(StatusCode, Bytes)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, to.to_string())
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body.to_string())))?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    connection.abort();
    Ok((status, body))
}
