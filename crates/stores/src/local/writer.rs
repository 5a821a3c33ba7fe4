//! The local store as one that secrets are written to.

use std::time::{Duration, UNIX_EPOCH};

use flyte_secrets_core::encoded_id::SecretId;
use futures::future::BoxFuture;

use super::document::Held;
use super::{LocalError, LocalStore, check, check_id, put};
use crate::docker_config;
use crate::writer::{
    NewSecret, Page, PageRequest, SecretKind, SecretMetadata, SecretWriter, WriteError, WriteFailure, other_kind,
};

impl SecretWriter for LocalStore {
    fn name(&self) -> &'static str {
        "local"
    }

    fn check(&self, id: &SecretId) -> Result<(), WriteError> {
        Ok(check_id(id)?)
    }

    fn create<'a>(&'a self, secret: &'a NewSecret) -> BoxFuture<'a, Result<(), WriteError>> {
        let secret = secret.clone();
        self.aside(move |store| store.add(secret))
    }

    fn update<'a>(&'a self, secret: &'a NewSecret) -> BoxFuture<'a, Result<(), WriteError>> {
        let secret = secret.clone();
        self.aside(move |store| store.replace(secret))
    }

    fn delete<'a>(&'a self, id: &'a SecretId) -> BoxFuture<'a, Result<(), WriteError>> {
        let id = id.clone();
        self.aside(move |store| Ok(Self::delete(store, &id)?))
    }

    fn describe<'a>(&'a self, id: &'a SecretId) -> BoxFuture<'a, Result<SecretMetadata, WriteError>> {
        let id = id.clone();
        self.aside(move |store| {
            let entries = store.entries()?;
            let held = entries.get(&id).ok_or_else(|| store.not_found(&id))?;
            Ok(metadata(&id, held))
        })
    }

    fn list<'a>(&'a self, scope: &'a SecretId, page: PageRequest) -> BoxFuture<'a, Result<Page, WriteError>> {
        let scope = scope.clone();
        self.aside(move |store| {
            let entries = store.entries()?;
            Ok(Page::of(entries.iter().map(|(id, held)| metadata(id, held)), &scope, &page))
        })
    }
}

impl LocalStore {
    /// Files, locks and key derivation would hold up other work of the runtime.
    fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, WriteError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, WriteError>> {
        let store = self.clone();
        Box::pin(async move {
            let ended = |_| WriteError::new(WriteFailure::Unavailable, "the program is ending");
            tokio::task::spawn_blocking(move || work(&store)).await.map_err(ended)?
        })
    }

    fn add(&self, secret: NewSecret) -> Result<(), WriteError> {
        let NewSecret { id, value, kind } = secret;
        check(&id, &value)?;
        let image_pull = kind == SecretKind::ImagePull;
        if image_pull {
            docker_config::check(&value).map_err(invalid)?;
        }
        Ok(self.change(|entries| {
            if entries.contains_key(&id) {
                return Err(LocalError::AlreadyExists { ids: vec![id.to_string()] });
            }
            put(entries, id.clone(), value);
            if let Some(held) = entries.get_mut(&id) {
                held.image_pull = image_pull;
            }
            Ok(())
        })?)
    }

    fn replace(&self, secret: NewSecret) -> Result<(), WriteError> {
        let NewSecret { id, value, kind } = secret;
        check(&id, &value)?;
        // The outer error is the store's, the inner one is about the secret that was found; with either nothing is written.
        let mut refused = None;
        let changed = self.change(|entries| {
            let held = entries.get(&id).ok_or_else(|| self.not_found(&id))?;
            let problem = match (held.image_pull, kind) {
                (true, _) => docker_config::check(&value).err(),
                (false, SecretKind::ImagePull) => Some(other_kind()),
                (false, SecretKind::Generic) => None,
            };
            if let Some(problem) = problem {
                refused = Some(problem.clone());
                return Err(LocalError::InvalidId { id: id.to_string(), problem });
            }
            put(entries, id.clone(), value);
            Ok(())
        });
        match refused {
            Some(problem) => Err(invalid(problem)),
            None => Ok(changed?),
        }
    }
}

fn invalid(problem: String) -> WriteError {
    WriteError::new(WriteFailure::Invalid, problem)
}

fn metadata(id: &SecretId, held: &Held) -> SecretMetadata {
    let kind = if held.image_pull { SecretKind::ImagePull } else { SecretKind::Generic };
    SecretMetadata { id: id.clone(), kind, created: UNIX_EPOCH.checked_add(Duration::from_secs(held.created)) }
}

/// The failure as a store's answer.
impl From<LocalError> for WriteError {
    fn from(error: LocalError) -> Self {
        let failure = match &error {
            LocalError::AlreadyExists { .. } => WriteFailure::AlreadyExists,
            LocalError::NotFound { .. } => WriteFailure::NotFound,
            LocalError::InvalidId { .. } | LocalError::ValueTooLarge { .. } => WriteFailure::Invalid,
            LocalError::FileTooLarge { .. } => WriteFailure::Full,
            LocalError::KeyMissing { .. }
            | LocalError::KeyReadableByOthers { .. }
            | LocalError::KeyMalformed { .. }
            | LocalError::WrongKey { .. }
            | LocalError::WrongPassphrase(_)
            | LocalError::EmptyPassphrase
            | LocalError::NeedsPassphrase(_)
            | LocalError::NeedsKeyFile(_) => WriteFailure::Denied,
            // Nobody was let in before us: nothing was changed.
            LocalError::Locked { .. } => WriteFailure::Conflict,
            LocalError::NoPlace
            | LocalError::Corrupt { .. }
            | LocalError::NewerFormat { .. }
            | LocalError::Io { .. } => WriteFailure::Unavailable,
        };
        Self::new(failure, error.to_string())
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
