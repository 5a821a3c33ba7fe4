//! Questions, answered from the cache, from a call that is under way, or by a call.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::Instrument;

use super::cache::{Answer, Cache, Held};
use super::call::Store;
use super::flight::{Ended, Flight, Flights, Phase};
use super::observer::{CacheEvent, CallOutcome, LookUpObserver, Scope};
use super::question::Question;
use super::settings::LookUpSettings;
use crate::fetcher::{FailureClass, FetchError, SecretFetcher, SecretPlace};

/// How long a call goes on that nobody waits for any more. Its answer may be the next look-up's, and with HTTP/1.1 giving
/// it up costs the connection.
const LINGER: Duration = Duration::from_secs(1);

/// Said of a question whose call has not begun.
const NO_TURN: &str = "could not be asked before the deadline: other calls to it took all the time";

/// Stores, what they said, and what they are being asked.
pub(super) struct Engine {
    pub(super) stores: Vec<Store>,
    pub(super) settings: LookUpSettings,
    observer: Arc<dyn LookUpObserver>,
    /// Never held while anything is awaited. One lock for both, so that an invalidation meets an answer either on its way
    /// or in the cache.
    state: Mutex<State>,
}

struct State {
    cache: Cache,
    flights: Flights,
}

/// What a caller asks for.
#[derive(Clone, Copy)]
pub(super) struct Caller {
    /// No cache, and only flights that began after this one; `None` for who takes what there is.
    pub(super) only_after: Option<u64>,
    pub(super) deadline: Instant,
}

/// The answer to one question.
pub(super) struct Reply {
    pub(super) answer: Arc<Answer>,
    pub(super) stale: bool,
}

/// How a question is going to be answered.
enum Way {
    Known(Arc<Answer>),
    Wait {
        /// The flight, if it is this caller who begins it.
        flight: Option<Arc<Flight>>,
        phase: watch::Receiver<Phase>,
        until: Instant,
    },
}

impl Engine {
    pub(super) fn new(
        fetchers: Vec<Arc<dyn SecretFetcher>>,
        settings: LookUpSettings,
        observer: Arc<dyn LookUpObserver>,
    ) -> Self {
        let store = |fetcher| Store::new(fetcher, settings.concurrent_calls);
        let stores = fetchers.into_iter().map(store).collect();
        let state = State { cache: Cache::new(settings.cache.clone()), flights: Flights::default() };
        Self { stores, settings, observer, state: Mutex::new(state) }
    }

    /// Nothing that runs under the lock leaves it half-done, so a panic elsewhere does not spoil it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the flight that began last.
    pub(super) fn last_flight(&self) -> u64 {
        self.state().flights.last_number()
    }

    /// Which of the questions is the first with a value in the cache: none behind it matters.
    pub(super) fn first_with_value(&self, questions: &[Question]) -> Option<usize> {
        let (state, now) = (self.state(), Instant::now());
        questions.iter().position(|question| state.cache.has_value(&question.key, now))
    }

    /// The answer to one question, at the caller's deadline at the latest.
    pub(super) async fn ask(self: &Arc<Self>, question: &Question, caller: Caller) -> Reply {
        loop {
            let (mut phase, until) = match self.way(question, caller) {
                Way::Known(answer) => return Reply { answer, stale: false },
                Way::Wait { flight, phase, until } => {
                    if let Some(flight) = flight {
                        tokio::spawn(Arc::clone(self).fly(flight, question.clone()).in_current_span());
                    }
                    (phase, until)
                }
            };
            // The flight's task, or who voids it, holds the sender until the end has come.
            let _ = timeout_at(until, phase.wait_for(|phase| phase.is_final_for(until))).await;
            let answer = match &*phase.borrow() {
                Phase::Ended(Ended::Voided) => continue,
                Phase::Ended(Ended::Answered(answer)) => Arc::clone(answer),
                Phase::Pausing { error, .. } => failure(error.clone()),
                Phase::Calling { .. } => late("did not answer before the deadline"),
                Phase::Queued => late(NO_TURN),
            };
            return self.otherwise(question, caller, answer);
        }
    }

