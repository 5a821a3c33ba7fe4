//! The `AWS` fetcher of Flyte's Embedded manager: AWS Secrets Manager.
//!
//! A secret's name is the encoded id, its value what the stage `AWSCURRENT` holds
//! (`flyteplugins/go/tasks/pluginmachinery/secret/aws_secrets.go` of Flyte 2). Needed is the action
//! `secretsmanager:GetSecretValue` on the secrets, and `kms:Decrypt` where a key of one's own encrypts them.
//! With `secretsmanager:BatchGetSecretValue` too, ids that are asked for at the same time share a call.
//!
//! Credentials and region come from the AWS SDK's default chain: environment variables, profile files, the
//! web identity of a ServiceAccount (IRSA), EKS Pod Identity and ECS tasks, and the instance's metadata. `SSO` and
//! `credential_process` of profiles are left out. The SDK uses the proxy of `HTTPS_PROXY` (but for the hosts of
//! `NO_PROXY`), trusts the system's certificates or those of `SSL_CERT_FILE` and `SSL_CERT_DIR` (it does not know
//! `AWS_CA_BUNDLE`), and follows no redirects.
//!
//! The SDK's own logs hold no values at any level, unless somebody sets `LOG_SENSITIVE_BODIES=true`, but session tokens
//! of this process at the level `TRACE`: see [`TARGETS_THAT_TRACE_CREDENTIALS`].

use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_secretsmanager::config::retry::RetryConfig;
use aws_sdk_secretsmanager::config::timeout::TimeoutConfig;
use aws_sdk_secretsmanager::{Client, config};
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::value::SecretValue;
use futures::future::BoxFuture;

use self::answer_limit::AnswerLimit;
use self::api::Api;
use self::batch::Batches;
use crate::cloud::{self, DEFAULT_TIMEOUT, InvalidEndpoint};
use crate::fetcher::{FailureClass, FetchError, SecretFetcher};

mod answer_limit;
mod api;
mod batch;
mod failure;
mod write;
mod write_failure;

pub use self::write::AwsWriter;

/// Targets of the SDK's logs that show the session token of this process at the level `TRACE`. A program that lets
/// people choose the level of its logs has to keep these at `DEBUG`.
pub const TARGETS_THAT_TRACE_CREDENTIALS: &[&str] = &["aws_sigv4", "aws_smithy_runtime"];

/// The longest name of a secret, in characters (`CreateSecret` in AWS's API reference).
const MAX_NAME: usize = 512;

/// Where the secrets are, and how to ask for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsSettings {
    /// The region, `eu-central-1` say; without one, that of the environment, the profile or the instance.
    pub region: Option<String>,
    /// The URL of a private endpoint or a test server; without one, `AWS_ENDPOINT_URL_SECRETS_MANAGER` and
    /// `AWS_ENDPOINT_URL` count, then AWS's own endpoint of the region, over HTTPS.
    pub endpoint: Option<String>,
    /// How long one question may take, fetching credentials included; default 10 s.
    pub timeout: Duration,
    /// Whether ids that wait at the same time share a call (`BatchGetSecretValue`); default yes. Where that action
    /// is not allowed, they are asked for one by one.
    pub batch: bool,
}

impl Default for AwsSettings {
    fn default() -> Self {
        Self { region: None, endpoint: None, timeout: DEFAULT_TIMEOUT, batch: true }
    }
}

/// Settings with which no store can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AwsSettingsError {
    /// No region is known.
    #[error("no AWS region is known: set it in the configuration, or AWS_REGION")]
    NoRegion,
    /// The region cannot be one.
    #[error("{0:?} is no AWS region: small letters, digits and -, such as eu-central-1")]
    InvalidRegion(String),
    /// The endpoint cannot be used.
    #[error(transparent)]
    Endpoint(#[from] InvalidEndpoint),
}

/// The secrets of one account and region of AWS Secrets Manager.
#[derive(Clone, Debug)]
pub struct AwsStore {
    api: Arc<Api>,
    batches: Option<Batches>,
    timeout: Duration,
}

