//! What this process has already: in a pod that was injected, the secrets are in its variables and files, where the SDK for tasks
//! finds them.

use anyhow::Result;
use flyte_secrets_core::case;
use flyte_secrets_core::injectors::{DEFAULT_DIR_VARIABLE, ENV_PREFIX_VARIABLE, FILE_PREFIX_VARIABLE};
use flyte_secrets_core::paths::check_part;
use flyte_secrets_core::value::SecretValue;
use flyte_secrets_core::{MountRequirement, Secret};
use flyte_secrets_sdk::tasks::{SecretError, SecretsConfig, SecretsManager, Source};

use super::outfit::Outfit;

/// The secrets of this process.
pub(super) struct Here {
    prefix: String,
    secrets: SecretsManager,
}

impl Here {
    /// `None` where nobody has injected anything.
    pub(super) fn of_this_process() -> Option<Self> {
        let set = |name| std::env::var_os(name).is_some();
        let injected = set(ENV_PREFIX_VARIABLE) || set(DEFAULT_DIR_VARIABLE);
        injected.then(|| {
            let config = SecretsConfig::from_env();
            Self { prefix: config.env_prefix.clone(), secrets: SecretsManager::new(config) }
        })
    }

    /// In front of the variables' names.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Adds what is here to the outfit, in the form that was asked for; says whether it is here.
    pub(super) fn serve(&self, request: &Secret, outfit: &mut Outfit) -> Result<bool> {
        let Secret { group, group_version, key, mount_requirement, env_var } = request;
        let parts: Vec<&str> =
            [group, group_version, key].into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        if parts.iter().any(|part| check_part(part).is_err()) {
            return Ok(false);
        }
        let found = match self.secrets.find(group, key, Some(group_version)) {
            Ok(found) => found,
            Err(SecretError::NothingAsked | SecretError::NotFound { .. } | SecretError::NotAFile { .. }) => {
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        };
        let as_file = match *mount_requirement {
            MountRequirement::FILE => true,
            MountRequirement::ENV_VAR => false,
            _ => matches!(found.source(), Source::File(_)),
        };
        let value = SecretValue::Binary(found.exact_bytes());
        let own_name = Some(env_var).filter(|name| !name.is_empty());
        if as_file {
            let path = case::lower(&parts.join("/")).to_string();
            outfit.files.insert(path.clone(), value);
            outfit.paths.insert(DEFAULT_DIR_VARIABLE.to_owned(), String::new());
            outfit.variables.insert(FILE_PREFIX_VARIABLE.to_owned(), SecretValue::text(String::new()));
            outfit.paths.extend(own_name.map(|name| (name.clone(), path)));
        } else {
            outfit.variables.insert(ENV_PREFIX_VARIABLE.to_owned(), SecretValue::text(self.prefix.clone()));
            outfit.variables.extend(own_name.map(|name| (name.clone(), value.clone())));
            outfit.variables.insert(self.secrets.get_secrets_env_var(group, key, Some(group_version)), value);
        }
        Ok(true)
    }
}
