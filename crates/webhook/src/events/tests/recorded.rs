//! What gets to the API server.

use http::StatusCode;
use serde_json::{Value, json};

use super::super::*;
use crate::kubernetes::fake_api_server::FakeApiServer;
use crate::server::Details;

/// A cluster with the Job `job-1` in `tasks`.
fn cluster() -> (FakeApiServer, Owner) {
    let fake = FakeApiServer::default();
    fake.cluster().put_in("tasks", "jobs", "job-1", json!({}));
    let uid = fake.cluster().get_in("tasks", "jobs", "job-1").unwrap()["metadata"]["uid"].as_str().unwrap().to_owned();
    let owner = Owner { api_version: "batch/v1".to_owned(), kind: "Job".to_owned(), name: "job-1".to_owned(), uid };
    (fake, owner)
}

fn refused(owner: Option<Owner>) -> Reviewed {
    Reviewed {
        body: Vec::new(),
        status: StatusCode::OK,
        outcome: Outcome::Refused400,
        managers: Vec::new(),
        namespace: "tasks".to_owned(),
        pod: "job-1-".to_owned(),
        uid: "u".to_owned(),
        dry_run: false,
        warnings: 0,
        breach: None,
        reason: Some("none of the secret managers injected secret\n  K8s: no".to_owned()),
        details: Details { owner, ..Details::default() },
    }
}

/// Hands all of them in and waits until they are done with; the metrics afterwards.
async fn recorded(fake: &FakeApiServer, occasions: &[Reviewed]) -> Metrics {
    let metrics = Metrics::new("");
    let own_pod = OwnPod { namespace: "flyte".to_owned(), name: "webhook-0".to_owned() };
    let (events, work) = Events::start(fake.client(), "webhook-0", Some(own_pod), metrics.clone());
    for occasion in occasions {
        events.reviewed(occasion);
    }
    drop(events);
    work.await;
    metrics
}

fn events(fake: &FakeApiServer) -> Vec<Value> {
    let cluster = fake.cluster();
    let events = cluster.objects.iter().filter(|((resource, _, _), _)| resource == "events");
    events.map(|(_, event)| event.clone()).collect()
}

#[track_caller]
fn assert_counted(metrics: &Metrics, series: &str, count: u64) {
    let text = metrics.text();
    assert!(text.contains(&format!("\n{series} {count}\n")), "{series}: {text}");
}

