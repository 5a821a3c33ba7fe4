//! All stores, for one task, by name.

use std::time::Duration;

use flyte_secrets_core::encoded_id::{AmbiguousComponent, SecretId};
use flyte_secrets_stores::{FailureClass, Freshness, LookUpError, LookUps};
use futures::future::BoxFuture;
use secrecy::SecretString;
use tokio::time::Instant;

use super::embedded::{failure, text};
use super::error::{SecretManagerError, shown};
use super::{SecretManager, TaskExecutionId};

/// Gets secrets by their names: those of the task's project first, then of its domain, then of its organization, in all
/// stores, as injection finds them. Answers are remembered as the [`LookUps`] say, which all tasks can share.
///
/// An encoded id is taken too, so that plugins which make ids work, but only one of the task's own project, domain or
/// organization: a task cannot name its way to the secrets of another project. Needs a Tokio runtime.
#[derive(Clone, Debug)]
pub struct ScopedSecretManager {
    look_ups: LookUps,
    scope: SecretId,
    patience: Duration,
}

impl ScopedSecretManager {
    /// For a task of this organization, domain and project; each call may take 10 seconds.
    ///
    /// # Errors
    ///
    /// [`AmbiguousComponent`] if the encoded ids of this scope could be those of another one.
    pub fn new(look_ups: LookUps, task: &TaskExecutionId) -> Result<Self, AmbiguousComponent> {
        let scope = task.secret_id("");
        scope.check_components()?;
        Ok(Self { look_ups, scope, patience: Duration::from_secs(10) })
    }

    /// The same with another time for each call.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// What a key asks for.
    fn id(&self, key: &str) -> Result<SecretId, SecretManagerError> {
        let own = &self.scope;
        if key.is_empty() {
            return Err(SecretManagerError::invalid(key, "it is empty"));
        }
        match SecretId::decode(key) {
            Err(_) => Ok(SecretId { name: key.to_owned(), ..own.clone() }),
            Ok(id) if id.name.is_empty() => Err(SecretManagerError::invalid(key, "it names no secret")),
            Ok(id) if is_within(&id, own) => Ok(id),
            Ok(_) => {
                let problem = format!(
                    "it is the id of a secret outside of the task's organization {:?}, domain {:?} and project {:?}",
                    shown(&own.org),
                    shown(&own.domain),
                    shown(&own.project)
                );
                Err(SecretManagerError::invalid(key, problem))
            }
        }
    }

    async fn find(&self, key: &str) -> Result<SecretString, SecretManagerError> {
        let id = self.id(key)?;
        let found = self.look_ups.find(&id, Freshness::Cached, Instant::now() + self.patience).await;
        let found = found.map_err(|error| failure(key, error.class(), &asked(&error)))?;
        text(key, found.value, || format!("{} in the store {}", found.id, found.store))
    }
}

impl SecretManager for ScopedSecretManager {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<SecretString, SecretManagerError>> {
        Box::pin(self.find(key))
    }

    fn invalidate(&self, key: &str) {
        if let Ok(id) = self.id(key) {
            self.look_ups.invalidate(&id);
        }
    }
}

/// Whether a secret is the project's, its domain's or its organization's.
fn is_within(id: &SecretId, own: &SecretId) -> bool {
    let wider_or_own = |part: &str, own: &str| part.is_empty() || part == own;
    id.org == own.org
        && wider_or_own(&id.domain, &own.domain)
        && wider_or_own(&id.project, &own.project)
        && (id.project.is_empty() || id.domain == own.domain)
}

/// Who was asked for what: first who has nothing, then the failure that ended the look-up, if there was one.
fn asked(error: &LookUpError) -> String {
    if error.asked.is_empty() {
        return "no store is configured".to_owned();
    }
    let (nothing, failed): (Vec<_>, Vec<_>) =
        error.asked.iter().partition(|asked| asked.error.class() == FailureClass::NotFound);
    let mut stores: Vec<(&str, Vec<String>)> = Vec::new();
    for asked in nothing {
        match stores.iter_mut().find(|(store, _)| *store == asked.store) {
            Some((_, ids)) => ids.push(asked.id.to_string()),
            None => stores.push((&asked.store, vec![asked.id.to_string()])),
        }
    }
    let nothing = stores.iter().map(|(store, ids)| format!("asked the store {store} for {}", ids.join(", ")));
    let failed =
        failed.iter().map(|asked| format!("the store {} said of {}: {}", asked.store, asked.id, asked.error.detail()));
    nothing.chain(failed).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
#[path = "scoped_tests.rs"]
mod tests;
