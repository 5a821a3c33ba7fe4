//! Replicas with a fake API server and a clock that runs with the tests' own.

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::super::super::inspect::Problem;
use super::super::super::status::AuthorityRole;
use super::super::authority::Authority;
use super::*;
use crate::kubernetes::fake_api_server::FakeApiServer;

const NAME: &str = "hook-ca";
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
/// Shorter than the defaults, so that fewer looks have to be played.
const LIFETIMES: Lifetimes = Lifetimes {
    authority: Duration::from_secs(6 * 3600),
    leaf: Duration::from_secs(3600),
    overlap: Duration::from_secs(600),
    skew: Duration::from_secs(120),
};

fn settings() -> AutoSettings {
    AutoSettings {
        namespace: "flyte".to_owned(),
        secret_name: NAME.to_owned(),
        names: CertificateNames::for_service("hook", "flyte", &[]).unwrap(),
        lifetimes: LIFETIMES,
    }
}

/// A clock that goes with tokio's, which tests move.
fn clock() -> Clock {
    let (time, start) = (SystemTime::now(), Instant::now());
    Arc::new(move || time + start.elapsed())
}

/// One replica, with a registration that follows its bundle at once.
struct Replica {
    resolver: Arc<CertificateResolver>,
    bundle: watch::Receiver<Option<String>>,
    status: watch::Receiver<CertificateStatus>,
    leads: watch::Sender<Leadership>,
    tasks: Vec<JoinHandle<()>>,
}

impl Replica {
    async fn open(server: &FakeApiServer, clock: &Clock) -> Result<Rotation, AutoError> {
        Rotation::open_by(server.client(), settings(), Arc::clone(clock)).await
    }

    async fn start(server: &FakeApiServer, clock: &Clock, leads: bool) -> Self {
        let rotation = Self::open(server, clock).await.unwrap();
        let (resolver, bundle, status) = (rotation.resolver(), rotation.ca_bundle(), rotation.status());
        let leadership = if leads { Leadership::Leading } else { Leadership::Unknown };
        let (leads, leading) = watch::channel(leadership);
        let (registered, state) = watch::channel(RegistrationState::Pending { last_error: None });
        let mut wanted = bundle.clone();
        let registering = tokio::spawn(async move {
            loop {
                let ca_bundle = wanted.borrow_and_update().clone();
                registered.send_replace(RegistrationState::Registered { ca_bundle });
                if wanted.changed().await.is_err() {
                    return;
                }
            }
        });
        let running = tokio::spawn(async move { match rotation.run(state, leading).await {} });
        Self { resolver, bundle, status, leads, tasks: vec![registering, running] }
    }

    fn trusted(&self) -> Vec<Fingerprint> {
        Fingerprint::all_of(self.bundle.borrow().as_ref().unwrap())
    }

    fn with_role(&self, role: AuthorityRole) -> Option<Fingerprint> {
        let status = self.status.borrow();
        status.authorities.iter().find(|authority| authority.role == role).map(|authority| authority.fingerprint)
    }

