use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::advance;

use super::*;
use crate::kubernetes::fake_api_server::FakeApiServer;

const SECOND: Duration = Duration::from_secs(1);

/// One replica that takes part, and how many of its works are under way.
struct Replica {
    state: watch::Receiver<Leadership>,
    working: Arc<AtomicUsize>,
    begun: Arc<AtomicUsize>,
    shutdown: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

struct Working(Arc<AtomicUsize>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Replica {
    fn start(server: &FakeApiServer, identity: &str) -> Self {
        let (sender, state) = watch::channel(Leadership::default());
        let (shutdown, asked) = oneshot::channel();
        let (working, begun) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counter, beginnings) = (Arc::clone(&working), Arc::clone(&begun));
        let work = move || {
            counter.fetch_add(1, Ordering::SeqCst);
            beginnings.fetch_add(1, Ordering::SeqCst);
            let working = Working(Arc::clone(&counter));
            async move {
                let _working = working;
                std::future::pending::<Infallible>().await
            }
        };
        let asked = async {
            let _ = asked.await;
        };
        let settings = LeaderSettings::new("flyte", identity);
        let task = tokio::spawn(lead(server.client(), settings, sender, asked, work));
        Self { state, working, begun, shutdown: Some(shutdown), task }
    }

    fn works(&self) -> bool {
        self.working.load(Ordering::SeqCst) == 1
    }

    async fn reaches(&mut self, within: Duration, wanted: impl Fn(&Leadership) -> bool) {
        let reached = timeout(within, self.state.wait_for(|state| wanted(state))).await.map(drop);
        assert!(reached.is_ok(), "{:?}", self.state.borrow());
        tokio::task::yield_now().await;
    }

    async fn leads(&mut self, within: Duration) {
        self.reaches(within, |state| *state == Leadership::Leading).await;
        assert!(self.works());
    }

    async fn ends(mut self) {
        self.shutdown.take().unwrap().send(()).unwrap();
        self.task.await.unwrap();
    }
}

fn spec(server: &FakeApiServer) -> Value {
    server.cluster().get("leases", LEASE).unwrap()["spec"].clone()
}

#[tokio::test(start_paused = true)]
async fn one_of_two_leads_and_the_other_knows_who() {
    let server = FakeApiServer::default();
    let mut one = Replica::start(&server, "one");
    one.leads(SECOND).await;
    let mut other = Replica::start(&server, "other");
    other.reaches(SECOND, |state| *state == Leadership::Following { leader: "one".to_owned() }).await;
    sleep(600 * SECOND).await;
    assert!(one.works() && !other.works());
    assert_eq!(one.begun.load(Ordering::SeqCst), 1);
    let spec = spec(&server);
    assert_eq!(spec["leaseDurationSeconds"], 15);
    assert_eq!(spec["leaseTransitions"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_is_one_request() {
    let server = FakeApiServer::default();
    let mut one = Replica::start(&server, "one");
    one.leads(SECOND).await;
    server.cluster().requests.clear();
    sleep(21 * SECOND).await;
    assert_eq!(server.cluster().requests, vec!["update leases"; 10]);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_ends_gives_the_lease_back_and_the_next_one_need_not_wait() {
    let server = FakeApiServer::default();
    let mut one = Replica::start(&server, "one");
    one.leads(SECOND).await;
    let mut other = Replica::start(&server, "other");
    other.reaches(SECOND, |state| matches!(state, Leadership::Following { .. })).await;
    one.ends().await;
    other.leads(3 * SECOND).await;
    assert_eq!(spec(&server)["leaseTransitions"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_dies_is_followed_when_its_lease_has_run_out_before_our_eyes() {
    let server = FakeApiServer::default();
    let mut one = Replica::start(&server, "one");
    one.leads(SECOND).await;
    one.task.abort();
    // The times in the Lease do not matter, nor how long it has been there.
    sleep(3600 * SECOND).await;
    let start = Instant::now();
    let mut other = Replica::start(&server, "other");
    other.leads(20 * SECOND).await;
    assert!(start.elapsed() >= 15 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_stops_before_others_may_begin_and_comes_back() {
    let server = FakeApiServer::default();
    let mut one = Replica::start(&server, "one");
    one.leads(SECOND).await;
    server.cluster().down = true;
    let start = Instant::now();
    one.reaches(15 * SECOND, |state| matches!(state, Leadership::Failing(_))).await;
    assert!(!one.works());
    assert!(start.elapsed() <= 10 * SECOND, "{:?}", start.elapsed());
    server.cluster().down = false;
    one.leads(5 * SECOND).await;
    assert_eq!(one.begun.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn requests_that_hang_do_not_keep_a_leader_at_work() {
    let server = FakeApiServer::default();
    let mut one = Replica::start(&server, "one");
    one.leads(SECOND).await;
    server.cluster().latency = Some(Box::new(|| (3600 * SECOND, Duration::ZERO)));
    let start = Instant::now();
    one.reaches(15 * SECOND, |state| matches!(state, Leadership::Failing(_))).await;
    assert!(start.elapsed() <= 10 * SECOND, "{:?}", start.elapsed());
    assert!(!one.works());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_was_paused_drops_its_work_when_it_wakes_up_and_asks_for_the_lease_again() {
    let server = FakeApiServer::default();
    let mut one = Replica::start(&server, "one");
    one.leads(SECOND).await;
    server.cluster().requests.clear();
    advance(3600 * SECOND).await;
    sleep(SECOND / 10).await;
    assert_eq!(one.begun.load(Ordering::SeqCst), 2);
    assert_eq!(server.cluster().requests, ["update leases"]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_somebody_else_took_is_not_taken_back() {
    let server = FakeApiServer::default();
    let mut one = Replica::start(&server, "one");
    one.leads(SECOND).await;
    let mut lease = server.cluster().get("leases", LEASE).unwrap().clone();
    lease["spec"]["holderIdentity"] = "other".into();
    server.cluster().put("leases", LEASE, lease);
    one.reaches(5 * SECOND, |state| matches!(state, Leadership::Following { leader } if leader == "other")).await;
    assert!(!one.works());
    assert_eq!(spec(&server)["holderIdentity"], "other");
}

#[tokio::test(start_paused = true)]
async fn of_two_that_take_a_lease_at_the_same_time_one_gets_it() {
    let server = FakeApiServer::default();
    server.cluster().latency = Some(Box::new(|| (SECOND / 10, SECOND / 10)));
    let replicas = [Replica::start(&server, "one"), Replica::start(&server, "other")];
    for _ in 0..100 {
        sleep(SECOND).await;
        assert!(replicas.iter().filter(|replica| replica.works()).count() <= 1);
    }
    assert!(replicas.iter().any(Replica::works));
}

#[tokio::test(start_paused = true)]
async fn without_the_verbs_nobody_leads_and_the_state_names_the_rule() {
    for (verb, names) in [("get", true), ("create", false)] {
        let server = FakeApiServer::default();
        server.cluster().forbidden.insert(verb);
        let mut one = Replica::start(&server, "one");
        one.reaches(SECOND, |state| matches!(state, Leadership::Failing(_))).await;
        let Leadership::Failing(why) = one.state.borrow().clone() else { unreachable!() };
        let names = if names { ", resourceNames: [\"flyte-secrets-leader\"]" } else { "" };
        let rule = format!(
            "Role in namespace flyte of our service account: {{apiGroups: [\"coordination.k8s.io\"], resources: [\"leases\"]{names}, verbs: [\"{verb}\"]}}"
        );
        assert!(why.contains(&rule), "{why}");
        assert!(!one.works());
        server.cluster().forbidden.clear();
        one.leads(FORBIDDEN + SECOND).await;
    }
}

#[test]
fn two_processes_of_one_pod_have_different_identities() {
    assert_ne!(identity("pod"), identity("pod"));
    assert!(identity("pod").starts_with("pod_"));
}
