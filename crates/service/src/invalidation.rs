//! Telling the webhook that a secret has changed, so that the next pod gets the new value.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use flyte_secrets_core::encoded_id::SecretId;
use futures::future::BoxFuture;
use futures::{StreamExt, stream};
use http::uri::{Authority, Scheme};
use http::{Request, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::metrics::Metrics;

/// How long telling all replicas may take, as in Flyte's own service.
const PATIENCE: Duration = Duration::from_secs(5);
/// No more replicas than this are told; so many at once.
const MAX_REPLICAS: usize = 256;
const CONCURRENT: usize = 32;
/// The path that the webhook serves.
const PATH: &str = "/invalidate-secret";

/// Something that remembers values.
pub trait Invalidate: Send + Sync {
    /// Has it forget a secret. A failure is its own matter: the secret is written already.
    fn invalidate<'a>(&'a self, id: &'a SecretId) -> BoxFuture<'a, ()>;
}

/// The webhook in the same process, say.
impl<F: Fn(&SecretId) + Send + Sync> Invalidate for F {
    fn invalidate<'a>(&'a self, id: &'a SecretId) -> BoxFuture<'a, ()> {
        self(id);
        Box::pin(std::future::ready(()))
    }
}

/// All replicas of the webhook: every address that the host of a URL has, such as that of a headless Service.
#[derive(Clone, Debug)]
pub struct Webhooks {
    authority: Authority,
    port: u16,
    path: String,
    token_file: Option<PathBuf>,
    metrics: Metrics,
}

/// A URL under which no webhook can be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{url:?} is no address of the webhook's invalidation port, which speaks plain HTTP, as in http://flyte-secrets-invalidation:9444"
)]
pub struct InvalidWebhookUrl {
    /// The URL.
    pub url: String,
}

#[derive(Serialize)]
struct Changed<'a> {
    org: &'a str,
    domain: &'a str,
    project: &'a str,
    name: &'a str,
}

impl Webhooks {
    /// The replicas behind `url` (`secret.webhookURL`). With `token_file` each is sent the bearer token which that file holds then.
    ///
    /// # Errors
    ///
    /// [`InvalidWebhookUrl`] if it is not `http://<host>[:<port>][/<path>]`.
    pub fn new(url: &str, token_file: Option<PathBuf>, metrics: Metrics) -> Result<Self, InvalidWebhookUrl> {
        let invalid = || InvalidWebhookUrl { url: url.to_owned() };
        let parts = url.parse::<Uri>().map_err(|_| invalid())?.into_parts();
        let (Some(authority), Some(true)) = (parts.authority, parts.scheme.map(|scheme| scheme == Scheme::HTTP)) else {
            return Err(invalid());
        };
        if authority.host().is_empty() || authority.as_str().contains('@') {
            return Err(invalid());
        }
        let below = parts.path_and_query.map_or_else(String::new, |path| path.path().trim_end_matches('/').to_owned());
        let port = authority.port_u16().unwrap_or(80);
        Ok(Self { authority, port, path: format!("{below}{PATH}"), token_file, metrics })
    }

    async fn tell_all(&self, id: &SecretId) {
        let host = self.authority.host().trim_start_matches('[').trim_end_matches(']');
        let mut addresses: Vec<SocketAddr> = match tokio::net::lookup_host((host, self.port)).await {
            Ok(addresses) => addresses.take(MAX_REPLICAS).collect(),
            Err(error) => {
                self.metrics.invalidation("unresolved");
                tracing::warn!(%error, host, "the webhook's caches are not told of a change: its host has no address");
                return;
            }
        };
        addresses.sort_unstable();
        addresses.dedup();
        let SecretId { org, domain, project, name } = id;
        let changed = serde_json::to_vec(&Changed { org, domain, project, name });
        let body = Bytes::from(changed.expect("four strings always have a JSON form"));
        stream::iter(addresses).for_each_concurrent(CONCURRENT, |address| self.tell(address, body.clone())).await;
    }

    async fn tell(&self, address: SocketAddr, body: Bytes) {
        match self.send(address, body).await {
            Ok(status) if status.is_success() => self.metrics.invalidation("ok"),
            Ok(status) => {
                self.metrics.invalidation("refused");
                tracing::warn!(
                    %address, %status,
                    "a replica of the webhook does not drop a cached secret; if it asks for a token, set secret.webhookTokenFile"
                );
            }
            // `localhost` is ::1 and 127.0.0.1, and rarely is somebody at both.
            Err(error) => {
                self.metrics.invalidation("unreachable");
                tracing::warn!(%address, %error, "a replica of the webhook is not reached; it may serve the old value until it expires");
            }
        }
    }

    async fn send(
        &self,
        address: SocketAddr,
        body: Bytes,
    ) -> Result<StatusCode, Box<dyn std::error::Error + Send + Sync>> {
        let mut request = Request::post(self.path.as_str())
            .header(header::HOST, self.authority.as_str())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close");
        if let Some(file) = &self.token_file {
            let token = Zeroizing::new(tokio::fs::read_to_string(file).await?);
            let mut value = http::HeaderValue::try_from(format!("Bearer {}", token.trim()))?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        let (mut sender, connection) = http1::handshake(TokioIo::new(TcpStream::connect(address).await?)).await?;
        let request = request.body(Full::new(body))?;
        let answer = async move { sender.send_request(request).await };
        let (answer, _) = tokio::join!(answer, connection);
        Ok(answer?.status())
    }
}

impl Invalidate for Webhooks {
    fn invalidate<'a>(&'a self, id: &'a SecretId) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if timeout(PATIENCE, self.tell_all(id)).await.is_err() {
                self.metrics.invalidation("late");
                tracing::warn!(patience = ?PATIENCE, "not every replica of the webhook was told of a change in time");
            }
        })
    }
}

#[cfg(test)]
#[path = "invalidation_tests.rs"]
mod tests;
