use super::super::desired::{FIELD_MANAGER, WEBHOOK_NAME, desired};
use super::super::endpoint::Endpoint;
use super::super::tests_support::ca;
use super::*;
use crate::kubernetes::fake_api_server::{Cluster, FakeApiServer};

const RESOURCE: &str = "mutatingwebhookconfigurations";
const NAME: &str = "flyte-pod-webhook";
const APPLY: &str = "application/apply-patch+yaml?&force=true&fieldManager=flyte-secrets";

fn settings() -> RegistrationSettings {
    let endpoint = Endpoint::Service { namespace: "flyte".to_owned(), name: NAME.to_owned(), port: 443 };
    RegistrationSettings::new(NAME, endpoint)
}

fn registrar(server: &FakeApiServer) -> Registrar {
    Registrar::new(server.client(), settings())
}

/// What our apply leaves, entry of `managedFields` included.
fn standing(bundle: &str) -> Value {
    let mut configuration = desired(&settings(), Some(bundle), false);
    let key = format!("k:{{\"name\":\"{WEBHOOK_NAME}\"}}");
    configuration["metadata"]["managedFields"] = json!([{
        "manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": {"f:webhooks": {key: {"f:name": {}}}},
    }]);
    configuration
}

fn nothing() -> BTreeSet<String> {
    BTreeSet::new()
}

fn writes(cluster: &Cluster) -> usize {
    cluster.count(&["create", "patch", "update"], RESOURCE)
}

#[tokio::test]
async fn an_object_without_webhooks_is_made_first_and_then_applied_to_as_it_was_read() {
    let (server, a) = (FakeApiServer::default(), ca("a"));
    let round = registrar(&server).round(Some(&a), &nothing()).await.unwrap();
    assert_eq!(round.ca_bundle, Some(a.clone()));
    let cluster = server.cluster();
    let mut document = desired(&settings(), Some(&a), false);
    document["metadata"]["resourceVersion"] = "1".into();
    assert_eq!(cluster.patches, [(APPLY.to_owned(), document)]);
    assert_eq!(cluster.requests[..2], [format!("get {RESOURCE}"), format!("create {RESOURCE}")]);
}

#[tokio::test]
async fn what_stands_as_it_should_is_read_and_not_written() {
    let (server, a) = (FakeApiServer::default(), ca("a"));
    server.cluster().put(RESOURCE, NAME, standing(&a));
    let mut registrar = registrar(&server);
    for _ in 0..3 {
        let round = registrar.round(Some(&a), &nothing()).await.unwrap();
        assert_eq!(round, Round { ca_bundle: Some(a.clone()), fields: Vec::new(), retired: 0, foreign: 0 });
    }
    assert_eq!(writes(&server.cluster()), 0);
}

#[tokio::test]
async fn what_others_have_set_just_so_is_applied_once_so_that_it_is_ours() {
    let (server, a) = (FakeApiServer::default(), ca("a"));
    let mut there = standing(&a);
    there["metadata"]["managedFields"] = json!([]);
    server.cluster().put(RESOURCE, NAME, there);
    let mut registrar = registrar(&server);
    for _ in 0..3 {
        registrar.round(Some(&a), &nothing()).await.unwrap();
    }
    assert_eq!(writes(&server.cluster()), 1);
}

#[tokio::test]
async fn two_replicas_that_start_at_once_each_see_the_others_ca() {
    let (server, [a, b]) = (FakeApiServer::default(), ["a", "b"].map(ca));
    let other = standing(&b);
    server.meanwhile("create", move |cluster| cluster.put(RESOURCE, NAME, other));
    let round = registrar(&server).round(Some(&a), &nothing()).await.unwrap();
    assert_eq!(round.ca_bundle, Some(format!("{a}{b}")));
}

#[tokio::test]
async fn a_change_between_reading_and_writing_is_read_again_and_kept() {
    let (server, [a, b, c]) = (FakeApiServer::default(), ["a", "b", "c"].map(ca));
    server.cluster().put(RESOURCE, NAME, standing(&b));
    let other = standing(&format!("{c}{b}"));
    server.meanwhile("patch", move |cluster| cluster.put(RESOURCE, NAME, other));
    let round = registrar(&server).round(Some(&a), &nothing()).await.unwrap();
    assert_eq!(round.ca_bundle, Some(format!("{a}{c}{b}")));
}

