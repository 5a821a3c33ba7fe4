//! Who asks, and what they may do.

mod rules;

use std::fmt;

use flyte_secrets_core::encoded_id::SecretId;

pub use rules::Rules;

/// Who asks, as far as that was proven. An extension of every request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Identity {
    /// Nobody asked who it is, as in Flyte.
    #[default]
    Anonymous,
    /// A ServiceAccount of the cluster, which the API server has confirmed.
    ServiceAccount {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A user of an issuer of OpenID Connect.
    User {
        /// The name, out of the claim that the configuration names.
        name: String,
        /// The groups.
        groups: Vec<String>,
    },
}

/// The kind and the name, as rules spell them.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::ServiceAccount { namespace, name } => write!(f, "serviceaccount:{namespace}/{name}"),
            Self::User { name, .. } => write!(f, "user:{name}"),
        }
    }
}

/// What is done to a secret, or to the secrets of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A new secret.
    Create,
    /// A new value.
    Update,
    /// Removal.
    Delete,
    /// What is known of a secret.
    Get,
    /// What is known of all secrets of a scope.
    List,
}

impl Action {
    /// The name in messages, logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Get => "get",
            Self::List => "list",
        }
    }
}

/// Who may do what. Asked before anything is read or written.
pub trait AccessPolicy: Send + Sync {
    /// Whether `identity` may do `action` to the secret `id`. For [`Action::List`] the name is empty, and it is whether there can be
    /// any secret of the scope, or of the scopes within it, that may be listed; each that is found is then asked about with
    /// [`Action::Get`].
    fn permits(&self, identity: &Identity, action: Action, id: &SecretId) -> bool;
}

/// Everybody may do everything, as in Flyte: whoever reaches the port.
#[derive(Clone, Copy, Debug)]
pub struct Everybody;

impl AccessPolicy for Everybody {
    fn permits(&self, _: &Identity, _: Action, _: &SecretId) -> bool {
        true
    }
}
