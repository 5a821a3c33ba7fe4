//! Mirrors: Secrets of ours in the pods' namespaces that hold values which the webhook has read elsewhere.
//!
//! An admission calls [`Mirrors::keep`] before it answers; the leader runs a [`Collector`]. Two promises hold, whatever
//! caches, clocks, conflicts and pauses of processes do:
//!
//! **A pod never refers to a value older than the one it was admitted with.** A value replaces another in three steps: a
//! mark ([`CHANGING`](flyte_secrets_core::mirror::CHANGING), different each time) is put on the mirror; then the source
//! is read, past every cache; then the value is written if the mirror is still the one that was seen with the mark
//! (`resourceVersion`). So a value in a mirror was read from its source after the mark, and every other writer, who has to
//! change the mirror too, comes before the mark or is noticed. An admission that finds its own value in the mirror writes
//! nothing if there is no mark: whoever replaces the value has yet to set one, and will read a value that is as new as ours at
//! least. If there is a mark, it is taken away first: its owner may have read the source before we did, will fail at the
//! `resourceVersion` and start over. That is why two sources' values that alternate (A, B, A) cannot put an old B over a new A.
//! A missing mirror is created with the value at hand, since nobody relies on what is not there.
//!
//! **No pod refers to a missing mirror.** A mirror is removed in two steps. It is *condemned* by an annotation; then, if for
//! [`MirrorSettings::grace`] nobody has changed it and no live pod of the namespace refers to it, it is deleted with the
//! `uid` and `resourceVersion` of the sentence as precondition. Take an admission that needs it. Either its last request
//! for the mirror was served after the sentence: then it has lifted the sentence, so the version is another and the
//! deletion fails, however long the leader was paused. Or before: then its pod is stored before the grace is over, since the API
//! server gives up an admission after a minute, and is seen among the live pods, which are listed after that. The
//! grace is measured by the collector's own steady clock from when it saw the sentence, so clocks need not agree.
//!
//! Times in annotations are for people and for what may be late by hours: when a mirror was last needed.

mod collect;
mod error;
mod keep;
mod marks;
mod memo;
mod permissions;
mod remove;
mod step;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flyte_secrets_core::mirror::{Form, MirrorSource};
use flyte_secrets_core::value::SecretValue;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Secret;
use tokio::time::Instant;

pub use collect::{CollectionState, Collector, Swept};
pub use error::MirrorError;
use keep::{Keeper, Purpose};
use memo::{Key, Memo};
pub(crate) use permissions::{COLLECTING, KEEPING};
pub use remove::remove_all;

/// The largest value that Kubernetes takes in a Secret, in bytes (`MaxSecretSize` of its API).
pub const MAX_VALUE: usize = 1 << 20;

/// A value that a pod is about to refer to.
#[derive(Clone, Debug)]
pub struct WantedMirror {
    /// The mirror's name: [`flyte_secrets_core::mirror::mirror_name`] of namespace, source and form.
    pub name: String,
    /// What is mirrored.
    pub source: MirrorSource,
    /// How the container sees it.
    pub form: Form,
    /// The value, which may come from a cache.
    pub value: SecretValue,
    /// When the value was read from its source. The same for all admissions that got it by one read: those share their work.
    pub fetched: SystemTime,
}

impl WantedMirror {
    /// The mirror as it would be created in `namespace` at `now`, to be shown: it holds the value, in memory that is not wiped.
    #[must_use]
    pub fn manifest(&self, namespace: &str, now: SystemTime) -> Secret {
        let value = FreshValue { value: self.value.clone(), fetched: self.fetched };
        marks::mirror(namespace, &self.name, &self.source, &value, now).clone()
    }
}

/// A value that was read just now.
#[derive(Clone, Debug)]
pub struct FreshValue {
    /// The value.
    pub value: SecretValue,
    /// When it was read.
    pub fetched: SystemTime,
}

/// Why a source could not be read again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FreshError {
    /// The source is not there any more.
    #[error("it is gone")]
    Gone,
    /// The secret is now found elsewhere, at another scope say.
    #[error("it is now found elsewhere")]
    Changed,
    /// The source cannot be read; why. Never holds a value.
    #[error("{0}")]
    Failed(String),
}

/// Reads a source again, past every cache: what a mirror is compared with before it is changed.
pub trait FreshValues: Send + Sync {
    /// The value as it is after this call has begun. It must not come from a cache, nor from a look-up that was under
    /// way before: the promise about old values rests on that.
    fn read<'a>(&'a self, source: &'a MirrorSource, deadline: Instant)
    -> BoxFuture<'a, Result<FreshValue, FreshError>>;
}

/// What was written to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Write {
    /// A mirror that was not there.
    Created,
    /// The mark that a value is about to be replaced.
    Marked,
    /// A new value.
    Updated,
    /// When it was last needed, or a mark or sentence taken away.
    Renewed,
    /// The sentence, before a removal.
    Condemned,
    /// The removal.
    Removed,
}

