//! Random schedules: two replicas that admit pods and collect at the same time, a source that alternates between few values,
//! slow and late requests, and replicas that stand still for minutes. Time is tokio's, which jumps from event to event.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::PoisonError;
use std::task::{Context, Poll};

use proptest::prelude::*;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};

use super::*;

const SECOND: Duration = Duration::from_secs(1);
/// The API server's `--request-timeout`: a pod is stored by then or never.
const ADMISSION: Duration = Duration::from_secs(60);
/// How long pods are admitted.
const SHOW: Duration = Duration::from_secs(15 * 60);
const SETTINGS: MirrorSettings = MirrorSettings {
    installation: std::borrow::Cow::Borrowed(""),
    retention: Duration::from_secs(45),
    grace: Duration::from_secs(90),
    memo: SECOND,
    sweep: Duration::from_secs(8),
    sources_per_sweep: 1000,
};

/// SplitMix64, so that a failure can be repeated by its seed.
#[derive(Clone)]
struct Dice(Arc<Mutex<u64>>);

impl Dice {
    fn below(&self, end: u64) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    fn up_to(&self, most: Duration) -> Duration {
        Duration::from_millis(self.below(u64::try_from(most.as_millis()).unwrap().max(1)))
    }

    /// Mostly short, sometimes long.
    fn hop(&self) -> Duration {
        if self.below(10) == 0 { self.up_to(20 * SECOND) } else { self.up_to(SECOND / 10) }
    }
}

/// What the source held, since when.
#[derive(Clone)]
struct History {
    dice: Dice,
    values: Arc<Mutex<Vec<(Instant, &'static str)>>>,
    began: Instant,
}

impl History {
    fn now(&self) -> &'static str {
        self.values.lock().unwrap().last().unwrap().1
    }

    /// Whether the source held `value` at `since` or later.
    fn held(&self, value: &str, since: Instant) -> bool {
        let values = self.values.lock().unwrap();
        let ends = values.iter().skip(1).map(|(from, _)| Some(*from)).chain([None]);
        values.iter().zip(ends).any(|((_, held), end)| *held == value && end.is_none_or(|end| end > since))
    }

    async fn rotate(self) {
        loop {
            sleep(self.dice.up_to(20 * SECOND)).await;
            let value = ["A", "B", "C"][usize::try_from(self.dice.below(3)).unwrap()];
            self.values.lock().unwrap().push((Instant::now(), value));
        }
    }
}

impl FreshValues for History {
    fn read<'a>(&'a self, _: &'a MirrorSource, _: Instant) -> BoxFuture<'a, Result<FreshValue, FreshError>> {
        Box::pin(async move {
            sleep(self.dice.hop()).await;
            let value = text(self.now());
            let fetched = SystemTime::UNIX_EPOCH + self.began.elapsed();
            sleep(self.dice.hop()).await;
            // A store may even be wrong about that: mirrors that are needed are condemned.
            if self.dice.below(12) == 0 { Err(FreshError::Gone) } else { Ok(FreshValue { value, fetched }) }
        })
    }
}

/// Stands still until the time that is in `until`, whatever wakes it: a process that was stopped.
struct Stoppable<Work> {
    work: Pin<Box<Work>>,
    until: Arc<Mutex<Instant>>,
    alarm: Pin<Box<tokio::time::Sleep>>,
}

impl<Work: Future> Future for Stoppable<Work> {
    type Output = Work::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Work::Output> {
        let until = *self.until.lock().unwrap();
        if Instant::now() < until {
            self.alarm.as_mut().reset(until);
            if self.alarm.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
        self.work.as_mut().poll(context)
    }
}

/// One process.
#[derive(Clone)]
struct Replica {
    mirrors: Mirrors,
    until: Arc<Mutex<Instant>>,
    /// What the cache holds, and when it was read.
    cache: Arc<Mutex<Option<(FreshValue, Instant)>>>,
}

impl Replica {
    fn run<Work: Future>(&self, work: Work) -> Stoppable<Work> {
        let alarm = Box::pin(sleep_until(Instant::now()));
        Stoppable { work: Box::pin(work), until: Arc::clone(&self.until), alarm }
    }

    /// The value and a time at which the source held it, from a cache of ten seconds.
    async fn look_up(&self, source: &History) -> (FreshValue, Instant) {
        let cached = self.cache.lock().unwrap().clone();
        if let Some(cached) = cached.filter(|(_, read)| read.elapsed() < 10 * SECOND) {
            return cached;
        }
        sleep(source.dice.hop()).await;
        let fetched = SystemTime::UNIX_EPOCH + source.began.elapsed();
        let read = (FreshValue { value: text(source.now()), fetched }, Instant::now());
        *self.cache.lock().unwrap() = Some(read.clone());
        read
    }
}

/// The pods that are live, with the time since when their value counts as new enough.
#[derive(Clone, Default)]
struct Pods(Arc<Mutex<BTreeMap<String, Instant>>>);

#[derive(Clone)]
struct Stage {
    server: FakeApiServer,
    source: History,
    pods: Pods,
    faults: Arc<Mutex<Vec<String>>>,
}

impl Stage {
    fn check(&self, mirror: Option<&Value>, when: &str) {
        for (pod, since) in &*self.pods.0.lock().unwrap() {
            let fault = match mirror {
                None => Some("refers to a missing mirror".to_owned()),
                Some(mirror) => {
                    let base64 = mirror["data"][VALUE_KEY].as_str().unwrap();
                    let value = String::from_utf8(BASE64.decode(base64.as_bytes()).unwrap()).unwrap();
                    (!self.source.held(&value, *since)).then(|| format!("refers to the old value {value}"))
                }
            };
            if let Some(fault) = fault {
                let at = self.source.began.elapsed();
                self.faults.lock().unwrap().push(format!("{pod} {fault} {when} at {at:?}"));
            }
        }
    }

