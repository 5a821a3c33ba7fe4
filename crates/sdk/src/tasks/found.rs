//! A secret that was found: where, and its value.

use std::fmt;
use std::path::PathBuf;

use secrecy::{SecretSlice, SecretString};
use zeroize::Zeroizing;

use super::{SecretError, python};

/// Where a secret stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the variable of this name.
    EnvVar(String),
    /// In the file of this path.
    File(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EnvVar(name) => write!(f, "the variable {name}"),
            Self::File(path) => write!(f, "the file {}", path.display()),
        }
    }
}

/// A secret that was found. `Debug` shows where, and never the value.
pub struct Found {
    source: Source,
    content: Zeroizing<Vec<u8>>,
}

impl Found {
    pub(super) fn new(source: Source, content: Zeroizing<Vec<u8>>) -> Self {
        Self { source, content }
    }

    /// Where it stands.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The value as text: without white space around it, and from a file with `\n` for every line end, as Python
    /// reads text.
    ///
    /// # Errors
    /// If it is not UTF-8.
    pub fn text(&self) -> Result<SecretString, SecretError> {
        let not_text = |_| SecretError::NotText { place: self.source.clone() };
        let text = std::str::from_utf8(&self.content).map_err(not_text)?;
        Ok(match &self.source {
            Source::EnvVar(_) => exactly(python::strip(text)),
            Source::File(_) => exactly(python::strip(&python::universal_newlines(text))),
        })
    }

    /// The value's bytes as flytekit gives them for `encode_mode="rb"`: without white space around them; of a file
    /// only what is white space in ASCII.
    #[must_use]
    pub fn bytes(&self) -> SecretSlice<u8> {
        SecretSlice::from(match &self.source {
            Source::EnvVar(_) => python::strip_lossy(&self.content).to_vec(),
            Source::File(_) => python::strip_bytes(&self.content).to_vec(),
        })
    }

    /// The value's bytes exactly as they stand there, white space included.
    #[must_use]
    pub fn exact_bytes(&self) -> SecretSlice<u8> {
        SecretSlice::from(self.content.to_vec())
    }
}

/// A copy without spare room, so that it need not be moved and leaves no copy behind.
fn exactly(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found").field("source", &self.source).finish_non_exhaustive()
    }
}
