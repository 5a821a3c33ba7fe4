//! A webhook that allows every pod: what TLS, HTTP and reading the body cost when nothing is decided.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::response::IntoResponse;
use axum::routing::post;
use clap::Parser;
use flyte_secrets_benches::certificates::provider;
use http::{StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A webhook that allows every pod.
#[derive(Parser)]
struct Arguments {
    /// Folder with `tls.crt` and `tls.key`.
    #[arg(long)]
    cert_dir: PathBuf,
    /// Port on 127.0.0.1.
    #[arg(long)]
    port: u16,
}

#[derive(Deserialize)]
struct Review<'a> {
    #[serde(borrow)]
    request: Request<'a>,
}

#[derive(Deserialize)]
struct Request<'a> {
    uid: &'a str,
}

async fn allow(body: Bytes) -> impl IntoResponse {
    let Ok(review) = serde_json::from_slice::<Review<'_>>(&body) else {
        return (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, "text/plain")], "no review".to_owned());
    };
    let answer = format!(
        r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{{"uid":"{}","allowed":true}}}}"#,
        review.request.uid
    );
    (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], answer)
}

fn tls(arguments: &Arguments) -> Result<ServerConfig> {
    let read = |name: &str| {
        let path = arguments.cert_dir.join(name);
        std::fs::read(&path).with_context(|| format!("reading {}", path.display()))
    };
    let chain = CertificateDer::pem_slice_iter(&read("tls.crt")?).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(&read("tls.key")?)?;
    let mut tls = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let acceptor = TlsAcceptor::from(Arc::new(tls(&arguments)?));
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port))).await?;
    let router = Router::new().route("/mutate--v1-pod", post(allow));
    loop {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            if let Ok(stream) = acceptor.accept(tcp).await {
                // A connection that breaks ends here; its client knows.
                let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            }
        });
    }
}
