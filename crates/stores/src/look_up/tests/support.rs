//! A store that answers as the test says, and what tests ask it.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;

use super::super::*;
use crate::fetcher::FetchError;

pub(super) const PROJECT: &str = "u__org__flyte__domain__development__project__flytesnacks__key__k";
pub(super) const DOMAIN: &str = "u__org__flyte__domain__development__project____key__k";
pub(super) const ORGANIZATION: &str = "u__org__flyte__domain____project____key__k";

/// Time enough for everything.
pub(super) const LONG: Duration = Duration::from_secs(3600);

pub(super) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub(super) fn id_in(domain: &str, project: &str) -> SecretId {
    SecretId { org: "flyte".to_owned(), domain: domain.to_owned(), project: project.to_owned(), name: "k".to_owned() }
}

/// The id whose scopes are the three constants above.
pub(super) fn id() -> SecretId {
    id_in("development", "flytesnacks")
}

/// Another secret of the same project.
pub(super) fn named(name: &str) -> SecretId {
    SecretId { name: name.to_owned(), ..id() }
}

/// What a store does with a call.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Value(String),
    Fails(FailureClass),
    Panics(&'static str),
    Hangs,
}

pub(super) fn value(text: impl Into<String>) -> Reply {
    Reply::Value(text.into())
}

pub(super) const NOT_FOUND: Reply = Reply::Fails(FailureClass::NotFound);

type Script = dyn Fn(&SecretId, usize) -> (Duration, Reply) + Send + Sync;

/// Answers each call by a script, which gets the id and how often it was asked for.
pub(super) struct Store {
    name: &'static str,
    script: Box<Script>,
    calls: Mutex<HashMap<String, usize>>,
    running: AtomicUsize,
    most: AtomicUsize,
}

impl Store {
    pub(super) fn new(
        name: &'static str,
        script: impl Fn(&SecretId, usize) -> (Duration, Reply) + Send + Sync + 'static,
    ) -> Arc<Self> {
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { name, script: Box::new(script), calls: Mutex::default(), running, most })
    }

    /// How often an id was asked for.
    pub(super) fn calls_for(&self, id: &str) -> usize {
        self.calls.lock().unwrap().get(id).copied().unwrap_or_default()
    }

    pub(super) fn calls(&self) -> usize {
        self.calls.lock().unwrap().values().sum()
    }

    /// The most calls for any id.
    pub(super) fn most_calls_for_one_id(&self) -> usize {
        self.calls.lock().unwrap().values().copied().max().unwrap_or_default()
    }

    /// Calls that are being made.
    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    /// The most calls that were made at the same time.
    pub(super) fn most_at_once(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl SecretFetcher for Store {
    fn name(&self) -> &str {
        self.name
    }

    fn get<'a>(&'a self, id: &'a SecretId) -> BoxFuture<'a, Result<SecretValue, FetchError>> {
        Box::pin(async move {
            let call = {
                let mut calls = self.calls.lock().unwrap();
                let calls = calls.entry(id.to_string()).or_default();
                *calls += 1;
                *calls
            };
            let now = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            let _running = Running(&self.running);
            self.most.fetch_max(now, Ordering::SeqCst);
            let (delay, reply) = (self.script)(id, call);
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            match reply {
                Reply::Value(text) => Ok(SecretValue::text(text)),
                Reply::Fails(class) => Err(FetchError::new(class, "as the test says")),
                Reply::Panics(text) => panic!("{text}"),
                Reply::Hangs => std::future::pending().await,
            }
        })
    }

    fn place(&self, id: &SecretId) -> Option<SecretPlace> {
        let (namespace, key) = (self.name.to_owned(), id.to_string());
        Some(SecretPlace { namespace, name: flyte_secrets_core::secret_name::kubernetes_secret_name(&key), key })
    }
}

/// Counts what it is told.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) calls: Mutex<Vec<(String, CallOutcome)>>,
    pub(super) scopes: Mutex<Vec<Scope>>,
    pub(super) retries: AtomicUsize,
    pub(super) events: Mutex<Vec<CacheEvent>>,
    pub(super) size: Mutex<(usize, u64)>,
}

impl LookUpObserver for Counts {
    fn call(&self, store: &str, scope: Scope, outcome: CallOutcome, _took: Duration) {
        self.calls.lock().unwrap().push((store.to_owned(), outcome));
        self.scopes.lock().unwrap().push(scope);
    }

    fn retried(&self, _store: &str) {
        self.retries.fetch_add(1, Ordering::SeqCst);
    }

    fn cache(&self, event: CacheEvent) {
        self.events.lock().unwrap().push(event);
    }

    fn cached(&self, entries: usize, bytes: u64) {
        *self.size.lock().unwrap() = (entries, bytes);
    }
}

pub(super) fn look_ups(stores: &[Arc<Store>], settings: LookUpSettings) -> LookUps {
    observed(stores, settings, Arc::new(NoObserver))
}

pub(super) fn observed(stores: &[Arc<Store>], settings: LookUpSettings, observer: Arc<dyn LookUpObserver>) -> LookUps {
    let fetcher = |store: &Arc<Store>| Arc::clone(store) as Arc<dyn SecretFetcher>;
    LookUps::new(stores.iter().map(fetcher).collect(), settings, observer)
}

/// With the defaults, and no more than one call a question.
pub(super) fn one_attempt() -> LookUpSettings {
    LookUpSettings { attempts: 1, ..LookUpSettings::default() }
}

pub(super) async fn find(look_ups: &LookUps, id: &SecretId) -> Result<Found, LookUpError> {
    find_within(look_ups, id, LONG).await
}

pub(super) async fn find_within(look_ups: &LookUps, id: &SecretId, time: Duration) -> Result<Found, LookUpError> {
    look_ups.find(id, Freshness::Cached, Instant::now() + time).await
}

pub(super) async fn find_fresh(look_ups: &LookUps, id: &SecretId) -> Result<Found, LookUpError> {
    look_ups.find(id, Freshness::Fresh, Instant::now() + LONG).await
}

/// The same in a task of its own, which has begun.
pub(super) async fn start(
    look_ups: &LookUps,
    id: &SecretId,
    freshness: Freshness,
    time: Duration,
) -> tokio::task::JoinHandle<Result<Found, LookUpError>> {
    let (look_ups, id) = (look_ups.clone(), id.clone());
    let deadline = Instant::now() + time;
    let task = tokio::spawn(async move { look_ups.find(&id, freshness, deadline).await });
    settle().await;
    task
}

/// Lets every task run as far as it can without time passing.
pub(super) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

pub(super) fn text(found: &Result<Found, LookUpError>) -> &str {
    found.as_ref().unwrap().value.expose_text().unwrap()
}

pub(super) fn class(found: &Result<Found, LookUpError>) -> FailureClass {
    found.as_ref().unwrap_err().class()
}
