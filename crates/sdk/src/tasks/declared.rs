//! The declaration of a secret that a task needs.

use std::fmt;

use flyte_secrets_core::MountRequirement;
use flyte_secrets_core::annotations::{self, EncodeError};
use serde::{Deserialize, Serialize};

/// A secret that a task needs: flytekit's `Secret(group, key, group_version, mount_requirement, env_var)`, checked as
/// there.
///
/// ```
/// use flyte_secrets_sdk::tasks::{MountRequirement, Secret};
///
/// let secret = Secret::new("user-info", "password")?
///     .with_mount_requirement(MountRequirement::ENV_VAR)?
///     .with_env_var("DB_PASSWORD")?;
/// assert_eq!(secret.env_var(), "DB_PASSWORD");
/// assert!(secret.with_env_var("db-password").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// In documents it has the same members, of which only one of group and key must be there; the mount requirement is
/// `ANY`, `ENV_VAR` or `FILE`:
///
/// ```
/// # use flyte_secrets_sdk::tasks::Secret;
/// let secret: Secret = serde_json::from_str(r#"{"group": "db", "key": "password", "mount_requirement": "FILE"}"#)?;
/// assert_eq!(secret.to_string(), r#"group:"db" key:"password" mount_requirement:FILE"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Members", into = "Members")]
pub struct Secret(flyte_secrets_core::Secret);

/// What is wrong with the declaration of a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    /// Neither group nor key.
    #[error("a secret needs a key and, with most managers, a group: both are empty")]
    NoName,
    /// Not the name of a variable.
    #[error("{0:?} is no name for a variable: it must be of A-Z, 0-9 and _, and not begin with a digit")]
    EnvVar(String),
    /// Not one of those that have a name.
    #[error("the mount requirement {0:?} is not known; use ANY, ENV_VAR or FILE")]
    MountRequirement(String),
}

impl Secret {
    /// A secret of a group. Where a manager needs only one of them, as Flyte 2's Embedded, the group may be empty, and
    /// where it is told by the version, as GCP's, the key.
    ///
    /// # Errors
    /// If both are empty.
    pub fn new(group: impl Into<String>, key: impl Into<String>) -> Result<Self, InvalidSecret> {
        let (group, key) = (group.into(), key.into());
        Self::try_from(flyte_secrets_core::Secret { group, key, ..flyte_secrets_core::Secret::default() })
    }

    /// With a version of the group; what it means is up to the manager.
    #[must_use]
    pub fn with_group_version(mut self, group_version: impl Into<String>) -> Self {
        self.0.group_version = group_version.into();
        self
    }

    /// As a variable, as a file, or as the manager prefers, which is the default.
    ///
    /// # Errors
    /// If it is a number without a name.
    pub fn with_mount_requirement(mut self, mount_requirement: MountRequirement) -> Result<Self, InvalidSecret> {
        self.0.mount_requirement = mount_requirement;
        Self::try_from(self.0)
    }

    /// With a variable of the task's choice, which shall hold the value, or the path of the file.
    ///
    /// # Errors
    /// If the name does not match `^[A-Z_][A-Z0-9_]*$`, flytekit's rule.
    pub fn with_env_var(mut self, env_var: impl Into<String>) -> Result<Self, InvalidSecret> {
        self.0.env_var = env_var.into();
        if self.0.env_var.is_empty() {
            return Err(InvalidSecret::EnvVar(self.0.env_var));
        }
        Self::try_from(self.0)
    }

    /// The group; may be empty.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.0.group
    }

    /// The key; may be empty.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.0.key
    }

    /// The version of the group; may be empty.
    #[must_use]
    pub fn group_version(&self) -> &str {
        &self.0.group_version
    }

    /// As a variable, as a file, or as the manager prefers.
    #[must_use]
    pub fn mount_requirement(&self) -> MountRequirement {
        self.0.mount_requirement
    }

    /// The variable of the task's choice; may be empty.
    #[must_use]
    pub fn env_var(&self) -> &str {
        &self.0.env_var
    }

    /// The value of the annotation `flyte.secrets/s<number>` by which a pod asks for this secret.
    ///
    /// # Errors
    /// If it would be longer than all annotations of an object may be.
    pub fn to_annotation(&self) -> Result<String, EncodeError> {
        annotations::encode(&self.0)
    }
}

/// As Flyte prints it in its messages: `group:"db" key:"password"`.
impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Secret> for flyte_secrets_core::Secret {
    fn from(secret: Secret) -> Self {
        secret.0
    }
}

impl TryFrom<flyte_secrets_core::Secret> for Secret {
    type Error = InvalidSecret;

    fn try_from(secret: flyte_secrets_core::Secret) -> Result<Self, InvalidSecret> {
        if secret.group.is_empty() && secret.key.is_empty() {
            return Err(InvalidSecret::NoName);
        }
        if secret.mount_requirement.name().is_none() {
            return Err(InvalidSecret::MountRequirement(secret.mount_requirement.to_string()));
        }
        if !secret.env_var.is_empty() && !is_env_var(&secret.env_var) {
            return Err(InvalidSecret::EnvVar(secret.env_var));
        }
        Ok(Self(secret))
    }
}

fn is_env_var(name: &str) -> bool {
    let may_begin = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
    name.bytes().next().is_some_and(may_begin) && name.bytes().all(|byte| may_begin(byte) || byte.is_ascii_digit())
}

/// The members of a declaration in a document.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Members {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    group: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    key: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    group_version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mount_requirement: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    env_var: String,
}

impl TryFrom<Members> for Secret {
    type Error = InvalidSecret;

    fn try_from(members: Members) -> Result<Self, InvalidSecret> {
        let mount_requirement = match members.mount_requirement {
            None => MountRequirement::ANY,
            Some(name) => {
                MountRequirement::from_name(&name).ok_or_else(|| InvalidSecret::MountRequirement(name.clone()))?
            }
        };
        let Members { group, key, group_version, env_var, .. } = members;
        Self::try_from(flyte_secrets_core::Secret { group, group_version, key, mount_requirement, env_var })
    }
}

impl From<Secret> for Members {
    fn from(secret: Secret) -> Self {
        let flyte_secrets_core::Secret { group, group_version, key, mount_requirement, env_var } = secret.0;
        let mount_requirement = mount_requirement.name().filter(|_| mount_requirement != MountRequirement::ANY);
        Self { group, key, group_version, mount_requirement: mount_requirement.map(str::to_owned), env_var }
    }
}

#[cfg(test)]
#[path = "declared_tests.rs"]
mod tests;
