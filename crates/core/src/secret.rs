//! One request for a secret, as a task author wrote it.

use std::fmt;

/// How a task wants to read a secret (`flyteidl.core.Secret.MountType`).
///
/// The wire carries any 32-bit number; numbers without a name are kept, and no manager serves them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MountRequirement(i32);

impl MountRequirement {
    /// The manager decides: file for most, environment variable for Global and Embedded.
    pub const ANY: Self = Self(0);
    /// An environment variable.
    pub const ENV_VAR: Self = Self(1);
    /// A file below `/etc/flyte/secrets`.
    pub const FILE: Self = Self(2);

    /// From the number on the wire.
    #[must_use]
    pub const fn from_number(number: i32) -> Self {
        Self(number)
    }

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }

    /// The name that the protobuf enum gives the number; `None` for numbers without one.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self.0 {
            0 => Some("ANY"),
            1 => Some("ENV_VAR"),
            2 => Some("FILE"),
            _ => None,
        }
    }

    /// From the enum's name, in the case it is declared in.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "ANY" => Some(Self::ANY),
            "ENV_VAR" => Some(Self::ENV_VAR),
            "FILE" => Some(Self::FILE),
            _ => None,
        }
    }
}

impl fmt::Display for MountRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

/// One request for a secret: `flyteidl.core.Secret` (Flyte 1) and `flyteidl2.core.Secret` (Flyte 2).
///
/// Holds names only, never a value, so it may be printed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Secret {
    /// The group: name of a Kubernetes Secret, a Vault path, an ARN, …
    pub group: String,
    /// The version of the group; what it means is up to the manager.
    pub group_version: String,
    /// The key within the group.
    pub key: String,
    /// Environment variable, file, or whichever the manager prefers.
    pub mount_requirement: MountRequirement,
    /// A variable that shall hold the value, or the path of the file.
    pub env_var: String,
}

/// Prints the request on one line, as Flyte does in its messages: `group:"g" key:"k" mount_requirement:FILE`.
impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let texts = [("group", &self.group), ("group_version", &self.group_version), ("key", &self.key)];
        for (name, value) in texts.into_iter().filter(|(_, value)| !value.is_empty()) {
            write!(f, "{separator}{name}:{value:?}")?;
            separator = " ";
        }
        if self.mount_requirement != MountRequirement::ANY {
            write!(f, "{separator}mount_requirement:{}", self.mount_requirement)?;
            separator = " ";
        }
        if !self.env_var.is_empty() {
            write!(f, "{separator}env_var:{:?}", self.env_var)?;
        }
        Ok(())
    }
}
