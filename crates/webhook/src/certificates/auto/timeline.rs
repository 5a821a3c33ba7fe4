//! Which CA signs, which are trusted and what comes next: decided from the times in the Secret and the time of day alone.
//!
//! Every replica decides for itself and all decide alike, so nothing has to be remembered by a leader. The rules:
//!
//! * a new CA is made when the newest one has a third of its life left;
//! * it signs when it has stood in the registered bundle for [`Lifetimes::overlap`], because API servers learn of a bundle late;
//! * from then on the older ones are retired: nobody signs by them any more;
//! * they stay in the bundle until the last certificate that they have signed has expired.
//!
//! Clocks may differ by [`Lifetimes::skew`] between any two machines: whoever begins to rely on something waits that much
//! longer, and whoever ends something others rely on waits for the slowest clock.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::super::status::{AuthorityRole, Fingerprint};

/// How long things last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// A CA (`webhook.certificates.caLifetime`).
    pub authority: Duration,
    /// A serving certificate (`webhook.certificates.leafLifetime`).
    pub leaf: Duration,
    /// How long a new CA stands in the registered bundle before anything is signed by it
    /// (`webhook.certificates.caOverlap`).
    pub overlap: Duration,
    /// How much the clocks of two machines may differ (`webhook.certificates.clockSkew`).
    pub skew: Duration,
}

/// How often the Secret is read at the most and at the least.
const LONGEST_POLL: Duration = Duration::from_secs(10);
const SHORTEST_POLL: Duration = Duration::from_millis(100);
/// How long those who do not lead leave a change to the leader, at the most.
const LONGEST_PATIENCE: Duration = Duration::from_secs(60);

impl Default for Lifetimes {
    /// A year, a day, ten minutes and five minutes.
    fn default() -> Self {
        Self {
            authority: Duration::from_secs(365 * 86_400),
            leaf: Duration::from_secs(86_400),
            overlap: Duration::from_secs(600),
            skew: Duration::from_secs(300),
        }
    }
}

impl Lifetimes {
    /// The longest pause between two looks at the Secret.
    pub(super) fn poll(&self) -> Duration {
        (self.overlap / 6).min(self.leaf / 12).clamp(SHORTEST_POLL, LONGEST_POLL)
    }

    /// How long a CA has to stand in the bundle that one replica has registered until that counts: another one that has not read
    /// the Secret yet may put the bundle before in its place.
    pub(super) fn settling(&self) -> Duration {
        2 * self.poll()
    }

    /// How long a change is left to the leader.
    pub(super) fn patience(&self) -> Duration {
        self.overlap.min(LONGEST_PATIENCE)
    }
}

/// The times that matter of one CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) id: Fingerprint,
    /// When it was put into the Secret.
    pub(super) created: Timestamp,
    /// When its certificate expires.
    pub(super) not_after: Timestamp,
    /// Since when it stands in the registered bundle; not known at first.
    pub(super) announced: Option<Timestamp>,
    /// Since when nobody signs by it any more.
    pub(super) retired: Option<Timestamp>,
}

impl Life {
    /// Whether API servers trust it, as seen by a clock that may be `skews` skews ahead.
    fn is_trusted(&self, now: Timestamp, lifetimes: &Lifetimes, skews: u32) -> bool {
        let wait = lifetimes.overlap + skews * lifetimes.skew;
        self.announced.is_some_and(|announced| has_passed(announced, wait, now))
    }

    fn is_valid(&self, now: Timestamp) -> bool {
        self.not_after > now
    }

    fn left(&self, now: Timestamp) -> Duration {
        Duration::try_from(self.not_after.duration_since(now)).unwrap_or_default()
    }

    /// Whether it has expired by every clock.
    fn is_over(&self, now: Timestamp, lifetimes: &Lifetimes) -> bool {
        has_passed(self.not_after, lifetimes.skew, now) && !self.is_valid(now)
    }
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// By which CA to sign; none if all have expired.
    pub(super) signer: Option<Fingerprint>,
    /// What the registered bundle shall hold, the newest first.
    pub(super) bundle: Vec<Fingerprint>,
    /// What the Secret shall hold next, the oldest first.
    pub(super) next: Vec<Life>,
    /// Whether a new CA shall stand there too.
    pub(super) new: bool,
}

