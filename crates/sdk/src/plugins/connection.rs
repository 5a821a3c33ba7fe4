//! Several secrets for a plugin at once.

use std::collections::BTreeMap;
use std::fmt;

use flyte_secrets_core::encoded_id::AmbiguousComponent;
use futures::stream::{self, StreamExt};
use secrecy::SecretString;

use super::error::{SecretManagerError, shown};
use super::{TaskExecutionContext, TaskExecutionId};

/// The most secrets of one connection.
pub const MAX_SECRETS: usize = 64;
/// How many of them are asked for at once.
const AT_ONCE: usize = 16;

/// How a task reaches a system outside of Flyte (`flyteidl2.core.Connection`): names of what the plugin needs → keys of
/// secrets, and settings that are not secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// The task type it is for; empty for any.
    pub task_type: String,
    /// The plugin's name for a secret → the secret's key. No values.
    pub secrets: BTreeMap<String, String>,
    /// Settings.
    pub configs: BTreeMap<String, String>,
}

impl Connection {
    /// Gets all secrets, several at once.
    ///
    /// Each key becomes the encoded id of a secret of the task's organization, domain and project
    /// (`u__org__<org>__domain__<domain>__project__<project>__key__<key>`), which the context's
    /// [`super::SecretManager`] is asked for.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`]; all secrets that cannot be had are in one error.
    pub async fn resolve(&self, context: &TaskExecutionContext) -> Result<ResolvedConnection, ConnectionError> {
        if !self.task_type.is_empty() && self.task_type != context.task_type {
            let (connection, task) = (shown(&self.task_type), shown(&context.task_type));
            return Err(ConnectionError::OtherTaskType { connection, task });
        }
        if self.secrets.len() > MAX_SECRETS {
            return Err(ConnectionError::TooManySecrets { count: self.secrets.len() });
        }
        let execution = &context.metadata.id;
        execution.secret_id("").check_components()?;
        let asked: Vec<_> = self.secrets.iter().map(|(name, key)| one(context, execution, name, key)).collect();
        let answers: Vec<_> = stream::iter(asked).buffered(AT_ONCE).collect().await;
        let (mut secrets, mut unresolved) = (BTreeMap::new(), Vec::new());
        for (name, answer) in answers {
            match answer {
                Ok(value) => drop(secrets.insert(name.to_owned(), value)),
                Err(error) => unresolved.push(UnresolvedSecret { name: shown(name), error }),
            }
        }
        if unresolved.is_empty() {
            Ok(ResolvedConnection { secrets, configs: self.configs.clone() })
        } else {
            Err(ConnectionError::Secrets(unresolved))
        }
    }
}

async fn one<'a>(
    context: &TaskExecutionContext,
    execution: &TaskExecutionId,
    name: &'a str,
    key: &str,
) -> (&'a str, Result<SecretString, SecretManagerError>) {
    if key.is_empty() {
        return (name, Err(SecretManagerError::invalid(key, "it is empty; write the key of a secret")));
    }
    let id = execution.secret_id(key).to_string();
    (name, context.secret_manager().get(&id).await)
}

/// A connection with its values. `Debug` shows names only.
#[derive(Clone, Debug)]
pub struct ResolvedConnection {
    secrets: BTreeMap<String, SecretString>,
    configs: BTreeMap<String, String>,
}

impl ResolvedConnection {
    /// The value of a secret, by the plugin's name for it.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<&SecretString> {
        self.secrets.get(name)
    }

    /// A setting.
    #[must_use]
    pub fn config(&self, name: &str) -> Option<&str> {
        self.configs.get(name).map(String::as_str)
    }
}

/// Why a connection cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionError {
    /// It is for tasks of another type.
    #[error("the connection is for tasks of type {connection:?}, and this task's type is {task:?}")]
    OtherTaskType {
        /// That of the connection.
        connection: String,
        /// That of the task.
        task: String,
    },
    /// More than [`MAX_SECRETS`].
    #[error("the connection has {count} secrets; at most {MAX_SECRETS} are allowed")]
    TooManySecrets {
        /// How many it has.
        count: usize,
    },
    /// The task's organization, domain or project makes ids ambiguous.
    #[error("{0}")]
    Ambiguous(#[from] AmbiguousComponent),
    /// All secrets that cannot be had.
    #[error("{}", listed(.0))]
    Secrets(Vec<UnresolvedSecret>),
}

impl ConnectionError {
    /// Whether the same call may succeed later without anybody changing a secret or a permission.
    #[must_use]
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Secrets(unresolved) if unresolved.iter().all(|secret| secret.error.retryable()))
    }
}

/// A secret of a connection that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnresolvedSecret {
    /// The plugin's name for it.
    pub name: String,
    /// Why.
    pub error: SecretManagerError,
}

impl fmt::Display for UnresolvedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "secret {:?} of the connection: {}", self.name, self.error)
    }
}

fn listed(unresolved: &[UnresolvedSecret]) -> String {
    unresolved.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
