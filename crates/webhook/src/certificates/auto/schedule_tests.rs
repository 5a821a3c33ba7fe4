//! Random schedules: replicas that start, die, sleep, lead and do not, clocks that differ, writes that get lost, API servers
//! that learn late.

use proptest::prelude::*;

use super::*;

/// One tick is a second.
const L: Lifetimes = Lifetimes {
    authority: Duration::from_secs(1_200),
    leaf: Duration::from_secs(200),
    overlap: Duration::from_secs(60),
    skew: Duration::from_secs(20),
};
/// A replica that can looks at the Secret this often.
const POLL: u64 = 10;
/// An API server works with a bundle at most so much older than the registered one.
const LATE: u64 = 60;
/// The longest that a replica cannot reach the API server: as long as a leaf lives.
const LONGEST_OUTAGE: u64 = 200;
/// A replica registers its bundle again this often, whatever it knows by then.
const REFRESH: u64 = 7;

#[derive(Clone, Copy, Debug)]
enum Event {
    /// A replica cannot reach the API server for a while.
    Outage { replica: usize, ticks: u64 },
    /// A process is replaced by a new one with nothing in its memory.
    Restart { replica: usize },
    /// Somebody deletes the Secret.
    Delete,
    /// The next write is stored and its answer lost, or not stored at all.
    LoseWrite { stored: bool },
    /// This one leads from now on, or no longer; others may believe that they do, too.
    Lead { replica: usize },
}

fn events() -> impl Strategy<Value = Vec<(u64, Event)>> {
    let replica = 0..REPLICAS;
    let event = prop_oneof![
        (replica.clone(), 1..=LONGEST_OUTAGE).prop_map(|(replica, ticks)| Event::Outage { replica, ticks }),
        replica.clone().prop_map(|replica| Event::Restart { replica }),
        Just(Event::Delete),
        any::<bool>().prop_map(|stored| Event::LoseWrite { stored }),
        replica.prop_map(|replica| Event::Lead { replica }),
    ];
    proptest::collection::vec((0..TICKS - QUIET, event), 0..60)
}

/// Mostly at the ends.
fn skew() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0_i64), Just(20_i64), 0_i64..=20]
}

const REPLICAS: usize = 3;
const TICKS: u64 = 3_200;
/// At the end nothing happens any more.
const QUIET: u64 = 500;

#[derive(Default)]
struct Replica {
    skew: i64,
    known: Vec<Life>,
    leaf: Option<(Fingerprint, Timestamp, Timestamp)>,
    standing: Vec<(Fingerprint, u64)>,
    bundle: Vec<Fingerprint>,
    cut_off_until: u64,
    /// Whether the last look has reached the API server.
    is_fresh: bool,
    leads: bool,
    ready: bool,
}

struct World {
    tick: u64,
    secret: Option<Vec<Life>>,
    /// What was registered, and from when on. What is replaced within the same tick was never seen.
    registered: Vec<(u64, BTreeSet<Fingerprint>)>,
    replicas: Vec<Replica>,
    made: u8,
    lose: Option<bool>,
}

