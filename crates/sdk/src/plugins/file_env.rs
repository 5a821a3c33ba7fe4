//! Variables and files of this process.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flyte_secrets_core::paths::{PathPartError, check_part};
use futures::future::{BoxFuture, ready};
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::SecretManager;
use super::error::{SecretManagerError, shown};

/// The largest file that is read, in bytes: as large as a Kubernetes Secret can be.
pub const MAX_FILE: u64 = 1 << 20;

/// Looks for the variable `<env-prefix><key>` of this process, then for the file `<secrets-prefix>/<key>`.
///
/// The key stands in both as it is, in its own case. A variable that is set but empty counts as found. A file's content is
/// taken as it is, line end included. Nothing is remembered: a file that changes, as a mounted Secret does, counts at the
/// next call. Files are read on the calling thread, because the folder is a local mount.
///
/// Source: `FileEnvSecretManager` in `flytepropeller/pkg/controller/nodes/task/secretmanager/secrets.go` of Flyte.
/// One departure, see `docs/differences.md`: a key that would leave the folder is an error.
#[derive(Clone)]
pub struct FileEnvSecretManager {
    env_prefix: String,
    secrets_prefix: PathBuf,
    variable: Arc<Variables>,
}

/// Gives the value of a variable of this process.
type Variables = dyn Fn(&str) -> Option<OsString> + Send + Sync;

/// With an empty prefix a plugin could ask for any variable of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the prefix of variables is empty, so that every variable of this process could be asked for; set one")]
pub struct EmptyEnvPrefix;

impl FileEnvSecretManager {
    /// Flyte's `secrets.env-prefix`.
    pub const ENV_PREFIX: &str = "FLYTE_SECRET_";
    /// Flyte's `secrets.secrets-prefix`.
    pub const SECRETS_PREFIX: &str = "/etc/secrets";

    /// Variables that begin with `env_prefix`, and files below the folder `secrets_prefix`.
    ///
    /// # Errors
    ///
    /// [`EmptyEnvPrefix`].
    pub fn new(env_prefix: impl Into<String>, secrets_prefix: impl Into<PathBuf>) -> Result<Self, EmptyEnvPrefix> {
        let env_prefix = env_prefix.into();
        if env_prefix.is_empty() {
            return Err(EmptyEnvPrefix);
        }
        Ok(Self {
            env_prefix,
            secrets_prefix: secrets_prefix.into(),
            variable: Arc::new(|name| std::env::var_os(name)),
        })
    }

    fn find(&self, key: &str) -> Result<SecretString, SecretManagerError> {
        check(key)?;
        let variable = format!("{}{key}", self.env_prefix);
        if let Some(value) = (self.variable)(&variable) {
            let place = || format!("variable {variable}");
            return value
                .into_string()
                .map(SecretString::from)
                .map_err(|_| SecretManagerError::NotText { key: shown(key), place: place() });
        }
        let file = self.secrets_prefix.join(key);
        let shown_file = shown(&file.to_string_lossy());
        let refused = |detail: String| SecretManagerError::Refused { key: shown(key), detail };
        let bytes = match read(&file) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                let looked = format!("looked for the variable {} and the file {shown_file}", shown(&variable));
                return Err(SecretManagerError::NotFound { key: shown(key), looked });
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(refused(format!(
                    "this process may not read the file {shown_file}; make it readable for its user"
                )));
            }
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                return Err(refused(format!("the file {shown_file} is larger than {MAX_FILE} bytes")));
            }
            Err(error) => {
                let detail = format!("the file {shown_file}: {error}");
                return Err(SecretManagerError::Unavailable { key: shown(key), detail });
            }
        };
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(SecretString::from(text.to_owned())),
            Err(_) => Err(SecretManagerError::NotText { key: shown(key), place: format!("file {shown_file}") }),
        }
    }
}

/// The prefixes of Flyte.
impl Default for FileEnvSecretManager {
    fn default() -> Self {
        Self::new(Self::ENV_PREFIX, Self::SECRETS_PREFIX).expect("the prefix is not empty")
    }
}

impl fmt::Debug for FileEnvSecretManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { env_prefix, secrets_prefix, .. } = self;
        f.debug_struct("FileEnvSecretManager")
            .field("env_prefix", env_prefix)
            .field("secrets_prefix", secrets_prefix)
            .finish_non_exhaustive()
    }
}

impl SecretManager for FileEnvSecretManager {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<SecretString, SecretManagerError>> {
        Box::pin(ready(self.find(key)))
    }
}

fn check(key: &str) -> Result<(), SecretManagerError> {
    let wrong = |problem: &str| Err(SecretManagerError::invalid(key, problem));
    match check_part(key) {
        _ if key.is_empty() => wrong("it is empty"),
        Ok(()) => Ok(()),
        Err(PathPartError::Climbs) => wrong("it has a '..' segment, so its file would not be in the folder of secrets"),
        Err(problem) => wrong(&format!("it {problem}")),
    }
}

/// A file's content; `None` where there is no such file.
fn read(path: &Path) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    // A pipe without a writer would never let itself be opened, so we look first.
    let length = match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => metadata.len(),
        Ok(_) => return Ok(None),
        // A name longer than the file system takes is nobody's name.
        Err(error) if matches!(error.kind(), NotFound | NotADirectory | InvalidFilename) => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > MAX_FILE {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    // Of its full size from the start, so that growing leaves no copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1));
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(Some(bytes)) }
}

#[cfg(test)]
#[path = "file_env_tests.rs"]
mod tests;
