//! A KV engine of version 2 as a store that secrets are written to.
//!
//! * Every write is one request with the version that it is made on top of (`cas`), so of two writers one comes first and the
//!   other looks again. The kind of a secret is a field beside its value, and comes and goes with it.
//! * A new value changes the fields of the value and leaves others as they are.
//! * A deletion is for good, with all versions. What others have deleted with its versions kept (`vault kv delete`) counts as
//!   missing; a secret that is made there becomes the next version.
//! * No value is read: what a secret is made of is asked for without its values (`subkeys`).
//!
//! Source: `/api/secret/kv/kv-v2` of the HTTP API of Vault and OpenBao.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::value::SecretValue;
use futures::future::{BoxFuture, ready};
use futures::{StreamExt, TryStreamExt, stream};
use secrecy::ExposeSecret;
use serde::Serialize;
use zeroize::Zeroizing;

use super::api::{Api, Request};
use super::folder;
use super::sessions::Sessions;
use super::settings::{KvVersion, VaultSettings};
use super::write_answer::{self as answer, PULL_FIELD, Present, Seen, Written};
use crate::https::{Answer, SettingsError, encoded_segment};
use crate::turns::Turns;
use crate::writer::{
    NewSecret, Page, PageRequest, SecretKind, SecretMetadata, SecretWriter, WriteError, WriteFailure, is_within,
};
use crate::writing::{
    ATTEMPTS, MAX_LISTED, Names, as_in_reading, check_kept_kind, check_kind, in_time, invalid, overtaken, pause,
    too_many,
};

/// The largest request, in bytes of JSON: one entry of the integrated storage has room for 1 MiB (`max_entry_size`).
const MAX_REQUEST: usize = 1_000_000;
/// So many secrets of a list are asked for at once.
const CONCURRENT_READS: usize = 8;

const NAMES: Names = Names {
    store: "Vault",
    allowed: |byte| matches!(byte, b' '..=b'~') && byte != b'/',
    alphabet: "printable characters of ASCII without `/`",
    // Far below the limit of every storage but Consul's, which has 512 for all of a path.
    longest: 512,
};

/// The secrets below one path of a KV engine of version 2, to be written with an identity of our own.
///
/// Needs a policy with `create`, `update` and `patch` on `<mount>/data/<prefix>/*`, `read` on `<mount>/subkeys/<prefix>/*`, and `read`,
/// `list` and `delete` on `<mount>/metadata/<prefix>/*`; none that reads a value.
///
/// A list costs one request, and one for each secret of the page, two for those that were changed; deleted ones in between cost
/// one as well.
pub struct VaultWriter {
    sessions: Arc<Sessions>,
    data: Place,
    subkeys: Place,
    metadata: Place,
    text_field: String,
    base64_field: String,
    timeout: Duration,
    turns: Turns,
}

/// A part of the engine.
struct Place {
    /// The path of a secret up to its last `/`, encoded.
    folder: String,
    /// The same as it stands in a policy, without the `/`.
    policy: String,
}

impl Place {
    fn new(settings: &VaultSettings, part: &str) -> Result<Self, SettingsError> {
        let VaultSettings { mount, path_prefix, .. } = settings;
        let prefix = if path_prefix.is_empty() { String::new() } else { format!("/{path_prefix}") };
        Ok(Self { folder: folder(settings, part)?, policy: format!("{mount}/{part}{prefix}") })
    }

    fn of(&self, id: &SecretId) -> String {
        format!("{}{}", self.folder, encoded_segment(id))
    }
}

/// A write that is done only on top of a version.
#[derive(Serialize)]
struct Write<'a> {
    options: Options,
    /// A field without a value is removed, where a secret is changed.
    data: BTreeMap<&'a str, Option<&'a str>>,
}

#[derive(Serialize)]
struct Options {
    /// The latest version; 0 where there is none.
    cas: u64,
}

