//! Why a plugin did not get a secret.

/// The most characters of a key that stand in a message.
const MAX_SHOWN: usize = 300;

/// Why there is no value. Every text names the key and the places that were asked, and holds no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretManagerError {
    /// Nobody has it.
    #[error("no secret {key:?}: {looked}")]
    NotFound {
        /// What was asked for.
        key: String,
        /// All places that were looked at, in their order.
        looked: String,
    },
    /// No secret can be asked for by this key.
    #[error("{key:?} cannot be the key of a secret: {problem}")]
    InvalidKey {
        /// What was asked for.
        key: String,
        /// Why not, and what a key looks like.
        problem: String,
    },
    /// The value is not UTF-8.
    #[error("the secret {key:?} is there ({place}), but it is not UTF-8 text, and a plugin gets secrets as text")]
    NotText {
        /// What was asked for.
        key: String,
        /// Where it is.
        place: String,
    },
    /// There may be a secret, but it must not be read, or is not usable as it is. Somebody has to change something.
    #[error("the secret {key:?} cannot be read: {detail}")]
    Refused {
        /// What was asked for.
        key: String,
        /// Who said no, and why.
        detail: String,
    },
    /// The place that would know cannot be asked now. A later call may succeed.
    #[error("the secret {key:?} cannot be read now: {detail}")]
    Unavailable {
        /// What was asked for.
        key: String,
        /// Who could not be asked, and why.
        detail: String,
    },
}

impl SecretManagerError {
    /// What was asked for; cut at 300 characters.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::NotFound { key, .. }
            | Self::InvalidKey { key, .. }
            | Self::NotText { key, .. }
            | Self::Refused { key, .. }
            | Self::Unavailable { key, .. } => key,
        }
    }

    /// Whether the same call may succeed later without anybody changing a secret or a permission.
    #[must_use]
    pub const fn retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    pub(super) fn invalid(key: &str, problem: impl Into<String>) -> Self {
        Self::InvalidKey { key: shown(key), problem: problem.into() }
    }
}

/// A key as it stands in messages: keys may come from a task.
pub(super) fn shown(key: &str) -> String {
    key.chars().take(MAX_SHOWN).collect()
}
