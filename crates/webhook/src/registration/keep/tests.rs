use std::sync::Mutex;

use data_encoding::BASE64;
use serde_json::Value;

use super::*;
use crate::kubernetes::fake_api_server::FakeApiServer;
use crate::registration::Endpoint;
use crate::registration::tests_support::ca;

const RESOURCE: &str = "mutatingwebhookconfigurations";
const NAME: &str = "flyte-pod-webhook";
const FAST: Pace = Pace {
    first_retry: Duration::from_millis(1),
    longest_retry: Duration::from_millis(10),
    refresh: Duration::from_secs(3600),
    settling: Duration::ZERO,
};

fn settings() -> RegistrationSettings {
    let endpoint = Endpoint::Service { namespace: "flyte".to_owned(), name: NAME.to_owned(), port: 443 };
    RegistrationSettings::new(NAME, endpoint)
}

fn keeping(server: &FakeApiServer, ca_bundle: watch::Receiver<Option<String>>, pace: Pace) -> Keeping {
    Keeping { client: server.client(), watching: None, settings: settings(), ca_bundle, pace, observer: Arc::new(()) }
}

async fn reaches(state: &mut watch::Receiver<RegistrationState>, wanted: impl Fn(&RegistrationState) -> bool) {
    tokio::time::timeout(Duration::from_secs(10), state.wait_for(|state| wanted(state))).await.unwrap().unwrap();
}

async fn registered(state: &mut watch::Receiver<RegistrationState>) {
    reaches(state, |state| matches!(state, RegistrationState::Registered { .. })).await;
}

async fn until(condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), met).await.unwrap();
}

fn bundle_of(server: &FakeApiServer) -> String {
    let cluster = server.cluster();
    let encoded = cluster.get(RESOURCE, NAME).unwrap()["webhooks"][0]["clientConfig"]["caBundle"].clone();
    String::from_utf8(BASE64.decode(encoded.as_str().unwrap().as_bytes()).unwrap()).unwrap()
}

#[tokio::test]
async fn an_api_server_that_comes_later_is_waited_for() {
    let server = FakeApiServer::default();
    server.cluster().down = true;
    let (_ca, ca_bundle) = watch::channel(Some(ca("a")));
    let Registration { mut state, work } = keep_registered(keeping(&server, ca_bundle, FAST));
    assert_eq!(*state.borrow(), RegistrationState::Pending { last_error: None });
    let task = tokio::spawn(work);
    reaches(&mut state, |state| {
        matches!(state, RegistrationState::Pending { last_error: Some(error) } if error.contains("the server is starting"))
    })
    .await;
    server.cluster().down = false;
    registered(&mut state).await;
    task.abort();
}

#[tokio::test]
async fn a_new_ca_is_applied_at_once_and_one_that_is_wanted_no_more_goes() {
    let (server, [old, new]) = (FakeApiServer::default(), ["old", "new"].map(ca));
    let (wanted, ca_bundle) = watch::channel(Some(old.clone()));
    let Registration { mut state, work } = keep_registered(keeping(&server, ca_bundle, FAST));
    let task = tokio::spawn(work);
    registered(&mut state).await;
    assert_eq!(bundle_of(&server), old);
    for (wants, stands) in [(format!("{new}\n{old}"), format!("{new}{old}")), (new.clone(), new)] {
        wanted.send_replace(Some(wants.clone()));
        until(|| bundle_of(&server) == stands).await;
        reaches(
            &mut state,
            |state| matches!(state, RegistrationState::Registered { ca_bundle: Some(text) } if text.contains(&wants)),
        )
        .await;
    }
    task.abort();
}

#[tokio::test]
async fn a_new_ca_that_cannot_be_applied_makes_the_registration_pending() {
    let (server, new) = (FakeApiServer::default(), ca("new"));
    let (wanted, ca_bundle) = watch::channel(Some(ca("old")));
    let Registration { mut state, work } = keep_registered(keeping(&server, ca_bundle, FAST));
    let task = tokio::spawn(work);
    registered(&mut state).await;
    server.cluster().down = true;
    wanted.send_replace(Some(new.clone()));
    reaches(&mut state, |state| matches!(state, RegistrationState::Pending { last_error: Some(_) })).await;
    server.cluster().down = false;
    registered(&mut state).await;
    assert_eq!(bundle_of(&server), new);
    task.abort();
}