impl VaultWriter {
    /// A store; nothing is asked yet. What is asked of it fails after the timeout of the settings as [`WriteFailure::Late`].
    ///
    /// # Errors
    ///
    /// If the address, a path or a certificate cannot be used, or the engine is one of version 1: that one knows no versions, so
    /// no write could be checked.
    pub fn new(settings: VaultSettings) -> Result<Self, SettingsError> {
        if settings.kv_version == KvVersion::V1 {
            let problem = "kvVersion: an engine of version 1 cannot tell two writers apart, so secrets are not written to it; use one \
                           of version 2 (`vault kv enable-versioning` makes it one)";
            return Err(SettingsError::Combination(problem.to_owned()));
        }
        let place = |part| Place::new(&settings, part);
        Ok(Self {
            data: place("data")?,
            subkeys: place("subkeys")?,
            metadata: place("metadata")?,
            text_field: settings.field.clone(),
            base64_field: format!("{}_base64", settings.field),
            timeout: settings.timeout,
            turns: Turns::default(),
            sessions: Arc::new(Sessions::new(Api::new(&settings)?, &settings)?),
        })
    }

    async fn add(&self, secret: &NewSecret) -> Result<(), WriteError> {
        let name = NAMES.name(&secret.id)?;
        check_size(secret)?;
        check_kind(&secret.value, secret.kind)?;
        let _turn = self.turns.take(&secret.id).await;
        let mut cas = 0;
        for attempt in 0..ATTEMPTS {
            pause(attempt).await;
            let body = self.fields(secret, cas, Some(secret.kind))?;
            match self.put(Request::post(self.data.of(&secret.id), body)).await? {
                Written::Done => return Ok(()),
                Written::Overtaken => {}
            }
            cas = match self.seen(&secret.id).await? {
                Seen::Present(_) => return Err(present(&name)),
                Seen::Deleted { version } => version,
                Seen::Nothing => 0,
            };
        }
        Err(overtaken(&name))
    }

    async fn replace(&self, secret: &NewSecret) -> Result<(), WriteError> {
        let name = NAMES.name(&secret.id)?;
        check_size(secret)?;
        let _turn = self.turns.take(&secret.id).await;
        for attempt in 0..ATTEMPTS {
            pause(attempt).await;
            let found = self.found(&secret.id).await?;
            check_kept_kind(found.kind, secret)?;
            let body = self.fields(secret, found.version, None)?;
            if self.put(Request::patch(self.data.of(&secret.id), body)).await? == Written::Done {
                return Ok(());
            }
        }
        Err(overtaken(&name))
    }

    async fn remove(&self, id: &SecretId) -> Result<(), WriteError> {
        NAMES.name(id)?;
        let _turn = self.turns.take(id).await;
        self.found(id).await?;
        let answer = self.send(Request::delete(self.metadata.of(id))).await?;
        answer::deleted(&answer, &self.metadata.policy)
    }

    async fn described(&self, id: &SecretId) -> Result<SecretMetadata, WriteError> {
        NAMES.name(id)?;
        let Present { version, kind, changed } = self.found(id).await?;
        let created = if version == 1 { changed } else { self.created(id).await? };
        Ok(SecretMetadata { id: id.clone(), kind, created })
    }

    async fn page(&self, scope: &SecretId, request: &PageRequest) -> Result<Page, WriteError> {
        let ids = self.ids(scope, request.after.as_deref()).await?;
        let found = stream::iter(ids).map(|id| self.listed(id)).buffered(CONCURRENT_READS);
        let found = found.try_filter_map(|secret| ready(Ok(secret)));
        // One more than the page has tells whether there is another one.
        let found: Vec<SecretMetadata> = found.take(request.limit.saturating_add(1)).try_collect().await?;
        Ok(Page::of(found, scope, request))
    }

    /// The ids of a scope behind one of them, in their order; those of deleted secrets are among them.
    async fn ids(&self, scope: &SecretId, after: Option<&str>) -> Result<Vec<SecretId>, WriteError> {
        let answer = self.send(Request::get(format!("{}?list=true", self.metadata.folder))).await?;
        let mut names = answer::names(&answer, &self.metadata.policy)?;
        names.retain(|name| after.is_none_or(|after| name.as_str() > after));
        names.sort_unstable();
        let ids = names.into_iter().filter_map(|name| {
            let id = SecretId::decode(&name).ok()?;
            (is_within(&id, scope) && NAMES.name(&id).is_ok()).then_some(id)
        });
        let ids: Vec<SecretId> = ids.collect();
        if ids.len() > MAX_LISTED { Err(too_many()) } else { Ok(ids) }
    }

