//! The `GCP` fetcher of Flyte's Embedded manager: GCP Secret Manager.
//!
//! A secret is `projects/<project>/secrets/<encoded id>`, its value the payload of the version `latest`
//! (`flyteplugins/go/tasks/pluginmachinery/secret/gcp_secrets.go` of Flyte 2). Needed is the role
//! `roles/secretmanager.secretAccessor` **on the project**: Google answers "denied" and not "not found" for a missing
//! secret to who may read single secrets only, and that ends a look-up at its first scope.
//!
//! Credentials are Google's Application Default Credentials: `GOOGLE_APPLICATION_CREDENTIALS`, gcloud's file, or
//! the metadata server (GKE's workload identity). The client uses the proxy of `HTTPS_PROXY` (but for the hosts of
//! `NO_PROXY`) and trusts the system's certificates or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`. It speaks
//! HTTP/1.1 with JSON. Its logs hold no answers. The length of an answer is bounded by the time that it may
//! take only; Google's own limit for a value is 64 KiB.

use std::sync::Arc;
use std::time::Duration;

use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::value::SecretValue;
use futures::future::BoxFuture;
use google_cloud_secretmanager_v1::model::SecretPayload;

use self::client::GcpClient;
use crate::cloud::{self, DEFAULT_TIMEOUT, Endpoint, InvalidEndpoint};
use crate::fetcher::{FailureClass, FetchError, SecretFetcher};

mod claim;
mod client;
mod failure;
mod write;
mod write_api;
mod write_failure;

pub use self::write::GcpWriter;

/// The longest name of a secret, in characters (`projects.secrets.create` in Google's API reference).
const MAX_NAME: usize = 255;

/// Where the secrets are, and how to ask for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GcpSettings {
    /// The project's id (`my-project`) or number.
    pub project: String,
    /// The URL of a private endpoint or a test server; without one, Google's own over HTTPS.
    pub endpoint: Option<String>,
    /// Ask without credentials, for a test server; needs an endpoint.
    pub anonymous: bool,
    /// How long one question may take, fetching a token included.
    pub timeout: Duration,
}

impl GcpSettings {
    /// The secrets of a project: Google's endpoint, default credentials, 10 s for a question.
    #[must_use]
    pub fn new(project: impl Into<String>) -> Self {
        Self { project: project.into(), endpoint: None, anonymous: false, timeout: DEFAULT_TIMEOUT }
    }
}

/// Settings with which no store can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GcpSettingsError {
    /// The project cannot be one.
    #[error("{0:?} is no GCP project: write its id (my-project) or its number")]
    InvalidProject(String),
    /// The endpoint cannot be used.
    #[error(transparent)]
    Endpoint(#[from] InvalidEndpoint),
    /// Google answers nobody without credentials.
    #[error("without credentials only an endpoint set by hand can be asked; set the endpoint, or allow credentials")]
    AnonymousAtGoogle,
    /// The credentials that are set cannot be used.
    #[error(
        "the GCP credentials cannot be used: {0}; check the file that GOOGLE_APPLICATION_CREDENTIALS names, or unset \
         it where the platform gives an identity"
    )]
    Credentials(&'static str),
    /// The client cannot be made.
    #[error("no client of GCP Secret Manager can be made: {0}")]
    Client(String),
}

/// The secrets of one project of GCP Secret Manager.
#[derive(Clone, Debug)]
pub struct GcpStore {
    client: Arc<GcpClient>,
    timeout: Duration,
}

impl GcpStore {
    /// A store with Application Default Credentials. May ask the metadata server for the kind of cloud it is in.
    ///
    /// Must be called on a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`GcpSettingsError`] if a setting or the credentials cannot be used.
    pub async fn new(settings: GcpSettings) -> Result<Self, GcpSettingsError> {
        let timeout = settings.timeout;
        Ok(Self { client: Arc::new(connect(settings).await?), timeout })
    }

    async fn fetch(&self, name: &str) -> Result<SecretValue, FetchError> {
        let project = self.client.project();
        let version = format!("projects/{project}/secrets/{name}/versions/latest");
        let answer = self.client.call(|client| client.access_secret_version().set_name(&version).send()).await;
        value(answer.map_err(|error| failure::of_call(&error, project))?.payload)
    }
}

impl SecretFetcher for GcpStore {
    fn name(&self) -> &'static str {
        "GCP"
    }

    fn get<'a>(&'a self, id: &'a SecretId) -> BoxFuture<'a, Result<SecretValue, FetchError>> {
        Box::pin(async move {
            let name = secret_name(id)?;
            let late = |_| {
                let detail = format!("GCP did not answer within {} ms", self.timeout.as_millis());
                FetchError::new(FailureClass::Late, detail)
            };
            tokio::time::timeout(self.timeout, self.fetch(&name)).await.map_err(late)?
        })
    }
}

/// A client with the credentials that the settings ask for.
async fn connect(settings: GcpSettings) -> Result<GcpClient, GcpSettingsError> {
    if !is_project(&settings.project) {
        return Err(GcpSettingsError::InvalidProject(settings.project));
    }
    let endpoint = cloud::set(settings.endpoint.as_deref());
    match endpoint.map(cloud::check_endpoint).transpose()? {
        None if settings.anonymous => return Err(GcpSettingsError::AnonymousAtGoogle),
        Some(Endpoint { encrypted: false, loopback: false }) if !settings.anonymous => {
            return Err(InvalidEndpoint::TokenInTheClear.into());
        }
        _ => {}
    }
    GcpClient::new(settings).await
}

/// The value of a version. Like Flyte, this takes an empty payload as an empty value.
fn value(payload: Option<SecretPayload>) -> Result<SecretValue, FetchError> {
    let Some(payload) = payload else {
        let detail = "the secret is there and its latest version has no payload; add a version";
        return Err(FetchError::new(FailureClass::Empty, detail));
    };
    let intact = payload.data_crc32c.is_none_or(|sum| sum == i64::from(crc32c::crc32c(&payload.data)));
    // Nobody else holds the bytes, so they are moved and not copied.
    let value = SecretValue::binary(payload.data.into());
    if intact {
        Ok(value)
    } else {
        let detail = "the value does not fit the checksum (CRC32C) that GCP sent with it";
        Err(FetchError::new(FailureClass::Malformed, detail))
    }
}

/// The name of a secret; an id that no secret can have is not sent.
fn secret_name(id: &SecretId) -> Result<String, FetchError> {
    let name = id.to_string();
    if name.len() <= MAX_NAME && name.bytes().all(is_name_character) {
        return Ok(name);
    }
    let detail = "GCP was not asked: no secret there can have this name; \
                  names have at most 255 characters of A-Z a-z 0-9 _ -";
    Err(FetchError::new(FailureClass::NotFound, detail))
}

/// Whether a name of a secret may hold this character (`projects.secrets.create` in Google's API reference).
fn is_name_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// Whether a text can be a project's id, with a domain before it if it is an old one, or its number.
fn is_project(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:".contains(&byte);
    (1..=128).contains(&text.len())
        && text.bytes().all(plain)
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.ends_with(|last: char| last.is_ascii_alphanumeric())
}

#[cfg(test)]
#[path = "gcp/tests.rs"]
mod tests;
