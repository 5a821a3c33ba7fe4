//! Azure Key Vault as a store that secrets are written to.
//!
//! * A new value is a new version, in one call; the kind of the secret and when it was made are tags of each version.
//! * Key Vault has no condition under which a secret is set. Within one process writers take turns. Of two processes that make
//!   the same secret at the same moment at most one is told so: who has made a secret looks at its versions, and the later
//!   one of the two sees both.
//! * A vault keeps what is deleted, with its name, for weeks. So a secret ends with a version that is disabled and says so,
//!   and is deleted then; a secret of the same name is made by recovering it, which shows no old value to anybody, and setting
//!   the new one. What others have deleted may come back with its value, so that is left for them to recover or purge.
//!
//! Source: <https://learn.microsoft.com/rest/api/keyvault/secrets>.

use std::time::Duration;

use azure_core::Bytes;
use azure_core::http::RequestContent;
use azure_security_keyvault_secrets::SecretClient;
use azure_security_keyvault_secrets::models::{
    SecretClientListSecretPropertiesOptions, SecretClientListSecretPropertiesVersionsOptions, SetSecretParameters,
};
use flyte_secrets_core::azure_key_vault::{decode_name, encode_value};
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::value::SecretValue;
use futures::TryStreamExt;
use futures::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use zeroize::Zeroizing;

use super::known::{Known, Tags, end_tags, has_ended, latest_disabled, made_by_another, new_tags};
use super::write_failure::{self, Refusal};
use super::{AzureSettings, client, possible_name};
use crate::https::SettingsError;
use crate::turns::Turns;
use crate::writer::{NewSecret, Page, PageRequest, SecretMetadata, SecretWriter, WriteError, WriteFailure};
use crate::writing::{MAX_LISTED, check_kept_kind, check_kind, in_time, invalid, too_many};

/// The longest value, in bytes of what Key Vault holds: "a maximum size of 25k bytes"
/// (<https://learn.microsoft.com/azure/key-vault/secrets/about-secrets>).
const MAX_VALUE: usize = 25 * 1024;
/// How many secrets or versions Key Vault tells in one call, at most.
const PAGE: i32 = 25;
/// How often a secret is set that is just being deleted or recovered. The store's timeout ends it earlier.
const ATTEMPTS: u32 = 100;
/// The wait in between: Key Vault needs some seconds.
const PAUSE: Duration = Duration::from_millis(300);

/// The secrets of one Key Vault, to be written with the identity that the environment gives, as in [`super::AzureStore`].
///
/// Needs the role `Key Vault Secrets Officer` on the vault, or with access policies the permissions Get, List, Set, Delete and
/// Recover of secrets. To tell what is there the latest version is asked for, and its value skipped.
///
/// A list costs one call for every 25 secrets of the vault, whoever's they are.
pub struct AzureWriter {
    client: SecretClient,
    timeout: Duration,
    turns: Turns,
}

/// What is there under a name.
enum Seen {
    /// A secret, whose latest version this is.
    Present(Known),
    /// The end of a secret that is not deleted yet: somebody was interrupted.
    Ended,
    /// Nothing, or a deleted secret.
    Nothing,
}

/// The body of a new version.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Version<'a> {
    value: &'a str,
    tags: &'a Tags,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    attributes: Attributes,
}

#[derive(Serialize)]
struct Attributes {
    enabled: bool,
}

impl AzureWriter {
    /// A store with the identity of this process; nothing is asked yet. What is asked of it fails after the timeout of the settings
    /// as [`WriteFailure::Late`]; to make a secret whose name was deleted before takes Key Vault several seconds.
    ///
    /// # Errors
    ///
    /// If the URI or a certificate cannot be used.
    pub fn new(settings: AzureSettings) -> Result<Self, SettingsError> {
        Self::with_environment(settings, &|name| std::env::var(name).ok())
    }

    /// The same with other environment variables than this process has.
    ///
    /// # Errors
    ///
    /// If the URI or a certificate cannot be used.
    pub fn with_environment(
        settings: AzureSettings,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let timeout = settings.timeout;
        Ok(Self { client: client(&settings, variable)?, timeout, turns: Turns::default() })
    }

    async fn add(&self, secret: &NewSecret) -> Result<(), WriteError> {
        let name = name(&secret.id)?;
        let value = stored(&secret.value)?;
        check_kind(&secret.value, secret.kind)?;
        let _turn = self.turns.take(&secret.id).await;
        if let Seen::Present(_) = self.seen(&name).await? {
            return Err(WriteError::new(WriteFailure::AlreadyExists, format!("there is a secret {name}")));
        }
        let tags = new_tags(secret.kind);
        let version = Version { value: value.expose_secret(), tags: &tags, content_type: None, attributes: ENABLED };
        self.make(&name, &version).await?;
        if made_by_another(&self.versions(&name).await?, &tags) {
            let detail = format!(
                "another process has made the secret {name} at the same moment; Key Vault keeps both values as versions, and \
                 the later one counts, which may be the other's: look, and update it"
            );
            return Err(WriteError::new(WriteFailure::Unavailable, detail));
        }
        Ok(())
    }

