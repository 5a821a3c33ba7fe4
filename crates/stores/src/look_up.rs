//! Looking a secret up: project, then domain, then organization, in all stores.
//!
//! The answer is the first outcome other than "not found" in the order of the scopes and, within a scope, of the stores,
//! exactly as if one were asked after another. With [`Scopes::Parallel`] all are asked together, and the look-up ends as
//! soon as everything before the answer is known; what comes later never matters, slow or failing as it may be.
//!
//! A question (one store, one scope) is answered from the cache, or by joining a call that is under way, or by a call.

mod cache;
mod call;
mod engine;
mod error;
mod flight;
mod observer;
mod question;
mod settings;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::value::SecretValue;
use futures::stream::{self, StreamExt};
use tokio::time::Instant;

use self::engine::{Caller, Engine};
use self::question::questions;
use crate::fetcher::{FailureClass, SecretFetcher, SecretPlace};

pub use self::error::{Asked, LookUpError};
pub use self::observer::{CacheEvent, CallOutcome, LookUpObserver, NoObserver, Scope};
pub use self::settings::{CacheSettings, LookUpSettings, Scopes};

/// The target of the spans that traces are made of; nobody else's spans have it, so nothing that an SDK puts into its own
/// spans gets into a trace.
pub const SPANS: &str = "spans";

/// How old an answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// From the cache, or from a call that is under way.
    Cached,
    /// Every call that decides the answer begins after the look-up does. What it brings goes into the cache.
    Fresh,
}

/// A value, and where it was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The id of the scope that holds it; its project, or project and domain, may be empty.
    pub id: SecretId,
    /// The value.
    pub value: SecretValue,
    /// The name of the store.
    pub store: String,
    /// When the call began that brought the value; the store may have changed since.
    pub fetched: SystemTime,
    /// Where a pod finds the value itself, if its store is made of Kubernetes Secrets.
    pub place: Option<SecretPlace>,
    /// Whether its time was up, and it is served only because its store fails.
    pub stale: bool,
}

/// The stores of the Embedded manager with their cache; clones share everything.
///
/// For every store and id there is one call at a time, however many look-ups wait for it. A call that no look-up waits
/// for any more is given up after a second, or at once if it has not begun. Throttled and unavailable stores are
/// asked again, with pauses that grow from 100 ms and differ at random, as long as the deadline allows it.
#[derive(Clone)]
pub struct LookUps {
    engine: Arc<Engine>,
}

impl LookUps {
    /// Look-ups in `stores`, which are asked in this order.
    #[must_use]
    pub fn new(
        stores: Vec<Arc<dyn SecretFetcher>>,
        settings: LookUpSettings,
        observer: Arc<dyn LookUpObserver>,
    ) -> Self {
        Self { engine: Arc::new(Engine::new(stores, settings, observer)) }
    }

    /// Looks for a secret in the scopes organization + domain + project, organization + domain, organization.
    ///
    /// Within a scope the stores are asked in their order, so a secret of a narrow scope wins whichever store holds
    /// it. "Not found" goes on; any other failure ends the look-up, so that a store which is down never makes a
    /// wider secret stand in for a narrow one. Ends at the deadline, with [`FailureClass::Late`], whatever the stores do.
    ///
    /// # Errors
    ///
    /// [`LookUpError`] with every question up to the deciding one.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with its clock.
    pub async fn find(&self, id: &SecretId, freshness: Freshness, deadline: Instant) -> Result<Found, LookUpError> {
        let engine = &self.engine;
        let mut questions = questions(id, engine.stores.len());
        let only_after = match freshness {
            Freshness::Cached => None,
            Freshness::Fresh => Some(engine.last_flight()),
        };
        if only_after.is_none()
            && let Some(first) = engine.first_with_value(&questions)
        {
            questions.truncate(first + 1);
        }
        let at_once = match engine.settings.scopes {
            Scopes::Parallel => questions.len().max(1),
            Scopes::Sequential => 1,
        };
        let caller = Caller { only_after, deadline };
        let mut replies = stream::iter(questions)
            .map(|question| async move { (engine.ask(&question, caller).await, question) })
            .buffered(at_once);
        let mut asked = Vec::new();
        while let Some((reply, question)) = replies.next().await {
            let store = engine.stores[question.key.store].fetcher.name().to_owned();
            let (id, answer) = (SecretId::clone(&question.id), reply.answer);
            match &answer.said {
                Ok(value) => {
                    let (value, place) = (value.clone(), answer.place.clone());
                    return Ok(Found { id, value, store, fetched: answer.fetched, place, stale: reply.stale });
                }
                Err(error) => asked.push(Asked { id, store, error: error.clone() }),
            }
            if asked.last().is_some_and(|last| last.error.class() != FailureClass::NotFound) {
                break;
            }
        }
        Err(LookUpError { id: id.clone(), asked })
    }

    /// Forgets what is known of a secret in all its scopes and all stores, "not found" and stale values too. Calls for
    /// it that are under way count no more: who waits for them asks again, until its deadline.
    pub fn invalidate(&self, id: &SecretId) {
        self.engine.invalidate(&questions(id, self.engine.stores.len()));
    }

    /// As [`LookUps::invalidate`], for whatever is, or would be, in this Kubernetes Secret. Looks at every answer in the
    /// cache, so it is meant for changes, not for requests.
    pub fn invalidate_kubernetes_secret(&self, namespace: &str, name: &str) {
        self.engine.invalidate_places(|place| place.name == name && place.namespace == namespace);
    }

    /// As [`LookUps::invalidate`], for whatever is, or would be, in a Kubernetes Secret of this namespace.
    pub fn invalidate_namespace(&self, namespace: &str) {
        self.engine.invalidate_places(|place| place.namespace == namespace);
    }

    /// The names of the stores, in the order in which they are asked.
    pub fn stores(&self) -> impl Iterator<Item = &str> {
        self.engine.stores.iter().map(|store| store.fetcher.name())
    }
}

/// Look-ups in no store, which find nothing.
impl Default for LookUps {
    fn default() -> Self {
        Self::new(Vec::new(), LookUpSettings::default(), Arc::new(NoObserver))
    }
}

impl fmt::Debug for LookUps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LookUps").field(&self.stores().collect::<Vec<_>>()).finish()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
