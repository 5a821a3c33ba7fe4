//! The client.

use std::time::Duration;

use http::header::USER_AGENT;
use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use kube::config::InferConfigError;

/// How long a connection to the API server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the API server may stay silent while we wait for an answer, and how long it may take to read ours.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// The same for a watch. The API server ends one after five minutes (`timeoutSeconds`).
const WATCH_TIMEOUT: Duration = Duration::from_secs(330);

/// Our name in audit logs and in the `managedFields` of what we write.
const OUR_NAME: HeaderValue = HeaderValue::from_static(concat!("flyte-secrets/", env!("CARGO_PKG_VERSION")));

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Neither a kubeconfig nor a service account was found, or it cannot be used.
    #[error(
        "no way to the Kubernetes API: {0}; set KUBECONFIG, or run in a pod with `automountServiceAccountToken: true`"
    )]
    Config(#[source] Box<InferConfigError>),
    /// The configuration was found and no connection can be built from it (a bad certificate, say).
    #[error("the configuration for the Kubernetes API cannot be used: {0}")]
    Build(#[source] Box<kube::Error>),
}

/// A client for short requests, configured by `KUBECONFIG`, `~/.kube/config` or the pod's service account.
///
/// A connection may take 5 s and the answer 10 s. The client does not repeat requests by itself: its own policy
/// would wait for minutes, and every caller here knows better when to try again. Watches need [`watching_client`].
/// With a kubeconfig it goes through its `proxy-url`, else through the proxy of `HTTPS_PROXY` unless `NO_PROXY` excepts the
/// API server, as kubectl does; in a pod through none.
///
/// # Errors
///
/// When no configuration is found or it cannot be used; no request is sent.
pub async fn client() -> Result<kube::Client, ClientError> {
    client_with(READ_TIMEOUT).await
}

/// As [`client`], for watches: the API server may be silent for five and a half minutes.
///
/// # Errors
///
/// As [`client`].
pub async fn watching_client() -> Result<kube::Client, ClientError> {
    client_with(WATCH_TIMEOUT).await
}

async fn client_with(read_timeout: Duration) -> Result<kube::Client, ClientError> {
    let mut config = kube::Config::infer().await.map_err(|error| ClientError::Config(Box::new(error)))?;
    config.proxy_url = proxy(config.proxy_url, &config.cluster_url, &|name| std::env::var(name).ok());
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(read_timeout);
    config.write_timeout = Some(READ_TIMEOUT);
    // The time that a pooled connection was idle does not count.
    config.reset_reader_on_write = true;
    config.default_retry = false;
    config.headers.push((USER_AGENT, OUR_NAME));
    kube::Client::try_from(config).map_err(|error| ClientError::Build(Box::new(error)))
}

/// kube's choice of a proxy without the one that `NO_PROXY` excepts the API server from: kube holds the list against the
/// proxy's own host. A kubeconfig's `proxy-url` is for every API server.
fn proxy(chosen: Option<Uri>, api_server: &Uri, variable: &dyn Fn(&str) -> Option<String>) -> Option<Uri> {
    let first = |names: [&str; 2]| names.into_iter().filter_map(variable).find(|value| !value.is_empty());
    let Some(of_environment) = first(["HTTPS_PROXY", "https_proxy"]) else { return chosen };
    let excepted = first(["NO_PROXY", "no_proxy"]).unwrap_or_default();
    let rules = Matcher::builder().all(of_environment.as_str()).no(excepted).build();
    chosen.filter(|proxy| of_environment.parse().ok().as_ref() != Some(proxy) || rules.intercept(api_server).is_some())
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
