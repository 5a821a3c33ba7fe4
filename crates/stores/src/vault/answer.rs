//! From an answer of the KV engine to a value.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::value::SecretValue;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::api::{Words, general_failure};
use super::settings::{KvVersion, VaultSettings};
use crate::fetcher::{FailureClass, FetchError};
use crate::https::Answer;

/// Reads answers of one engine.
pub(super) struct Reader {
    version: KvVersion,
    mount: String,
    /// The path of the secrets, as it stands in a policy.
    folder: String,
    text_field: String,
    base64_field: String,
}

impl Reader {
    pub(super) fn new(settings: &VaultSettings) -> Self {
        let VaultSettings { mount, path_prefix, field, kv_version, .. } = settings;
        let data = if *kv_version == KvVersion::V2 { "/data" } else { "" };
        let prefix = if path_prefix.is_empty() { String::new() } else { format!("/{path_prefix}") };
        Self {
            version: *kv_version,
            mount: mount.clone(),
            folder: format!("{mount}{data}{prefix}"),
            text_field: field.clone(),
            base64_field: format!("{field}_base64"),
        }
    }

    /// The value in an answer, or why there is none.
    pub(super) fn value(&self, answer: &Answer, id: &SecretId) -> Result<SecretValue, FetchError> {
        match answer.status {
            200 => self.parse(&answer.body, id),
            status => Err(self.failure(status, answer, id)),
        }
    }

    fn failure(&self, status: u16, answer: &Answer, id: &SecretId) -> FetchError {
        let words = Words::of(answer);
        let folder = &self.folder;
        match status {
            404 if words.are_vaults() => self.missing(&words, id),
            404 => {
                let detail = format!("no Vault answers at this address: {folder}/{id} gives 404 without Vault's JSON");
                FetchError::new(FailureClass::Unavailable, detail)
            }
            403 | 401 => {
                let detail = format!(
                    "Vault denies reading {folder}/{id} ({status}); a policy of our identity needs \
                     path \"{folder}/*\" {{ capabilities = [\"read\"] }}; it says: {}",
                    words.text()
                );
                FetchError::new(FailureClass::Denied, detail)
            }
            // Vault answers so for characters that are not printable.
            400 if !id.to_string().is_ascii() => {
                let detail = format!("Vault does not take {folder}/{id} as a path (400), so no secret can be there");
                FetchError::new(FailureClass::NotFound, detail)
            }
            _ => general_failure(answer),
        }
    }

    /// A 404 of Vault: of the secret, or of the engine.
    fn missing(&self, words: &Words, id: &SecretId) -> FetchError {
        let says = words.text();
        if says.contains("no handler for route") {
            let detail = format!("no secrets engine is mounted at {}/: set mount; Vault says: {says}", self.mount);
            return FetchError::new(FailureClass::Unavailable, detail);
        }
        if let Some(warning) = words.warning() {
            let detail = format!(
                "the engine at {}/ is not KV version {}: set kvVersion; Vault says: {warning}",
                self.mount,
                if self.version == KvVersion::V1 { 1 } else { 2 }
            );
            return FetchError::new(FailureClass::Unavailable, detail);
        }
        FetchError::new(FailureClass::NotFound, format!("no secret at {}/{id}", self.folder))
    }

    /// The parser's own messages may quote a value, so they are not passed on.
    fn parse(&self, body: &[u8], id: &SecretId) -> Result<SecretValue, FetchError> {
        let malformed = |what: &str| {
            FetchError::new(FailureClass::Malformed, format!("Vault's answer for {}/{id}: {what}", self.folder))
        };
        let unreadable = |_| malformed("not a secret of a KV engine in JSON");
        let data = match self.version {
            KvVersion::V1 => serde_json::from_slice::<Secret<Fields<'_>>>(body).map_err(unreadable)?.data,
            KvVersion::V2 => {
                let outer = serde_json::from_slice::<Secret<Versioned<'_>>>(body).map_err(unreadable)?.data;
                outer.and_then(|version| version.data)
            }
        };
        let fields = data.ok_or_else(|| malformed("it holds no data"))?;
        let string = |name: &str| {
            let text = |raw: &&RawValue| serde_json::from_str::<Zeroizing<String>>(raw.get());
            fields.get(name).map(text).transpose().map_err(|_| malformed(&format!("the field {name} is no string")))
        };
        match (string(&self.text_field)?, string(&self.base64_field)?) {
            (Some(text), None) => Ok(SecretValue::Text(SecretString::from(text.as_str()))),
            (None, Some(base64)) => {
                let bytes = BASE64.decode(base64.as_bytes());
                bytes.map(SecretValue::binary).map_err(|_| malformed("the binary value is not in base64"))
            }
            (Some(_), Some(_)) => Err(malformed("it holds a value both as text and in base64")),
            (None, None) => {
                let Self { folder, text_field, base64_field, .. } = self;
                let detail = format!("the secret at {folder}/{id} has neither a field {text_field} nor {base64_field}");
                Err(FetchError::new(FailureClass::Empty, detail))
            }
        }
    }
}

/// The members of a secret; their values stay where they are in the answer.
type Fields<'a> = BTreeMap<String, &'a RawValue>;

#[derive(Deserialize)]
struct Secret<T> {
    data: Option<T>,
}

#[derive(Deserialize)]
struct Versioned<'a> {
    #[serde(borrow)]
    data: Option<Fields<'a>>,
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