#[tokio::test]
async fn what_cannot_stay_is_removed_before_the_apply() {
    let (server, a) = (FakeApiServer::default(), ca("a"));
    let mut there = standing(&a);
    there["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}]);
    there["metadata"]["managedFields"] = json!([]);
    server.cluster().put(RESOURCE, NAME, there);
    registrar(&server).round(None, &nothing()).await.unwrap();
    let cluster = server.cluster();
    let [(kind, removal), (apply, document)] = &cluster.patches[..] else { panic!("{:?}", cluster.patches) };
    assert!(kind.starts_with("application/strategic-merge-patch+json"), "{kind}");
    assert!(kind.contains("fieldManager=flyte-secrets"), "{kind}");
    assert_eq!(removal["webhooks"][0]["clientConfig"]["caBundle"], Value::Null);
    assert_eq!(removal["metadata"]["ownerReferences"], json!([{"$patch": "delete", "uid": "u"}]));
    assert_eq!(removal["metadata"]["resourceVersion"], "1");
    assert_eq!((apply.as_str(), &document["metadata"]["resourceVersion"]), (APPLY, &json!("2")));
}

#[tokio::test]
async fn a_missing_verb_is_named_with_the_rule_of_a_cluster_role() {
    for verb in ["get", "create", "patch"] {
        let server = FakeApiServer::default();
        server.cluster().forbidden.insert(verb);
        let text = registrar(&server).round(None, &nothing()).await.unwrap_err().to_string();
        assert!(text.contains(&format!("forbids to {verb} {RESOURCE} {NAME}")), "{text}");
        assert!(text.contains("ClusterRole"), "{text}");
        assert!(text.contains("apiGroups: [\"admissionregistration.k8s.io\"]"), "{text}");
    }
}

#[tokio::test]
async fn others_who_are_always_faster_are_an_error_in_the_end() {
    let (server, a) = (FakeApiServer::default(), ca("a"));
    server.cluster().put(RESOURCE, NAME, standing(&ca("b")));
    server.cluster().failures.insert("patch", (409, "Conflict", "the object has been modified"));
    let error = registrar(&server).round(Some(&a), &nothing()).await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::Conflict);
    assert_eq!(server.cluster().count(&["patch"], RESOURCE), 1 + TRIES as usize);
}

#[tokio::test]
async fn a_field_that_is_not_stored_as_written_is_left_and_repaired_again_once_it_was_right() {
    let (server, a) = (FakeApiServer::default(), ca("a"));
    let changed = |policy: &str| {
        let mut configuration = standing(&a);
        configuration["webhooks"][0]["failurePolicy"] = policy.into();
        configuration
    };
    server.cluster().put(RESOURCE, NAME, changed("Ignore"));
    let mut registrar = registrar(&server);
    registrar.note_unheeded(&["failurePolicy".to_owned(), "clientConfig.caBundle".to_owned()]);
    assert_eq!(registrar.round(Some(&a), &nothing()).await.unwrap().fields, Vec::<String>::new());
    assert_eq!(registrar.round(Some(&ca("b")), &nothing()).await.unwrap().fields, ["clientConfig.caBundle"]);

    let mut registrar = Registrar::new(server.client(), settings());
    registrar.note_unheeded(&["failurePolicy".to_owned()]);
    server.cluster().put(RESOURCE, NAME, changed("Fail"));
    assert_eq!(registrar.round(Some(&a), &nothing()).await.unwrap().fields, Vec::<String>::new());
    server.cluster().put(RESOURCE, NAME, changed("Ignore"));
    assert_eq!(registrar.round(Some(&a), &nothing()).await.unwrap().fields, ["failurePolicy"]);
}

#[tokio::test]
async fn a_field_that_is_held_is_written_with_the_next_that_is_not() {
    let (server, a) = (FakeApiServer::default(), ca("a"));
    let mut there = standing(&a);
    there["webhooks"][0]["failurePolicy"] = "Ignore".into();
    server.cluster().put(RESOURCE, NAME, there);
    let held = BTreeSet::from(["failurePolicy".to_owned()]);
    let mut registrar = registrar(&server);
    assert_eq!(registrar.round(Some(&a), &held).await.unwrap().fields, Vec::<String>::new());
    assert_eq!(writes(&server.cluster()), 0);
    registrar.round(Some(&ca("b")), &held).await.unwrap();
    assert_eq!(server.cluster().get(RESOURCE, NAME).unwrap()["webhooks"][0]["failurePolicy"], "Fail");
}

/// As another replica leaves it that is configured otherwise.
fn of_another_replica(bundle: &str) -> Value {
    let mut configuration = standing(bundle);
    configuration["webhooks"][0]["timeoutSeconds"] = 7.into();
    let key = format!("k:{{\"name\":\"{WEBHOOK_NAME}\"}}");
    configuration["metadata"]["managedFields"][0]["fieldsV1"]["f:webhooks"][key]["f:timeoutSeconds"] = json!({});
    configuration
}

#[tokio::test]
async fn what_another_replica_has_set_since_stays_for_a_while_and_what_it_had_set_before_does_not() {
    let (server, a) = (FakeApiServer::default(), ca("a"));
    server.cluster().put(RESOURCE, NAME, of_another_replica(&a));
    let mut registrar = registrar(&server);
    assert_eq!(registrar.round(Some(&a), &nothing()).await.unwrap().fields, ["timeoutSeconds"]);

    server.cluster().put(RESOURCE, NAME, of_another_replica(&a));
    assert_eq!(registrar.round(Some(&a), &nothing()).await.unwrap().fields, Vec::<String>::new());
    let round = registrar.round(Some(&ca("b")), &nothing()).await.unwrap();
    assert_eq!(round.fields, ["clientConfig.caBundle"]);
    assert_eq!(server.cluster().get(RESOURCE, NAME).unwrap()["webhooks"][0]["timeoutSeconds"], 7);
}

#[tokio::test]
async fn a_replica_that_is_still_there_after_two_minutes_puts_its_own_back() {
    let server = FakeApiServer::default();
    let mut registrar = Registrar::new(server.client(), settings());
    registrar.applied = true;
    let (there, fields) = (of_another_replica("PEM"), ["timeoutSeconds".to_owned(), "failurePolicy".to_owned()]);
    let start = Instant::now();
    for (seconds, left) in [(0, 1), (119, 1), (120, 0), (121, 1)] {
        let now = start + Duration::from_secs(seconds);
        assert_eq!(registrar.left_to_others(&there, &fields, now).len(), left, "after {seconds} s");
    }
}
