//! What writing to stores outside the cluster has in common.

// Each store uses a part of it.
#![cfg_attr(not(all(feature = "aws", feature = "azure", feature = "gcp", feature = "vault")), allow(dead_code))]

use std::time::Duration;

use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::value::SecretValue;

use crate::docker_config;
use crate::fetcher::{FailureClass, FetchError};
use crate::writer::{NewSecret, SecretKind, WriteError, WriteFailure, other_kind};

/// The most secrets that are put in order for a list.
pub(crate) const MAX_LISTED: usize = 10_000;
/// How often a write is tried when others get in its way.
pub(crate) const ATTEMPTS: u32 = 8;
/// The largest value, in bytes: the limit of AWS Secrets Manager ("Size of a secret value") and of GCP Secret Manager ("Secret
/// version payload size") alike.
const MAX_VALUE: usize = 64 << 10;

/// Waits before an attempt to write: not at all before the first, then longer and longer, and never as long as others do.
pub(crate) async fn pause(attempt: u32) {
    if attempt > 0 {
        let longest = 20 << attempt.min(6);
        tokio::time::sleep(Duration::from_millis(fastrand::u64(longest / 2..=longest))).await;
    }
}

/// Which names a store takes.
pub(crate) struct Names {
    /// The store.
    pub(crate) store: &'static str,
    /// Whether a name may hold the character.
    pub(crate) allowed: fn(u8) -> bool,
    /// The characters that it may hold, for people.
    pub(crate) alphabet: &'static str,
    /// The most characters of a name.
    pub(crate) longest: usize,
}

impl Names {
    /// The name of the secret of this id, if there can be one, and only one.
    pub(crate) fn name(&self, id: &SecretId) -> Result<String, WriteError> {
        let Self { store, alphabet, longest, .. } = self;
        if id.name.is_empty() {
            return Err(invalid("the name is empty"));
        }
        if id.domain.is_empty() && !id.project.is_empty() {
            return Err(invalid("a project needs a domain"));
        }
        id.check_components().map_err(|ambiguous| invalid(ambiguous.to_string()))?;
        let name = id.to_string();
        if !name.bytes().all(self.allowed) {
            return Err(invalid(format!(
                "{store} cannot hold this name, domain or project: they are made of {alphabet}"
            )));
        }
        if name.len() > *longest {
            let room = longest.saturating_sub(name.len() - id.name.len());
            let length = id.name.len();
            let problem =
                format!("the name has {length} characters; with this domain and project {store} has room for {room}");
            return Err(invalid(problem));
        }
        Ok(name)
    }
}

/// Whether the store can hold the value, and the value is what its kind asks for.
pub(crate) fn check_value(store: &str, value: &SecretValue, kind: SecretKind) -> Result<(), WriteError> {
    match value.expose_bytes().len() {
        0 => return Err(invalid(format!("the value is empty; {store} holds values of at least one byte"))),
        1..=MAX_VALUE => {}
        size => return Err(invalid(format!("the value has {size} bytes; {store} holds at most {MAX_VALUE}"))),
    }
    check_kind(value, kind)
}

/// Whether the value is what its kind asks for.
pub(crate) fn check_kind(value: &SecretValue, kind: SecretKind) -> Result<(), WriteError> {
    match kind {
        SecretKind::ImagePull => docker_config::check(value).map_err(invalid),
        SecretKind::Generic => Ok(()),
    }
}

/// Whether a secret of the kind that was found can get this value.
pub(crate) fn check_kept_kind(found: SecretKind, wanted: &NewSecret) -> Result<(), WriteError> {
    if (found, wanted.kind) == (SecretKind::Generic, SecretKind::ImagePull) {
        return Err(invalid(other_kind()));
    }
    check_kind(&wanted.value, found)
}

/// The same for a store with the limits of [`check_value`].
pub(crate) fn check_new_value(store: &str, found: SecretKind, wanted: &NewSecret) -> Result<(), WriteError> {
    check_value(store, &wanted.value, SecretKind::Generic)?;
    check_kept_kind(found, wanted)
}

pub(crate) fn invalid(problem: impl AsRef<str>) -> WriteError {
    WriteError::new(WriteFailure::Invalid, problem)
}

pub(crate) fn too_many() -> WriteError {
    invalid(format!(
        "more than {MAX_LISTED} secrets, which is more than can be put in order; ask for a domain, or for a project of it"
    ))
}

pub(crate) fn overtaken(name: &str) -> WriteError {
    let detail = format!("others kept changing the secret {name}; nothing was changed by this request; try again");
    WriteError::new(WriteFailure::Conflict, detail)
}

/// The failure of a write for a reason that is the same as in reading.
pub(crate) fn as_in_reading(failure: &FetchError) -> WriteError {
    let kind = match failure.class() {
        FailureClass::NotFound => WriteFailure::NotFound,
        FailureClass::Empty => WriteFailure::Conflict,
        FailureClass::Denied => WriteFailure::Denied,
        FailureClass::Late => WriteFailure::Late,
        FailureClass::Throttled | FailureClass::Unavailable | FailureClass::Malformed => WriteFailure::Unavailable,
    };
    WriteError::new(kind, failure.detail())
}

/// The work's end, or that it took too long.
pub(crate) async fn in_time<T>(
    store: &str,
    timeout: Duration,
    work: impl Future<Output = Result<T, WriteError>>,
) -> Result<T, WriteError> {
    let late =
        |_| WriteError::new(WriteFailure::Late, format!("{store} did not answer within {} ms", timeout.as_millis()));
    tokio::time::timeout(timeout, work).await.map_err(late)?
}
