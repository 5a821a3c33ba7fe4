//! What this process has already: in a pod that was injected, the secrets are in its variables and files, where flytekit's
//! `secrets.get` looks for them (`flytekit/core/context_manager.py`, `SecretsManager`).

use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use flyte_secrets_core::case;
use flyte_secrets_core::injectors::{DEFAULT_DIR_VARIABLE, ENV_PREFIX_VARIABLE, FILE_PREFIX_VARIABLE};
use flyte_secrets_core::paths::check_part;
use flyte_secrets_core::value::SecretValue;
use flyte_secrets_core::{MountRequirement, Secret};

use super::outfit::Outfit;

/// A Kubernetes Secret is no larger.
const MAX_FILE: u64 = 1024 * 1024;

/// Where this process has its secrets.
pub(super) struct Here {
    prefix: String,
    folder: PathBuf,
    file_prefix: String,
}

/// How a value was found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Variable,
    File,
}

impl Here {
    /// `None` where nobody has injected anything.
    pub(super) fn of_this_process() -> Option<Self> {
        Self::of(|name| std::env::var(name).ok())
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let (prefix, folder) = (variable(ENV_PREFIX_VARIABLE), variable(DEFAULT_DIR_VARIABLE));
        if prefix.is_none() && folder.is_none() {
            return None;
        }
        // flytekit's own defaults where one of them is not set.
        Some(Self {
            prefix: prefix.unwrap_or_else(|| "_FSEC_".to_owned()),
            folder: folder.unwrap_or_else(|| "/etc/secrets".to_owned()).into(),
            file_prefix: variable(FILE_PREFIX_VARIABLE).unwrap_or_default(),
        })
    }

    /// In front of the variables' names.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Adds what is here to the outfit, in the form that was asked for; says whether it is here.
    pub(super) fn serve(&self, request: &Secret, outfit: &mut Outfit) -> Result<bool> {
        let Some((form, value)) = self.find(request)? else { return Ok(false) };
        let as_file = match request.mount_requirement {
            MountRequirement::FILE => true,
            MountRequirement::ENV_VAR => false,
            _ => form == Form::File,
        };
        let own_name = Some(&request.env_var).filter(|name| !name.is_empty());
        if as_file {
            let path = case::lower(&parts(request).join("/")).to_string();
            outfit.files.insert(path.clone(), value);
            outfit.paths.insert(DEFAULT_DIR_VARIABLE.to_owned(), String::new());
            outfit.variables.insert(FILE_PREFIX_VARIABLE.to_owned(), SecretValue::text(String::new()));
            outfit.paths.extend(own_name.map(|name| (name.clone(), path)));
        } else {
            outfit.variables.insert(ENV_PREFIX_VARIABLE.to_owned(), SecretValue::text(self.prefix.clone()));
            outfit.variables.extend(own_name.map(|name| (name.clone(), value.clone())));
            outfit.variables.insert(self.variable(request), value);
        }
        Ok(true)
    }

    /// The variable first, then the file.
    fn find(&self, request: &Secret) -> Result<Option<(Form, SecretValue)>> {
        if let Some(value) = std::env::var_os(self.variable(request)) {
            return Ok(Some((Form::Variable, bytes(value))));
        }
        Ok(self.read(request)?.map(|value| (Form::File, value)))
    }

    fn variable(&self, request: &Secret) -> String {
        case::upper(&format!("{}{}", self.prefix, parts(request).join("_"))).to_string()
    }

    fn read(&self, request: &Secret) -> Result<Option<SecretValue>> {
        let mut path = self.folder.clone();
        let parts = parts(request);
        for (part, number) in parts.iter().zip(1..) {
            if check_part(part).is_err() {
                return Ok(None);
            }
            let prefix = if number == parts.len() { &*self.file_prefix } else { "" };
            path.push(format!("{prefix}{}", case::lower(part)));
        }
        read(&path).with_context(|| format!("cannot read the secret's file {}", path.display()))
    }
}

/// Group, version and key, as far as they are given.
fn parts(Secret { group, group_version, key, .. }: &Secret) -> Vec<&str> {
    [group, group_version, key].into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect()
}

fn bytes(value: OsString) -> SecretValue {
    use std::os::unix::ffi::OsStringExt;
    SecretValue::binary(value.into_vec())
}

fn read(path: &Path) -> Result<Option<SecretValue>> {
    let size = match path.metadata() {
        Ok(metadata) if metadata.is_file() => metadata.len().min(MAX_FILE),
        Ok(_) => return Ok(None),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // Large enough from the start: what grows leaves copies behind.
    let mut bytes = Vec::with_capacity(size as usize + 1);
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        bail!("it is larger than 1 MiB");
    }
    Ok(Some(SecretValue::binary(bytes)))
}
