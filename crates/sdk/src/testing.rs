//! Values for tests of tasks: no store, no pod, and nothing of the process's environment is read or changed.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use flyte_secrets_sdk::tasks::{ExposeSecret, SecretError, current_context};
//! use flyte_secrets_sdk::testing::Secrets;
//!
//! fn task() -> Result<usize, SecretError> {
//!     Ok(current_context().secrets().get("db", "password", None)?.expose_secret().len())
//! }
//!
//! let mock = Secrets::new().value("db", "password", None, "hunter2").file("db", "ca.pem", None, "---").mock()?;
//! {
//!     let _guard = mock.enter();
//!     assert_eq!(task()?, 7);
//! }
//! assert!(task().is_err(), "everything is as before");
//! # Ok(())
//! # }
//! ```
//!
//! A mock holds for the thread that enters it; [`Mock::run`] takes it along with a future, and [`Mock::environment`]
//! with a child process.

use std::fmt;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use flyte_secrets_core::paths;
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::tasks::{Entered, SecretsConfig, SecretsManager, Surroundings, Variables};

/// A secret of a mock.
struct Planted {
    group: String,
    key: String,
    group_version: Option<String>,
    content: Zeroizing<Vec<u8>>,
    is_file: bool,
}

/// The secrets that a mock shall have. Without any, nothing is found.
#[derive(Default)]
pub struct Secrets {
    planted: Vec<Planted>,
    variables: Variables,
}

impl Secrets {
    /// No secret.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With a secret in its variable.
    #[must_use]
    pub fn value(self, group: &str, key: &str, group_version: Option<&str>, value: impl Into<Vec<u8>>) -> Self {
        self.plant(group, key, group_version, value.into(), false)
    }

    /// With a secret in its file, which is really there, in a temporary folder that belongs to the mock.
    #[must_use]
    pub fn file(self, group: &str, key: &str, group_version: Option<&str>, content: impl Into<Vec<u8>>) -> Self {
        self.plant(group, key, group_version, content.into(), true)
    }

    /// With a variable as it is: the `env_var` of a declaration, or one of Flyte's own.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.variables.insert(name.to_owned(), Zeroizing::new(value.into()));
        self
    }

    fn plant(mut self, group: &str, key: &str, group_version: Option<&str>, content: Vec<u8>, is_file: bool) -> Self {
        let [group, key] = [group, key].map(str::to_owned);
        let group_version = group_version.map(str::to_owned);
        self.planted.push(Planted { group, key, group_version, content: Zeroizing::new(content), is_file });
        self
    }

    /// The mock, with its files written.
    ///
    /// # Errors
    /// If a file cannot be written, if the names of a secret are all empty, or if they would lead a file out of the
    /// mock's folder.
    pub fn mock(self) -> io::Result<Mock> {
        let folder = tempfile::Builder::new().prefix("flyte-secrets-mock-").tempdir()?;
        let path = folder.path().to_str().ok_or(io::ErrorKind::InvalidFilename)?.to_owned();
        let mut variables = self.variables;
        variables.insert(SecretsConfig::DEFAULT_DIR.to_owned(), Zeroizing::new(path.into_bytes()));
        let names = SecretsManager::of(Surroundings::of(variables.clone(), folder.path().to_owned()));
        for secret in self.planted {
            let Planted { group, key, group_version, content, is_file } = secret;
            let group_version = group_version.as_deref();
            let invalid = |reason: String| io::Error::new(io::ErrorKind::InvalidInput, reason);
            let file =
                names.get_secrets_file(&group, &key, group_version).map_err(|error| invalid(error.to_string()))?;
            if !is_file {
                variables.insert(names.get_secrets_env_var(&group, &key, group_version), content);
                continue;
            }
            for part in [&group, &key, group_version.unwrap_or_default()] {
                paths::check_part(part).map_err(|error| invalid(format!("the file of {part:?}: it {error}")))?;
            }
            std::fs::create_dir_all(file.parent().unwrap_or(folder.path()))?;
            std::fs::write(&file, &content)?;
        }
        let secrets = SecretsManager::of(Surroundings::of(variables.clone(), folder.path().to_owned()));
        Ok(Mock { secrets, variables: Arc::new(variables), folder: Arc::new(folder) })
    }
}

/// Names only.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let planted = self.planted.iter().map(|secret| (&secret.group, &secret.key));
        f.debug_list().entries(planted).finish()
    }
}

/// Secrets that stand in for the process's own. Its files vanish with its last clone.
#[derive(Clone)]
pub struct Mock {
    secrets: SecretsManager,
    variables: Arc<Variables>,
    folder: Arc<TempDir>,
}

impl Mock {
    /// Until the guard is dropped, also by a panic, [`current_context`](crate::tasks::current_context) has these secrets
    /// and no others, on this thread. The innermost of several guards counts.
    pub fn enter(&self) -> Guard {
        Guard { _entered: Entered::new(self.secrets.clone()), _mock: self.clone() }
    }

    /// The future with these secrets, on whichever thread it is polled.
    pub async fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        std::future::poll_fn(|context| {
            let _guard = self.enter();
            future.as_mut().poll(context)
        })
        .await
    }

    /// What looks in these secrets, to be handed on by hand.
    #[must_use]
    pub fn secrets(&self) -> &SecretsManager {
        &self.secrets
    }

    /// The variables for a child process (`Command::envs`), in the order of their names. They hold values.
    pub fn environment(&self) -> impl Iterator<Item = (&str, std::ffi::OsString)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), std::ffi::OsString::from_vec(value.to_vec())))
    }
}

/// Where its files are, and no value.
impl fmt::Debug for Mock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mock").field("folder", &self.folder.path()).finish_non_exhaustive()
    }
}

/// While it lives, the thread's context has a mock's secrets.
#[must_use = "the mock ends when its guard is dropped"]
pub struct Guard {
    _entered: Entered,
    _mock: Mock,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

/// What looks in these variables and no others, with paths that start from this folder: a pod's surroundings, say, seen
/// from a test.
#[must_use]
pub fn secrets_of(
    variables: impl IntoIterator<Item = (String, Vec<u8>)>,
    folder: impl Into<PathBuf>,
) -> SecretsManager {
    let variables = variables.into_iter().map(|(name, value)| (name, Zeroizing::new(value))).collect();
    SecretsManager::of(Surroundings::of(variables, folder.into()))
}

#[cfg(test)]
#[path = "testing_tests.rs"]
mod tests;
