//! Secrets on this computer, in one encrypted file: for local runs of tasks and for trying things out.
//!
//! The file is an [age](https://c2sp.org/age) file, opened by a key file that only its owner may read, or by
//! a passphrase. A write replaces the whole file at once, so readers need no lock; writers, of this or
//! another process, take turns. Unix only: permissions are part of the protection.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::value::SecretValue;
use futures::future::BoxFuture;
use secrecy::ExposeSecret;

use self::document::{Entries, Held, Unreadable};
use self::encryption::WorkFactor;
use self::file::Mark;
use crate::fetcher::{FailureClass, FetchError, SecretFetcher};

mod document;
mod encryption;
mod error;
mod file;
mod places;
mod writer;

pub use self::document::ValueKind;
pub use self::encryption::Unlock;
pub use self::error::LocalError;
pub use self::places::Places;

/// The largest value, in bytes: `MaxSecretSize` of the Kubernetes API.
pub const MAX_VALUE: usize = 1 << 20;
/// The largest encrypted file, in bytes.
pub const MAX_FILE: usize = 64 << 20;
/// The longest encoded id, in bytes.
pub const MAX_ID: usize = 4 << 10;
/// How long a writer waits for others.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);

/// The local store. Clones share one cache of what the file holds.
#[derive(Clone, Debug)]
pub struct LocalStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    places: Places,
    unlock: Unlock,
    work: WorkFactor,
    cache: Mutex<Option<Cached>>,
}

/// What the file held when it had this mark.
#[derive(Clone, Debug)]
struct Cached {
    mark: Mark,
    entries: Arc<Entries>,
}

/// A secret without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: SecretId,
    /// Text or bytes.
    pub kind: ValueKind,
    /// The value's size in bytes.
    pub size: usize,
    /// When it was first stored, to the second.
    pub created: SystemTime,
    /// When it was last stored, to the second.
    pub updated: SystemTime,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Secrets that were not there before.
    pub created: usize,
    /// Secrets that got a new value.
    pub replaced: usize,
}

impl LocalStore {
    /// Opens the store and reads it once; a file that is not there is an empty store. Writes nothing: files
    /// and folders are made with the first secret.
    ///
    /// # Errors
    ///
    /// [`LocalError`] if there are secrets and they cannot be opened, or if the passphrase is empty.
    pub fn open(places: Places, unlock: Unlock) -> Result<Self, LocalError> {
        Self::open_with(places, unlock, WorkFactor::default())
    }

    fn open_with(places: Places, unlock: Unlock, work: WorkFactor) -> Result<Self, LocalError> {
        if matches!(&unlock, Unlock::Passphrase(passphrase) if passphrase.expose_secret().is_empty()) {
            return Err(LocalError::EmptyPassphrase);
        }
        let store = Self { inner: Arc::new(Inner { places, unlock, work, cache: Mutex::new(None) }) };
        store.entries()?;
        Ok(store)
    }

    /// Stores a new secret.
    ///
    /// # Errors
    ///
    /// [`LocalError::AlreadyExists`], [`LocalError::InvalidId`], [`LocalError::ValueTooLarge`], or that the
    /// files cannot be read or written.
    pub fn create(&self, id: &SecretId, value: SecretValue) -> Result<(), LocalError> {
        check(id, &value)?;
        self.change(|entries| {
            if entries.contains_key(id) {
                return Err(LocalError::AlreadyExists { ids: vec![id.to_string()] });
            }
            put(entries, id.clone(), value);
            Ok(())
        })
    }

    /// Gives a secret that is there a new value.
    ///
    /// # Errors
    ///
    /// [`LocalError::NotFound`], and as [`LocalStore::create`].
    pub fn update(&self, id: &SecretId, value: SecretValue) -> Result<(), LocalError> {
        check(id, &value)?;
        self.change(|entries| {
            if !entries.contains_key(id) {
                return Err(self.not_found(id));
            }
            put(entries, id.clone(), value);
            Ok(())
        })
    }

    /// Stores a secret, whether it is there or not.
    ///
    /// # Errors
    ///
    /// As [`LocalStore::create`], without [`LocalError::AlreadyExists`].
    pub fn put(&self, id: &SecretId, value: SecretValue) -> Result<(), LocalError> {
        check(id, &value)?;
        self.change(|entries| {
            put(entries, id.clone(), value);
            Ok(())
        })
    }

    /// The value of a secret under exactly this id.
    ///
    /// # Errors
    ///
    /// [`LocalError::NotFound`], or that the secrets cannot be opened.
    pub fn get(&self, id: &SecretId) -> Result<SecretValue, LocalError> {
        let entries = self.entries()?;
        entries.get(id).map(|held| held.value.clone()).ok_or_else(|| self.not_found(id))
    }

    /// All secrets in the order of their ids, without values.
    ///
    /// # Errors
    ///
    /// [`LocalError`] if the secrets cannot be opened.
    pub fn list(&self) -> Result<Vec<Entry>, LocalError> {
        Ok(self.entries()?.iter().map(|(id, held)| entry(id, held)).collect())
    }

    /// Removes a secret.
    ///
    /// # Errors
    ///
    /// [`LocalError::NotFound`], or that the files cannot be read or written.
    pub fn delete(&self, id: &SecretId) -> Result<(), LocalError> {
        self.change(|entries| entries.remove(id).map(drop).ok_or_else(|| self.not_found(id)))
    }