    fn current(&self) -> Fingerprint {
        self.with_role(AuthorityRole::Current).unwrap()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn stored(server: &FakeApiServer) -> Option<Value> {
    server.cluster().get("secrets", NAME).cloned()
}

fn names(server: &FakeApiServer) -> Vec<String> {
    let data = stored(server).map(|secret| secret["data"].clone()).unwrap_or_default();
    let keys = data.as_object().into_iter().flat_map(|data| data.keys().cloned());
    keys.filter(|key| key.ends_with(".crt")).collect()
}

#[tokio::test(start_paused = true)]
async fn the_first_replica_makes_a_ca_and_the_next_one_uses_it() {
    let (server, clock) = (FakeApiServer::default(), clock());
    let one = Replica::start(&server, &clock, true).await;
    let other = Replica::start(&server, &clock, false).await;
    assert_eq!(one.trusted(), other.trusted());
    assert_eq!(one.trusted(), [one.current()]);
    assert_eq!(server.cluster().count(&["create"], "secrets"), 1);
    let left = one.resolver.not_after().duration_since(timestamp(clock()));
    assert_eq!(Duration::try_from(left).unwrap().as_secs().div_ceil(60), 60);
}

#[tokio::test(start_paused = true)]
async fn of_two_that_start_at_once_one_makes_the_ca_for_both() {
    let (server, clock) = (FakeApiServer::default(), clock());
    server.cluster().latency = Some(Box::new(|| (SECOND / 10, SECOND / 10)));
    let (one, other) = tokio::join!(Replica::open(&server, &clock), Replica::open(&server, &clock));
    let bundles = [one.unwrap(), other.unwrap()].map(|rotation| rotation.ca_bundle().borrow().clone());
    assert_eq!(bundles[0], bundles[1]);
    assert_eq!(server.cluster().count(&["create"], "secrets"), 2, "the second one was refused");
}

#[tokio::test(start_paused = true)]
async fn a_serving_certificate_is_renewed_with_more_than_a_third_of_its_life_left() {
    let (server, clock) = (FakeApiServer::default(), clock());
    let one = Replica::start(&server, &clock, true).await;
    let mut renewals = 0;
    let mut last = one.resolver.not_after();
    for _ in 0..(7 * 15) {
        sleep(HOUR / 30).await;
        let left = one.resolver.not_after().duration_since(timestamp(clock()));
        assert!(left.as_mins() >= 19, "{left:?}");
        renewals += usize::from(one.resolver.not_after() != last);
        last = one.resolver.not_after();
    }
    assert!((5..=6).contains(&renewals), "{renewals} in three and a half hours");
    assert_eq!(names(&server).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_ca_is_replaced_in_steps_that_each_wait_for_the_one_before() {
    let (server, clock) = (FakeApiServer::default(), clock());
    let leader = Replica::start(&server, &clock, true).await;
    let follower = Replica::start(&server, &clock, false).await;
    let first = leader.current();
    sleep(HOUR * 39 / 10).await;
    assert_eq!(leader.trusted(), [first]);

    let start = Instant::now();
    while leader.with_role(AuthorityRole::Next).is_none() {
        sleep(SECOND).await;
        assert!(start.elapsed() < HOUR);
    }
    let (next, begun) = (leader.with_role(AuthorityRole::Next).unwrap(), Instant::now());
    sleep(15 * SECOND).await;
    assert_eq!(follower.trusted(), [next, first], "all replicas register both");

    while leader.current() != next || follower.current() != next {
        sleep(SECOND).await;
        assert!(begun.elapsed() < HOUR);
    }
    assert!(begun.elapsed() >= LIFETIMES.overlap, "{:?}", begun.elapsed());
    assert_eq!(leader.with_role(AuthorityRole::Old), Some(first));

    while leader.trusted().len() + follower.trusted().len() > 2 {
        sleep(HOUR / 60).await;
        assert!(begun.elapsed() < 4 * HOUR);
    }
    assert!(begun.elapsed() >= LIFETIMES.leaf, "{:?}", begun.elapsed());
    assert_eq!(leader.trusted(), [next]);
    assert_eq!(names(&server).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_leader_the_others_do_it_and_one_that_dies_half_way_is_followed() {
    let (server, clock) = (FakeApiServer::default(), clock());
    let one = Replica::start(&server, &clock, false).await;
    let other = Replica::start(&server, &clock, false).await;
    let first = one.current();
    sleep(4 * HOUR + 60 * SECOND).await;
    drop(one);
    sleep(2 * HOUR).await;
    assert_eq!(other.trusted().len(), 1);
    assert_ne!(other.trusted(), [first]);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_secret_is_written_back_as_it_was() {
    let (server, clock) = (FakeApiServer::default(), clock());
    let leader = Replica::start(&server, &clock, true).await;
    sleep(HOUR).await;
    let before = stored(&server).unwrap();
    server.cluster().remove_in("flyte", "secrets", NAME);
    sleep(15 * SECOND).await;
    assert_eq!(stored(&server).unwrap()["data"], before["data"]);
    assert_eq!(leader.trusted().len(), 1);
    assert_eq!((leader.status.borrow().last_error.clone(), leader.status.borrow().restored), (None, 1));
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_begins_anew_while_the_secret_is_gone_does_not_take_the_others_ca_away() {
    let (server, clock) = (FakeApiServer::default(), clock());
    let old = Replica::start(&server, &clock, true).await;
    sleep(HOUR).await;
    let first = old.current();
    server.cluster().remove_in("flyte", "secrets", NAME);
    let new = Replica::start(&server, &clock, false).await;
    sleep(30 * SECOND).await;
    assert_eq!(old.current(), first, "API servers have to learn of the new one first");
    assert_eq!(new.current(), first);
    assert_eq!(old.trusted().len(), 2);
    sleep(HOUR).await;
    assert_ne!(old.current(), first);
    assert_eq!(old.current(), new.current());
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_cannot_be_read_is_left_alone_and_said_and_what_is_served_stays() {
    let (server, clock) = (FakeApiServer::default(), clock());
    let leader = Replica::start(&server, &clock, true).await;
    sleep(HOUR).await;
    let good = stored(&server).unwrap();
    let damaged = json!({"metadata": {}, "data": {"authorities.json": "cGxhbnRlZA=="}});
    server.cluster().put("secrets", NAME, damaged.clone());
    sleep(2 * HOUR).await;
    assert_eq!(stored(&server).unwrap()["data"], damaged["data"]);
    let error = leader.status.borrow().last_error.clone().unwrap();
    assert!(error.contains("authorities.json") && error.contains("Delete it"), "{error}");
    assert!(leader.resolver.not_after() > timestamp(clock()), "leaves are renewed all the same");

    let refused = Replica::open(&server, &clock).await.unwrap_err();
    assert!(matches!(refused, AutoError::Unusable { .. }), "{refused}");
    server.cluster().remove_in("flyte", "secrets", NAME);
    sleep(30 * SECOND).await;
    assert_eq!(stored(&server).unwrap()["data"], good["data"], "deleted, it is written back");
    assert_eq!(leader.status.borrow().last_error, None);
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_secret_is_never_written() {
    let (server, clock) = (FakeApiServer::default(), clock());
    server.cluster().put("secrets", NAME, json!({"data": {"password": "cGxhbnRlZA=="}}));
    let error = Replica::open(&server, &clock).await.unwrap_err().to_string();
    assert!(error.contains("it holds password and no authorities.json"), "{error}");
    assert_eq!(server.cluster().count(&["create", "update", "patch"], "secrets"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_is_waited_for_at_start_up_and_does_no_harm_later() {
    let (server, clock) = (FakeApiServer::default(), clock());
    server.cluster().down = true;
    let (fake, time) = (server.clone(), Arc::clone(&clock));
    let opening = tokio::spawn(async move { Replica::start(&fake, &time, true).await });
    sleep(10 * SECOND).await;
    server.cluster().down = false;
    let replica = opening.await.unwrap();

    server.cluster().down = true;
    sleep(2 * HOUR).await;
    assert!(replica.resolver.not_after() > timestamp(clock()));
    assert!(replica.status.borrow().last_error.is_some());
    let start = Instant::now();
    assert!(Replica::open(&server, &clock).await.unwrap_err().is_passing());
    assert!(start.elapsed() < 2 * PATIENT);
}

#[tokio::test(start_paused = true)]
async fn what_is_forbidden_is_named_and_asked_for_again_with_pauses() {
    let (server, clock) = (FakeApiServer::default(), clock());
    server.cluster().forbidden.insert("get secrets");
    let error = Replica::open(&server, &clock).await.unwrap_err().to_string();
    assert!(error.contains("resourceNames: [\"hook-ca\"], verbs: [\"get\"]"), "{error}");
    server.cluster().forbidden.clear();

    let leader = Replica::start(&server, &clock, true).await;
    server.cluster().forbidden.insert("update secrets");
    sleep(10 * 60 * SECOND).await;
    let error = leader.status.borrow().last_error.clone().unwrap();
    assert!(error.contains("verbs: [\"update\"]"), "{error}");
    let attempts = server.cluster().count(&["update"], "secrets");
    assert!((10..=45).contains(&attempts), "{attempts}");
}

#[tokio::test(start_paused = true)]
async fn an_expired_ca_at_start_up_is_replaced_and_signs_nothing() {
    let (server, clock) = (FakeApiServer::default(), clock());
    drop(Replica::start(&server, &clock, true).await);
    let before = names(&server);
    sleep(7 * HOUR).await;
    let replica = Replica::start(&server, &clock, false).await;
    assert_eq!(replica.trusted().len(), 1);
    assert!(names(&server).iter().all(|name| !before.contains(name)));
}

#[tokio::test(start_paused = true)]
async fn a_look_is_one_request_every_few_seconds() {
    let (server, clock) = (FakeApiServer::default(), clock());
    let _leader = Replica::start(&server, &clock, true).await;
    sleep(HOUR).await;
    server.cluster().requests.clear();
    sleep(HOUR).await;
    let looks = server.cluster().requests.len();
    assert!((360..=720).contains(&looks), "{looks}");
    assert_eq!(server.cluster().count(&["get"], "secrets"), looks);
}

#[tokio::test(start_paused = true)]
async fn one_that_begins_to_lead_finishes_what_another_began() {
    let (server, clock) = (FakeApiServer::default(), clock());
    let mut begun = Authority::new(clock(), &LIFETIMES).unwrap();
    begun.life.announced = Some(begun.life.created);
    let mut shared = Shared::new(server.client(), "flyte".to_owned(), NAME.to_owned());
    let found = shared.read().await.unwrap();
    sleep(HOUR).await;
    let next = Authority::new(clock(), &LIFETIMES).unwrap();
    shared.write(found, &[begun.clone(), next.clone()]).await.unwrap();

    let replica = Replica::start(&server, &clock, false).await;
    assert_eq!(replica.current(), begun.life.id);
    replica.leads.send_replace(Leadership::Leading);
    sleep(HOUR).await;
    assert_eq!(replica.current(), next.life.id);
    assert_eq!(replica.with_role(AuthorityRole::Old), Some(begun.life.id));
}

#[test]
fn errors_tell_the_way_out() {
    let errors = [
        AutoError::Contended { namespace: "n".into(), name: "s".into() },
        AutoError::Expired { namespace: "n".into(), name: "s".into() },
        AutoError::Bad(vec![Problem::KeyMismatch]),
    ];
    for (error, part) in errors.iter().zip(["another installation", "has expired", "does not belong"]) {
        assert!(error.to_string().contains(part), "{error}");
    }
}
