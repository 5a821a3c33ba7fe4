//! From answers of a KV engine of version 2, in which no value stands, to what is known of a secret.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::api::{Words, general_failure};
use crate::https::Answer;
use crate::writer::{SecretKind, WriteError, WriteFailure};
use crate::writing::{as_in_reading, invalid};

/// The field, beside the value, that tells secrets for pulling images from others. It is written and changed with the value,
/// and its name can be read without the value.
pub(super) const PULL_FIELD: &str = "flyte_image_pull_secret";

/// What is at a path.
pub(super) enum Seen {
    /// Nothing ever, or nothing any more.
    Nothing,
    /// Versions, of which the latest was deleted or destroyed by other means than ours.
    Deleted {
        /// The latest.
        version: u64,
    },
    /// A secret.
    Present(Present),
}

/// A secret that is there.
pub(super) struct Present {
    /// Its latest version, counted from 1.
    pub(super) version: u64,
    /// What it is for.
    pub(super) kind: SecretKind,
    /// When this version was made.
    pub(super) changed: Option<SystemTime>,
}

/// How a write with a check of the version ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// It is done.
    Done,
    /// The latest version is another one; nothing was written.
    Overtaken,
}

#[derive(Deserialize)]
struct Body<T> {
    data: T,
}

/// The answer to a request for `subkeys`: the fields of the latest version, without their values.
#[derive(Deserialize)]
struct Subkeys {
    subkeys: Option<BTreeMap<String, IgnoredAny>>,
    metadata: Version,
}

#[derive(Deserialize)]
struct Version {
    version: u64,
    created_time: String,
}

#[derive(Deserialize)]
struct Metadata {
    created_time: String,
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<String>,
}

/// What is at a path; `path` is its folder in the policy.
pub(super) fn seen(answer: &Answer, path: &str) -> Result<Seen, WriteError> {
    match answer.status {
        200 => {
            let Subkeys { subkeys, metadata } = parse(answer)?;
            let pull = subkeys.is_some_and(|fields| fields.contains_key(PULL_FIELD));
            let kind = if pull { SecretKind::ImagePull } else { SecretKind::Generic };
            let Version { version, created_time } = metadata;
            Ok(Seen::Present(Present { version, kind, changed: time(&created_time) }))
        }
        // With a body of the same form where there is a version, but no secret in it.
        404 => match parse::<Subkeys>(answer) {
            Ok(deleted) => Ok(Seen::Deleted { version: deleted.metadata.version }),
            Err(_) => missing(answer).map(|()| Seen::Nothing),
        },
        _ => Err(failure(answer, path, "read")),
    }
}

/// When the first version of a secret was made; `None` where there is nothing any more.
pub(super) fn created(answer: &Answer, path: &str) -> Result<Option<SystemTime>, WriteError> {
    match answer.status {
        200 => parse::<Metadata>(answer).map(|metadata| time(&metadata.created_time)),
        404 => missing(answer).map(|()| None),
        _ => Err(failure(answer, path, "read")),
    }
}

/// The names in a folder.
pub(super) fn names(answer: &Answer, path: &str) -> Result<Vec<String>, WriteError> {
    match answer.status {
        200 => parse::<Keys>(answer).map(|keys| keys.keys),
        404 => missing(answer).map(|()| Vec::new()),
        _ => Err(failure(answer, path, "list")),
    }
}

/// How a write ended.
pub(super) fn written(answer: &Answer, path: &str) -> Result<Written, WriteError> {
    let says = || Words::of(answer).text();
    match answer.status {
        200 => Ok(Written::Done),
        400 if says().contains("check-and-set parameter did not match") => Ok(Written::Overtaken),
        // To change what is not there any more.
        404 => missing(answer).map(|()| Written::Overtaken),
        204 => Err(unavailable(
            "the engine is not KV version 2, and only there a write can be checked; set mount and kvVersion",
        )),
        413 => Err(invalid(format!("the value is too large for Vault (413); it says: {}", says()))),
        _ if says().contains("too large") => {
            Err(invalid(format!("the value is too large for Vault; it says: {}", says())))
        }
        _ => Err(failure(answer, path, "create\", \"update\", \"patch")),
    }
}

/// That a secret with all its versions is gone.
pub(super) fn deleted(answer: &Answer, path: &str) -> Result<(), WriteError> {
    match answer.status {
        200 | 204 => Ok(()),
        404 => missing(answer),
        _ => Err(failure(answer, path, "delete")),
    }
}

/// A 404 for something that is not there; not one of another server, or of no engine at all.
fn missing(answer: &Answer) -> Result<(), WriteError> {
    let words = Words::of(answer);
    let says = words.text();
    if !words.are_vaults() && parse::<Subkeys>(answer).is_err() {
        return Err(unavailable("no Vault answers at this address: 404 without Vault's JSON"));
    }
    if says.contains("no handler for route") {
        return Err(unavailable(&format!("no secrets engine is mounted there: set mount; Vault says: {says}")));
    }
    match words.warning() {
        Some(warning) => Err(unavailable(&format!("the engine is not KV version 2; Vault says: {warning}"))),
        None => Ok(()),
    }
}

fn failure(answer: &Answer, path: &str, capabilities: &str) -> WriteError {
    match answer.status {
        401 | 403 => {
            let detail = format!(
                "Vault denies it ({}); a policy of our identity needs path \"{path}/*\" {{ capabilities = [\"{capabilities}\"] }}; \
                 it says: {}",
                answer.status,
                Words::of(answer).text()
            );
            WriteError::new(WriteFailure::Denied, detail)
        }
        _ => as_in_reading(&general_failure(answer)),
    }
}

fn unavailable(detail: &str) -> WriteError {
    WriteError::new(WriteFailure::Unavailable, detail)
}

fn parse<T: DeserializeOwned>(answer: &Answer) -> Result<T, WriteError> {
    let unreadable = |_| unavailable("an answer that a KV engine of version 2 does not give");
    serde_json::from_slice::<Body<T>>(&answer.body).map(|body| body.data).map_err(unreadable)
}

/// A time of Vault's, to the second.
fn time(text: &str) -> Option<SystemTime> {
    let since = humantime::parse_rfc3339(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(since.as_secs()))
}