    /// Stores many secrets, all or none. With `overwrite`, those that are there get the new value.
    ///
    /// # Errors
    ///
    /// [`LocalError::AlreadyExists`] with every id that is there, unless `overwrite`; else as
    /// [`LocalStore::create`].
    pub fn import(&self, secrets: BTreeMap<SecretId, SecretValue>, overwrite: bool) -> Result<Imported, LocalError> {
        for (id, value) in &secrets {
            check(id, value)?;
        }
        self.change(|entries| {
            let there: Vec<_> = secrets.keys().filter(|id| entries.contains_key(id)).map(ToString::to_string).collect();
            if !overwrite && !there.is_empty() {
                return Err(LocalError::AlreadyExists { ids: there });
            }
            let imported = Imported { created: secrets.len() - there.len(), replaced: there.len() };
            for (id, value) in secrets {
                put(entries, id, value);
            }
            Ok(imported)
        })
    }

    /// Reads, changes and writes, with nobody else in between.
    fn change<T>(&self, apply: impl FnOnce(&mut Entries) -> Result<T, LocalError>) -> Result<T, LocalError> {
        let Inner { places, unlock, work, cache } = &*self.inner;
        let _lock = file::lock(&places.lock(), LOCK_PATIENCE)?;
        let mut entries = Entries::clone(&*self.entries()?);
        let result = apply(&mut entries)?;
        let ciphertext = encryption::encrypt(&document::write(&entries), places, unlock, *work)?;
        if ciphertext.len() > MAX_FILE {
            return Err(LocalError::FileTooLarge { file: places.file.clone(), limit: MAX_FILE });
        }
        file::replace(&places.file, &ciphertext)?;
        let cached = Cached { mark: Mark::of_bytes(&ciphertext), entries: Arc::new(entries) };
        *cache.lock().unwrap_or_else(PoisonError::into_inner) = Some(cached);
        Ok(result)
    }

    /// What the file holds now. It is opened only if it changed; others wait meanwhile and share the result.
    fn entries(&self) -> Result<Arc<Entries>, LocalError> {
        let Inner { places, unlock, cache, .. } = &*self.inner;
        let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = Mark::of_file(&places.file)?;
        if let Some(cached) = &*cache
            && mark == Some(cached.mark)
        {
            return Ok(Arc::clone(&cached.entries));
        }
        *cache = None;
        let Some(ciphertext) = file::read(&places.file, MAX_FILE)? else {
            return Ok(Arc::default());
        };
        let text = encryption::decrypt(&ciphertext, places, unlock)?;
        let entries = Arc::new(document::read(&text).map_err(|error| self.unreadable(error))?);
        *cache = Some(Cached { mark: Mark::of_bytes(&ciphertext), entries: Arc::clone(&entries) });
        Ok(entries)
    }

    fn unreadable(&self, error: Unreadable) -> LocalError {
        let file = self.inner.places.file.clone();
        match error {
            Unreadable::Newer(version) => LocalError::NewerFormat { file, version, known: document::VERSION },
            Unreadable::Malformed(problem) => LocalError::Corrupt { file, problem },
        }
    }

    fn not_found(&self, id: &SecretId) -> LocalError {
        LocalError::NotFound { id: id.to_string(), file: self.inner.places.file.clone() }
    }
}

impl SecretFetcher for LocalStore {
    fn name(&self) -> &'static str {
        "local"
    }

    fn get<'a>(&'a self, id: &'a SecretId) -> BoxFuture<'a, Result<SecretValue, FetchError>> {
        Box::pin(async move {
            // Files and key derivation would hold up other work of an async runtime.
            let Ok(runtime) = tokio::runtime::Handle::try_current() else {
                return Ok(LocalStore::get(self, id)?);
            };
            let (store, id) = (self.clone(), id.clone());
            let ended = |_| FetchError::new(FailureClass::Unavailable, "the program is ending");
            Ok(runtime.spawn_blocking(move || store.get(&id)).await.map_err(ended)??)
        })
    }
}

fn put(entries: &mut Entries, id: SecretId, value: SecretValue) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (created, image_pull) = entries.get(&id).map_or((now, false), |held| (held.created, held.image_pull));
    entries.insert(id, Held { value, created, updated: now, image_pull });
}

fn entry(id: &SecretId, held: &Held) -> Entry {
    let time = |seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH);
    Entry {
        id: id.clone(),
        kind: ValueKind::of(&held.value),
        size: held.value.expose_bytes().len(),
        created: time(held.created),
        updated: time(held.updated),
    }
}

/// Whether a secret can be stored.
fn check(id: &SecretId, value: &SecretValue) -> Result<(), LocalError> {
    check_id(id)?;
    let size = value.expose_bytes().len();
    if size > MAX_VALUE {
        return Err(LocalError::ValueTooLarge { id: id.to_string(), size, limit: MAX_VALUE });
    }
    Ok(())
}

/// Whether a secret can be stored under this id: it must be told from every other one in its encoded form.
fn check_id(id: &SecretId) -> Result<(), LocalError> {
    let encoded = id.to_string();
    let problem = if id.name.is_empty() {
        Some("the name is empty".to_owned())
    } else if id.domain.is_empty() && !id.project.is_empty() {
        Some("a project needs a domain".to_owned())
    } else if encoded.len() > MAX_ID {
        Some(format!("the id is longer than {MAX_ID} bytes"))
    } else {
        id.check_components().err().map(|ambiguous| ambiguous.to_string())
    };
    match problem {
        Some(problem) => Err(LocalError::InvalidId { id: encoded.chars().take(300).collect(), problem }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
