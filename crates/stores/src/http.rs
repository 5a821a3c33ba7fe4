//! Any system as a store: a small HTTPS protocol.
//!
//! `GET <url>/v1/secrets/<encoded id>` answers 200 with `{"value": "…"}` or `{"value_base64": "…"}`, and a missing
//! secret is 404 with `{"error": {"code": "not_found"}}`. The whole protocol is in `docs/http-store.md`, a server of it
//! in `examples/http-store`.

mod answer;

use std::path::PathBuf;
use std::time::Duration;

use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::value::SecretValue;
use futures::future::BoxFuture;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use crate::fetcher::{FailureClass, FetchError, SecretFetcher};
use crate::https::{Call, Https, Network, SettingsError, TlsFiles, base_url, encoded_segment, read_credential};

/// Where the server is and who asks it.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// `https://host[:port][/path]`; `/v1/secrets/…` is added.
    pub url: String,
    /// A file with a bearer token, read for every request, because others renew it.
    pub token_file: Option<PathBuf>,
    /// Our certificate chain in PEM, for servers that ask for one; with [`HttpSettings::client_key`].
    pub client_cert: Option<PathBuf>,
    /// The key of that certificate in PEM.
    pub client_key: Option<PathBuf>,
    /// Roots to trust beside the platform's, in PEM.
    pub ca_file: Option<PathBuf>,
    /// The longest that one secret may take.
    pub timeout: Duration,
}

impl HttpSettings {
    /// No credentials, 10 seconds.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            token_file: None,
            client_cert: None,
            client_key: None,
            ca_file: None,
            timeout: Duration::from_secs(10),
        }
    }
}

/// A server that speaks the protocol.
pub struct HttpStore {
    https: Https,
    /// Up to the id, with a `/` at its end.
    secrets: String,
    token_file: Option<PathBuf>,
    timeout: Duration,
}

impl HttpStore {
    /// A store; nothing is asked yet.
    ///
    /// # Errors
    /// If the URL or a certificate cannot be used, or a certificate comes without its key.
    pub fn new(settings: HttpSettings) -> Result<Self, SettingsError> {
        let HttpSettings { url, token_file, client_cert, client_key, ca_file, timeout } = settings;
        let url = base_url("url", &url)?;
        let plain = url.scheme() == "http";
        let client = match (client_cert, client_key) {
            (None, None) => None,
            (Some(_), Some(_)) if plain => {
                return Err(SettingsError::Combination("a client certificate needs an https:// url".to_owned()));
            }
            (Some(certificate), Some(key)) => Some((certificate, key)),
            _ => return Err(SettingsError::Combination("clientCert and clientKey only work together".to_owned())),
        };
        let https = Https::new(TlsFiles { ca: ca_file, client }, Network { plain, ..Network::default() })?;
        let secrets = format!("{}/v1/secrets/", url.as_str().trim_end_matches('/'));
        Ok(Self { https, secrets, token_file, timeout })
    }

    async fn fetch(&self, id: &SecretId) -> Result<SecretValue, FetchError> {
        let url = Url::parse(&format!("{}{}", self.secrets, encoded_segment(id)))
            .map_err(|_| FetchError::new(FailureClass::Unavailable, "the id makes no URL"))?;
        let call = Call { method: Method::GET, url, headers: self.headers().await?, body: None };
        answer::value(&self.https.send(call).await?, id)
    }

    async fn headers(&self) -> Result<HeaderMap, FetchError> {
        let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        if let Some(path) = &self.token_file {
            let token = read_credential("bearer token", path).await?;
            let value = Zeroizing::new(format!("Bearer {}", token.expose_secret()));
            let mut value = HeaderValue::from_str(&value).map_err(|_| {
                let detail = format!("{} holds characters that no bearer token has", path.display());
                FetchError::new(FailureClass::Denied, detail)
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(headers)
    }
}

impl SecretFetcher for HttpStore {
    fn name(&self) -> &'static str {
        "Http"
    }

    fn get<'a>(&'a self, id: &'a SecretId) -> BoxFuture<'a, Result<SecretValue, FetchError>> {
        Box::pin(async move {
            let late = |_| {
                let milliseconds = self.timeout.as_millis();
                FetchError::new(FailureClass::Late, format!("the server did not answer within {milliseconds} ms"))
            };
            tokio::time::timeout(self.timeout, self.fetch(id)).await.map_err(late)?
        })
    }
}
