//! Where values come from: the webhook's own variables and files (Global), and stores (Embedded).

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Instant;

use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::injectors::GlobalLookUp;
use flyte_secrets_core::value::SecretValue;
use flyte_secrets_stores::{Found, Freshness, LookUps};
use secrecy::{ExposeSecret, SecretString};

use super::existence::ExistingSecrets;
use crate::image_pull::{PullSecret, PullSecrets};

/// The largest file of the Global manager; a Kubernetes Secret is no larger.
const MAX_FILE: u64 = 1024 * 1024;

/// Why there is no value. Sentences without their subject; names only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A retry would not help: the next manager is asked.
    Declined(String),
    /// Unavailable, throttled, late or malformed: a retry may help.
    Retryable(String),
}

/// Variables that the Global manager may hand out. `Debug` shows how many there are.
#[derive(Clone, Default)]
pub struct Variables(HashMap<String, SecretString>);

impl Variables {
    /// Keeps the variables whose names start with `prefix`.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>, prefix: &str) -> Self {
        let ours = variables.into_iter().filter(|(name, _)| name.starts_with(prefix));
        Self(ours.map(|(name, value)| (name, SecretString::from(value))).collect())
    }

    /// Those of this process; names and values that are not UTF-8 cannot be asked for.
    #[must_use]
    pub fn of_this_process(prefix: &str) -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self::new(std::env::vars_os().filter_map(text), prefix)
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} variables", self.0.len())
    }
}

/// All sources of values.
#[derive(Clone, Default)]
pub struct Sources {
    /// For Global.
    pub variables: Variables,
    /// For Embedded.
    pub look_ups: LookUps,
    /// Image-pull Secrets that belong to values of Embedded, where `imagePullSecrets.enabled` says so.
    pub pull_secrets: Option<Arc<PullSecrets>>,
    /// For the K8s manager, where `webhook.k8s.checkExists` asks for it and there is a cluster.
    pub existing: Option<Arc<ExistingSecrets>>,
}

impl Sources {
    /// The webhook's own variable, else its own file.
    ///
    /// Opens the file without leaving the thread: the folder is a local mount, mostly without such a
    /// file, and a trip to another thread for every request costs more than the answer.
    pub(super) fn global(&self, place: &GlobalLookUp) -> Result<SecretValue, Failure> {
        if let Some(value) = self.variables.0.get(&place.variable) {
            return Ok(SecretValue::text(value.expose_secret().to_owned()));
        }
        let path = place.file.as_ref().map_err(|decline| Failure::Declined(decline.0.clone()))?;
        match read(path) {
            Ok(Some(bytes)) => Ok(SecretValue::binary(bytes)),
            Ok(None) => {
                let variable = &place.variable;
                Err(Failure::Declined(format!("found neither the variable {variable:?} nor the file {path:?}")))
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(Failure::Declined(format!(
                "may not read the file {path:?}; make it readable for the webhook's user"
            ))),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                Err(Failure::Declined(format!("does not read the file {path:?}: it is larger than 1 MiB")))
            }
            Err(error) => Err(Failure::Retryable(format!("could not read the file {path:?}: {error}"))),
        }
    }

    /// A store's value, from the narrowest scope that has one.
    pub(super) async fn store(&self, id: &SecretId, deadline: Instant) -> Result<Found, Failure> {
        self.look_ups.find(id, Freshness::Cached, deadline.into()).await.map_err(|error| {
            if error.retryable() { Failure::Retryable(error.to_string()) } else { Failure::Declined(error.to_string()) }
        })
    }

    /// The image-pull Secret that belongs to the secret that was found.
    pub(super) async fn pull_secret(&self, id: &SecretId, deadline: Instant) -> Result<Option<PullSecret>, Failure> {
        let Some(pull_secrets) = &self.pull_secrets else { return Ok(None) };
        pull_secrets.find(id, deadline.into()).await.map_err(|error| Failure::Retryable(error.to_string()))
    }
}

/// A file's content as it is, line end included; `None` where there is no such file.
fn read(path: &str) -> io::Result<Option<Vec<u8>>> {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    // A pipe without a writer would never let itself be opened, so we look first.
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Ok(None),
        // A name longer than the file system takes is nobody's name.
        Err(error) if matches!(error.kind(), NotFound | NotADirectory | InvalidFilename) => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(Some(bytes))
}
