//! GCP Secret Manager as a store that secrets are written to.
//!
//! * A secret is made in three calls: itself, with a label that says it is being made; its first version; and the label goes.
//!   Until the version is there the secret counts as missing, here and in the fetcher. Whoever was ended in between leaves the
//!   label behind; a minute at most later (three times the timeout) the same request completes the secret, and until then it is
//!   [`WriteFailure::Conflict`].
//! * Of two who make one secret, Google lets one through. A secret that was left behind is taken over by a change of its label
//!   that holds only for the etag that was read, so again by one.
//! * A new value is a new version: Google numbers them, so that of two at the same time one comes first and both are kept. Old
//!   versions stay, until somebody destroys them.
//! * A deletion is for good, at once, and Google gives the name back at once.

use std::time::{Duration, SystemTime};

use flyte_secrets_core::encoded_id::SecretId;
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt, stream};
use google_cloud_secretmanager_v1::model::Secret;

use super::claim::{self, Labels};
use super::write_api::{Api, id_of};
use super::{GcpSettings, GcpSettingsError, MAX_NAME, connect, is_name_character};
use crate::writer::{NewSecret, Page, PageRequest, SecretKind, SecretMetadata, SecretWriter, WriteError, WriteFailure};
use crate::writing::{ATTEMPTS, Names, check_new_value, check_value, in_time, overtaken, pause};

const STORE: &str = "GCP Secret Manager";
/// The label of every secret that is made here.
const MANAGED: (&str, &str) = ("flyte-managed", "true");
/// The label that tells image-pull secrets from others.
const PULL: (&str, &str) = ("flyte-secret-type", "image-pull-secret");
/// So many secrets that seem to be half made are looked at at once.
const CONCURRENT_READS: usize = 8;

const NAMES: Names = Names { store: STORE, allowed: is_name_character, alphabet: "A-Z a-z 0-9 _ -", longest: MAX_NAME };

/// The secrets of one project of GCP Secret Manager, to be written.
///
/// Needs, on the project, the permissions `secretmanager.secrets.create`, `get`, `list`, `update` and `delete`, and
/// `secretmanager.versions.add` and `get`; none that reads a value. Secrets are replicated automatically.
///
/// A list costs one call for every 1,000 secrets of its scope, and one for each that is being made. Google makes a new version
/// readable by its number at once and as `latest`, by which the fetcher asks, within moments but without a promise.
#[derive(Debug)]
pub struct GcpWriter {
    api: Api,
    timeout: Duration,
}

impl GcpWriter {
    /// A store with Application Default Credentials, as [`super::GcpStore::new`]. What is asked of it fails after the timeout of
    /// the settings as [`WriteFailure::Late`].
    ///
    /// Must be called on a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`GcpSettingsError`] if a setting or the credentials cannot be used.
    pub async fn new(settings: GcpSettings) -> Result<Self, GcpSettingsError> {
        let timeout = settings.timeout;
        Ok(Self { api: Api::new(connect(settings).await?), timeout })
    }

