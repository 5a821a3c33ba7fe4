//! What can go wrong with the local store, with the way out.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::fetcher::{FailureClass, FetchError};

/// A failure of the local store. Names ids, files and limits, never a value or a key.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// No folder is known for the files.
    #[error("no place for the local secrets: set HOME, or XDG_DATA_HOME to an absolute path")]
    NoPlace,
    /// The id cannot be stored.
    #[error("secret {id}: {problem}")]
    InvalidId {
        /// The encoded id.
        id: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The secrets are there already; nothing was changed.
    #[error("already there, and left as it is: {}; update it, or ask to overwrite", .ids.join(", "))]
    AlreadyExists {
        /// The encoded ids.
        ids: Vec<String>,
    },
    /// There is no such secret.
    #[error("no secret {id} in {}", .file.display())]
    NotFound {
        /// The encoded id.
        id: String,
        /// The file of the secrets.
        file: PathBuf,
    },
    /// The value is larger than Kubernetes would take.
    #[error("secret {id}: the value has {size} bytes; at most {limit} fit, as in a Kubernetes Secret")]
    ValueTooLarge {
        /// The encoded id.
        id: String,
        /// The value's size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A file is, or would become, too large.
    #[error("{}: larger than the limit of {limit} bytes", .file.display())]
    FileTooLarge {
        /// The file.
        file: PathBuf,
        /// The limit in bytes.
        limit: usize,
    },
    /// The secrets are there and their key is not.
    #[error(
        "the key file {} is missing, and without it {} cannot be opened; put the key back, or move the secrets \
         away to start anew",
        .key.display(), .file.display()
    )]
    KeyMissing {
        /// Where the key should be.
        key: PathBuf,
        /// The file of the secrets.
        file: PathBuf,
    },
    /// Others may read the key.
    #[error(
        "the key file {0} can be read by others (mode {mode:04o}); run: chmod 600 {0}",
        .key.display()
    )]
    KeyReadableByOthers {
        /// The key file.
        key: PathBuf,
        /// Its mode bits.
        mode: u32,
    },
    /// The key file holds no usable key.
    #[error("the key file {}: {problem}", .key.display())]
    KeyMalformed {
        /// The key file.
        key: PathBuf,
        /// What is wrong, with the line.
        problem: String,
    },
    /// The key does not fit the secrets.
    #[error(
        "the key in {} does not open {}: they do not belong together; put the right key back",
        .key.display(), .file.display()
    )]
    WrongKey {
        /// The key file.
        key: PathBuf,
        /// The file of the secrets.
        file: PathBuf,
    },
    /// The passphrase is wrong.
    #[error("wrong passphrase for {}", .0.display())]
    WrongPassphrase(PathBuf),
    /// An empty passphrase protects nothing.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// The secrets are locked with a passphrase and a key file was given.
    #[error("{} is locked with a passphrase, not with a key file; give the passphrase", .0.display())]
    NeedsPassphrase(PathBuf),
    /// The secrets are locked with a key file and a passphrase was given.
    #[error("{} is locked with a key file, not with a passphrase; open it without one", .0.display())]
    NeedsKeyFile(PathBuf),
    /// The file is no age file, was cut or was changed, or its content is not ours.
    #[error("{}: {problem}; restore it from a copy, or move it away to start anew", .file.display())]
    Corrupt {
        /// The file of the secrets.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The content was written by a newer version of this program.
    #[error("{}: written in format {version}, and this program knows {known}; use a newer one", .file.display())]
    NewerFormat {
        /// The file of the secrets.
        file: PathBuf,
        /// The format found.
        version: u64,
        /// The newest format known here.
        known: u64,
    },
    /// Another process keeps the lock.
    #[error("{}: another process has held this lock for {} s; wait for it or end it", .lock.display(), .waited.as_secs())]
    Locked {
        /// The lock file.
        lock: PathBuf,
        /// How long we waited.
        waited: Duration,
    },
    /// The operating system refused something.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl LocalError {
    /// Makes an I/O error into ours.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    fn class(&self) -> FailureClass {
        match self {
            Self::NotFound { .. } => FailureClass::NotFound,
            Self::KeyMissing { .. }
            | Self::KeyReadableByOthers { .. }
            | Self::KeyMalformed { .. }
            | Self::WrongKey { .. }
            | Self::WrongPassphrase(_)
            | Self::EmptyPassphrase
            | Self::NeedsPassphrase(_)
            | Self::NeedsKeyFile(_) => FailureClass::Denied,
            Self::Corrupt { .. } | Self::NewerFormat { .. } | Self::FileTooLarge { .. } => FailureClass::Malformed,
            Self::Locked { .. } => FailureClass::Late,
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => FailureClass::Denied,
            Self::NoPlace
            | Self::InvalidId { .. }
            | Self::AlreadyExists { .. }
            | Self::ValueTooLarge { .. }
            | Self::Io { .. } => FailureClass::Unavailable,
        }
    }
}

/// The failure as a store's answer.
impl From<LocalError> for FetchError {
    fn from(error: LocalError) -> Self {
        Self::new(error.class(), error.to_string())
    }
}