impl Write {
    /// All of them, for metrics that list what has not happened yet.
    pub const ALL: [Self; 6] =
        [Self::Created, Self::Marked, Self::Updated, Self::Renewed, Self::Condemned, Self::Removed];

    /// The name, for metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Marked => "marked",
            Self::Updated => "updated",
            Self::Renewed => "renewed",
            Self::Condemned => "condemned",
            Self::Removed => "removed",
        }
    }
}

/// Is told what happens to mirrors, to count it.
pub trait MirrorObserver: Send + Sync {
    /// Something was written.
    fn wrote(&self, _write: Write) {}
    /// A mirror could not be had, for a reason of a fixed set.
    fn failed(&self, _reason: &'static str) {}
    /// Whether mirrors are collected; after each sweep.
    fn collection(&self, _state: &CollectionState) {}
}

/// Counts nothing.
impl MirrorObserver for () {}

/// How mirrors are kept and collected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorSettings {
    /// Which installation this is, the same for all its replicas: a collector touches no mirror of another one.
    pub installation: Cow<'static, str>,
    /// How long a mirror stays that nobody needs.
    pub retention: Duration,
    /// How long a condemned mirror waits for admissions that began before the sentence. It has to be longer than the API
    /// server's `--request-timeout` (a minute), one request of ours (15 s) and [`Self::memo`] together.
    pub grace: Duration,
    /// How long it is remembered that a mirror was fine, without asking again.
    pub memo: Duration,
    /// The pause between two sweeps of the collector.
    pub sweep: Duration,
    /// How many sources one sweep reads at most; the next one goes on with the rest.
    pub sources_per_sweep: usize,
}

impl Default for MirrorSettings {
    /// 7 days, 90 s, 1 s, 15 minutes and 1000.
    fn default() -> Self {
        Self {
            installation: Cow::Borrowed(""),
            retention: Duration::from_secs(7 * 86_400),
            grace: Duration::from_secs(90),
            memo: Duration::from_secs(1),
            sweep: Duration::from_secs(15 * 60),
            sources_per_sweep: 1000,
        }
    }
}

impl MirrorSettings {
    /// After how long `last-needed` is written again: a day, or a seventh of a retention that is shorter than a week.
    fn refresh(&self) -> Duration {
        (self.retention / 7).min(Duration::from_secs(86_400))
    }
}

/// All mirrors; clones share one memory.
#[derive(Clone)]
pub struct Mirrors {
    keeper: Arc<Keeper>,
    memo: Arc<Memo>,
}

impl Mirrors {
    /// Mirrors that `client` writes.
    #[must_use]
    pub fn new(
        client: kube::Client,
        fresh: Arc<dyn FreshValues>,
        settings: MirrorSettings,
        observer: Arc<dyn MirrorObserver>,
    ) -> Self {
        let memo = Arc::new(Memo::new(settings.memo));
        Self { keeper: Arc::new(Keeper::new(client, fresh, settings, observer)), memo }
    }

    /// Afterwards the mirror exists, is ours, is not condemned, and holds a value that is not older than `wanted`; see the
    /// module for what that is worth. If all is well already, as it mostly is, nothing is written.
    ///
    /// Admissions that want the same value at the same time share one flight.
    ///
    /// # Errors
    ///
    /// When that cannot be had before `deadline`: the pod must not be admitted with the reference then.
    pub async fn keep(&self, namespace: &str, wanted: &WantedMirror, deadline: Instant) -> Result<(), MirrorError> {
        let key = self.memo.key(namespace, wanted);
        let late = || MirrorError::Late { namespace: namespace.to_owned(), name: wanted.name.clone() };
        loop {
            if self.memo.is_fresh(&key) {
                return Ok(());
            }
            let (flight, is_ours) = self.memo.join(&key, || self.flight(&key, namespace, wanted, deadline));
            let outcome = tokio::time::timeout_at(deadline, flight).await.map_err(|_| late())?;
            match outcome {
                // Who took us along had less time than we have.
                Err(error) if !is_ours && error.is_about_time() && Instant::now() < deadline => {}
                outcome => {
                    return outcome.inspect_err(|error| self.keeper.observer.failed(error.reason()));
                }
            }
        }
    }

    fn flight(
        &self,
        key: &Key,
        namespace: &str,
        wanted: &WantedMirror,
        deadline: Instant,
    ) -> BoxFuture<'static, Result<(), MirrorError>> {
        let (keeper, memo, key) = (Arc::clone(&self.keeper), Arc::clone(&self.memo), key.clone());
        let (namespace, wanted) = (namespace.to_owned(), wanted.clone());
        Box::pin(async move {
            let outcome = keeper.keep(&namespace, &wanted, Purpose::Admission, deadline).await;
            memo.landed(&key, outcome.as_ref().ok().copied());
            outcome.map(drop)
        })
    }
}

impl fmt::Debug for Mirrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mirrors").field("settings", &self.keeper.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
