//! Calls to a store: in turn, in time, and again if that may help.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::value::SecretValue;
use futures::FutureExt;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{Instrument, field, info_span};

use super::SPANS;
use super::cache::Answer;
use super::flight::Flight;
use super::observer::{CallOutcome, LookUpObserver, Scope};
use super::settings::LookUpSettings;
use crate::fetcher::{FailureClass, FetchError, SecretFetcher};

/// The longest pause before the second call; it doubles with every further one, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A store and the calls that it may be asked at the same time.
pub(super) struct Store {
    pub(super) fetcher: Arc<dyn SecretFetcher>,
    permits: Semaphore,
}

impl Store {
    pub(super) fn new(fetcher: Arc<dyn SecretFetcher>, concurrent_calls: usize) -> Self {
        Self { fetcher, permits: Semaphore::new(concurrent_calls.clamp(1, Semaphore::MAX_PERMITS)) }
    }

    /// Asks until there is an answer, or no further attempt may help.
    pub(super) async fn ask(
        &self,
        id: &SecretId,
        flight: &Flight,
        settings: &LookUpSettings,
        observer: &dyn LookUpObserver,
    ) -> Answer {
        let mut attempt = 1;
        loop {
            let permit = self.permits.acquire().await.expect("the semaphore is never closed");
            let answer = self.call(id, flight, settings, observer).await;
            drop(permit);
            let error = match &answer.said {
                Err(error) if attempt < settings.attempts && may_pass(error) => error.clone(),
                _ => return answer,
            };
            let until = Instant::now() + pause(attempt, fastrand::f64());
            flight.pause(until, error);
            sleep_until(until).await;
            observer.retried(self.fetcher.name());
            attempt += 1;
        }
    }

    /// One call.
    async fn call(
        &self,
        id: &SecretId,
        flight: &Flight,
        settings: &LookUpSettings,
        observer: &dyn LookUpObserver,
    ) -> Answer {
        let (began, fetched) = (Instant::now(), SystemTime::now());
        flight.call(began);
        let (store, scope) = (self.fetcher.name(), Scope::of(id));
        let span = info_span!(target: SPANS, "store_call", store, scope = scope.name(), outcome = field::Empty);
        let asked = self.contained(id).instrument(span.clone());
        let said = timeout(settings.call_timeout, asked).await.unwrap_or_else(|_| {
            let detail = format!("did not answer within {:?}, the time-out of a call", settings.call_timeout);
            Err(FetchError::new(FailureClass::Late, detail))
        });
        let outcome = match &said {
            Ok(_) => CallOutcome::Found,
            Err(error) => CallOutcome::Failed(error.class()),
        };
        span.record("outcome", outcome.name());
        observer.call(store, scope, outcome, began.elapsed());
        Answer { said, began, fetched, place: flight.place.clone() }
    }

    /// The store's answer. What its panic says is not repeated, as it may be a value.
    async fn contained(&self, id: &SecretId) -> Result<SecretValue, FetchError> {
        // Nothing of ours is left half-done: a store's own state is its own business.
        AssertUnwindSafe(async { self.fetcher.get(id).await }).catch_unwind().await.unwrap_or_else(|_| {
            let detail = "its store ended in a mistake of our program, which is in the log";
            Err(FetchError::new(FailureClass::Malformed, detail))
        })
    }
}

/// Whether the store may answer otherwise in a moment.
fn may_pass(error: &FetchError) -> bool {
    matches!(error.class(), FailureClass::Throttled | FailureClass::Unavailable)
}

/// The time before another attempt: between a half and the whole of a step that doubles, so that those who failed together
/// do not come back together. `random` is in `0..1`.
///
/// Three lines rather than a library, which would bring its own loop and clock.
fn pause(after_attempt: u32, random: f64) -> Duration {
    let step = FIRST_PAUSE.saturating_mul(1_u32.checked_shl(after_attempt - 1).unwrap_or(u32::MAX)).min(LONGEST_PAUSE);
    step.mul_f64(0.5 + random / 2.0)
}

#[cfg(test)]
#[path = "tests/pauses.rs"]
mod tests;
