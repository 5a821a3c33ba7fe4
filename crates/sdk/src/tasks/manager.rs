//! The look-up: variable first, then file.

use std::fmt;
use std::path::{Path, PathBuf};

use flyte_secrets_core::value::SecretValue;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use zeroize::Zeroizing;

use super::file::{self, Unread};
use super::{Found, Name, Secret, SecretError, SecretsConfig, Source, Surroundings, python};

/// The largest file that is read as a secret, in bytes: 1 MiB, what a Kubernetes Secret may hold in all.
pub const MAX_VALUE_SIZE: u64 = 1 << 20;

/// Variables of which Flyte sets at least one in every task's container; flytekit's `pyflyte-execute` reads both.
const SET_IN_TASKS: [&str; 2] = ["FLYTE_INTERNAL_EXECUTION_ID", "_F_NM"];

/// Gives a task its secrets: flytekit's `SecretsManager`.
///
/// Group, group version and key may each be empty, which leaves it out of names and paths; not all of them.
#[derive(Clone)]
pub struct SecretsManager {
    config: SecretsConfig,
    surroundings: Surroundings,
    local: bool,
}

impl SecretsManager {
    /// Looks in the process's variables, and in files, with this configuration. White space around the settings does
    /// not count.
    #[must_use]
    pub fn new(config: SecretsConfig) -> Self {
        Self::with(config, Surroundings::process())
    }

    /// In these surroundings, with the configuration that they hold.
    pub(crate) fn of(surroundings: Surroundings) -> Self {
        Self::with(SecretsConfig::of(&surroundings), surroundings)
    }

    fn with(config: SecretsConfig, surroundings: Surroundings) -> Self {
        let strip = |text: String| python::strip(&text).to_owned();
        let config = SecretsConfig {
            env_prefix: strip(config.env_prefix),
            default_dir: strip(config.default_dir),
            file_prefix: strip(config.file_prefix),
        };
        let local = !SET_IN_TASKS.iter().any(|name| surroundings.has(name));
        Self { config, surroundings, local }
    }

    /// Whether this is a local execution: Flyte has not started this process as a task. Then a variable counts
    /// without the prefix too, if there is none with it.
    #[must_use]
    pub fn is_local_execution(&self) -> bool {
        self.local
    }

    /// The value as text: UTF-8, without white space around it. A variable goes before a file.
    ///
    /// # Errors
    /// If it is found nowhere, is no UTF-8, or cannot be read.
    pub fn get(&self, group: &str, key: &str, group_version: Option<&str>) -> Result<SecretString, SecretError> {
        self.find(group, key, group_version)?.text()
    }

    /// The value as bytes, as flytekit gives it for `encode_mode="rb"`: without white space around it.
    /// [`Found::exact_bytes`] keeps that.
    ///
    /// # Errors
    /// If it is found nowhere or cannot be read.
    pub fn get_bytes(
        &self,
        group: &str,
        key: &str,
        group_version: Option<&str>,
    ) -> Result<SecretSlice<u8>, SecretError> {
        Ok(self.find(group, key, group_version)?.bytes())
    }

    /// The value of a secret that is declared, as text.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_declared(&self, secret: &Secret) -> Result<SecretString, SecretError> {
        self.get(secret.group(), secret.key(), Some(secret.group_version()))
    }

    /// The value of a request, as text: what a SQL task asks for.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn look_up(&self, request: &flyte_secrets_core::Secret) -> Result<SecretValue, SecretError> {
        let text = self.get(&request.group, &request.key, Some(&request.group_version))?;
        Ok(SecretValue::text(text.expose_secret().to_owned()))
    }

    /// The secrets of a group, for several keys of it: `secrets.group("user-info").get("password")`. In flytekit it
    /// is `secrets.<group>.<key>`.
    #[must_use]
    pub fn group<'a>(&'a self, group: &'a str) -> GroupSecrets<'a> {
        GroupSecrets { secrets: self, group }
    }

    /// The secret with the place where it stands.
    ///
    /// # Errors
    /// If it is found nowhere or cannot be read.
    pub fn find(&self, group: &str, key: &str, group_version: Option<&str>) -> Result<Found, SecretError> {
        let file = self.get_secrets_file(group, key, group_version)?;
        let variables = self.variables(group, key, group_version);
        for name in &variables {
            if let Some(value) = self.surroundings.variable(name) {
                return Ok(Found::new(Source::EnvVar(name.clone()), value));
            }
        }
        if let Some(content) = self.read(&file)? {
            return Ok(Found::new(Source::File(file), content));
        }
        let [group, key, group_version] = [group, key, group_version.unwrap_or_default()].map(str::to_owned);
        Err(SecretError::NotFound { name: Name { group, group_version, key }, variables, file })
    }

    /// The name of the variable that is looked for first, whether it is set or not.
    #[must_use]
    pub fn get_secrets_env_var(&self, group: &str, key: &str, group_version: Option<&str>) -> String {
        name(&self.config.env_prefix, group, key, group_version)
    }

    /// The path of the file that is looked for, whether it is there or not.
    ///
    /// # Errors
    /// If group, group version and key are all empty.
    pub fn get_secrets_file(
        &self,
        group: &str,
        key: &str,
        group_version: Option<&str>,
    ) -> Result<PathBuf, SecretError> {
        let mut parts: Vec<String> = parts(group, key, group_version).map(str::to_lowercase).collect();
        let last = parts.last_mut().ok_or(SecretError::NothingAsked)?;
        last.insert_str(0, &self.config.file_prefix);
        Ok(python::join(&self.config.default_dir, &parts))
    }

    fn variables(&self, group: &str, key: &str, group_version: Option<&str>) -> Vec<String> {
        let mut variables = vec![self.get_secrets_env_var(group, key, group_version)];
        if self.local && !self.config.env_prefix.is_empty() {
            variables.push(name("", group, key, group_version));
        }
        variables
    }

    fn read(&self, path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, SecretError> {
        let file = path.to_owned();
        file::read(&self.surroundings.file(path), MAX_VALUE_SIZE).map_err(|unread| match unread {
            Unread::NotAFile => SecretError::NotAFile { file },
            Unread::TooLarge => SecretError::TooLarge { file, limit: MAX_VALUE_SIZE },
            Unread::Failed(cause) => SecretError::Unreadable { file, cause },
        })
    }
}

impl Default for SecretsManager {
    /// What the process's own variables say.
    fn default() -> Self {
        Self::of(Surroundings::process())
    }
}

impl fmt::Debug for SecretsManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretsManager")
            .field("config", &self.config)
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

/// The secrets of one group.
#[derive(Clone, Copy, Debug)]
pub struct GroupSecrets<'a> {
    secrets: &'a SecretsManager,
    group: &'a str,
}

impl GroupSecrets<'_> {
    /// The value of a key as text.
    ///
    /// # Errors
    /// As [`SecretsManager::get`].
    pub fn get(&self, key: &str) -> Result<SecretString, SecretError> {
        self.secrets.get(self.group, key, None)
    }
}

/// The parts of names and paths, in their order.
fn parts<'a>(group: &'a str, key: &'a str, group_version: Option<&'a str>) -> impl Iterator<Item = &'a str> {
    [group, group_version.unwrap_or_default(), key].into_iter().filter(|part| !part.is_empty())
}

fn name(prefix: &str, group: &str, key: &str, group_version: Option<&str>) -> String {
    let parts: Vec<String> = parts(group, key, group_version).map(str::to_uppercase).collect();
    format!("{prefix}{}", parts.join("_"))
}

#[cfg(test)]
#[path = "manager_tests.rs"]
mod tests;
