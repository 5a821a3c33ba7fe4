//! What every store can do, and how it says that it could not.

use std::fmt;

use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::value::SecretValue;
use futures::future::BoxFuture;

/// The most characters of a [`FetchError`]'s detail; a store's answer is cut there.
const MAX_DETAIL: usize = 1000;

/// A store of secret values, asked by id.
pub trait SecretFetcher: Send + Sync {
    /// The store's name in messages and metrics.
    fn name(&self) -> &str;

    /// The value that the store holds under exactly this id; scopes are the business of
    /// [`crate::LookUps`].
    ///
    /// # Errors
    ///
    /// [`FailureClass::NotFound`] if the store answered and holds nothing under the id, any other class
    /// if it holds nothing usable or could not be asked.
    fn get<'a>(&'a self, id: &'a SecretId) -> BoxFuture<'a, Result<SecretValue, FetchError>>;

    /// Where a pod finds the value itself, for a store whose values are Kubernetes Secrets.
    fn place(&self, _id: &SecretId) -> Option<SecretPlace> {
        None
    }
}

/// A key of a Kubernetes Secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecretPlace {
    /// The Secret's namespace.
    pub namespace: String,
    /// The Secret.
    pub name: String,
    /// The key.
    pub key: String,
}

/// Why a store gave no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// The store answered and has nothing under the id.
    NotFound,
    /// The store has the id, but no value under it.
    Empty,
    /// The store does not let us read it.
    Denied,
    /// The store asks us to come back later.
    Throttled,
    /// The store could not be reached or failed.
    Unavailable,
    /// The store's answer could not be understood.
    Malformed,
    /// The store did not answer in time.
    Late,
}

impl FailureClass {
    /// Whether the same question may succeed later without anybody changing a secret or a permission.
    #[must_use]
    pub const fn retryable(self) -> bool {
        match self {
            Self::Throttled | Self::Unavailable | Self::Malformed | Self::Late => true,
            Self::NotFound | Self::Empty | Self::Denied => false,
        }
    }
}

/// The class in words, as it stands in messages.
impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "not found",
            Self::Empty => "empty",
            Self::Denied => "denied",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Malformed => "malformed answer",
            Self::Late => "no answer in time",
        })
    }
}

/// A store's failure to give a value: a class for the program and a detail for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{class}: {detail}")]
pub struct FetchError {
    class: FailureClass,
    detail: String,
}

impl FetchError {
    /// A failure; `detail` says what happened and what to change, and never holds a value.
    ///
    /// Control characters become spaces and the text is cut at 1,000 characters, because parts of it may
    /// come from a store.
    #[must_use]
    pub fn new(class: FailureClass, detail: impl AsRef<str>) -> Self {
        Self { class, detail: plain_detail(detail.as_ref()) }
    }

    /// The kind of failure.
    #[must_use]
    pub const fn class(&self) -> FailureClass {
        self.class
    }

    /// What happened, for people.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Whether the same question may succeed later; see [`FailureClass::retryable`].
    #[must_use]
    pub const fn retryable(&self) -> bool {
        self.class.retryable()
    }
}

/// A detail on one line of bounded length.
pub(crate) fn plain_detail(detail: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    detail.chars().take(MAX_DETAIL).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_by_itself_is_retryable() {
        use FailureClass::{Denied, Empty, Late, Malformed, NotFound, Throttled, Unavailable};
        for (class, expected) in [
            (NotFound, false),
            (Empty, false),
            (Denied, false),
            (Throttled, true),
            (Unavailable, true),
            (Malformed, true),
            (Late, true),
        ] {
            assert_eq!(FetchError::new(class, "").retryable(), expected, "{class}");
        }
    }

    #[test]
    fn a_detail_is_one_bounded_line() {
        let error = FetchError::new(FailureClass::Denied, format!("a\nb\u{1b}[31m{}", "x".repeat(5000)));
        assert!(error.detail().starts_with("a b [31mx"));
        assert_eq!(error.detail().chars().count(), 1000);
        assert!(error.to_string().starts_with("denied: a b"));
    }
}