impl World {
    fn new(skews: [i64; REPLICAS]) -> Self {
        let replicas = skews.map(|skew| Replica { skew, ..Replica::default() }).into_iter().collect();
        Self { tick: 0, secret: None, registered: Vec::new(), replicas, made: 0, lose: None }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Outage { replica, ticks } => {
                let until = &mut self.replicas[replica].cut_off_until;
                // An outage is not followed by another at once: see `LONGEST_OUTAGE`.
                if *until + 2 * POLL < self.tick {
                    *until = self.tick + ticks;
                }
            }
            // With the Secret and the last replica that knows it gone at once, a new CA is all that is left.
            Event::Restart { .. } if self.secret.is_none() => {}
            Event::Restart { replica } => {
                let skew = self.replicas[replica].skew;
                self.replicas[replica] = Replica { skew, ..Replica::default() };
            }
            // What only one replica has read yet would be lost if that one cannot write it back.
            Event::Delete if self.is_known_to_all() => self.secret = None,
            Event::Delete => {}
            Event::LoseWrite { stored } => self.lose = Some(stored),
            Event::Lead { replica } => self.replicas[replica].leads ^= true,
        }
    }

    fn is_known_to_all(&self) -> bool {
        let stored = self.secret.as_deref().unwrap_or_default();
        let mut ready = self.replicas.iter().filter(|replica| replica.ready).peekable();
        ready.peek().is_some() && ready.all(|replica| stored.iter().all(|life| replica.known.contains(life)))
    }

    fn now(&self, skew: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + i64::try_from(self.tick).unwrap() + skew).unwrap()
    }

    /// One look of a replica, as `Rotation` has it.
    fn look(&mut self, index: usize) {
        let now = self.now(self.replicas[index].skew);
        let reachable = self.replicas[index].cut_off_until < self.tick;
        if self.replicas[index].leaf.is_none() && (!reachable || !self.start(index, now)) {
            return;
        }
        let (tick, read) = (self.tick, self.secret.clone());
        let replica = &mut self.replicas[index];
        replica.is_fresh = reachable;
        if reachable {
            replica.known = remembered(&replica.known, read.as_deref());
        }
        let settled = replica.standing.iter().filter(|(_, since)| since + 2 * POLL <= tick).map(|(id, _)| *id);
        let plan = decide(&replica.known, &settled.collect(), now, &L);
        replica.bundle.clone_from(&plan.bundle);
        replica.renew(&plan, now);
        if !reachable {
            return;
        }
        let leads = replica.leads || tick % 7 == index as u64;
        if leads && (plan.new || Some(&plan.next) != read.as_ref()) {
            self.write(index, &plan, now);
        }
        self.register(index);
    }

    fn start(&mut self, index: usize, now: Timestamp) -> bool {
        let mut found = self.secret.clone().unwrap_or_default();
        let live = self.replicas.iter().any(|replica| replica.ready);
        if found.is_empty() && live {
            // With the Secret deleted just now, a new replica would begin anew; that is tested with the real server.
            return false;
        }
        if decide(&found, &BTreeSet::new(), now, &L).signer.is_none() {
            found.push(self.new_life(now));
            self.secret = Some(found.clone());
        }
        self.replicas[index].known = found;
        true
    }

    fn new_life(&mut self, now: Timestamp) -> Life {
        self.made += 1;
        let not_after = now + L.authority;
        Life { id: Fingerprint([self.made; 32]), created: now, not_after, announced: None, retired: None }
    }

    fn write(&mut self, index: usize, plan: &Plan, now: Timestamp) {
        let mut next = plan.next.clone();
        if plan.new {
            next.push(self.new_life(now));
        }
        match self.lose.take() {
            Some(false) => {}
            Some(true) => self.secret = Some(next),
            None => {
                self.secret = Some(next.clone());
                self.replicas[index].known = next;
            }
        }
        let replica = &mut self.replicas[index];
        replica.bundle = decide(&replica.known, &BTreeSet::new(), now, &L).bundle;
    }

    /// What this replica wants registered is registered now.
    fn register(&mut self, index: usize) {
        let replica = &mut self.replicas[index];
        let bundle: BTreeSet<Fingerprint> = replica.bundle.iter().copied().collect();
        replica.standing.retain(|(id, _)| bundle.contains(id));
        for id in &bundle {
            if replica.standing.iter().all(|(other, _)| other != id) {
                replica.standing.push((*id, self.tick));
            }
        }
        replica.ready = true;
        self.registered.retain(|(since, _)| *since != self.tick);
        if self.registered.last().is_none_or(|(_, last)| *last != bundle) {
            self.registered.push((self.tick, bundle));
        }
    }

    fn step(&mut self) {
        for index in 0..REPLICAS {
            // Each looks at times of its own.
            if (self.tick + 3 * index as u64).is_multiple_of(POLL) {
                self.look(index);
            }
            let Replica { ready, is_fresh, cut_off_until, .. } = self.replicas[index];
            if ready && is_fresh && cut_off_until < self.tick && (self.tick + index as u64).is_multiple_of(REFRESH) {
                self.register(index);
            }
        }
        self.check();
        self.tick += 1;
    }

    /// Every API server trusts every replica that is in service, whatever bundle it has learnt of and whatever its clock says.
    fn check(&self) {
        let (least, most) = self
            .replicas
            .iter()
            .fold((i64::MAX, i64::MIN), |(least, most), replica| (least.min(replica.skew), most.max(replica.skew)));
        for (index, replica) in self.replicas.iter().enumerate().filter(|(_, replica)| replica.ready) {
            let (signer, from, to) = replica.leaf.unwrap();
            for skew in [least, most] {
                let now = self.now(skew);
                assert!(
                    from <= now && now < to,
                    "{}: the leaf of {index} is valid {from} to {to}, it is {now}",
                    self.tick
                );
            }
            // Before the first registration nobody calls.
            let mut until = u64::MAX;
            for (since, bundle) in self.registered.iter().rev() {
                if until.saturating_add(LATE) <= self.tick {
                    break;
                }
                if bundle.contains(&signer) {
                    until = *since;
                    continue;
                }
                let [name, bundled] = [vec![signer], bundle.iter().copied().collect()].map(numbers);
                panic!("{}: {name:?} of replica {index} is not in {bundled:?}", self.tick);
            }
        }
    }
}

impl Replica {
    fn renew(&mut self, plan: &Plan, now: Timestamp) {
        let due = self.leaf.is_none_or(|(signer, _, to)| {
            Some(signer) != plan.signer || Duration::try_from(to.duration_since(now)).unwrap_or_default() <= L.leaf / 3
        });
        if let Some(signer) = plan.signer.filter(|_| due) {
            let end = self.known.iter().find(|life| life.id == signer).unwrap().not_after;
            self.leaf = Some((signer, now - L.skew, end.min(now + L.leaf)));
        }
    }
}

/// The numbers that stand for fingerprints.
fn numbers(fingerprints: Vec<Fingerprint>) -> Vec<u8> {
    fingerprints.into_iter().map(|fingerprint| fingerprint.0[0]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn every_leaf_is_trusted_by_every_api_server_at_every_moment(
        events in events(),
        skews in [skew(), skew(), skew()],
    ) {
        let mut world = World::new(skews);
        world.replicas[0].leads = true;
        while world.tick < TICKS {
            let tick = world.tick;
            for (_, event) in events.iter().filter(|(at, _)| *at == tick) {
                world.happens(*event);
            }
            world.step();
        }
        prop_assert!(world.made >= 3, "it rotated {} times", world.made);
        prop_assert!(world.secret.is_some_and(|secret| secret.len() <= 3), "old CAs go");
    }
}