    /// Sets a secret that is not there, after recovering a deleted one of its name.
    async fn make(&self, name: &str, version: &Version<'_>) -> Result<(), WriteError> {
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            match self.set(name, version).await {
                Ok(()) => return Ok(()),
                Err(Refusal::Deleted) => self.recover(name).await?,
                Err(Refusal::Changing) => {}
                Err(refusal) => return Err(refusal.into_error(name)),
            }
        }
        Err(Refusal::Changing.into_error(name))
    }

    /// Begins to recover a secret that was deleted with its end set.
    async fn recover(&self, name: &str) -> Result<(), WriteError> {
        let has_ended = match self.client.get_deleted_secret(name, None).await {
            Ok(answer) => has_ended(&answer.into_body()).ok_or_else(|| malformed(name))?,
            Err(error) => {
                return match write_failure::of(&error, name, "Get") {
                    // It is recovered or purged by now, or about to be.
                    Refusal::Missing | Refusal::Deleted | Refusal::Changing => Ok(()),
                    refusal => Err(refusal.into_error(name)),
                };
            }
        };
        if !has_ended {
            return Err(kept(name));
        }
        match self.client.recover_deleted_secret(name, None).await {
            Ok(_) => Ok(()),
            Err(error) => match write_failure::of(&error, name, "Recover") {
                Refusal::Missing | Refusal::Deleted | Refusal::Changing => Ok(()),
                refusal => Err(refusal.into_error(name)),
            },
        }
    }

    async fn replace(&self, secret: &NewSecret) -> Result<(), WriteError> {
        let name = name(&secret.id)?;
        let value = stored(&secret.value)?;
        let _turn = self.turns.take(&secret.id).await;
        let found = self.found(&name).await?;
        check_kept_kind(found.kind(), secret)?;
        let (value, tags, content_type) = (value.expose_secret(), &found.next_tags(), found.content_type.as_deref());
        let version = Version { value, tags, content_type, attributes: ENABLED };
        self.set(&name, &version).await.map_err(|refusal| refusal.into_error(&name))
    }

    async fn remove(&self, id: &SecretId) -> Result<(), WriteError> {
        let name = name(id)?;
        let _turn = self.turns.take(id).await;
        match self.seen(&name).await? {
            Seen::Nothing => Err(Refusal::Missing.into_error(&name)),
            Seen::Ended => {
                self.delete_name(&name).await?;
                Err(Refusal::Missing.into_error(&name))
            }
            Seen::Present(_) => {
                let (value, tags) = (encode_value(&SecretValue::text(String::new())), &end_tags());
                let attributes = Attributes { enabled: false };
                let end = Version { value: value.expose_secret(), tags, content_type: None, attributes };
                self.set(&name, &end).await.map_err(|refusal| refusal.into_error(&name))?;
                self.delete_name(&name).await
            }
        }
    }

    async fn delete_name(&self, name: &str) -> Result<(), WriteError> {
        let deleted = self.client.delete_secret(name, None).await;
        deleted.map(drop).map_err(|error| write_failure::of(&error, name, "Delete").into_error(name))
    }

    async fn set(&self, name: &str, version: &Version<'_>) -> Result<(), Refusal> {
        // Large enough for any escaping, so that growing leaves no copies behind.
        let mut json = Zeroizing::new(Vec::with_capacity(version.value.len() * 6 + (16 << 10)));
        serde_json::to_writer(&mut *json, version)
            .map_err(|_| Refusal::Failed(invalid("the value cannot be written as JSON")))?;
        // Wiped when the SDK drops it.
        let body: RequestContent<SetSecretParameters> = Bytes::from_owner(json).into();
        let set = self.client.set_secret(name, body, None).await;
        set.map(drop).map_err(|error| write_failure::of(&error, name, "Set"))
    }

    async fn found(&self, name: &str) -> Result<Known, WriteError> {
        match self.seen(name).await? {
            Seen::Present(found) => Ok(found),
            Seen::Ended | Seen::Nothing => Err(Refusal::Missing.into_error(name)),
        }
    }

    async fn seen(&self, name: &str) -> Result<Seen, WriteError> {
        let latest = match self.client.get_secret(name, None).await {
            Ok(answer) => Known::of(&answer.into_body()).ok_or_else(|| malformed(name))?,
            Err(error) => match write_failure::of(&error, name, "Get") {
                Refusal::Missing | Refusal::Deleted => return Ok(Seen::Nothing),
                // Nothing more is told of a disabled version, but in a list.
                Refusal::Disabled => match latest_disabled(self.versions(name).await?) {
                    Some(latest) => latest,
                    None => return Err(Refusal::Changing.into_error(name)),
                },
                refusal => return Err(refusal.into_error(name)),
            },
        };
        Ok(if latest.is_end() { Seen::Ended } else { Seen::Present(latest) })
    }

    async fn versions(&self, name: &str) -> Result<Vec<Known>, WriteError> {
        let failed = |error: azure_core::Error| write_failure::of(&error, name, "List").into_error(name);
        let options = SecretClientListSecretPropertiesVersionsOptions { maxresults: Some(PAGE), ..Default::default() };
        let mut pages = self.client.list_secret_properties_versions(name, Some(options)).map_err(failed)?;
        let mut versions = Vec::new();
        while let Some(version) = pages.try_next().await.map_err(failed)? {
            versions.push(Known::from(version));
            if versions.len() > MAX_LISTED {
                let detail = format!("the secret {name} has more than {MAX_LISTED} versions; purge it");
                return Err(WriteError::new(WriteFailure::Full, detail));
            }
        }
        Ok(versions)
    }

    async fn all(&self) -> Result<Vec<SecretMetadata>, WriteError> {
        let failed = |error: azure_core::Error| write_failure::of(&error, "list", "List").into_error("list");
        let options = SecretClientListSecretPropertiesOptions { maxresults: Some(PAGE), ..Default::default() };
        let mut pages = self.client.list_secret_properties(Some(options)).map_err(failed)?;
        let (mut all, mut seen) = (Vec::new(), 0);
        while let Some(secret) = pages.try_next().await.map_err(failed)? {
            all.extend(listed(&Known::from(secret)));
            seen += 1;
            if seen > MAX_LISTED {
                return Err(too_many());
            }
        }
        Ok(all)
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, WriteError>>) -> Result<T, WriteError> {
        in_time("Key Vault", self.timeout, work).await
    }
}

