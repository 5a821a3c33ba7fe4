use serde_json::{Value, json};

use super::*;
use crate::kubernetes::fake_api_server::FakeApiServer;
use crate::registration::{Endpoint, WEBHOOK_NAME, desired};

const RESOURCE: &str = "mutatingwebhookconfigurations";
const NAME: &str = "flyte-pod-webhook";
const APPLY: &str = "application/apply-patch+yaml?&force=true&fieldManager=flyte-secrets";
const FAST: Pace = Pace {
    first_retry: Duration::from_millis(1),
    longest_retry: Duration::from_millis(10),
    refresh: Duration::from_secs(3600),
};

fn settings() -> RegistrationSettings {
    RegistrationSettings {
        name: NAME.to_owned(),
        endpoint: Endpoint::Service { namespace: "flyte".to_owned(), name: NAME.to_owned(), port: 443 },
        namespace_selector: None,
        timeout: Duration::from_secs(30),
    }
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

fn bundle_of(server: &FakeApiServer) -> Value {
    server.cluster().get(RESOURCE, NAME).unwrap()["webhooks"][0]["clientConfig"]["caBundle"].clone()
}

#[tokio::test]
async fn one_apply_with_force_makes_the_configuration() {
    let server = FakeApiServer::default();
    apply(server.client(), &settings(), Some("PEM")).await.unwrap();
    let cluster = server.cluster();
    assert_eq!(cluster.patches, [(APPLY.to_owned(), desired(&settings(), Some("PEM")))]);
}

#[tokio::test]
async fn a_stale_bundle_of_another_manager_is_removed_before_the_apply() {
    let server = FakeApiServer::default();
    let existing = json!({"webhooks": [{
        "name": WEBHOOK_NAME, "admissionReviewVersions": ["v1"], "sideEffects": "None",
        "clientConfig": {"caBundle": "T0xE", "service": {"name": NAME, "namespace": "flyte"}},
    }]});
    server.cluster().put(RESOURCE, NAME, existing);
    apply(server.client(), &settings(), None).await.unwrap();
    let cluster = server.cluster();
    let [(kind, removal), (apply, _)] = &cluster.patches[..] else { panic!("{:?}", cluster.patches) };
    assert!(kind.starts_with("application/strategic-merge-patch+json"), "{kind}");
    assert!(kind.contains("fieldManager=flyte-secrets"), "{kind}");
    assert_eq!(removal["webhooks"][0]["clientConfig"]["caBundle"], Value::Null);
    assert_eq!(removal["metadata"]["resourceVersion"], "1");
    assert_eq!(apply, APPLY);
}

#[tokio::test]
async fn a_missing_verb_is_named_with_the_rule_of_a_cluster_role() {
    for verb in ["get", "patch"] {
        let server = FakeApiServer::default();
        server.cluster().forbidden.insert(verb);
        let text = apply(server.client(), &settings(), None).await.unwrap_err().to_string();
        assert!(text.contains(&format!("forbids to {verb} {RESOURCE} {NAME}")), "{text}");
        assert!(text.contains("ClusterRole"), "{text}");
        assert!(text.contains("apiGroups: [\"admissionregistration.k8s.io\"]"), "{text}");
    }
}

#[tokio::test]
async fn an_api_server_that_comes_later_is_waited_for() {
    let server = FakeApiServer::default();
    server.cluster().down = true;
    let (_ca, ca_bundle) = watch::channel(Some("PEM".to_owned()));
    let Registration { mut state, work } = keep_registered(server.client(), settings(), ca_bundle, FAST);
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
async fn a_new_ca_is_applied_at_once() {
    let server = FakeApiServer::default();
    let (ca, ca_bundle) = watch::channel(Some("OLD".to_owned()));
    let Registration { mut state, work } = keep_registered(server.client(), settings(), ca_bundle, FAST);
    let task = tokio::spawn(work);
    registered(&mut state).await;
    assert_eq!(bundle_of(&server), "T0xE");
    ca.send_replace(Some("NEW".to_owned()));
    until(|| bundle_of(&server) == "TkVX").await;
    task.abort();
}

#[tokio::test]
async fn a_new_ca_that_cannot_be_applied_makes_the_registration_pending() {
    let server = FakeApiServer::default();
    let (ca, ca_bundle) = watch::channel(Some("OLD".to_owned()));
    let Registration { mut state, work } = keep_registered(server.client(), settings(), ca_bundle, FAST);
    let task = tokio::spawn(work);
    registered(&mut state).await;
    server.cluster().down = true;
    ca.send_replace(Some("NEW".to_owned()));
    reaches(&mut state, |state| matches!(state, RegistrationState::Pending { last_error: Some(_) })).await;
    server.cluster().down = false;
    registered(&mut state).await;
    assert_eq!(bundle_of(&server), "TkVX");
    task.abort();
}

#[tokio::test]
async fn a_deleted_configuration_comes_back_with_the_refresh_even_when_nobody_publishes_cas_any_more() {
    let server = FakeApiServer::default();
    let (_, ca_bundle) = watch::channel(None);
    let pace = Pace { refresh: Duration::from_millis(5), ..FAST };
    let Registration { mut state, work } = keep_registered(server.client(), settings(), ca_bundle, pace);
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
    let Registration { mut state, work } = keep_registered(server.client(), settings(), ca_bundle, pace);
    let task = tokio::spawn(work);
    registered(&mut state).await;
    server.cluster().forbidden.insert("get");
    let before = server.cluster().requests.len();
    until(|| server.cluster().requests.len() > before + 2).await;
    assert!(matches!(*state.borrow(), RegistrationState::Registered { .. }));
    task.abort();
}

#[test]
fn a_bundle_without_the_old_ca_is_trusted_before_it_is_applied_and_a_new_ca_is_not() {
    for (applied, wanted, trusted) in [
        (Some("B\nA"), Some("B"), true),
        (Some("B"), Some("B"), true),
        (None, None, true),
        (Some("A"), Some("B\nA"), false),
        (Some("A"), None, false),
        (None, Some("A"), false),
    ] {
        assert_eq!(trusts(applied, wanted), trusted, "{applied:?} {wanted:?}");
    }
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