    /// One pod from its admission to its end.
    async fn pod(self, replica: Replica, name_of_pod: String) {
        let dice = &self.source.dice;
        let start = Instant::now();
        let admission = replica.run(async {
            let (fresh, read) = replica.look_up(&self.source).await;
            let wanted = WantedMirror {
                name: name(),
                source: source(),
                form: Form::Env,
                value: fresh.value,
                fetched: fresh.fetched,
            };
            replica.mirrors.keep("a", &wanted, start + 25 * SECOND).await.map(|()| read)
        });
        let Ok(Ok(read)) = timeout(ADMISSION, admission).await else { return };
        // What comes after us: other webhooks, quota.
        sleep(dice.hop().min(ADMISSION - start.elapsed())).await;
        if dice.below(5) == 0 {
            return;
        }
        let reference = json!({"volumes": [{"name": "v", "secret": {"secretName": name()}}]});
        {
            let mut cluster = self.server.cluster();
            cluster.put_in("a", "pods", &name_of_pod, json!({"spec": reference, "status": {"phase": "Pending"}}));
            self.pods.0.lock().unwrap().insert(name_of_pod.clone(), read);
            self.check(cluster.get_in("a", "secrets", &name()), "when it is stored");
        }
        let life = if dice.below(12) == 0 { 400 * SECOND } else { 40 * SECOND };
        sleep(dice.up_to(life)).await;
        self.pods.0.lock().unwrap().remove(&name_of_pod);
        self.server.cluster().remove_in("a", "pods", &name_of_pod);
    }
}

/// Plays one schedule; returns what was wrong, and how many mirrors are left at the end.
async fn play(seed: u64) -> (Vec<String>, usize, Vec<Write>) {
    let dice = Dice(Arc::new(Mutex::new(seed)));
    let began = Instant::now();
    let source = History { dice: dice.clone(), values: Arc::new(Mutex::new(vec![(began, "A")])), began };
    let stage = Stage {
        server: FakeApiServer::default(),
        source: source.clone(),
        pods: Pods::default(),
        faults: Arc::default(),
    };
    let writes = Writes::default();
    let replicas: Vec<Replica> = (0..2)
        .map(|_| {
            let (fresh, observer) = (Arc::new(source.clone()), Arc::new(writes.clone()));
            let mut keeper = Keeper::new(stage.server.client(), fresh, SETTINGS, observer);
            keeper.clock = Clock::Logical(SystemTime::UNIX_EPOCH, began);
            let mirrors = Mirrors { keeper: Arc::new(keeper), memo: Arc::new(Memo::new(SETTINGS.memo)) };
            Replica { mirrors, until: Arc::new(Mutex::new(began)), cache: Arc::default() }
        })
        .collect();
    {
        let (dice, watched) = (dice.clone(), stage.clone());
        let mut cluster = stage.server.cluster();
        cluster.latency = Some(Box::new(move || (dice.hop(), dice.hop())));
        let key = ("secrets".to_owned(), "a".to_owned(), name());
        cluster.watch = Some(Box::new(move |objects| watched.check(objects.get(&key), "after a request")));
    }
    let mut world = JoinSet::new();
    world.spawn(source.clone().rotate());
    for replica in &replicas {
        let collector = Collector::new(replica.mirrors.clone());
        let collecting = replica.run(async { match collector.run().await {} });
        world.spawn(collecting);
        let (dice, until) = (dice.clone(), Arc::clone(&replica.until));
        world.spawn(async move {
            loop {
                sleep(dice.up_to(60 * SECOND)).await;
                let pause = if dice.below(4) == 0 { 150 * SECOND } else { 10 * SECOND };
                let end = Instant::now() + dice.up_to(pause);
                *until.lock().unwrap() = end;
                sleep_until(end).await;
            }
        });
    }
    let mut pods = JoinSet::new();
    let mut number = 0;
    while began.elapsed() < SHOW {
        // Crowds with long breaks in between, in which mirrors are condemned and removed.
        let pause = if dice.below(8) == 0 { 240 * SECOND } else { 4 * SECOND };
        sleep(dice.up_to(pause)).await;
        let replica = replicas[usize::try_from(dice.below(2)).unwrap()].clone();
        number += 1;
        pods.spawn(stage.clone().pod(replica, format!("pod-{number}")));
    }
    while let Some(ended) = pods.join_next().await {
        ended.unwrap();
    }
    let end = Instant::now() + Duration::from_secs(60 * 60);
    while !stage.server.cluster().objects.is_empty() && Instant::now() < end {
        sleep(SECOND).await;
    }
    drop(world);
    let left = stage.server.cluster().objects.len();
    let faults = stage.faults.lock().unwrap().clone();
    (faults, left, writes.taken())
}

fn run(seed: u64) -> (Vec<String>, usize, Vec<Write>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(play(seed))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn no_live_pod_refers_to_a_missing_mirror_or_to_an_older_value_than_it_was_admitted_with(seed: u64) {
        let (faults, left, _) = run(seed);
        prop_assert!(faults.is_empty(), "{:#?}", &faults[..faults.len().min(3)]);
        prop_assert_eq!(left, 0, "mirrors are left over");
    }
}

#[test]
fn the_schedules_above_do_all_that_can_be_done_to_mirrors() {
    let mut seen = std::collections::HashMap::<Write, usize>::new();
    for seed in 0..5 {
        for write in run(seed).2 {
            *seen.entry(write).or_default() += 1;
        }
    }
    for write in Write::ALL {
        assert!(seen.get(&write).is_some_and(|count| *count >= 5), "{write:?} of {seen:?}");
    }
}