const ENABLED: Attributes = Attributes { enabled: true };

impl SecretWriter for AzureWriter {
    fn name(&self) -> &'static str {
        "Azure"
    }

    fn check(&self, id: &SecretId) -> Result<(), WriteError> {
        name(id).map(drop)
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
        Box::pin(self.in_time(async move { Ok(metadata(id.clone(), &self.found(&name(id)?).await?)) }))
    }

    fn list<'a>(&'a self, scope: &'a SecretId, page: PageRequest) -> BoxFuture<'a, Result<Page, WriteError>> {
        Box::pin(self.in_time(async move { Ok(Page::of(self.all().await?, scope, &page)) }))
    }
}

/// The name of the secret, if there can be one, and only one.
fn name(id: &SecretId) -> Result<String, WriteError> {
    if id.name.is_empty() {
        return Err(invalid("the name is empty"));
    }
    if id.domain.is_empty() && !id.project.is_empty() {
        return Err(invalid("a project needs a domain"));
    }
    if [&id.org, &id.domain, &id.project].iter().any(|text| text.bytes().any(|byte| byte.is_ascii_uppercase())) {
        return Err(invalid(
            "the organization, domain or project has upper-case letters, which Key Vault does not tell from lower-case ones",
        ));
    }
    possible_name(id).map_err(invalid)
}

/// What Key Vault is to hold, if it can.
fn stored(value: &SecretValue) -> Result<SecretString, WriteError> {
    let stored = encode_value(value);
    match stored.expose_secret().len() {
        ..=MAX_VALUE => Ok(stored),
        size => Err(invalid(format!("the value takes {size} bytes in Key Vault, which holds at most {MAX_VALUE}"))),
    }
}

fn metadata(id: SecretId, known: &Known) -> SecretMetadata {
    SecretMetadata { id, kind: known.kind(), created: known.created() }
}

/// A secret of a list; others than Flyte's are left out, and those that have ended.
fn listed(known: &Known) -> Option<SecretMetadata> {
    let id = decode_name(&known.name).ok()?;
    // What no request can ask for is not told of either.
    let is_its_name = name(&id).is_ok_and(|name| name == known.name);
    (is_its_name && !known.is_end()).then(|| metadata(id, known))
}

fn malformed(name: &str) -> WriteError {
    WriteError::new(WriteFailure::Unavailable, format!("Key Vault's answer about {name} is not a secret in JSON"))
}

fn kept(name: &str) -> WriteError {
    let detail = format!(
        "the secret {name} was deleted by other means, and the vault keeps it with its name; bring it back by `az keyvault secret \
         recover`, or end it by `az keyvault secret purge`"
    );
    WriteError::new(WriteFailure::Conflict, detail)
}
