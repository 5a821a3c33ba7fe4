//! What a Vault store needs to know.

use std::path::PathBuf;
use std::time::Duration;

/// Where Kubernetes puts the token of a pod's ServiceAccount.
pub const DEFAULT_TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Where the secrets are and who asks for them.
#[derive(Clone, Debug)]
pub struct VaultSettings {
    /// `https://host[:port]`, as in `VAULT_ADDR`.
    pub address: String,
    /// The namespace of Vault Enterprise or OpenBao (header `X-Vault-Namespace`).
    pub namespace: Option<String>,
    /// Where the KV engine is mounted.
    pub mount: String,
    /// A path below the mount; empty for none.
    pub path_prefix: String,
    /// The version of the KV engine.
    pub kv_version: KvVersion,
    /// The field that holds text; bytes are in the field of this name with `_base64` behind it.
    pub field: String,
    /// How to log in.
    pub auth: VaultAuth,
    /// Roots to trust beside the platform's, in PEM.
    pub ca_file: Option<PathBuf>,
    /// The longest that one secret may take, logging in included.
    pub timeout: Duration,
}

impl VaultSettings {
    /// Version 2 at `secret/`, the field `value`, 10 seconds.
    #[must_use]
    pub fn new(address: impl Into<String>, auth: VaultAuth) -> Self {
        Self {
            address: address.into(),
            namespace: None,
            mount: "secret".to_owned(),
            path_prefix: String::new(),
            kv_version: KvVersion::V2,
            field: "value".to_owned(),
            auth,
            ca_file: None,
            timeout: Duration::from_secs(10),
        }
    }
}

/// The version of a KV engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvVersion {
    /// Secrets at `<mount>/<path>`.
    V1,
    /// Versioned secrets at `<mount>/data/<path>`; the latest version is read.
    V2,
}

/// How the store logs in. Files are read at each login, because others renew them.
#[derive(Clone, Debug)]
pub enum VaultAuth {
    /// With the ServiceAccount token of the pod, at the auth method `kubernetes`.
    Kubernetes {
        /// Where the method is mounted, usually `kubernetes`.
        mount: String,
        /// The role.
        role: String,
        /// The token's file, usually [`DEFAULT_TOKEN_PATH`].
        token_path: PathBuf,
    },
    /// With any JWT, at the auth method `jwt`.
    Jwt {
        /// Where the method is mounted, usually `jwt`.
        mount: String,
        /// The role.
        role: String,
        /// The JWT's file.
        token_path: PathBuf,
    },
    /// With a role id and a secret id.
    AppRole {
        /// Where the method is mounted, usually `approle`.
        mount: String,
        /// The role id.
        role_id: String,
        /// The secret id's file.
        secret_id_file: PathBuf,
    },
    /// With a token that somebody else made.
    Token(TokenSource),
}

/// Where a token comes from.
#[derive(Clone, Debug)]
pub enum TokenSource {
    /// A file.
    File(PathBuf),
    /// The environment variable `VAULT_TOKEN`.
    Environment,
}
