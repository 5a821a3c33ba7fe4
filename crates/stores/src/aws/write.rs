//! AWS Secrets Manager as a store that secrets are written to.
//!
//! * A secret is made in one call, with its value and two tags; a new value is one call too. So nothing is ever half-written.
//! * Calls carry an idempotency token (`ClientRequestToken`), which is why they are repeated, at most twice, where an answer was
//!   lost: AWS takes a repetition for what it is.
//! * New values and deletions name the secret by its ARN, which belongs to this very secret and to none that is made under the
//!   same name later.
//! * A deletion is for good, at once: a secret that waits for its deletion would hide the one of a wider scope from tasks.
//! * A secret that somebody else has marked for deletion counts as missing, but keeps its name; it is left for its owner to
//!   restore.

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::retry::RetryConfig;
use aws_sdk_secretsmanager::primitives::{Blob, DateTime};
use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, SecretListEntry, Tag};
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::value::SecretValue;
use futures::future::BoxFuture;
use secrecy::ExposeSecret;

use super::{AwsSettings, AwsSettingsError, MAX_NAME, client, default_chain, is_name_character, write_failure};
use crate::writer::{NewSecret, Page, PageRequest, SecretKind, SecretMetadata, SecretWriter, WriteError, WriteFailure};
use crate::writing::{ATTEMPTS, MAX_LISTED, Names, check_new_value, check_value, in_time, overtaken, pause, too_many};

const STORE: &str = "AWS Secrets Manager";
/// The tag of every secret that is made here.
const MANAGED: (&str, &str) = ("app.flyte.org/managed", "true");
/// The tag that tells image-pull secrets from others.
const PULL: (&str, &str) = ("union.ai/secret-type", "image-pull-secret");
/// How many secrets AWS tells in one call, at most (`ListSecrets` in AWS's API reference).
const PAGE: i32 = 100;
/// How often a call is sent.
const TRIES: u32 = 3;

const NAMES: Names =
    Names { store: STORE, allowed: is_name_character, alphabet: "A-Z a-z 0-9 / _ + = . @ -", longest: MAX_NAME };

/// The secrets of one account and region of AWS Secrets Manager, to be written.
///
/// Needs the actions `secretsmanager:CreateSecret`, `TagResource`, `DescribeSecret`, `PutSecretValue` and `DeleteSecret` on the
/// secrets (`u__org__*`), `secretsmanager:ListSecrets`, and with a key of one's own `kms:GenerateDataKey` and `kms:Decrypt`; none
/// that reads a value.
///
/// A list costs one call for every 100 secrets of its scope, and AWS may leave out what was written in the last five minutes.
/// Everything else tells what is there now.
#[derive(Clone, Debug)]
pub struct AwsWriter {
    client: Client,
    timeout: Duration,
}

/// A secret that is there.
struct Found {
    arn: String,
    metadata: SecretMetadata,
}

impl AwsWriter {
    /// A store with the credentials of the SDK's default chain, as [`super::AwsStore::new`]; `batch` of the settings has no
    /// meaning. What is asked of it fails after the timeout of the settings as [`WriteFailure::Late`].
    ///
    /// # Errors
    ///
    /// [`AwsSettingsError`] if no region is known, or a setting cannot be used.
    pub async fn new(settings: AwsSettings) -> Result<Self, AwsSettingsError> {
        Self::with_config(&default_chain(&settings).await, settings)
    }

    /// A store with credentials, and where `settings` do not say, region and endpoint, of the SDK's configuration.
    ///
    /// # Errors
    ///
    /// As [`AwsWriter::new`].
    pub fn with_config(sdk: &SdkConfig, settings: AwsSettings) -> Result<Self, AwsSettingsError> {
        let retries = RetryConfig::standard().with_max_attempts(TRIES);
        Ok(Self { client: client(sdk, &settings, retries)?, timeout: settings.timeout })
    }

    async fn add(&self, secret: &NewSecret) -> Result<(), WriteError> {
        let name = NAMES.name(&secret.id)?;
        check_value(STORE, &secret.value, secret.kind)?;
        for attempt in 0..ATTEMPTS {
            pause(attempt).await;
            match self.create_once(&name, secret).await {
                // AWS takes a moment to forget a secret that was deleted for good.
                Err(error) if error.failure() == WriteFailure::Conflict && attempt + 1 < ATTEMPTS => {}
                other => return other,
            }
        }
        Err(overtaken(&name))
    }

    async fn create_once(&self, name: &str, secret: &NewSecret) -> Result<(), WriteError> {
        let call = self.client.create_secret().name(name).set_tags(Some(tags(secret.kind)));
        let (text, bytes) = value(&secret.value);
        let call = call.set_secret_string(text).set_secret_binary(bytes).send().await;
        call.map(drop).map_err(|error| {
            write_failure::of_call(&error, "secretsmanager:CreateSecret and secretsmanager:TagResource")
        })
    }

    async fn replace(&self, secret: &NewSecret) -> Result<(), WriteError> {
        let name = NAMES.name(&secret.id)?;
        check_value(STORE, &secret.value, secret.kind)?;
        for attempt in 0..ATTEMPTS {
            pause(attempt).await;
            let Found { arn, metadata } = self.found(&secret.id, &name).await?;
            check_new_value(STORE, metadata.kind, secret)?;
            let (text, bytes) = value(&secret.value);
            let call = self.client.put_secret_value().secret_id(arn).set_secret_string(text).set_secret_binary(bytes);
            let put = call.send().await.map(drop);
            match put.map_err(|error| write_failure::of_call(&error, "secretsmanager:PutSecretValue")) {
                // It was deleted meanwhile, and perhaps made anew.
                Err(error) if error.failure() == WriteFailure::NotFound => {}
                other => return other,
            }
        }
        Err(overtaken(&name))
    }

