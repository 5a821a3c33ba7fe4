//! Whether the Secrets that the K8s manager refers to are there (`webhook.k8s.checkExists`).
//!
//! The kubelet reads those Secrets, and starts a task without what is missing. Here they are looked at before. A Secret
//! cannot be read without its values; they are skipped in the answer, which is wiped, and names of keys alone are kept.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flyte_secrets_core::mirror::SecretReference;
use kube::Client;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::kubernetes::{ApiError, ApiErrorKind, Object, Secrets, Verb, allowed, is_object_name};
use crate::metrics::Metrics;

/// How long it is remembered that something is there.
const FOUND: Duration = Duration::from_secs(30);
/// How long it is remembered that something is missing: whoever has just made it asks again.
const MISSING: Duration = Duration::from_secs(3);
/// So many Secrets are remembered.
const CAPACITY: usize = 1024;
/// A Secret whose keys have longer names in all is not remembered, in bytes.
const MAX_NAMES: usize = 16 << 10;
/// Requests to the API server at a time.
const CONCURRENT: usize = 32;
/// The longest wait for an answer: with `Warn` a pod is served without one.
const PATIENCE: Duration = Duration::from_secs(5);

/// What there is of a key of a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existence {
    /// It is there.
    There,
    /// There is no such Secret in the namespace.
    NoSecret,
    /// The Secret has no such key.
    NoKey,
}

/// The names of the keys of a Secret; `None` where there is no Secret.
type Keys = Option<BTreeSet<String>>;
/// Namespace and name.
type Place = (String, String);

/// One look at a Secret, which all requests share that come while it is under way or young.
struct Look {
    begun: Instant,
    keys: OnceCell<Keys>,
}

/// Looks at the Secrets of pods' namespaces, remembered for a short time.
pub struct ExistingSecrets {
    client: Client,
    turns: Semaphore,
    looks: Mutex<HashMap<Place, Arc<Look>>>,
    results: Family<[(&'static str, &'static str); 1], Counter>,
}

impl ExistingSecrets {
    /// Over this client; counts into `metrics`, so there is one of it in a program.
    #[must_use]
    pub fn new(client: Client, metrics: &Metrics) -> Self {
        let results = Family::default();
        metrics.register(
            "k8s_secret_checks",
            "Looks whether what the K8s manager refers to is there: `found`, `missing`, or `unknown` without an answer",
            results.clone(),
        );
        Self { client, turns: Semaphore::new(CONCURRENT), looks: Mutex::default(), results }
    }

    /// What there is of `wanted` in `namespace`. The answer may be 30 s old, or 3 s where something is missing. Waits until
    /// `deadline`, and at most 5 s. Needs `get` on Secrets there.
    ///
    /// # Errors
    ///
    /// When the API server does not tell: a text for people, without names of other keys.
    pub async fn look(
        &self,
        namespace: &str,
        wanted: &SecretReference,
        deadline: Instant,
    ) -> Result<Existence, String> {
        let answer = self.answer(namespace, wanted, deadline.min(Instant::now() + PATIENCE)).await;
        let result = match answer {
            Ok(Existence::There) => "found",
            Ok(Existence::NoSecret | Existence::NoKey) => "missing",
            Err(_) => "unknown",
        };
        self.results.get_or_create(&[("result", result)]).inc();
        answer
    }

    /// Says where RBAC keeps us from looking: at start, rather than at the first pod.
    pub async fn warn_of_missing_permission(&self) {
        let all = Object { group: "", resource: "secrets", namespace: None, name: String::new() };
        match allowed(&self.client, &all, Verb::Get).await {
            Ok(true) => {}
            Ok(false) => tracing::warn!(
                missing = all.rule(Verb::Get),
                "webhook.k8s.checkExists cannot look in namespaces where no Role allows what the ClusterRole of our \
                 service account lacks; with Warn their pods get a warning, with Refuse they are refused with 503. Add \
                 this rule, or set webhook.k8s.checkExists: Off"
            ),
            Err(error) => tracing::warn!(%error, "webhook.k8s.checkExists: cannot tell whether RBAC lets us look"),
        }
    }

    async fn answer(&self, namespace: &str, wanted: &SecretReference, until: Instant) -> Result<Existence, String> {
        // Names come from requests and become part of a path: no Secret can have another name.
        if !is_object_name(namespace) || !is_object_name(&wanted.name) {
            return Ok(Existence::NoSecret);
        }
        match timeout_at(until, self.recent(namespace, wanted)).await {
            Ok(Ok(existence)) => Ok(existence),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the API server has not answered in time".to_owned()),
        }
    }

    async fn recent(&self, namespace: &str, wanted: &SecretReference) -> Result<Existence, ApiError> {
        let place = (namespace.to_owned(), wanted.name.clone());
        let mut existence = Existence::NoSecret;
        // What was missing some time ago is looked at anew, once.
        for _ in 0..2 {
            let look = self.begin(&place);
            let keys = look.keys.get_or_try_init(|| self.read(&place)).await?;
            existence = match keys {
                None => Existence::NoSecret,
                Some(keys) if keys.contains(&wanted.key) => Existence::There,
                Some(_) => Existence::NoKey,
            };
            if keys.as_ref().is_some_and(|keys| keys.iter().map(String::len).sum::<usize>() > MAX_NAMES) {
                self.forget(&place, &look);
            }
            if existence == Existence::There || look.begun.elapsed() < MISSING {
                break;
            }
            self.forget(&place, &look);
        }
        Ok(existence)
    }

    /// The look that is under way or young, else a new one.
    fn begin(&self, place: &Place) -> Arc<Look> {
        let mut looks = self.looks();
        if let Some(look) = looks.get(place).filter(|look| look.begun.elapsed() < FOUND) {
            return Arc::clone(look);
        }
        let new = Arc::new(Look { begun: Instant::now(), keys: OnceCell::new() });
        if looks.len() >= CAPACITY {
            looks.retain(|_, look| look.begun.elapsed() < FOUND);
        }
        if looks.len() < CAPACITY || looks.contains_key(place) {
            looks.insert(place.clone(), Arc::clone(&new));
        }
        new
    }

    fn forget(&self, place: &Place, look: &Arc<Look>) {
        let mut looks = self.looks();
        if looks.get(place).is_some_and(|kept| Arc::ptr_eq(kept, look)) {
            looks.remove(place);
        }
    }

    async fn read(&self, (namespace, name): &Place) -> Result<Keys, ApiError> {
        // Nobody closes it.
        let _turn = self.turns.acquire().await;
        let secrets = Secrets::new(self.client.clone(), namespace).until(Instant::now() + PATIENCE);
        secrets.keys(name).await.map_err(|mut error| {
            // The rule that is missing is for all Secrets of the namespace: the next request names another.
            if error.kind == ApiErrorKind::Forbidden {
                error.object.name.clear();
            }
            error
        })
    }

    fn looks(&self) -> MutexGuard<'_, HashMap<Place, Arc<Look>>> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ExistingSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExistingSecrets").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "existence_tests.rs"]
#[allow(clippy::unwrap_used)]
mod tests;
