//! HashiCorp Vault and OpenBao: one secret of a KV engine, version 1 or 2, for each id.
//!
//! The secret stands at `<mount>/[data/]<prefix>/<encoded id>`; its field `value` holds text, or `value_base64` bytes.
//! The store logs in once, renews its token before it ends, and logs in again when the token was revoked.
//!
//! A thin client over `reqwest` instead of the crate `vaultrs` (0.8): that one reads answers without a bound, keeps
//! bodies in its errors and the token in a `Debug` output, follows redirects, and does not encode ids.
//! Source of paths, statuses and bodies: the HTTP API of Vault and OpenBao (`/api`, `/api/secret/kv`, `/api/auth`).

mod answer;
mod api;
mod login;
mod session;
mod sessions;
mod settings;
mod write;
mod write_answer;

use std::sync::Arc;

use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::value::SecretValue;
use futures::future::BoxFuture;

use self::answer::Reader;
use self::api::{Api, Request};
use self::sessions::Sessions;
pub use self::settings::{DEFAULT_TOKEN_PATH, KvVersion, TokenSource, VaultAuth, VaultSettings};
pub use self::write::VaultWriter;
use crate::fetcher::{FailureClass, FetchError, SecretFetcher};
use crate::https::{SettingsError, encoded_path, encoded_segment};

/// The secrets below one path of a KV engine, read with an identity of our own.
pub struct VaultStore {
    sessions: Arc<Sessions>,
    /// The path of a secret up to its last `/`, encoded.
    folder: String,
    reader: Reader,
    settings: VaultSettings,
}

impl VaultStore {
    /// A store; nothing is asked yet.
    ///
    /// # Errors
    /// If the address, a path or a certificate cannot be used.
    pub fn new(settings: VaultSettings) -> Result<Self, SettingsError> {
        let data = match settings.kv_version {
            KvVersion::V1 => "",
            KvVersion::V2 => "data",
        };
        let folder = folder(&settings, data)?;
        let sessions = Sessions::new(Api::new(&settings)?, &settings)?;
        let reader = Reader::new(&settings);
        Ok(Self { sessions: Arc::new(sessions), folder, reader, settings })
    }

    async fn fetch(&self, id: &SecretId) -> Result<SecretValue, FetchError> {
        representable(id)?;
        let path = format!("{}{}", self.folder, encoded_segment(id));
        let answer = self.sessions.send(&Request::get(path)).await?;
        self.reader.value(&answer, id)
    }
}

impl SecretFetcher for VaultStore {
    fn name(&self) -> &'static str {
        "Vault"
    }

    fn get<'a>(&'a self, id: &'a SecretId) -> BoxFuture<'a, Result<SecretValue, FetchError>> {
        Box::pin(async move {
            let late = |_| {
                let milliseconds = self.settings.timeout.as_millis();
                FetchError::new(FailureClass::Late, format!("Vault did not answer within {milliseconds} ms"))
            };
            tokio::time::timeout(self.settings.timeout, self.fetch(id)).await.map_err(late)?
        })
    }
}

/// The path of the secrets up to its last `/`, encoded, in one part of the engine: `data`, say.
fn folder(settings: &VaultSettings, part: &str) -> Result<String, SettingsError> {
    let mount = encoded_path("mount", &settings.mount)?;
    if mount.is_empty() {
        return Err(SettingsError::Path { setting: "mount", value: String::new() });
    }
    let prefix = encoded_path("pathPrefix", &settings.path_prefix)?;
    let parts = [mount.as_str(), part, prefix.as_str()];
    Ok(parts.into_iter().filter(|part| !part.is_empty()).map(|part| format!("{part}/")).collect())
}

/// Vault decodes a path before it splits it and takes only printable characters, so no encoding keeps
/// such an id in one segment.
fn representable(id: &SecretId) -> Result<(), FetchError> {
    match id.to_string().chars().find(|c| *c == '/' || c.is_control()) {
        None => Ok(()),
        Some(c) => {
            let detail = format!("a path segment of Vault cannot hold {c:?}, so no secret can have this id there");
            Err(FetchError::new(FailureClass::NotFound, detail))
        }
    }
}
