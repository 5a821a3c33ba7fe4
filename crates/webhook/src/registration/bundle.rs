//! Which CAs the bundle shall hold: what we want, and what others still need.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use super::authorities::{Authorities, Authority};

/// Certificates in a bundle. Each replica brings two at most, and an object of Kubernetes is limited.
const MAX_AUTHORITIES: usize = 32;
/// Bytes of a bundle beyond which no foreign CA is kept.
const MAX_BYTES: usize = 256 << 10;
/// How many CAs are remembered that are no longer registered.
const MAX_REMEMBERED: usize = 256;
/// How long a CA has to be past its end before it counts as expired: clocks differ.
const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);
/// The longest time that a CA is kept is its retention doubled so often.
const MOST_DOUBLINGS: u32 = 10;

/// Now, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// For how long something has lasted.
    pub(super) instant: Instant,
    /// For what certificates say.
    pub(super) clock: SystemTime,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self { instant: Instant::now(), clock: SystemTime::now() }
    }

    fn is_past(self, not_after: i64) -> bool {
        let since = self.clock.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let end = u64::try_from(not_after).map(Duration::from_secs).unwrap_or_default();
        since > end.saturating_add(CLOCK_SKEW)
    }
}

/// The DER of a certificate.
type Der = Vec<u8>;

/// What this process knows of the CAs that it has met.
#[derive(Debug)]
pub(super) struct Adopted {
    retention: Duration,
    foreign: BTreeMap<Der, Foreign>,
    /// What our own source has ever wanted.
    wanted: BTreeSet<Der>,
}

#[derive(Debug, Default)]
struct Foreign {
    /// Since when it is registered without being wanted.
    since: Option<Instant>,
    /// How often we have taken it out of the bundle.
    drops: u32,
}

/// The bundle that shall stand, from the one that stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Union {
    /// PEM. The registered text itself if nothing has to change.
    pub(super) text: String,
    /// How many CAs in it are not wanted by us.
    pub(super) foreign: usize,
    /// Which registered CAs are left out.
    dropped: Vec<Der>,
}

impl Adopted {
    /// Foreign CAs are kept for `retention`.
    pub(super) fn new(retention: Duration) -> Self {
        Self { retention, foreign: BTreeMap::new(), wanted: BTreeSet::new() }
    }

    /// All that is `wanted`, first, and of what is `registered` all that others may still need.
    ///
    /// A CA of others is left out when it has expired, or has been registered for the retention while we did not want it; one that
    /// our own source wanted before, at once. If it comes back, another replica insists on it: then it counts as
    /// new, for twice as long each time, so that two replicas that disagree for ever do not fight.
    pub(super) fn union(&mut self, wanted: &str, registered: &str, now: Moment) -> Union {
        let (wants, stands) = (Authorities::read(wanted), Authorities::read(registered));
        self.notice(&wants, &stands, now.instant);
        let mut kept: Vec<&Authority> = Vec::new();
        let mut dropped = Vec::new();
        // What cannot be read is not ours to judge.
        let mut text = if wants.all.is_empty() { wanted.to_owned() } else { joined(wants.all.iter()) };
        for other in stands.all.iter().filter(|other| !wants.holds(other)) {
            let full = wants.all.len() + kept.len() >= MAX_AUTHORITIES || text.len() + other.pem.len() > MAX_BYTES;
            if full || self.is_expired(other, now) || self.is_over(other, now.instant) {
                dropped.push(other.der.to_vec());
            } else {
                text.push_str(&other.pem);
                kept.push(other);
            }
        }
        let as_it_stands = dropped.is_empty()
            && !stands.untidy
            && !stands.all.is_empty()
            && stands.hold_all(&wants)
            && !wants.all.is_empty();
        Union { text: if as_it_stands { registered.to_owned() } else { text }, foreign: kept.len(), dropped }
    }

    /// The API server has this bundle now. How many CAs it has lost.
    pub(super) fn stands(&mut self, union: &Union) -> usize {
        for der in &union.dropped {
            let foreign = self.foreign.entry(der.clone()).or_default();
            foreign.since = None;
            foreign.drops = foreign.drops.saturating_add(1);
        }
        union.dropped.len()
    }

    fn notice(&mut self, wants: &Authorities, stands: &Authorities, now: Instant) {
        let registered: BTreeSet<&[u8]> = stands.all.iter().map(|authority| authority.der.as_ref()).collect();
        for (der, foreign) in &mut self.foreign {
            if !registered.contains(der.as_slice()) {
                foreign.since = None;
            }
        }
        for authority in &wants.all {
            self.foreign.remove(authority.der.as_ref());
            self.wanted.insert(authority.der.to_vec());
        }
        for authority in stands.all.iter().filter(|authority| !wants.holds(authority)) {
            self.foreign.entry(authority.der.to_vec()).or_default().since.get_or_insert(now);
        }
        self.foreign.retain(|_, foreign| foreign.since.is_some() || foreign.drops > 0);
        while self.foreign.len() > MAX_REMEMBERED && self.foreign.pop_first().is_some() {}
        while self.wanted.len() > MAX_REMEMBERED && self.wanted.pop_first().is_some() {}
    }

    /// One that was put back is left alone, see [`Self::union`].
    fn is_expired(&self, authority: &Authority, now: Moment) -> bool {
        let der: &[u8] = authority.der.as_ref();
        now.is_past(authority.not_after) && self.foreign.get(der).is_none_or(|foreign| foreign.drops == 0)
    }

    fn is_over(&self, authority: &Authority, now: Instant) -> bool {
        let der: &[u8] = authority.der.as_ref();
        let Some(Foreign { since: Some(since), drops }) = self.foreign.get(der) else { return false };
        let retired = *drops == 0 && self.wanted.contains(der);
        let retention = self.retention.saturating_mul(1 << (*drops).min(MOST_DOUBLINGS));
        retired || now.saturating_duration_since(*since) >= retention
    }
}

/// Whether an API server that trusts the CAs in `registered` trusts all that are `wanted`; `None` stands for the issuers that
/// its system trusts.
pub(super) fn holds(registered: Option<&str>, wanted: Option<&str>) -> bool {
    match (registered, wanted) {
        (Some(registered), Some(wanted)) => {
            registered.contains(wanted) || {
                let wants = Authorities::read(wanted);
                !wants.all.is_empty() && Authorities::read(registered).hold_all(&wants)
            }
        }
        (registered, wanted) => registered == wanted,
    }
}

/// A registered bundle for whoever wants to see in it the very text that it wanted.
pub(super) fn shown(registered: &str, wanted: Option<&str>) -> String {
    let Some(wanted) = wanted.filter(|wanted| !registered.contains(*wanted) && holds(Some(registered), Some(wanted)))
    else {
        return registered.to_owned();
    };
    let (wants, stands) = (Authorities::read(wanted), Authorities::read(registered));
    format!("{wanted}\n{}", joined(stands.all.iter().filter(|authority| !wants.holds(authority))))
}

fn joined<'a>(authorities: impl Iterator<Item = &'a Authority>) -> String {
    authorities.map(|authority| authority.pem.as_str()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "bundle_tests.rs"]
mod tests;
