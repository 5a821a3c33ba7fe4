//! Why a task does not get its secret.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::{SecretsConfig, Source};

/// Why a task does not get its secret. Names places, never a value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// Group, version and key are all empty.
    #[error("no secret was asked for: group, group version and key are all empty; give the key, and its group")]
    NothingAsked,
    /// It is at none of its places.
    #[error(
        "found no secret with {name}: there is neither {} nor the file {}. Declare it for the task, \
         secret_requests=[Secret(…)] with the same names. If it is declared, see that its mount requirement and {}, {} \
         and {} lead to one of these places",
        Variables(.variables), .file.display(),
        SecretsConfig::ENV_PREFIX, SecretsConfig::DEFAULT_DIR, SecretsConfig::FILE_PREFIX
    )]
    NotFound {
        /// What was asked for.
        name: Name,
        /// The variables that were looked for, in their order.
        variables: Vec<String>,
        /// The file that was looked for.
        file: PathBuf,
    },
    /// It is not UTF-8.
    #[error("the secret in {place} is not UTF-8 text; read it with get_bytes")]
    NotText {
        /// Where it stands.
        place: Source,
    },
    /// There seems to be a file, but it cannot be read.
    #[error("cannot read the secret in the file {}: {cause}; see that the task's user may read it", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the operating system says.
        #[source]
        cause: io::Error,
    },
    /// A folder, a pipe or a device stands where the file should be.
    #[error(
        "{} is not a file; a secret with this group and key must be a file there, or a variable of its own",
        .file.display()
    )]
    NotAFile {
        /// What is no file.
        file: PathBuf,
    },
    /// More than [`MAX_VALUE_SIZE`](super::MAX_VALUE_SIZE).
    #[error("the file {} has more than {limit} bytes; open it by get_secrets_file and read it in parts", .file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// How many bytes are read at most.
        limit: u64,
    },
}

/// What was asked for: the parts that are not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The group.
    pub group: String,
    /// The version of the group.
    pub group_version: String,
    /// The key.
    pub key: String,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("group", &self.group), ("group version", &self.group_version), ("key", &self.key)];
        let mut separator = "";
        for (word, part) in parts.into_iter().filter(|(_, part)| !part.is_empty()) {
            write!(f, "{separator}{word} {part:?}")?;
            separator = ", ";
        }
        Ok(())
    }
}

struct Variables<'a>(&'a [String]);

impl fmt::Display for Variables<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.0.iter().enumerate() {
            write!(f, "{}the variable {name:?}", if at == 0 { "" } else { " nor " })?;
        }
        Ok(())
    }
}
