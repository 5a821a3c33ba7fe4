//! Who asks: the identity that the environment gives, as the SDK knows no chain for programs in production.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::Error;
use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind;
use azure_identity::{
    AzureCliCredential, ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions,
    ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential,
    WorkloadIdentityCredentialOptions,
};
use tokio::time::{Instant, timeout};

use super::failure::ours;
use super::transport::Transports;
use crate::fetcher::{FailureClass, FetchError};

/// How long a failure is the answer for everybody.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest that the machine's identity endpoint may take before there is none.
const MACHINE_TIMEOUT: Duration = Duration::from_secs(3);

/// An identity, or several to try until one works.
pub(super) struct Identity {
    sources: Vec<Source>,
    transports: Transports,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The credential that gave a token; it stays.
    chosen: Option<Arc<dyn TokenCredential>>,
    failure: Option<(Instant, FetchError)>,
}

/// Where a token can come from.
enum Source {
    Workload { tenant: String, client: String, token_file: PathBuf },
    AppService { client: Option<String> },
    ClientSecret { tenant: String, client: String, secret: Secret },
    Machine { client: Option<String> },
    Cli,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.sources.iter().map(Source::name)).finish()
    }
}

impl Identity {
    /// The identity of these environment variables. The first that is complete is taken and no other, so that
    /// a failure of the one never makes us act as somebody else.
    pub(super) fn of(variable: &dyn Fn(&str) -> Option<String>, transports: Transports) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let client = set("AZURE_CLIENT_ID");
        let principal = set("AZURE_TENANT_ID").zip(client.clone());
        let sources = match (principal, set("AZURE_FEDERATED_TOKEN_FILE"), set("AZURE_CLIENT_SECRET")) {
            (Some((tenant, client)), Some(file), _) => {
                vec![Source::Workload { tenant, client, token_file: file.into() }]
            }
            _ if set("IDENTITY_ENDPOINT").is_some() && set("IDENTITY_HEADER").is_some() => {
                vec![Source::AppService { client }]
            }
            (Some((tenant, client)), None, Some(secret)) => {
                vec![Source::ClientSecret { tenant, client, secret: Secret::new(secret) }]
            }
            _ => vec![Source::Machine { client }, Source::Cli],
        };
        Self { sources, transports, state: Mutex::default() }
    }

    async fn token(&self, scopes: &[&str]) -> Result<AccessToken, FetchError> {
        let chosen = {
            let state = self.state();
            if let Some((until, error)) = &state.failure
                && Instant::now() < *until
            {
                return Err(error.clone());
            }
            state.chosen.clone()
        };
        let token = match chosen {
            Some(credential) => credential.get_token(scopes, None).await.map_err(|error| failure(&error)),
            None => self.choose(scopes).await,
        };
        let failure = token.as_ref().err().map(|error| (Instant::now() + PAUSE, error.clone()));
        self.state().failure = failure;
        token
    }

    /// Asks each source until one gives a token.
    async fn choose(&self, scopes: &[&str]) -> Result<AccessToken, FetchError> {
        let mut tried = Vec::new();
        let mut class = FailureClass::Denied;
        for source in &self.sources {
            match source.token(scopes, &self.transports).await {
                Ok((token, credential)) => {
                    self.state().chosen = Some(credential);
                    return Ok(token);
                }
                Err(error) => {
                    if error.retryable() && !matches!(source, Source::Machine { .. }) {
                        class = error.class();
                    }
                    tried.push(format!("{}: {}", source.name(), error.detail()));
                }
            }
        }
        let detail = format!("no token for Key Vault; tried {}", tried.join("; "));
        Err(FetchError::new(class, detail))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl TokenCredential for Identity {
    async fn get_token(&self, scopes: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        self.token(scopes).await.map_err(|error| {
            let text = error.to_string();
            Error::with_error(ErrorKind::Credential, error, text)
        })
    }
}

impl Source {
    const fn name(&self) -> &'static str {
        match self {
            Self::Workload { .. } => "workload identity",
            Self::AppService { .. } => "managed identity of App Service",
            Self::ClientSecret { .. } => "client secret",
            Self::Machine { .. } => {
                "managed identity of the machine (the environment names no other: neither AZURE_FEDERATED_TOKEN_FILE nor \
                 AZURE_CLIENT_SECRET with AZURE_TENANT_ID and AZURE_CLIENT_ID)"
            }
            Self::Cli => "Azure CLI",
        }
    }

    async fn token(
        &self,
        scopes: &[&str],
        transports: &Transports,
    ) -> Result<(AccessToken, Arc<dyn TokenCredential>), FetchError> {
        let credential = self.credential(transports).map_err(|error| failure(&error))?;
        let token = async { credential.get_token(scopes, None).await.map_err(|error| failure(&error)) };
        let token = if matches!(self, Self::Machine { .. }) {
            let none = |_| FetchError::new(FailureClass::Unavailable, "there is none, or it does not answer");
            timeout(MACHINE_TIMEOUT, token).await.map_err(none)?
        } else {
            token.await
        };
        token.map(|token| (token, credential))
    }

    /// The SDK's credential. Made when it is needed: one of them reads its file at once.
    fn credential(&self, transports: &Transports) -> azure_core::Result<Arc<dyn TokenCredential>> {
        let managed = |client: &Option<String>, client_options| {
            let user_assigned_id = client.clone().map(UserAssignedId::ClientId);
            ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions { user_assigned_id, client_options }))
        };
        Ok(match self {
            Self::Workload { tenant, client, token_file } => {
                WorkloadIdentityCredential::new(Some(WorkloadIdentityCredentialOptions {
                    credential_options: ClientAssertionCredentialOptions { client_options: transports.authority() },
                    client_id: Some(client.clone()),
                    tenant_id: Some(tenant.clone()),
                    token_file_path: Some(token_file.clone()),
                }))?
            }
            Self::ClientSecret { tenant, client, secret } => {
                let options = ClientSecretCredentialOptions { client_options: transports.authority() };
                ClientSecretCredential::new(tenant, client.clone(), secret.clone(), Some(options))?
            }
            Self::AppService { client } | Self::Machine { client } => managed(client, transports.machine())?,
            Self::Cli => AzureCliCredential::new(None)?,
        })
    }
}

/// Why a credential gave no token. Texts about an answer that could not be read may quote the token in it,
/// so they are not passed on.
fn failure(error: &Error) -> FetchError {
    if let Some(ours) = ours(error) {
        return ours.clone();
    }
    let innermost = innermost(error);
    match innermost.kind() {
        ErrorKind::HttpResponse { status, .. } => {
            let status = u16::from(*status);
            let class = match status {
                429 => FailureClass::Throttled,
                500.. => FailureClass::Unavailable,
                _ => FailureClass::Denied,
            };
            FetchError::new(class, format!("refused ({status}): {innermost}"))
        }
        ErrorKind::DataConversion => FetchError::new(FailureClass::Malformed, "an answer that is no token"),
        _ => FetchError::new(FailureClass::Denied, innermost.to_string()),
    }
}

/// The error of the SDK that was the first.
fn innermost(error: &Error) -> &Error {
    let mut innermost = error;
    while let Some(inner) = innermost.downcast_ref::<Error>() {
        innermost = inner;
    }
    innermost
}
