//! What a plugin calls: `SecretManager::get(key)`, handed to it by its [`TaskExecutionContext`].
//!
//! A plugin runs on the side of Flyte, not in the task's pod: it is a connector, say, that starts a job in another system
//! with an API key. It never knows where its keys come from:
//!
//! | implementation | a key is |
//! |---|---|
//! | [`FileEnvSecretManager`] | a variable or a file of this process, as in the Flyte 1 control plane |
//! | `EmbeddedSecretManager` (Cargo feature `stores`) | an encoded id in one store, as in the Flyte 2 control plane |
//! | `ScopedSecretManager` (Cargo feature `stores`) | the name of a secret of the task's project, domain or organization, in all stores |
//!
//! A [`Connection`] gives several secrets to a plugin at once, by names of its own.
//!
//! ```
//! use std::sync::Arc;
//! use flyte_secrets_sdk::plugins::{FileEnvSecretManager, SecretManager, TaskExecutionContext};
//! use secrecy::ExposeSecret;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let context = TaskExecutionContext::new(Arc::new(FileEnvSecretManager::default()));
//! let found = futures::executor::block_on(context.secret_manager().get("jobs_api_key"));
//! match found {
//!     Ok(key) => drop(format!("Bearer {}", key.expose_secret())),
//!     // no secret "jobs_api_key": looked for the variable FLYTE_SECRET_jobs_api_key and the file /etc/secrets/jobs_api_key
//!     Err(error) => assert!(error.to_string().contains("FLYTE_SECRET_jobs_api_key")),
//! }
//! # Ok(())
//! # }
//! ```

use futures::future::BoxFuture;
use secrecy::SecretString;

mod connection;
mod context;
#[cfg(feature = "stores")]
mod embedded;
mod error;
mod file_env;
#[cfg(feature = "stores")]
mod scoped;
#[cfg(test)]
mod test_manager;

pub use connection::{Connection, ConnectionError, MAX_SECRETS, ResolvedConnection, UnresolvedSecret};
pub use context::{TaskExecutionContext, TaskExecutionId, TaskExecutionMetadata};
#[cfg(feature = "stores")]
pub use embedded::EmbeddedSecretManager;
pub use error::SecretManagerError;
pub use file_env::{EmptyEnvPrefix, FileEnvSecretManager, MAX_FILE};
#[cfg(feature = "stores")]
pub use scoped::ScopedSecretManager;

/// Where a plugin gets secrets.
///
/// Source: `SecretManager` in `flyteplugins/go/tasks/pluginmachinery/core/secret_manager.go` of Flyte.
pub trait SecretManager: Send + Sync {
    /// The value of a secret, as text. What a key is depends on the implementation.
    ///
    /// Ask for it each time it is used and keep no copy: that is how a rotated key works without a restart.
    /// Implementations that ask a store remember its answers for a while.
    ///
    /// # Errors
    ///
    /// [`SecretManagerError`], which names what was looked for and where, and never holds a value.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<SecretString, SecretManagerError>>;

    /// Forgets what is remembered of a key, so that the next [`SecretManager::get`] asks where it is kept. For a plugin
    /// whose key was turned down: it may have been rotated.
    fn invalidate(&self, _key: &str) {}
}
