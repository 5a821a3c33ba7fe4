//! The content of the file, between plain text and the secrets in memory.
//!
//! ```json
//! {"version": 1, "secrets": [{"org": "flyte", "domain": "development", "project": "", "name": "token",
//!   "kind": "text", "value": "<base64>", "created": 1764000000, "updated": 1764000000}]}
//! ```
//!
//! `"image_pull": true` stands beside the value of a secret for pulling images.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::value::SecretValue;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The newest format that is read, and the one that is written.
pub(super) const VERSION: u64 = 1;

/// All secrets, by id.
pub(super) type Entries = BTreeMap<SecretId, Held>;

/// One secret. Times are seconds since 1970.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) value: SecretValue,
    pub(super) created: u64,
    pub(super) updated: u64,
    /// Whether it is for pulling images.
    pub(super) image_pull: bool,
}

/// Whether a value is text or bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueKind {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
}

impl ValueKind {
    pub(super) fn of(value: &SecretValue) -> Self {
        match value {
            SecretValue::Text(_) => Self::Text,
            SecretValue::Binary(_) => Self::Binary,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Document {
    version: u64,
    secrets: Vec<Stored>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    org: String,
    domain: String,
    project: String,
    name: String,
    kind: ValueKind,
    value: Zeroizing<String>,
    created: u64,
    updated: u64,
    #[serde(default, skip_serializing_if = "is_false")]
    image_pull: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Only the version, which is read first: the rest may look different in another one.
#[derive(Deserialize)]
struct VersionOnly {
    version: u64,
}

/// Why a plain text is not ours.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    Newer(u64),
    Malformed(String),
}

/// Writes the plain text.
pub(super) fn write(entries: &Entries) -> Zeroizing<Vec<u8>> {
    let secrets: Vec<_> = entries.iter().map(|(id, held)| stored(id, held)).collect();
    // Room for everything at once: a growing vector would leave copies of values behind in memory.
    // No character takes more than six bytes in JSON, and the member names and numbers less than 256.
    let names = |secret: &Stored| [&secret.org, &secret.domain, &secret.project, &secret.name].map(String::len);
    let size = |secret: &Stored| secret.value.len() + 6 * names(secret).iter().sum::<usize>() + 256;
    let mut text = Zeroizing::new(Vec::with_capacity(secrets.iter().map(size).sum::<usize>() + 256));
    serde_json::to_writer(&mut *text, &Document { version: VERSION, secrets })
        .expect("strings and numbers always have a JSON form, and a vector takes every byte");
    text
}

fn stored(id: &SecretId, held: &Held) -> Stored {
    let SecretId { org, domain, project, name } = id.clone();
    Stored {
        org,
        domain,
        project,
        name,
        kind: ValueKind::of(&held.value),
        value: Zeroizing::new(BASE64.encode(held.value.expose_bytes())),
        created: held.created,
        updated: held.updated,
        image_pull: held.image_pull,
    }
}

/// Reads the plain text. The parser's own messages may quote it, so only their position is told.
pub(super) fn read(text: &[u8]) -> Result<Entries, Unreadable> {
    let at = |error: serde_json::Error| {
        let (line, column) = (error.line(), error.column());
        Unreadable::Malformed(format!("the content is not in our format (line {line}, column {column})"))
    };
    let VersionOnly { version } = serde_json::from_slice(text).map_err(at)?;
    if version > VERSION {
        return Err(Unreadable::Newer(version));
    }
    let document: Document = serde_json::from_slice(text).map_err(at)?;
    let mut entries = Entries::new();
    for (number, stored) in document.secrets.into_iter().enumerate() {
        let problem = |text: &str| Unreadable::Malformed(format!("secret number {}: {text}", number + 1));
        let value = decoded(stored.kind, &stored.value).map_err(problem)?;
        let Stored { org, domain, project, name, created, updated, image_pull, .. } = stored;
        let held = Held { value, created, updated, image_pull };
        if entries.insert(SecretId { org, domain, project, name }, held).is_some() {
            return Err(problem("it is there twice"));
        }
    }
    Ok(entries)
}

fn decoded(kind: ValueKind, base64: &str) -> Result<SecretValue, &'static str> {
    let mut buffer = Zeroizing::new(vec![0; base64.len()]);
    let room = BASE64.decode_len(base64.len()).map_err(|_| "its value is no base64")?;
    let length = BASE64.decode_mut(base64.as_bytes(), &mut buffer[..room]).map_err(|_| "its value is no base64")?;
    let bytes = &buffer[..length];
    match kind {
        ValueKind::Binary => Ok(SecretValue::binary(bytes.to_vec())),
        ValueKind::Text => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(SecretValue::text(text.to_owned())),
            Err(_) => Err("its kind is text and its value is not UTF-8"),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn id(name: String) -> SecretId {
        SecretId { org: "o".to_owned(), domain: "d".to_owned(), project: "p".to_owned(), name }
    }

    fn problem(text: &str) -> String {
        match read(text.as_bytes()).unwrap_err() {
            Unreadable::Malformed(problem) => problem,
            Unreadable::Newer(version) => panic!("version {version}"),
        }
    }

    fn document(secrets: &str) -> String {
        format!("{{\"version\": 1, \"secrets\": [{secrets}]}}")
    }

    const GOOD: &str =
        r#"{"org":"o","domain":"d","project":"p","name":"k","kind":"text","value":"dg==","created":1,"updated":2}"#;

    #[test]
    fn a_document_of_the_format_is_read() {
        let entries = read(document(GOOD).as_bytes()).unwrap();
        let held = &entries[&id("k".to_owned())];
        assert_eq!((held.value.expose_text(), held.created, held.updated), (Some("v"), 1, 2));
    }

    #[test]
    fn a_newer_format_is_told_apart_from_a_broken_one() {
        assert_eq!(read(br#"{"version": 2, "other": []}"#).unwrap_err(), Unreadable::Newer(2));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_without_a_value() {
        for (text, part) in [
            (document(&format!("{GOOD},{GOOD}")), "secret number 2: it is there twice"),
            (document(&GOOD.replace("dg==", "*planted*")), "secret number 1: its value is no base64"),
            (document(&GOOD.replace("dg==", "/w==")), "not UTF-8"),
            (document(&GOOD.replace(r#""created":1"#, r#""created":"planted""#)), "line 1"),
            (GOOD.to_owned(), "line 1"),
            ("planted".to_owned(), "line 1"),
        ] {
            let problem = problem(&text);
            assert!(problem.contains(part) && !problem.contains("planted"), "{problem}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            secrets in proptest::collection::btree_map(".*", (any::<Vec<u8>>(), ".*", any::<bool>()), 0..5)
        ) {
            let entries: Entries = secrets
                .into_iter()
                .map(|(name, (bytes, text, binary))| {
                    let value = if binary { SecretValue::binary(bytes) } else { SecretValue::text(text) };
                    (id(name), Held { value, created: 1, updated: u64::MAX, image_pull: binary })
                })
                .collect();
            let text = write(&entries);
            prop_assert!(text.capacity() >= text.len());
            let again = read(&text).unwrap();
            prop_assert_eq!(again.len(), entries.len());
            for (id, held) in &entries {
                prop_assert_eq!(again[id].value.expose_bytes(), held.value.expose_bytes());
                prop_assert_eq!(ValueKind::of(&again[id].value), ValueKind::of(&held.value));
                prop_assert_eq!((again[id].created, again[id].updated), (held.created, held.updated));
                prop_assert_eq!(again[id].image_pull, held.image_pull);
            }
        }

        #[test]
        fn no_content_panics(text in any::<Vec<u8>>()) {
            let _ = read(&text);
        }
    }
}
