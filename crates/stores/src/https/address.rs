//! Addresses: where a store is, and what of an id stands in a URL.

use std::path::PathBuf;

use flyte_secrets_core::encoded_id::SecretId;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Settings with which a store cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The address is not `https://host[:port][/path]`, or `http://…` for who writes it by hand.
    #[error(
        "{setting}: {problem}; expected https://host[:port][/path], without user, query and fragment (http:// only for a server on the same host or in tests)"
    )]
    Address {
        /// The setting's name.
        setting: &'static str,
        /// What is wrong. The address itself is not repeated: it may hold a password.
        problem: String,
    },
    /// A path or name that would not mean what it says in a URL.
    #[error(
        "{setting}: {value:?} cannot be part of a path: no empty, `.` or `..` segments, no control characters, no `/` at its ends"
    )]
    Path {
        /// The setting's name.
        setting: &'static str,
        /// Its value.
        value: String,
    },
    /// A certificate or key that cannot be read.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The settings contradict each other or are not complete.
    #[error("{0}")]
    Combination(String),
    /// No HTTPS client can be made, because the platform has no root certificates, say.
    #[error("no HTTPS client can be made: {0}")]
    Client(String),
}

/// The address of a store, without a `/` at its end.
pub(crate) fn base_url(setting: &'static str, address: &str) -> Result<Url, SettingsError> {
    let wrong = |problem: &str| SettingsError::Address { setting, problem: problem.to_owned() };
    let mut url = Url::parse(address.trim()).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(wrong("the scheme is neither https nor http"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it holds a user or a password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it holds a query or a fragment"));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// The id as exactly one segment of a URL.
///
/// Every character that is not unreserved is encoded, `/` and `%` and control characters among them. The segment
/// is never `.` or `..`, which a URL would swallow: an encoded id begins with `u__org__`.
pub(crate) fn encoded_segment(id: &SecretId) -> String {
    utf8_percent_encode(&id.to_string(), RESERVED).to_string()
}

/// A path of the settings, each segment encoded; empty for an empty one.
pub(crate) fn encoded_path(setting: &'static str, path: &str) -> Result<String, SettingsError> {
    let wrong = || SettingsError::Path { setting, value: path.to_owned() };
    if path.is_empty() {
        return Ok(String::new());
    }
    let segments = path.split('/').map(|segment| {
        let plain = !matches!(segment, "" | "." | "..") && !segment.contains(char::is_control);
        if plain { Ok(utf8_percent_encode(segment, RESERVED).to_string()) } else { Err(wrong()) }
    });
    Ok(segments.collect::<Result<Vec<_>, _>>()?.join("/"))
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
