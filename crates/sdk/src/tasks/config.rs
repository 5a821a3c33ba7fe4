//! Where secrets are looked for.

use super::Surroundings;

/// Where secrets are looked for: flytekit's `SecretsConfig`.
///
/// Names and defaults are flytekit's. Its configuration files are not read: see `docs/differences.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretsConfig {
    /// What names of variables begin with, as it is: `FLYTE_SECRETS_ENV_PREFIX`, by default `_FSEC_`.
    pub env_prefix: String,
    /// The folder of the files: `FLYTE_SECRETS_DEFAULT_DIR`, by default `/etc/secrets`. Empty is the working folder.
    pub default_dir: String,
    /// What names of files begin with, as it is: `FLYTE_SECRETS_FILE_PREFIX`, by default empty.
    pub file_prefix: String,
}

impl SecretsConfig {
    /// The variable that holds [`env_prefix`](Self::env_prefix).
    pub const ENV_PREFIX: &str = "FLYTE_SECRETS_ENV_PREFIX";
    /// The variable that holds [`default_dir`](Self::default_dir).
    pub const DEFAULT_DIR: &str = "FLYTE_SECRETS_DEFAULT_DIR";
    /// The variable that holds [`file_prefix`](Self::file_prefix).
    pub const FILE_PREFIX: &str = "FLYTE_SECRETS_FILE_PREFIX";

    /// What the process's variables say; the default for one that is not set, or empty.
    #[must_use]
    pub fn from_env() -> Self {
        Self::of(&Surroundings::process())
    }

    pub(super) fn of(surroundings: &Surroundings) -> Self {
        let read = |name, default: String| {
            let value = surroundings.variable(name);
            let value = value.map(|value| String::from_utf8_lossy(&value).into_owned());
            value.filter(|value| !value.is_empty()).unwrap_or(default)
        };
        let default = Self::default();
        Self {
            env_prefix: read(Self::ENV_PREFIX, default.env_prefix),
            default_dir: read(Self::DEFAULT_DIR, default.default_dir),
            file_prefix: read(Self::FILE_PREFIX, default.file_prefix),
        }
    }
}

impl Default for SecretsConfig {
    fn default() -> Self {
        Self { env_prefix: "_FSEC_".to_owned(), default_dir: "/etc/secrets".to_owned(), file_prefix: String::new() }
    }
}
