//! A token bucket that is full at first, as two numbers and a time (the generic cell rate algorithm).

use std::time::Duration;

use tokio::time::Instant;

/// What a bucket holds is given back in this time.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// A limit: so many at once, and one more each `interval`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    interval: Duration,
    /// How far `spent` may lie ahead.
    credit: Duration,
}

impl Rate {
    pub(crate) fn per_minute(count: u32) -> Self {
        let interval = MINUTE / count.max(1);
        Self { interval, credit: MINUTE.saturating_sub(interval) }
    }

    /// When one more is allowed, if everything is given back at `spent`.
    pub(crate) fn allowed_at(self, spent: Instant, now: Instant) -> Instant {
        spent.checked_sub(self.credit).map_or(now, |at| at.max(now))
    }

    /// Until when everything is given back, with one more.
    pub(crate) fn spend(self, spent: Instant, now: Instant) -> Instant {
        spent.max(now) + self.interval
    }
}
