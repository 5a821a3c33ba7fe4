//! Who asks, and what they may do.

use std::fmt;

use flyte_secrets_core::encoded_id::SecretId;

/// Who asks, as far as that was proven. An extension of every request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Identity {
    /// Nobody asked who it is, as in Flyte.
    #[default]
    Anonymous,
    /// A subject that showed who it is.
    Subject(String),
}

/// The name in logs.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::Subject(subject) => f.write_str(subject),
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

/// Who may do what. Asked once a call, before anything is read or written.
pub trait AccessPolicy: Send + Sync {
    /// Whether `identity` may do `action` to the secret `id`; for [`Action::List`] the name is empty, and it is about all secrets
    /// of the scope and of the scopes within it.
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
