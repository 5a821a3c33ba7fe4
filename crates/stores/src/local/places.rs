//! Where the files of the local store are.

use std::ffi::OsString;
use std::path::PathBuf;

use super::error::LocalError;

/// The paths of the local store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The encrypted secrets.
    pub file: PathBuf,
    /// The key, unless a passphrase is used.
    pub key: PathBuf,
}

impl Places {
    /// `secrets.age` and `key.txt` below `$XDG_DATA_HOME/flyte-secrets`, or `~/.local/share/flyte-secrets`
    /// where that variable is unset, empty or relative (XDG Base Directory Specification).
    ///
    /// `variable` gives the value of an environment variable, e.g. `|name| std::env::var_os(name)`.
    ///
    /// # Errors
    ///
    /// [`LocalError::NoPlace`] if neither variable names an absolute path.
    pub fn from_environment(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, LocalError> {
        let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let data = absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
        let folder = data.ok_or(LocalError::NoPlace)?.join("flyte-secrets");
        Ok(Self { file: folder.join("secrets.age"), key: folder.join("key.txt") })
    }

    /// The lock that writers hold, next to the secrets. It is a file of its own because the secrets are
    /// replaced by a new file at every write.
    pub(super) fn lock(&self) -> PathBuf {
        let mut path = self.file.clone().into_os_string();
        path.push(".lock");
        path.into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn places(variables: &[(&str, &str)]) -> Result<Places, LocalError> {
        Places::from_environment(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_folder_follows_the_xdg_specification() {
        for (variables, folder) in [
            (&[("XDG_DATA_HOME", "/data"), ("HOME", "/home/me")][..], "/data/flyte-secrets"),
            (&[("HOME", "/home/me")], "/home/me/.local/share/flyte-secrets"),
            (&[("XDG_DATA_HOME", ""), ("HOME", "/home/me")], "/home/me/.local/share/flyte-secrets"),
            (&[("XDG_DATA_HOME", "relative"), ("HOME", "/home/me")], "/home/me/.local/share/flyte-secrets"),
        ] {
            let places = places(variables).unwrap();
            assert_eq!(places.file, PathBuf::from(folder).join("secrets.age"));
            assert_eq!(places.key, PathBuf::from(folder).join("key.txt"));
            assert_eq!(places.lock(), PathBuf::from(folder).join("secrets.age.lock"));
        }
    }

    #[test]
    fn without_a_home_the_error_names_the_variables() {
        for variables in [&[][..], &[("HOME", "")], &[("HOME", "relative")]] {
            let text = places(variables).unwrap_err().to_string();
            assert!(text.contains("HOME") && text.contains("XDG_DATA_HOME"), "{text}");
        }
    }
}
