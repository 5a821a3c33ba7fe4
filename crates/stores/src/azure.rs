//! The `Azure` fetcher of Flyte's Embedded manager: the secrets of one Azure Key Vault.
//!
//! The id is encoded as Key Vault's names allow, and the value stands in a JSON envelope
//! ([`flyte_secrets_core::azure_key_vault`]); the latest version counts. The official SDK asks, over our own HTTP client:
//! bounded answers, no redirects, the store's own roots. It sends no token before Key Vault has named
//! its audience, and checks that the audience belongs to the vault's domain.

mod failure;
mod identity;
mod known;
mod transport;
mod write;
mod write_failure;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use azure_security_keyvault_secrets::{SecretClient, SecretClientOptions};
use flyte_secrets_core::azure_key_vault::{decode_value, encode_name};
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::value::SecretValue;
use futures::future::BoxFuture;
use serde::Deserialize;
use zeroize::Zeroizing;

use self::identity::Identity;
use self::transport::Transports;
pub use self::write::AzureWriter;
use crate::fetcher::{FailureClass, FetchError, SecretFetcher};
use crate::https::{SettingsError, base_url};

/// Where the vault is and how to reach it.
#[derive(Clone, Debug)]
pub struct AzureSettings {
    /// `https://<name>.vault.azure.net`, or the same of another Azure cloud.
    pub vault_uri: String,
    /// Roots to trust beside the platform's, in PEM, for the vault and for the token endpoint.
    pub ca_file: Option<PathBuf>,
    /// Addresses for host names, instead of the DNS: for a private endpoint without a private DNS zone.
    /// Port 0 is the one of the URL.
    pub hosts: Vec<(String, SocketAddr)>,
    /// The longest that one secret may take, the token included.
    pub timeout: Duration,
}

impl AzureSettings {
    /// The public DNS and roots, 10 seconds.
    #[must_use]
    pub fn new(vault_uri: impl Into<String>) -> Self {
        Self { vault_uri: vault_uri.into(), ca_file: None, hosts: Vec::new(), timeout: Duration::from_secs(10) }
    }
}

/// The secrets of one Key Vault, read with the identity that the environment gives.
///
/// The first of these that the environment holds is the identity, and no other is tried when it fails:
/// workload identity (`AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, `AZURE_FEDERATED_TOKEN_FILE`), the managed identity of App
/// Service (`IDENTITY_ENDPOINT`, `IDENTITY_HEADER`), a client secret (`AZURE_TENANT_ID`, `AZURE_CLIENT_ID`,
/// `AZURE_CLIENT_SECRET`). If it holds none, the managed identity of the machine is tried, then the Azure CLI.
pub struct AzureStore {
    client: SecretClient,
    timeout: Duration,
}

impl AzureStore {
    /// A store with the identity of this process; nothing is asked yet.
    ///
    /// # Errors
    /// If the URI or a certificate cannot be used.
    pub fn new(settings: AzureSettings) -> Result<Self, SettingsError> {
        Self::with_environment(settings, &|name| std::env::var(name).ok())
    }

    /// The same with other environment variables than this process has.
    ///
    /// # Errors
    /// If the URI or a certificate cannot be used.
    pub fn with_environment(
        settings: AzureSettings,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        Ok(Self { client: client(&settings, variable)?, timeout: settings.timeout })
    }

    async fn fetch(&self, id: &SecretId) -> Result<SecretValue, FetchError> {
        let name = name(id)?;
        let answer = self.client.get_secret(&name, None).await.map_err(|error| failure::of(&error, &name))?;
        value(&answer.into_body(), &name)
    }
}

impl SecretFetcher for AzureStore {
    fn name(&self) -> &'static str {
        "Azure"
    }

    fn get<'a>(&'a self, id: &'a SecretId) -> BoxFuture<'a, Result<SecretValue, FetchError>> {
        Box::pin(async move {
            let late = |_| {
                let milliseconds = self.timeout.as_millis();
                FetchError::new(FailureClass::Late, format!("Key Vault did not answer within {milliseconds} ms"))
            };
            tokio::time::timeout(self.timeout, self.fetch(id)).await.map_err(late)?
        })
    }
}

/// The SDK's client, over ours.
fn client(settings: &AzureSettings, variable: &dyn Fn(&str) -> Option<String>) -> Result<SecretClient, SettingsError> {
    let uri = base_url("vaultURI", &settings.vault_uri)?;
    if uri.scheme() != "https" {
        let problem = "Azure's SDK sends tokens over TLS only".to_owned();
        return Err(SettingsError::Address { setting: "vaultURI", problem });
    }
    let transports = Transports::new(settings, variable("AZURE_AUTHORITY_HOST"))?;
    let options = SecretClientOptions { client_options: transports.vault(), ..SecretClientOptions::default() };
    let identity = Arc::new(Identity::of(variable, transports));
    let unusable = |error: azure_core::Error| SettingsError::Client(error.to_string());
    SecretClient::new(uri.as_str(), identity, Some(options)).map_err(unusable)
}

fn name(id: &SecretId) -> Result<String, FetchError> {
    possible_name(id).map_err(|why| FetchError::new(FailureClass::NotFound, format!("no such secret can exist: {why}")))
}

/// The name of the secret, if Key Vault can have one: 1 to 127 letters, digits and `-`.
fn possible_name(id: &SecretId) -> Result<String, String> {
    let name = encode_name(id).map_err(|error| error.to_string())?;
    match name.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '-') {
        None => Ok(name),
        Some(c) => Err(format!(
            "the organization, domain or project holds {c:?}, and a name in Key Vault has only letters, digits and -"
        )),
    }
}

/// The part of a secret bundle that is needed.
#[derive(Deserialize)]
struct Bundle {
    value: Option<Zeroizing<String>>,
}

/// The value in a secret bundle. The parser's own messages may quote it, so they are not passed on.
fn value(body: &[u8], name: &str) -> Result<SecretValue, FetchError> {
    let malformed = |what: &str| FetchError::new(FailureClass::Malformed, format!("secret {name}: {what}"));
    let bundle: Bundle =
        serde_json::from_slice(body).map_err(|_| malformed("Key Vault's answer is not a secret in JSON"))?;
    match bundle.value {
        Some(stored) if !stored.is_empty() => decode_value(&stored).map_err(|error| malformed(&error.to_string())),
        _ => Err(FetchError::new(FailureClass::Empty, format!("the secret {name} has no value"))),
    }
}
