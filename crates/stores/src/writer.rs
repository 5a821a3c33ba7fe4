//! What a store can do into which secrets are written, and how it says that it could not.

use std::fmt;
use std::time::SystemTime;

use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::value::SecretValue;
use futures::future::BoxFuture;

use crate::fetcher::plain_detail;

/// A store into which secrets are written. Values go in only: no method gives one back.
///
/// Every change is atomic: whoever looks sees the secret as it was before or after. Of two changes at the same time one comes
/// first and the other is made on top of it, or fails with [`WriteFailure::Conflict`]; none that was confirmed is without effect.
pub trait SecretWriter: Send + Sync {
    /// The store's name in messages.
    fn name(&self) -> &str;

    /// Whether a secret can be stored under this id at all; asks nobody.
    ///
    /// # Errors
    ///
    /// [`WriteFailure::Invalid`], with what is wrong.
    fn check(&self, id: &SecretId) -> Result<(), WriteError>;

    /// Stores a new secret.
    ///
    /// # Errors
    ///
    /// [`WriteFailure::AlreadyExists`] if there is one, whatever its value; [`WriteFailure::Invalid`] if the store cannot hold it.
    fn create<'a>(&'a self, secret: &'a NewSecret) -> BoxFuture<'a, Result<(), WriteError>>;

    /// Gives a secret that is there a new value. Its kind stays: [`SecretKind::Generic`] stands for whatever it is.
    ///
    /// # Errors
    ///
    /// [`WriteFailure::NotFound`]; [`WriteFailure::Invalid`] if the store cannot hold the value, or if the secret is of another
    /// kind.
    fn update<'a>(&'a self, secret: &'a NewSecret) -> BoxFuture<'a, Result<(), WriteError>>;

    /// Removes a secret.
    ///
    /// # Errors
    ///
    /// [`WriteFailure::NotFound`] if it is not there.
    fn delete<'a>(&'a self, id: &'a SecretId) -> BoxFuture<'a, Result<(), WriteError>>;

    /// What is known of a secret.
    ///
    /// # Errors
    ///
    /// [`WriteFailure::NotFound`] if it is not there.
    fn describe<'a>(&'a self, id: &'a SecretId) -> BoxFuture<'a, Result<SecretMetadata, WriteError>>;

    /// One page of the secrets of a scope and of the scopes within it; the name of `scope` has no meaning.
    ///
    /// The secrets are in the order of their encoded ids, so that none is left out or comes twice while others come and go.
    ///
    /// # Errors
    ///
    /// [`WriteFailure::Invalid`] if there are more than the store can put in order.
    fn list<'a>(&'a self, scope: &'a SecretId, page: PageRequest) -> BoxFuture<'a, Result<Page, WriteError>>;
}

/// A secret to be written.
#[derive(Clone, Debug)]
pub struct NewSecret {
    /// Its id.
    pub id: SecretId,
    /// Its value.
    pub value: SecretValue,
    /// What it is for.
    pub kind: SecretKind,
}

/// What a secret is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecretKind {
    /// Anything.
    Generic,
    /// Credentials of container registries: its value is a `.dockerconfigjson`.
    ImagePull,
}

/// A secret without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretMetadata {
    /// Its id.
    pub id: SecretId,
    /// What it is for.
    pub kind: SecretKind,
    /// When it was first stored, to the second; `None` if the store does not tell.
    pub created: Option<SystemTime>,
}

/// Which page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// The encoded id behind which the page begins; `None` for the first.
    pub after: Option<String>,
    /// The most secrets of the page; at least 1.
    pub limit: usize,
}

/// One page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The secrets, in the order of their encoded ids.
    pub secrets: Vec<SecretMetadata>,
    /// Behind which encoded id the next page begins; `None` after the last.
    pub next: Option<String>,
}

impl Page {
    /// The page that was asked for, of all secrets that a store has.
    pub(crate) fn of(all: impl IntoIterator<Item = SecretMetadata>, scope: &SecretId, request: &PageRequest) -> Self {
        let wanted =
            all.into_iter().filter(|secret| is_within(&secret.id, scope)).map(|secret| (secret.id.to_string(), secret));
        let mut wanted: Vec<_> =
            wanted.filter(|(id, _)| request.after.as_ref().is_none_or(|after| id > after)).collect();
        wanted.sort_by(|(one, _), (other, _)| one.cmp(other));
        let more = wanted.len() > request.limit;
        wanted.truncate(request.limit);
        let next = wanted.last().map(|(id, _)| id.clone()).filter(|_| more);
        Self { secrets: wanted.into_iter().map(|(_, secret)| secret).collect(), next }
    }
}

/// Why nothing was written, or told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WriteFailure {
    /// There is one already.
    AlreadyExists,
    /// There is none.
    NotFound,
    /// The store cannot hold this: its name, its value or its kind is wrong.
    Invalid,
    /// Others kept changing the secret; nothing was changed by us. The same request may succeed.
    Conflict,
    /// The store is full, or a quota is used up.
    Full,
    /// The store does not let us.
    Denied,
    /// The store could not be reached, failed, asks us to come back later, or answered with something else. It is not known
    /// whether it did what was asked.
    Unavailable,
    /// The store did not answer in time. It is not known whether it did what was asked.
    Late,
}

/// The failure in words, as it stands in messages.
impl fmt::Display for WriteFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadyExists => "already exists",
            Self::NotFound => "not found",
            Self::Invalid => "invalid",
            Self::Conflict => "conflict",
            Self::Full => "full",
            Self::Denied => "denied",
            Self::Unavailable => "unavailable",
            Self::Late => "no answer in time",
        })
    }
}

/// A store's failure to write or to tell: a kind for the program and a detail for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{failure}: {detail}")]
pub struct WriteError {
    failure: WriteFailure,
    detail: String,
}

impl WriteError {
    /// A failure; `detail` says what happened and what to change, and never holds a value. It becomes one line of at most 1,000
    /// characters.
    #[must_use]
    pub fn new(failure: WriteFailure, detail: impl AsRef<str>) -> Self {
        Self { failure, detail: plain_detail(detail.as_ref()) }
    }

    /// The kind of failure.
    #[must_use]
    pub const fn failure(&self) -> WriteFailure {
        self.failure
    }

    /// What happened, for people.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

/// Whether a secret is in a scope, or in one within it.
pub(crate) fn is_within(id: &SecretId, scope: &SecretId) -> bool {
    let fits = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
    id.org == scope.org && fits(&scope.domain, &id.domain) && fits(&scope.project, &id.project)
}

/// What to do about a secret that is of another kind.
pub(crate) fn other_kind() -> String {
    "the secret that is there is no image-pull secret, and the kind of a secret stays; delete it and create it anew"
        .to_owned()
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