#[tokio::test]
async fn a_refusal_is_told_at_the_pods_controller_in_one_line() {
    let (fake, owner) = cluster();
    let metrics = recorded(&fake, &[refused(Some(owner.clone()))]).await;
    let events = events(&fake);
    let [event] = events.as_slice() else { panic!("{events:?}") };
    let regarding =
        json!({"apiVersion": "batch/v1", "kind": "Job", "name": "job-1", "namespace": "tasks", "uid": owner.uid});
    assert_eq!(event["regarding"], regarding);
    assert_eq!(event["metadata"]["namespace"], "tasks");
    assert_eq!(event["note"], "none of the secret managers injected secret K8s: no");
    assert_eq!((&event["type"], &event["reason"]), (&json!("Warning"), &json!("SecretsRefused")));
    assert_eq!(event["reportingInstance"], "webhook-0");
    assert_counted(&metrics, r#"events_total{kind="created"}"#, 1);
}

#[tokio::test]
async fn the_same_refusal_again_raises_the_count() {
    let (fake, owner) = cluster();
    let refusal = refused(Some(owner));
    let metrics = recorded(&fake, &[refusal.clone(), refusal.clone(), refusal]).await;
    assert_eq!(events(&fake).len(), 1);
    let counts: Vec<_> = fake.cluster().patches.iter().map(|(_, patch)| patch["series"]["count"].clone()).collect();
    assert_eq!(counts, [2, 3]);
    assert_counted(&metrics, r#"events_total{kind="repeated"}"#, 2);
    assert_eq!(fake.cluster().count(&["get"], "jobs"), 1, "a controller that was seen is not looked for again");
}

#[tokio::test]
async fn an_event_that_the_api_server_has_removed_meanwhile_is_made_anew() {
    let (fake, owner) = cluster();
    fake.meanwhile("patch", |cluster| cluster.objects.retain(|(resource, _, _), _| resource != "events"));
    let refusal = refused(Some(owner));
    // The fake makes what is patched and is not there, unless it fails.
    fake.cluster().failures.insert("patch", (404, "NotFound", "not found"));
    let metrics = recorded(&fake, &[refusal.clone(), refusal]).await;
    assert_counted(&metrics, r#"events_total{kind="created"}"#, 2);
}

#[tokio::test]
async fn nothing_is_written_at_an_object_that_is_not_the_controller() {
    let (fake, owner) = cluster();
    fake.cluster().put_in("other", "jobs", "job-2", json!({}));
    let forged = [
        Owner { uid: "another".to_owned(), ..owner.clone() },
        Owner { uid: String::new(), ..owner.clone() },
        Owner { name: "job-2".to_owned(), ..owner.clone() },
        Owner { name: "../../../../api/v1/nodes/n".to_owned(), ..owner.clone() },
        Owner { kind: "Secret".to_owned(), api_version: "v1".to_owned(), ..owner.clone() },
        Owner { api_version: "example.com/v1".to_owned(), ..owner },
    ];
    let count = forged.len();
    let metrics = recorded(&fake, &forged.map(|owner| refused(Some(owner)))).await;
    assert!(events(&fake).is_empty());
    assert_counted(&metrics, r#"events_dropped_total{reason="unverified"}"#, count as u64);
}

#[tokio::test]
async fn a_pod_without_a_controller_and_a_dry_run_make_no_event() {
    let (fake, owner) = cluster();
    let dry_run = Reviewed { dry_run: true, ..refused(Some(owner.clone())) };
    let patched = Reviewed { outcome: Outcome::Patched, ..refused(Some(owner)) };
    let metrics = recorded(&fake, &[refused(None), dry_run, patched]).await;
    assert!(fake.cluster().requests.is_empty(), "{:?}", fake.cluster().requests);
    assert_counted(&metrics, r#"events_dropped_total{reason="no_controller"}"#, 1);
}

#[tokio::test]
async fn a_pod_that_is_admitted_without_its_secrets_is_told_too() {
    let (fake, owner) = cluster();
    recorded(&fake, &[Reviewed { outcome: Outcome::AdmittedUnserved, ..refused(Some(owner)) }]).await;
    assert_eq!(events(&fake)[0]["reason"], "SecretsMissing");
}

#[tokio::test]
async fn missing_rights_are_counted_and_end_nothing() {
    for (forbidden, series) in [
        ("create events", r#"events_dropped_total{reason="forbidden"}"#),
        ("get jobs", r#"events_dropped_total{reason="unverified"}"#),
    ] {
        let (fake, owner) = cluster();
        fake.cluster().forbidden.insert(forbidden);
        let refusal = refused(Some(owner));
        let metrics = recorded(&fake, &[refusal.clone(), refusal]).await;
        assert!(events(&fake).is_empty());
        assert_counted(&metrics, series, 2);
    }
}

#[tokio::test]
async fn a_storm_of_refusals_is_limited_and_never_waited_for() {
    let (fake, owner) = cluster();
    let storm: Vec<_> = (0..QUEUE + 50)
        .map(|number| Reviewed { reason: Some(format!("no {number}")), ..refused(Some(owner.clone())) })
        .collect();
    let metrics = recorded(&fake, &storm).await;
    assert_eq!(events(&fake).len(), super::super::ledger::EACH as usize);
    assert_counted(&metrics, r#"events_dropped_total{reason="queue_full"}"#, 50);
    let limited = QUEUE as u64 - u64::from(super::super::ledger::EACH);
    assert_counted(&metrics, r#"events_dropped_total{reason="rate_limited"}"#, limited);
}

#[tokio::test]
async fn a_note_about_the_webhook_stands_at_its_own_pod() {
    for (may_read_pods, uid) in [(true, json!("uid-1")), (false, Value::Null)] {
        let fake = FakeApiServer::default();
        fake.cluster().put_in("flyte", "pods", "webhook-0", json!({}));
        if !may_read_pods {
            fake.cluster().forbidden.insert("get pods");
        }
        let own_pod = OwnPod { namespace: "flyte".to_owned(), name: "webhook-0".to_owned() };
        let (handle, work) = Events::start(fake.client(), "webhook-0", Some(own_pod), Metrics::new(""));
        handle.note("CertificateSecretDeleted", "the Secret flyte-pod-webhook is gone");
        drop(handle);
        work.await;
        let events = events(&fake);
        assert_eq!(events[0]["regarding"]["name"], "webhook-0");
        assert_eq!(events[0]["regarding"]["uid"], uid);
        assert_eq!(events[0]["reason"], "CertificateSecretDeleted");
    }
}

#[test]
fn a_note_is_one_line_of_at_most_a_kibibyte() {
    assert_eq!(note(" a\n  b\tc "), "a b c");
    let long = note(&"wörter ".repeat(1000));
    assert!(long.len() <= MAX_NOTE && long.ends_with('…'), "{}", long.len());
}
