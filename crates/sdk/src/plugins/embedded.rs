//! One store, asked by encoded id.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::value::SecretValue;
use flyte_secrets_stores::{FailureClass, FetchError, SecretFetcher};
use futures::future::BoxFuture;
use secrecy::SecretString;

use super::SecretManager;
use super::error::{SecretManagerError, shown};

/// The most that is said of who was asked, in characters: ids may come from a task.
const MAX_ASKED: usize = 4000;

/// Gets secrets of one store by their encoded ids, and by nothing else: no scopes, no cache.
///
/// A plugin makes the id itself, with [`super::TaskExecutionId::secret_id`] say. Whoever may choose ids reads any secret
/// of the store; [`super::ScopedSecretManager`] keeps a task to its own. Needs a Tokio runtime.
///
/// Source: `EmbeddedSecretManager` in `flyteplugins/go/tasks/pluginmachinery/core` of Flyte 2.
#[derive(Clone)]
pub struct EmbeddedSecretManager {
    store: Arc<dyn SecretFetcher>,
    patience: Duration,
}

impl EmbeddedSecretManager {
    /// Over this store, each call of which may take 10 seconds.
    #[must_use]
    pub fn new(store: Arc<dyn SecretFetcher>) -> Self {
        Self { store, patience: Duration::from_secs(10) }
    }

    /// The same with another time for each call.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    async fn find(&self, key: &str) -> Result<SecretString, SecretManagerError> {
        let id = SecretId::decode(key).map_err(|error| SecretManagerError::invalid(key, error.to_string()))?;
        let late = || FetchError::new(FailureClass::Late, format!("no answer within {:?}", self.patience));
        let answer = tokio::time::timeout(self.patience, self.store.get(&id)).await;
        let value = answer.unwrap_or_else(|_| Err(late())).map_err(|error| self.failure(key, &error))?;
        text(key, value, || format!("in the store {}", self.store.name()))
    }

    fn failure(&self, key: &str, error: &FetchError) -> SecretManagerError {
        let asked = format!("asked the store {}: {}", self.store.name(), error.detail());
        failure(key, error.class(), &asked)
    }
}

impl fmt::Debug for EmbeddedSecretManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EmbeddedSecretManager").field(&self.store.name()).finish()
    }
}

impl SecretManager for EmbeddedSecretManager {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<SecretString, SecretManagerError>> {
        Box::pin(self.find(key))
    }
}

/// A store's value as text.
pub(super) fn text(
    key: &str,
    value: SecretValue,
    place: impl FnOnce() -> String,
) -> Result<SecretString, SecretManagerError> {
    if let SecretValue::Text(text) = value {
        return Ok(text);
    }
    match value.expose_text() {
        Some(text) => Ok(SecretString::from(text.to_owned())),
        None => Err(SecretManagerError::NotText { key: shown(key), place: place() }),
    }
}

/// What a store's failure means for a plugin; `asked` says who was asked and what it said.
pub(super) fn failure(key: &str, class: FailureClass, asked: &str) -> SecretManagerError {
    let (key, asked) = (shown(key), asked.chars().take(MAX_ASKED).collect());
    match class {
        FailureClass::NotFound => SecretManagerError::NotFound { key, looked: asked },
        class if class.retryable() => SecretManagerError::Unavailable { key, detail: format!("{class}; {asked}") },
        class => SecretManagerError::Refused { key, detail: format!("{class}; {asked}") },
    }
}

#[cfg(test)]
#[path = "embedded_tests.rs"]
mod tests;
