//! Google's client and its credentials, and new ones where those gave up.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use google_cloud_auth::credentials::{Builder as DefaultCredentials, Credentials, anonymous};
use google_cloud_gax::client_builder::internal::with_follow_redirects;
use google_cloud_gax::error::Error;
use google_cloud_gax::retry_policy::NeverRetry;
use google_cloud_secretmanager_v1::client::SecretManagerService;
use tokio::time::Instant;

use super::{GcpSettings, GcpSettingsError, failure};
use crate::cloud;

/// How long credentials are left alone before they are replaced because of a failure.
const RENEWAL: Duration = Duration::from_secs(30);

/// A client that is replaced when its credentials are of no use any more.
///
/// Credentials of Google's library that met a failure which it holds for final (an identity that is not bound yet, a
/// key that was withdrawn) repeat that failure for ever, whatever is repaired outside.
#[derive(Debug)]
pub(super) struct GcpClient {
    settings: GcpSettings,
    made: RwLock<(SecretManagerService, Instant)>,
}

impl GcpClient {
    /// A client with credentials; the settings have been checked.
    pub(super) async fn new(settings: GcpSettings) -> Result<Self, GcpSettingsError> {
        let client = make(&settings).await?;
        Ok(Self { settings, made: RwLock::new((client, Instant::now())) })
    }

    /// The project whose secrets are asked for.
    pub(super) fn project(&self) -> &str {
        &self.settings.project
    }

    /// Asks, and once more with new credentials where those in use are of no use any more.
    pub(super) async fn call<T, F>(&self, ask: impl Fn(SecretManagerService) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let answer = ask(self.current()).await;
        // Without a token nothing was asked.
        match answer {
            Err(error) if failure::is_for_good_with_these_credentials(&error) => match self.renewed().await {
                Some(client) => ask(client).await,
                None => Err(error),
            },
            answer => answer,
        }
    }

    /// The client to ask with.
    fn current(&self) -> SecretManagerService {
        self.made.read().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// A client with new credentials, unless those in use are new themselves or others cannot be made.
    async fn renewed(&self) -> Option<SecretManagerService> {
        {
            let mut made = self.made.write().unwrap_or_else(PoisonError::into_inner);
            if made.1.elapsed() < RENEWAL {
                return None;
            }
            // Whoever else meets the failure now does not make a client of its own.
            made.1 = Instant::now();
        }
        let client = make(&self.settings).await.ok()?;
        self.made.write().unwrap_or_else(PoisonError::into_inner).0 = client.clone();
        Some(client)
    }
}

async fn make(settings: &GcpSettings) -> Result<SecretManagerService, GcpSettingsError> {
    // Whoever asks a store retries; retries in here would multiply.
    let mut client = SecretManagerService::builder()
        .with_credentials(credentials(settings.anonymous)?)
        .with_retry_policy(NeverRetry)
        .with_attempt_timeout(settings.timeout);
    if let Some(endpoint) = cloud::set(settings.endpoint.as_deref()) {
        client = client.with_endpoint(endpoint);
    }
    // A redirect could lead to another host.
    let client = with_follow_redirects(client, false).build();
    match tokio::time::timeout(settings.timeout, client).await {
        Ok(client) => client.map_err(|error| GcpSettingsError::Client(error.to_string())),
        Err(_) => Err(GcpSettingsError::Client("the metadata server does not answer".to_owned())),
    }
}

fn credentials(anonymous: bool) -> Result<Credentials, GcpSettingsError> {
    if anonymous {
        return Ok(anonymous::Builder::new().build());
    }
    DefaultCredentials::default().build().map_err(|error| {
        // The library's own words may quote the file.
        GcpSettingsError::Credentials(if error.is_loading() {
            "their file cannot be opened"
        } else if error.is_parsing() {
            "their file cannot be read as JSON of credentials"
        } else if error.is_unknown_type() || error.is_not_supported() {
            "their type is not known"
        } else {
            "something is missing in their file"
        })
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn credentials_are_replaced_at_most_every_thirty_seconds() {
        let endpoint = Some("http://127.0.0.1:9".to_owned());
        let settings = GcpSettings { endpoint, anonymous: true, ..GcpSettings::new("p") };
        let client = GcpClient::new(settings).await.unwrap();
        assert!(client.renewed().await.is_none());
        tokio::time::advance(RENEWAL).await;
        assert!(client.renewed().await.is_some());
        assert!(client.renewed().await.is_none());
    }
}
