//! The SDK's HTTP, done by our client.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::cloud::CustomConfiguration;
use azure_core::error::ErrorKind;
use azure_core::http::headers::{HeaderName, HeaderValue, Headers};
use azure_core::http::{AsyncRawResponse, Body, ClientOptions, HttpClient, Method, Request, RetryOptions, Transport};
use azure_core::{Bytes, Error};
use reqwest::header::HeaderMap;
use zeroize::Zeroizing;

use super::AzureSettings;
use crate::fetcher::{FailureClass, FetchError};
use crate::https::{Call, Https, Network, SettingsError, TlsFiles};

/// The machine's identity endpoint is a hop away, or not there.
const MACHINE_TIMEOUT: Duration = Duration::from_secs(1);

/// How the SDK reaches everything it asks.
pub(super) struct Transports {
    /// The vault and the token endpoint.
    outside: Transport,
    /// The identity endpoint of the machine: never through a proxy, and given up early.
    machine: Transport,
    /// The token endpoint's host, where it is not that of the public cloud.
    authority: Option<String>,
}

impl Transports {
    pub(super) fn new(settings: &AzureSettings, authority: Option<String>) -> Result<Self, SettingsError> {
        let files = || TlsFiles { ca: settings.ca_file.clone(), client: None };
        let outside = Network { hosts: settings.hosts.clone(), ..Network::default() };
        let machine =
            Network { plain: true, no_proxy: true, connect_timeout: Some(MACHINE_TIMEOUT), ..Network::default() };
        Ok(Self {
            outside: transport(Https::new(files(), outside)?),
            machine: transport(Https::new(TlsFiles::default(), machine)?),
            authority,
        })
    }

    /// For the vault: no retries, those are the caller's business.
    pub(super) fn vault(&self) -> ClientOptions {
        Self::options(&self.outside)
    }

    /// For the token endpoint.
    pub(super) fn authority(&self) -> ClientOptions {
        let cloud = self.authority.clone().map(|authority| {
            let mut cloud = CustomConfiguration::default();
            cloud.authority_host = authority;
            Arc::new(cloud.into())
        });
        ClientOptions { cloud, ..Self::options(&self.outside) }
    }

    /// For the machine's identity endpoint.
    pub(super) fn machine(&self) -> ClientOptions {
        Self::options(&self.machine)
    }

    fn options(transport: &Transport) -> ClientOptions {
        ClientOptions { transport: Some(transport.clone()), retry: RetryOptions::none(), ..ClientOptions::default() }
    }
}

fn transport(https: Https) -> Transport {
    Transport::new(Arc::new(Client(https)))
}

struct Client(Https);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let call = call(request).map_err(|error| wrapped(ErrorKind::Other, error))?;
        let answer = self.0.send(call).await.map_err(|error| wrapped(ErrorKind::Io, error))?;
        let text = |value: &reqwest::header::HeaderValue| value.to_str().map(str::to_owned).ok();
        let headers = answer.headers.iter().filter_map(|(name, value)| {
            Some((HeaderName::from(name.as_str().to_owned()), HeaderValue::from(text(value)?)))
        });
        let headers = Headers::from(headers.collect::<std::collections::HashMap<_, _>>());
        // Wiped when the SDK drops it.
        Ok(AsyncRawResponse::from_bytes(answer.status.into(), headers, Bytes::from_owner(answer.body)))
    }
}

fn call(request: &Request) -> Result<Call, FetchError> {
    let impossible = |what: &str| FetchError::new(FailureClass::Unavailable, what);
    let method = match request.method() {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Delete => reqwest::Method::DELETE,
        _ => return Err(impossible("no request for a secret or a token has this method")),
    };
    let mut headers = HeaderMap::new();
    for (name, value) in request.headers().iter() {
        let name = reqwest::header::HeaderName::from_bytes(name.as_str().as_bytes());
        let name = name.map_err(|_| impossible("a header's name is none"))?;
        let mut value = reqwest::header::HeaderValue::from_str(value.as_str())
            .map_err(|_| impossible("a credential holds characters that no header can hold"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    let body = match request.body() {
        Body::Bytes(bytes) if bytes.is_empty() => None,
        Body::Bytes(bytes) => Some(Zeroizing::new(bytes.to_vec())),
        Body::SeekableStream(_) => return Err(impossible("no request streams a body")),
    };
    Ok(Call { method, url: request.url().clone(), headers, body })
}

/// Our error inside the SDK's, where [`super::failure`] finds it again.
fn wrapped(kind: ErrorKind, error: FetchError) -> Error {
    let text = error.to_string();
    Error::with_error(kind, error, text)
}
