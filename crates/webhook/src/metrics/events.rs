//! What became of Kubernetes Events.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::{Labels, Metrics};

/// What became of an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventFate {
    /// It was written.
    Created,
    /// It happened again: the count of the one that is there was raised.
    Repeated,
    /// The pod has no controller to tell.
    NoController,
    /// The controller that the pod names could not be seen to be there: another uid, a kind that we do not know or may
    /// not read.
    Unverified,
    /// Too many at once; its repetitions will be counted with the next one.
    RateLimited,
    /// Too many wait to be written.
    QueueFull,
    /// RBAC does not let us write Events.
    Forbidden,
    /// The API server did not take it.
    Failed,
}

impl EventFate {
    /// All fates.
    pub const ALL: [Self; 8] = [
        Self::Created,
        Self::Repeated,
        Self::NoController,
        Self::Unverified,
        Self::RateLimited,
        Self::QueueFull,
        Self::Forbidden,
        Self::Failed,
    ];

    /// The reason for which it was not written; `None` if it was.
    const fn dropped(self) -> Option<&'static str> {
        match self {
            Self::Created | Self::Repeated => None,
            Self::NoController => Some("no_controller"),
            Self::Unverified => Some("unverified"),
            Self::RateLimited => Some("rate_limited"),
            Self::QueueFull => Some("queue_full"),
            Self::Forbidden => Some("forbidden"),
            Self::Failed => Some("failed"),
        }
    }
}

/// The series of Events.
pub(super) struct EventSeries {
    written: Family<Labels<1>, Counter>,
    dropped: Family<Labels<1>, Counter>,
}

impl Default for EventSeries {
    fn default() -> Self {
        let series = Self { written: Family::default(), dropped: Family::default() };
        for fate in EventFate::ALL {
            series.counter(fate, |_| ());
        }
        series
    }
}

impl EventSeries {
    pub(super) fn register(&self, metrics: &Metrics) {
        metrics.register("events", "Kubernetes Events that were written", self.written.clone());
        metrics.register("events_dropped", "Kubernetes Events that were not written, by reason", self.dropped.clone());
    }

    fn counter(&self, fate: EventFate, with: impl FnOnce(&Counter)) {
        match fate.dropped() {
            Some(reason) => with(&self.dropped.get_or_create(&[("reason", reason)])),
            None if fate == EventFate::Repeated => with(&self.written.get_or_create(&[("kind", "repeated")])),
            None => with(&self.written.get_or_create(&[("kind", "created")])),
        }
    }
}

impl Metrics {
    /// Counts an Event.
    pub fn event(&self, fate: EventFate) {
        self.inner.events.counter(fate, |counter| {
            counter.inc();
        });
    }
}