impl AwsStore {
    /// A store with the credentials of the SDK's default chain. Asks nothing yet but, where no region is set,
    /// the instance's metadata for it.
    ///
    /// Must be called on a Tokio runtime; the store works as long as that runs.
    ///
    /// # Errors
    ///
    /// [`AwsSettingsError`] if no region is known, or a setting cannot be used.
    pub async fn new(settings: AwsSettings) -> Result<Self, AwsSettingsError> {
        Self::with_config(&default_chain(&settings).await, settings)
    }

    /// A store with credentials, and where `settings` do not say, region and endpoint, of the SDK's configuration.
    ///
    /// Must be called on a Tokio runtime; the store works as long as that runs.
    ///
    /// # Errors
    ///
    /// As [`AwsStore::new`].
    pub fn with_config(sdk: &SdkConfig, settings: AwsSettings) -> Result<Self, AwsSettingsError> {
        // Whoever asks a store retries; retries in here would multiply.
        let client = client(sdk, &settings, RetryConfig::disabled())?;
        let AwsSettings { timeout, batch, .. } = settings;
        let api = Arc::new(Api::new(client));
        let batches = batch.then(|| Batches::start(Arc::clone(&api), timeout));
        Ok(Self { api, batches, timeout })
    }
}

impl SecretFetcher for AwsStore {
    fn name(&self) -> &'static str {
        "AWS"
    }

    fn get<'a>(&'a self, id: &'a SecretId) -> BoxFuture<'a, Result<SecretValue, FetchError>> {
        Box::pin(async move {
            let name = secret_name(id)?;
            let answer = async {
                match &self.batches {
                    Some(batches) => batches.get(name).await,
                    None => self.api.get(&name).await,
                }
            };
            let late = |_| {
                let detail = format!("AWS did not answer within {} ms", self.timeout.as_millis());
                FetchError::new(FailureClass::Late, detail)
            };
            tokio::time::timeout(self.timeout, answer).await.map_err(late)?
        })
    }
}

/// The SDK's configuration by its default chain.
async fn default_chain(settings: &AwsSettings) -> SdkConfig {
    let mut chain = aws_config::defaults(BehaviorVersion::latest());
    if let Some(region) = cloud::set(settings.region.as_deref()) {
        chain = chain.region(Region::new(region.to_owned()));
    }
    chain.load().await
}

/// A client with credentials, and where `settings` do not say, region and endpoint, of the SDK's configuration.
fn client(sdk: &SdkConfig, settings: &AwsSettings, retries: RetryConfig) -> Result<Client, AwsSettingsError> {
    let region = cloud::set(settings.region.as_deref()).or(sdk.region().map(AsRef::as_ref));
    let region = region.ok_or(AwsSettingsError::NoRegion)?;
    if !is_region(region) {
        return Err(AwsSettingsError::InvalidRegion(region.to_owned()));
    }
    let endpoint = cloud::set(settings.endpoint.as_deref());
    // The SDK takes an endpoint of the environment as it is, so it is looked at here too.
    endpoint.or(sdk.endpoint_url()).map(cloud::check_endpoint).transpose()?;
    let timeout = settings.timeout;
    let mut config = config::Builder::from(sdk)
        .region(Region::new(region.to_owned()))
        .retry_config(retries)
        .timeout_config(TimeoutConfig::builder().connect_timeout(timeout).operation_timeout(timeout).build())
        .interceptor(AnswerLimit);
    if let Some(endpoint) = endpoint {
        config = config.endpoint_url(endpoint);
    }
    Ok(Client::from_conf(config.build()))
}

/// The name of a secret; an id that no secret can have is not sent.
///
/// A name that begins with `arn:` would be taken for an ARN; an encoded id always begins with `u__`.
fn secret_name(id: &SecretId) -> Result<String, FetchError> {
    let name = id.to_string();
    if name.len() <= MAX_NAME && name.bytes().all(is_name_character) {
        return Ok(name);
    }
    let detail = "AWS was not asked: no secret there can have this name; \
                  names have at most 512 characters of A-Z a-z 0-9 / _ + = . @ -";
    Err(FetchError::new(FailureClass::NotFound, detail))
}

/// Whether a name of a secret may hold this character (`CreateSecret` in AWS's API reference).
fn is_name_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/_+=.@-".contains(&byte)
}

/// Whether a text can stand in the host name of an endpoint, as a region does.
fn is_region(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
#[path = "aws/tests.rs"]
mod tests;