    /// Decides, in one moment, how a question is going to be answered.
    fn way(&self, question: &Question, caller: Caller) -> Way {
        let now = Instant::now();
        let mut state = self.state();
        state.cache.forget_expired(now);
        let held = match caller.only_after {
            None => state.cache.get(&question.key, now),
            Some(_) => None,
        };
        if let Some(Held { answer, fresh: true }) = held {
            drop(state);
            self.observer.cache(if answer.said.is_ok() { CacheEvent::Hit } else { CacheEvent::NegativeHit });
            return Way::Known(answer);
        }
        if caller.deadline <= now {
            return Way::Known(late(NO_TURN));
        }
        // With a stale value at hand there is no use in waiting so long that nobody waits for us any more.
        let until = if held.is_some() { now + (caller.deadline - now) / 2 } else { caller.deadline };
        let new_enough =
            |flight: &&Arc<Flight>| caller.only_after.is_none_or(|last| flight.number > last) || flight.is_queued();
        if let Some(flight) = state.flights.newest(&question.key).filter(new_enough) {
            let phase = flight.phase.subscribe();
            drop(state);
            self.observer.cache(CacheEvent::Joined);
            return Way::Wait { flight: None, phase, until };
        }
        let place = self.stores[question.key.store].fetcher.place(&question.id);
        let flight = state.flights.begin(&question.key, place);
        let phase = flight.phase.subscribe();
        drop(state);
        self.observer.cache(CacheEvent::Miss);
        Way::Wait { flight: Some(flight), phase, until }
    }

    /// A flight's task: asks the store while somebody waits for the answer.
    async fn fly(self: Arc<Self>, flight: Arc<Flight>, question: Question) {
        let store = &self.stores[question.key.store];
        let answer = tokio::select! {
            biased;
            answer = store.ask(&question.id, &flight, &self.settings, &*self.observer) => Arc::new(answer),
            () = self.abandoned(&flight, &question) => {
                if let Some(since) = flight.calling_since() {
                    let outcome = CallOutcome::Failed(FailureClass::Late);
                    self.observer.call(store.fetcher.name(), Scope::of(&question.id), outcome, since.elapsed());
                }
                return;
            }
        };
        let mut state = self.state();
        if !state.flights.remove(&question.key, flight.number) {
            return;
        }
        state.cache.learn(&question.key, &answer, Instant::now());
        // Under the lock, so that an invalidation comes either before this or after those who wait have their answer.
        flight.end(Ended::Answered(answer));
        self.changed(state);
    }

    /// Waits until nobody waits, and takes the flight out.
    async fn abandoned(&self, flight: &Flight, question: &Question) {
        loop {
            flight.phase.closed().await;
            if flight.calling_since().is_some() {
                sleep(LINGER).await;
            }
            // Who joins does so under the same lock.
            let mut state = self.state();
            if flight.phase.is_closed() {
                state.flights.remove(&question.key, flight.number);
                return;
            }
        }
    }

    /// A stale value instead of a failure of the store, if that is allowed and there is one.
    fn otherwise(&self, question: &Question, caller: Caller, answer: Arc<Answer>) -> Reply {
        let failed = answer.said.as_ref().err().map(FetchError::class);
        let Some(class @ (FailureClass::Throttled | FailureClass::Unavailable | FailureClass::Late)) = failed else {
            return Reply { answer, stale: false };
        };
        if caller.only_after.is_some() {
            return Reply { answer, stale: false };
        }
        let held = self.state().cache.get(&question.key, Instant::now());
        match held {
            Some(Held { answer, fresh }) if answer.said.is_ok() => {
                if !fresh {
                    self.observer.cache(CacheEvent::Stale);
                    let store = self.stores[question.key.store].fetcher.name();
                    self.observer.stale(store);
                    let age = answer.began.elapsed().as_secs();
                    tracing::warn!(store, id = %question.id, %class, age_s = age, "the store fails: an old value is served");
                }
                Reply { answer, stale: !fresh }
            }
            _ => Reply { answer, stale: false },
        }
    }

    /// Forgets these questions, and what is on its way for them.
    pub(super) fn invalidate(&self, questions: &[Question]) {
        let mut state = self.state();
        for Question { key, .. } in questions {
            state.cache.forget(key);
            state.flights.void(key);
        }
        self.changed(state);
    }

    /// Forgets what is, or would be, in such a place, and what is on its way there.
    pub(super) fn invalidate_places(&self, matches: impl Fn(&SecretPlace) -> bool) {
        let mut state = self.state();
        state.cache.forget_places(&matches);
        state.flights.void_places(&matches);
        self.changed(state);
    }

    fn changed(&self, state: MutexGuard<'_, State>) {
        let (entries, bytes) = state.cache.size();
        drop(state);
        self.observer.cached(entries, bytes);
    }

    #[cfg(test)]
    pub(super) fn flights(&self) -> usize {
        self.state().flights.count()
    }
}

/// The failure of a question whose deadline has come.
fn late(detail: &str) -> Arc<Answer> {
    failure(FetchError::new(FailureClass::Late, detail))
}

/// A failure that is no store's answer.
fn failure(error: FetchError) -> Arc<Answer> {
    Arc::new(Answer { said: Err(error), began: Instant::now(), fetched: SystemTime::now(), place: None })
}
