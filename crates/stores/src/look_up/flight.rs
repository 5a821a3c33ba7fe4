//! A question that is on its way to a store, and everybody who waits for the answer.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use super::cache::Answer;
use super::question::Key;
use crate::fetcher::{FetchError, SecretPlace};

/// Where a flight is.
#[derive(Debug)]
pub(super) enum Phase {
    /// Its first call has not begun; it waits for its turn.
    Queued,
    /// The store is being asked.
    Calling { since: Instant },
    /// The store failed and is asked again at that time.
    Pausing { until: Instant, error: FetchError },
    /// It is over.
    Ended(Ended),
}

impl Phase {
    /// Whether there is no use in waiting any longer for who cannot wait beyond `deadline`.
    pub(super) fn is_final_for(&self, deadline: Instant) -> bool {
        match self {
            Self::Queued | Self::Calling { .. } => false,
            Self::Pausing { until, .. } => *until >= deadline,
            Self::Ended(_) => true,
        }
    }
}

/// How a flight ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The store answered, or failed for good.
    Answered(Arc<Answer>),
    /// The secret was invalidated meanwhile; who waits asks again.
    Voided,
}

/// One question on its way. It has no deadline of its own: it goes on while somebody waits, and every wait has one.
#[derive(Debug)]
pub(super) struct Flight {
    /// Flights are numbered in the order in which they begin.
    pub(super) number: u64,
    /// Where the value would be.
    pub(super) place: Option<SecretPlace>,
    /// Those who wait hold a receiver.
    pub(super) phase: watch::Sender<Phase>,
}

impl Flight {
    /// A call begins. Wakes nobody.
    pub(super) fn call(&self, since: Instant) {
        self.enter(Phase::Calling { since }, false);
    }

    /// A call failed, and there will be another one. Wakes those who wait, as it may be too late for them.
    pub(super) fn pause(&self, until: Instant, error: FetchError) {
        self.enter(Phase::Pausing { until, error }, true);
    }

    /// It is over, for all who wait.
    pub(super) fn end(&self, ended: Ended) {
        self.enter(Phase::Ended(ended), true);
    }

    /// An end is final: the call of a voided flight may still be going on.
    fn enter(&self, next: Phase, wakes: bool) {
        self.phase.send_if_modified(|phase| {
            let goes_on = !matches!(phase, Phase::Ended(_));
            if goes_on {
                *phase = next;
            }
            goes_on && wakes
        });
    }

    /// Whether the first call has not begun.
    pub(super) fn is_queued(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Queued)
    }

    /// When the call began that is being made.
    pub(super) fn calling_since(&self) -> Option<Instant> {
        match *self.phase.borrow() {
            Phase::Calling { since } => Some(since),
            Phase::Queued | Phase::Pausing { .. } | Phase::Ended(_) => None,
        }
    }
}

/// The flights that may still be joined or voided. Of one question there are several only if somebody wanted an answer
/// that is newer than the one on its way.
#[derive(Debug, Default)]
pub(super) struct Flights {
    by_key: HashMap<Key, Vec<Arc<Flight>>>,
    last_number: u64,
}

impl Flights {
    /// The number of the flight that began last.
    pub(super) fn last_number(&self) -> u64 {
        self.last_number
    }

    /// The newest flight for a question.
    pub(super) fn newest(&self, key: &Key) -> Option<&Arc<Flight>> {
        self.by_key.get(key)?.last()
    }

    pub(super) fn begin(&mut self, key: &Key, place: Option<SecretPlace>) -> Arc<Flight> {
        self.last_number += 1;
        let (phase, _) = watch::channel(Phase::Queued);
        let flight = Arc::new(Flight { number: self.last_number, place, phase });
        self.by_key.entry(key.clone()).or_default().push(Arc::clone(&flight));
        flight
    }

    /// Takes a flight out; false if it was voided.
    pub(super) fn remove(&mut self, key: &Key, number: u64) -> bool {
        let Some(flights) = self.by_key.get_mut(key) else { return false };
        let before = flights.len();
        flights.retain(|flight| flight.number != number);
        let removed = flights.len() < before;
        if flights.is_empty() {
            self.by_key.remove(key);
        }
        removed
    }

    /// Ends all flights for a question; what they bring will not be used.
    pub(super) fn void(&mut self, key: &Key) {
        for flight in self.by_key.remove(key).into_iter().flatten() {
            flight.end(Ended::Voided);
        }
    }

    /// Ends all flights to such a place.
    pub(super) fn void_places(&mut self, matches: impl Fn(&SecretPlace) -> bool) {
        self.by_key.retain(|_, flights| {
            flights.retain(|flight| {
                let void = flight.place.as_ref().is_some_and(&matches);
                if void {
                    flight.end(Ended::Voided);
                }
                !void
            });
            !flights.is_empty()
        });
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.by_key.values().map(Vec::len).sum()
    }
}