    async fn add(&self, secret: &NewSecret) -> Result<(), WriteError> {
        let name = NAMES.name(&secret.id)?;
        check_value(STORE, &secret.value, secret.kind)?;
        let mut wait = Duration::ZERO;
        for attempt in 0..ATTEMPTS {
            pause(attempt).await;
            let labels = self.labels_of_new(secret.kind);
            match self.api.create(&name, &labels).await {
                Ok(made) => return self.fill(&name, &made, secret).await,
                Err(error) if error.failure() == WriteFailure::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            // It may be gone by now.
            let Some(found) = self.api.get(&name).await? else { continue };
            wait = match claim::left(&found.labels, SystemTime::now()) {
                None => return Err(exists(&name)),
                Some(_) if self.api.has_version(&name).await? => return Err(exists(&name)),
                Some(left) => left,
            };
            if !wait.is_zero() {
                continue;
            }
            let labels = found.labels.clone().into_iter().filter(|(label, _)| label != PULL.0).chain(labels).collect();
            match self.api.relabel(&found, &labels).await {
                Ok(ours) => return self.fill(&name, &ours, secret).await,
                Err(error) if is_overtaken(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Err(being_made(&name, wait))
    }

    /// The second and third step of making a secret: it is `ours`, and has no version.
    async fn fill(&self, name: &str, ours: &Secret, secret: &NewSecret) -> Result<(), WriteError> {
        match self.api.add_version(name, &secret.value).await {
            Ok(()) => {
                // The secret is there, with the label or without it.
                let _ = self.settle(ours).await;
                Ok(())
            }
            Err(error) => {
                if is_refusal(error.failure()) {
                    // Nothing was added and nothing will be; if this fails too, the next one who makes the secret takes it over.
                    let _ = self.api.delete(name, &ours.etag).await;
                }
                let gone = error.failure() == WriteFailure::NotFound;
                Err(if gone { overtaken(name) } else { error })
            }
        }
    }

    async fn settle(&self, secret: &Secret) -> Result<(), WriteError> {
        let mut labels = secret.labels.clone();
        claim::remove(&mut labels);
        self.api.relabel(secret, &labels).await.map(drop)
    }

    async fn replace(&self, secret: &NewSecret) -> Result<(), WriteError> {
        let name = NAMES.name(&secret.id)?;
        check_value(STORE, &secret.value, secret.kind)?;
        for attempt in 0..ATTEMPTS {
            pause(attempt).await;
            let found = self.found(&name).await?;
            check_new_value(STORE, kind(&found), secret)?;
            match self.api.add_version(&name, &secret.value).await {
                // It was deleted meanwhile, and perhaps made anew.
                Err(error) if error.failure() == WriteFailure::NotFound => {}
                Ok(()) if claim::left(&found.labels, SystemTime::now()).is_some_and(|left| left.is_zero()) => {
                    // Its maker was ended before the last step.
                    let _ = self.settle(&found).await;
                    return Ok(());
                }
                other => return other,
            }
        }
        Err(overtaken(&name))
    }

    async fn remove(&self, id: &SecretId) -> Result<(), WriteError> {
        let name = NAMES.name(id)?;
        let found = self.api.get(&name).await?.ok_or_else(|| missing(&name))?;
        let Err(half_made) = self.check_made(&name, &found).await else { return self.api.delete(&name, "").await };
        if half_made.failure() == WriteFailure::NotFound
            && claim::left(&found.labels, SystemTime::now()).is_some_and(|left| left.is_zero())
        {
            // Left behind, and not wanted any more.
            let _ = self.api.delete(&name, &found.etag).await;
        }
        Err(half_made)
    }

    /// A secret that is there.
    async fn found(&self, name: &str) -> Result<Secret, WriteError> {
        let found = self.api.get(name).await?.ok_or_else(|| missing(name))?;
        self.check_made(name, &found).await?;
        Ok(found)
    }

    /// Whether a secret has been made, and not only half of it.
    async fn check_made(&self, name: &str, found: &Secret) -> Result<(), WriteError> {
        match claim::left(&found.labels, SystemTime::now()) {
            Some(left) if !self.api.has_version(name).await? => {
                let detail = being_made(name, left).detail().to_owned();
                Err(WriteError::new(WriteFailure::NotFound, detail))
            }
            _ => Ok(()),
        }
    }

    async fn all(&self, scope: &SecretId) -> Result<Vec<SecretMetadata>, WriteError> {
        let all = self.api.list(&format!("{}__", scope.prefix())).await?;
        let all = stream::iter(all).map(|secret| self.listed(secret)).buffer_unordered(CONCURRENT_READS);
        let all: Vec<Option<SecretMetadata>> = all.try_collect().await?;
        Ok(all.into_iter().flatten().collect())
    }

    /// A secret of a list; others than Flyte's are left out, and such as are only half made.
    async fn listed(&self, secret: Secret) -> Result<Option<SecretMetadata>, WriteError> {
        let name = id_of(&secret);
        let Ok(id) = SecretId::decode(name) else { return Ok(None) };
        match self.check_made(name, &secret).await {
            Ok(()) => Ok(Some(metadata(id, &secret))),
            Err(error) if error.failure() == WriteFailure::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn labels_of_new(&self, kind: SecretKind) -> Labels {
        let label = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let pull = (kind == SecretKind::ImagePull).then(|| label(PULL));
        let mut labels: Labels = std::iter::once(label(MANAGED)).chain(pull).collect();
        claim::note(&mut labels, SystemTime::now(), self.timeout);
        labels
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, WriteError>>) -> Result<T, WriteError> {
        in_time("GCP", self.timeout, work).await
    }
}

impl SecretWriter for GcpWriter {
    fn name(&self) -> &'static str {
        "GCP"
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
        Box::pin(self.in_time(async move { Ok(metadata(id.clone(), &self.found(&NAMES.name(id)?).await?)) }))
    }

    fn list<'a>(&'a self, scope: &'a SecretId, page: PageRequest) -> BoxFuture<'a, Result<Page, WriteError>> {
        Box::pin(self.in_time(async move { Ok(Page::of(self.all(scope).await?, scope, &page)) }))
    }
}

fn kind(secret: &Secret) -> SecretKind {
    let is_pull = secret.labels.get(PULL.0).is_some_and(|value| value == PULL.1);
    if is_pull { SecretKind::ImagePull } else { SecretKind::Generic }
}

fn metadata(id: SecretId, secret: &Secret) -> SecretMetadata {
    let seconds = secret.create_time.as_ref().and_then(|time| u64::try_from(time.seconds()).ok());
    let created = seconds.and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    SecretMetadata { id, kind: kind(secret), created }
}

/// Whether it is certain that nothing was done.
const fn is_refusal(failure: WriteFailure) -> bool {
    matches!(failure, WriteFailure::Denied | WriteFailure::Invalid | WriteFailure::Full)
}

/// Whether somebody else was faster.
const fn is_overtaken(error: &WriteError) -> bool {
    matches!(error.failure(), WriteFailure::Conflict | WriteFailure::NotFound)
}

fn exists(name: &str) -> WriteError {
    WriteError::new(WriteFailure::AlreadyExists, format!("there is a secret {name} already; update it instead"))
}

fn missing(name: &str) -> WriteError {
    WriteError::new(WriteFailure::NotFound, format!("there is no secret {name}"))
}

/// What to do about a secret of which there is only half.
fn being_made(name: &str, left: Duration) -> WriteError {
    let seconds = left.as_secs();
    let detail = format!(
        "the secret {name} is being made by another request, or one ended half-way; create it again, which completes it after \
         {seconds} s at most"
    );
    WriteError::new(WriteFailure::Conflict, detail)
}