    /// A secret of a list; `None` if it is gone.
    async fn listed(&self, id: SecretId) -> Result<Option<SecretMetadata>, WriteError> {
        match self.described(&id).await {
            Err(error) if error.failure() == WriteFailure::NotFound => Ok(None),
            other => other.map(Some),
        }
    }

    async fn found(&self, id: &SecretId) -> Result<Present, WriteError> {
        match self.seen(id).await? {
            Seen::Present(found) => Ok(found),
            Seen::Deleted { .. } | Seen::Nothing => Err(missing(id)),
        }
    }

    async fn seen(&self, id: &SecretId) -> Result<Seen, WriteError> {
        answer::seen(&self.send(Request::get(self.subkeys.of(id))).await?, &self.subkeys.policy)
    }

    async fn created(&self, id: &SecretId) -> Result<Option<std::time::SystemTime>, WriteError> {
        answer::created(&self.send(Request::get(self.metadata.of(id))).await?, &self.metadata.policy)
    }

    async fn put(&self, request: Request) -> Result<Written, WriteError> {
        answer::written(&self.send(request).await?, &self.data.policy)
    }

    async fn send(&self, request: Request) -> Result<Answer, WriteError> {
        self.sessions.send(&request).await.map_err(|failure| as_in_reading(&failure))
    }

    /// The body of a write: of a new secret with its kind, of one that is there without.
    fn fields(&self, secret: &NewSecret, cas: u64, kind: Option<SecretKind>) -> Result<Zeroizing<Vec<u8>>, WriteError> {
        let encoded;
        let (field, other, value) = match &secret.value {
            SecretValue::Text(text) => (&self.text_field, &self.base64_field, text.expose_secret()),
            SecretValue::Binary(bytes) => {
                encoded = Zeroizing::new(BASE64.encode(bytes.expose_secret()));
                (&self.base64_field, &self.text_field, encoded.as_str())
            }
        };
        let mut data = BTreeMap::from([(field.as_str(), Some(value))]);
        match kind {
            Some(SecretKind::ImagePull) => drop(data.insert(PULL_FIELD, Some("true"))),
            Some(SecretKind::Generic) => {}
            None => drop(data.insert(other, None)),
        }
        // Large enough for any escaping, so that growing leaves no copies behind.
        let mut json = Zeroizing::new(Vec::with_capacity(value.len().saturating_mul(6) + 1024));
        serde_json::to_writer(&mut *json, &Write { options: Options { cas }, data })
            .map_err(|_| invalid("the value cannot be written as JSON"))?;
        check_length(json.len())?;
        Ok(json)
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, WriteError>>) -> Result<T, WriteError> {
        in_time("Vault", self.timeout, work).await
    }
}

impl SecretWriter for VaultWriter {
    fn name(&self) -> &'static str {
        "Vault"
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
        Box::pin(self.in_time(self.described(id)))
    }

    fn list<'a>(&'a self, scope: &'a SecretId, page: PageRequest) -> BoxFuture<'a, Result<Page, WriteError>> {
        Box::pin(self.in_time(async move { self.page(scope, &page).await }))
    }
}

/// What can be told without encoding the value.
fn check_size(secret: &NewSecret) -> Result<(), WriteError> {
    check_length(secret.value.expose_bytes().len())
}

fn check_length(bytes: usize) -> Result<(), WriteError> {
    if bytes <= MAX_REQUEST {
        return Ok(());
    }
    Err(invalid(format!("the value takes {bytes} bytes as JSON or as it is; Vault has room for {MAX_REQUEST}")))
}

fn present(name: &str) -> WriteError {
    WriteError::new(WriteFailure::AlreadyExists, format!("there is a secret {name} in Vault"))
}

fn missing(id: &SecretId) -> WriteError {
    WriteError::new(WriteFailure::NotFound, format!("there is no secret {id} in Vault"))
}