/// Remembers what it is told.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl RegistrationObserver for Told {
    fn wrote(&self, fields: &[String]) {
        self.0.lock().unwrap().push(format!("wrote {}", fields.len()));
    }

    fn drifted(&self, fields: &[String]) {
        self.0.lock().unwrap().push(format!("drifted {}", fields.join(" ")));
    }
}

#[tokio::test]
async fn what_somebody_else_changes_is_put_back_and_told_and_what_we_change_is_no_drift() {
    let (server, told) = (FakeApiServer::default(), Arc::new(Told::default()));
    let (_wanted, ca_bundle) = watch::channel(Some(ca("a")));
    let pace = Pace { refresh: Duration::from_millis(5), ..FAST };
    let observer: Arc<dyn RegistrationObserver> = Arc::clone(&told) as _;
    let Registration { mut state, work } = keep_registered(Keeping { observer, ..keeping(&server, ca_bundle, pace) });
    let task = tokio::spawn(work);
    registered(&mut state).await;
    let mut changed: Value = server.cluster().get(RESOURCE, NAME).unwrap().clone();
    changed["webhooks"][0]["failurePolicy"] = "Ignore".into();
    server.cluster().put(RESOURCE, NAME, changed);
    until(|| server.cluster().get(RESOURCE, NAME).unwrap()["webhooks"][0]["failurePolicy"] == "Fail").await;
    until(|| told.0.lock().unwrap().len() == 3).await;
    let told = told.0.lock().unwrap().clone();
    assert!(told[0].starts_with("wrote "), "{told:?}");
    assert_eq!(told[1..], ["wrote 1", "drifted failurePolicy"]);
    task.abort();
}

#[tokio::test]
async fn a_deleted_configuration_comes_back_with_the_refresh_even_when_nobody_publishes_cas_any_more() {
    let server = FakeApiServer::default();
    let (_, ca_bundle) = watch::channel(None);
    let pace = Pace { refresh: Duration::from_millis(5), ..FAST };
    let Registration { mut state, work } = keep_registered(keeping(&server, ca_bundle, pace));
    let task = tokio::spawn(work);
    registered(&mut state).await;
    server.cluster().objects.clear();
    until(|| server.cluster().get(RESOURCE, NAME).is_some()).await;
    task.abort();
}

#[tokio::test]
async fn a_failed_refresh_leaves_the_registration_as_it_is() {
    let server = FakeApiServer::default();
    let (_, ca_bundle) = watch::channel(None);
    let pace = Pace { refresh: Duration::from_millis(5), ..FAST };
    let Registration { mut state, work } = keep_registered(keeping(&server, ca_bundle, pace));
    let task = tokio::spawn(work);
    registered(&mut state).await;
    server.cluster().forbidden.insert("get");
    let before = server.cluster().requests.len();
    until(|| server.cluster().requests.len() > before + 2).await;
    assert!(matches!(*state.borrow(), RegistrationState::Registered { .. }));
    task.abort();
}

#[test]
fn the_wait_doubles_up_to_its_limit() {
    let pace = Pace::default();
    let seconds = |failures| pace.retry(failures).as_secs();
    assert_eq!([1, 2, 3, 4, 5, 6, 7, u32::MAX].map(seconds), [1, 2, 4, 8, 16, 30, 30, 30]);
}

#[test]
fn jitter_shortens_a_wait_by_half_at_most_and_differs() {
    let wait = Duration::from_secs(10);
    let waits: Vec<_> = (0..50).map(|_| jittered(wait)).collect();
    assert!(waits.iter().all(|jittered| (wait / 2..=wait).contains(jittered)), "{waits:?}");
    assert!(waits.iter().any(|jittered| *jittered != waits[0]));
}
