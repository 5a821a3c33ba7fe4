//! What can be counted of look-ups. Names of stores only, never a secret's.

use std::time::Duration;

use flyte_secrets_core::encoded_id::SecretId;

use crate::fetcher::FailureClass;

/// Is told what look-ups do, for metrics. Called on the way of an admission, so it has to be quick and must not look
/// anything up itself.
pub trait LookUpObserver: Send + Sync {
    /// A store answered a call for a secret of this scope, or its time was up. A call that is given up because nobody waits
    /// for it any more counts as [`FailureClass::Late`].
    fn call(&self, _store: &str, _scope: Scope, _outcome: CallOutcome, _took: Duration) {}

    /// A store throttled or was unavailable and is asked again.
    fn retried(&self, _store: &str) {}

    /// What the cache had for one question.
    fn cache(&self, _event: CacheEvent) {}

    /// A value of this store was served although its time was up.
    fn stale(&self, _store: &str) {}

    /// The cache has changed: this many answers of this size, bookkeeping included.
    fn cached(&self, _entries: usize, _bytes: u64) {}
}

/// Counts nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl LookUpObserver for NoObserver {}

/// How wide a secret's scope is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One project in one domain.
    Project,
    /// All projects of a domain.
    Domain,
    /// All of an organization.
    Organization,
}

impl Scope {
    /// All scopes, from narrow to wide.
    pub const ALL: [Self; 3] = [Self::Project, Self::Domain, Self::Organization];

    /// The scope of an id: what it leaves empty is any.
    #[must_use]
    pub fn of(id: &SecretId) -> Self {
        match (id.project.is_empty(), id.domain.is_empty()) {
            (false, _) => Self::Project,
            (true, false) => Self::Domain,
            (true, true) => Self::Organization,
        }
    }

    /// The name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Domain => "domain",
            Self::Organization => "organization",
        }
    }
}

/// How a call to a store ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallOutcome {
    /// With a value.
    Found,
    /// Without one.
    Failed(FailureClass),
}

impl CallOutcome {
    /// All outcomes.
    pub const ALL: [Self; 8] = [
        Self::Found,
        Self::Failed(FailureClass::NotFound),
        Self::Failed(FailureClass::Empty),
        Self::Failed(FailureClass::Denied),
        Self::Failed(FailureClass::Throttled),
        Self::Failed(FailureClass::Unavailable),
        Self::Failed(FailureClass::Malformed),
        Self::Failed(FailureClass::Late),
    ];

    /// The name in metrics and traces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Failed(FailureClass::NotFound) => "not_found",
            Self::Failed(FailureClass::Empty) => "empty",
            Self::Failed(FailureClass::Denied) => "denied",
            Self::Failed(FailureClass::Throttled) => "throttled",
            Self::Failed(FailureClass::Unavailable) => "unavailable",
            Self::Failed(FailureClass::Malformed) => "malformed",
            Self::Failed(FailureClass::Late) => "late",
        }
    }
}

/// What the cache had for one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheEvent {
    /// A value.
    Hit,
    /// "Not found".
    NegativeHit,
    /// Nothing that may be used: the store is asked.
    Miss,
    /// Nothing, but the store is being asked for it already.
    Joined,
    /// A value whose time is up; it was served because its store failed.
    Stale,
}