    async fn remove(&self, id: &SecretId) -> Result<(), WriteError> {
        let Found { arn, .. } = self.found(id, &NAMES.name(id)?).await?;
        let call = self.client.delete_secret().secret_id(arn).force_delete_without_recovery(true).send().await;
        call.map(drop).map_err(|error| write_failure::of_call(&error, "secretsmanager:DeleteSecret"))
    }

    async fn found(&self, id: &SecretId, name: &str) -> Result<Found, WriteError> {
        let call = self.client.describe_secret().secret_id(name).send().await;
        let found = call.map_err(|error| write_failure::of_call(&error, "secretsmanager:DescribeSecret"))?;
        if found.deleted_date.is_some() {
            return Err(marked(name));
        }
        match (found.arn, found.name) {
            (Some(arn), Some(answered)) if answered == name => {
                let metadata = metadata(id.clone(), found.tags.as_deref(), found.created_date);
                Ok(Found { arn, metadata })
            }
            _ => Err(WriteError::new(WriteFailure::Unavailable, "AWS answered with something else than the secret")),
        }
    }

    async fn all(&self, scope: &SecretId) -> Result<Vec<SecretMetadata>, WriteError> {
        let prefix = Filter::builder().key(FilterNameStringType::Name).values(format!("{}__", scope.prefix())).build();
        let (mut all, mut next) = (Vec::new(), None);
        loop {
            let call = self.client.list_secrets().filters(prefix.clone()).max_results(PAGE).set_next_token(next);
            let page = call.send().await;
            let page = page.map_err(|error| write_failure::of_call(&error, "secretsmanager:ListSecrets"))?;
            all.extend(page.secret_list.unwrap_or_default().into_iter().filter_map(listed));
            next = page.next_token.filter(|token| !token.is_empty());
            if all.len() > MAX_LISTED {
                return Err(too_many());
            }
            if next.is_none() {
                return Ok(all);
            }
        }
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, WriteError>>) -> Result<T, WriteError> {
        in_time("AWS", self.timeout, work).await
    }
}

impl SecretWriter for AwsWriter {
    fn name(&self) -> &'static str {
        "AWS"
    }

    fn check(&self, id: &SecretId) -> Result<(), WriteError> {
        NAMES.name(id).map(drop)
    }

    fn create<'a>(&'a self, secret: &'a NewSecret) -> BoxFuture<'a, Result<(), WriteError>> {
        Box::pin(self.in_time(self.add(secret)))
    }

    fn update<'a>(&'a self, secret: &'a NewSecret) -> BoxFuture<'a, Result<(), WriteError>> {
        Box::pin(self.in_time(self.replace(secret)))
    }

    fn delete<'a>(&'a self, id: &'a SecretId) -> BoxFuture<'a, Result<(), WriteError>> {
        Box::pin(self.in_time(self.remove(id)))
    }

    fn describe<'a>(&'a self, id: &'a SecretId) -> BoxFuture<'a, Result<SecretMetadata, WriteError>> {
        Box::pin(self.in_time(async move { Ok(self.found(id, &NAMES.name(id)?).await?.metadata) }))
    }

    fn list<'a>(&'a self, scope: &'a SecretId, page: PageRequest) -> BoxFuture<'a, Result<Page, WriteError>> {
        Box::pin(self.in_time(async move { Ok(Page::of(self.all(scope).await?, scope, &page)) }))
    }
}

/// The value as the SDK takes it: text stays text, as the fetcher tells it from bytes.
fn value(value: &SecretValue) -> (Option<String>, Option<Blob>) {
    match value {
        SecretValue::Text(text) => (Some(text.expose_secret().to_owned()), None),
        SecretValue::Binary(bytes) => (None, Some(Blob::new(bytes.expose_secret()))),
    }
}

fn tags(kind: SecretKind) -> Vec<Tag> {
    let tag = |(key, value): (&str, &str)| Tag::builder().key(key).value(value).build();
    let pull = (kind == SecretKind::ImagePull).then(|| tag(PULL));
    std::iter::once(tag(MANAGED)).chain(pull).collect()
}

fn metadata(id: SecretId, tags: Option<&[Tag]>, created: Option<DateTime>) -> SecretMetadata {
    let is_pull = |tag: &Tag| (tag.key(), tag.value()) == (Some(PULL.0), Some(PULL.1));
    let kind = if tags.unwrap_or_default().iter().any(is_pull) { SecretKind::ImagePull } else { SecretKind::Generic };
    let seconds = created.and_then(|time| u64::try_from(time.secs()).ok());
    let created = seconds.and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    SecretMetadata { id, kind, created }
}

/// A secret of a list; others than Flyte's are left out, and such as wait for their deletion.
fn listed(entry: SecretListEntry) -> Option<SecretMetadata> {
    let id = SecretId::decode(&entry.name?).ok().filter(|_| entry.deleted_date.is_none())?;
    Some(metadata(id, entry.tags.as_deref(), entry.created_date))
}

fn marked(name: &str) -> WriteError {
    let detail = format!(
        "the secret {name} is marked for deletion; restore it by `aws secretsmanager restore-secret`, or delete it for good by \
         `aws secretsmanager delete-secret --force-delete-without-recovery`"
    );
    WriteError::new(WriteFailure::NotFound, detail)
}