impl Plan {
    /// What a CA is good for, while this plan holds. Those of the plan are in the order of their age.
    pub(super) fn role(&self, id: &Fingerprint) -> AuthorityRole {
        let place = |id: &Fingerprint| self.bundle.iter().position(|other| other == id);
        match (place(id), self.signer.as_ref().and_then(place)) {
            (Some(place), Some(signer)) if place == signer => AuthorityRole::Current,
            (Some(place), Some(signer)) if place < signer => AuthorityRole::Next,
            _ => AuthorityRole::Old,
        }
    }
}

/// Decides from what is known of the CAs and from the time. `standing` are those that this replica has seen in the registered
/// bundle for long enough.
pub(super) fn decide(known: &[Life], standing: &BTreeSet<Fingerprint>, now: Timestamp, lifetimes: &Lifetimes) -> Plan {
    let mut lives: Vec<Life> = known.iter().filter(|life| !life.is_over(now, lifetimes)).cloned().collect();
    lives.sort_by_key(|life| (life.created, life.id));
    let bundle = lives.iter().rev().map(|life| life.id).collect();
    let signer = signer(&lives, now, lifetimes);
    let newest = lives.iter().rfind(|life| life.is_valid(now));
    let new = newest.is_none_or(|newest| newest.left(now) <= lifetimes.authority / 3);

    for life in lives.iter_mut().filter(|life| standing.contains(&life.id)) {
        life.announced.get_or_insert(now);
    }
    // The slowest clock reads one skew less than that of the replica that announced, and ours may be one ahead of both.
    let successor = lives.iter().rposition(|life| life.is_valid(now) && life.is_trusted(now, lifetimes, 3));
    for life in lives.iter_mut().take(successor.unwrap_or(0)) {
        life.retired.get_or_insert(now);
    }
    lives.retain(|life| {
        let forgotten = |retired| has_passed(retired, lifetimes.leaf + 2 * lifetimes.skew, now);
        Some(life.id) == signer || !life.retired.is_some_and(forgotten)
    });
    Plan { signer, bundle, next: lives, new }
}

/// The newest CA that is trusted everywhere. If none is, the oldest: the first one ever, of which nobody has to learn before
/// the registration; or whatever is left, which is better than nothing.
fn signer(lives: &[Life], now: Timestamp, lifetimes: &Lifetimes) -> Option<Fingerprint> {
    let mut valid = lives.iter().filter(|life| life.is_valid(now));
    let trusted = valid.clone().rfind(|life| life.is_trusted(now, lifetimes, 1));
    trusted.or_else(|| valid.next()).map(|life| life.id)
}

/// What is known after a look at the Secret: what it holds, and what it held before and has lost.
///
/// A CA goes from the Secret long after it was retired. One that was not retired and is missing was lost with the Secret, or by
/// somebody who wrote an old state back. API servers still need it, so it is kept and written back. `read` is `None` if there is no Secret.
pub(super) fn remembered(known: &[Life], read: Option<&[Life]>) -> Vec<Life> {
    let Some(read) = read else { return known.to_vec() };
    let before = |id: &Fingerprint| known.iter().find(|life| life.id == *id);
    let mut lives: Vec<Life> = read
        .iter()
        .map(|life| {
            let announced = life.announced.or_else(|| before(&life.id).and_then(|before| before.announced));
            Life { announced, ..life.clone() }
        })
        .collect();
    let lost = known.iter().filter(|life| life.retired.is_none() && read.iter().all(|other| other.id != life.id));
    lives.extend(lost.cloned());
    lives
}

/// Whether `now` is at least `wait` behind `then`. Times in the Secret may be any, so nothing is added to them.
fn has_passed(then: Timestamp, wait: Duration, now: Timestamp) -> bool {
    Duration::try_from(now.duration_since(then)).is_ok_and(|passed| passed >= wait)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "timeline_tests.rs"]
mod tests;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "schedule_tests.rs"]
mod schedules;
