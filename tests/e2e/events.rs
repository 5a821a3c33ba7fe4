//! Kubernetes Events at the controllers of pods that are refused.

use serde_json::{Value, json};

use crate::harness::identity::service_account;
use crate::harness::{Namespace, Setup, Webhook, bed, eventually, request, task_pod};

/// A pod that nobody serves: the K8s manager wants a key.
fn unservable(name: &str) -> Value {
    task_pod(name, &[request(&[("group", "g")])])
}

async fn events(namespace: &Namespace) -> Vec<Value> {
    let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", namespace.name);
    let all = namespace.api.get(&path).await.unwrap()["items"].as_array().unwrap().clone();
    all.into_iter().filter(|event| event["reportingController"] == "flyte.org/flyte-secrets").collect()
}

/// A Job that makes no pod by itself.
async fn suspended_job(namespace: &Namespace) -> Value {
    let container = json!({"name": "main", "image": "task:1"});
    let job = json!({
        "metadata": {"name": "idle"},
        "spec": {"suspend": true, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    });
    namespace.api.create(&format!("/apis/batch/v1/namespaces/{}/jobs", namespace.name), &job).await.unwrap()
}

fn owned_by(mut pod: Value, job: &Value, uid: &Value) -> Value {
    pod["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "batch/v1", "kind": "Job", "name": job["metadata"]["name"], "uid": uid, "controller": true,
    }]);
    pod
}

#[tokio::test]
async fn a_job_whose_pods_are_refused_says_why_in_one_event_with_a_count() {
    let namespace = bed().namespace("event-job").await;
    let _webhook = Webhook::start(&namespace, Setup::default()).await;
    let mut template = unservable("unused");
    template["metadata"].as_object_mut().unwrap().remove("name");
    template["spec"]["restartPolicy"] = json!("Never");
    let job = json!({
        "metadata": {"name": "train"},
        "spec": {"template": {"metadata": template["metadata"], "spec": template["spec"]}},
    });
    let path = format!("/apis/batch/v1/namespaces/{}/jobs", namespace.name);
    let job = namespace.api.create(&path, &job).await.unwrap();

    // The Job's controller tries again, first after seconds.
    let event = eventually("an Event that has happened twice", 40, || async {
        match events(&namespace).await.as_slice() {
            [event] if event["series"]["count"].as_i64() >= Some(2) => Ok(event.clone()),
            events => Err(format!("{events:?}")),
        }
    })
    .await;
    assert_eq!(event["regarding"]["kind"], "Job");
    assert_eq!(event["regarding"]["uid"], job["metadata"]["uid"]);
    assert_eq!((&event["reason"], &event["type"]), (&json!("SecretsRefused"), &json!("Warning")));
    let note = event["note"].as_str().unwrap();
    assert!(note.starts_with("none of the secret managers injected secret") && note.len() <= 1024, "{note}");
}

#[tokio::test]
async fn no_event_stands_at_what_is_not_the_controller_or_on_a_dry_run() {
    let namespace = bed().namespace("event-forged").await;
    let webhook = Webhook::start(&namespace, Setup::default()).await;
    let job = suspended_job(&namespace).await;
    let uid = &job["metadata"]["uid"];

    let path = format!("{}?dryRun=All", namespace.path("pods"));
    namespace.api.create(&path, &owned_by(unservable("dry"), &job, uid)).await.unwrap_err();
    let forged = owned_by(unservable("forged"), &job, &json!("00000000-0000-4000-8000-000000000000"));
    namespace.create_pod(&forged).await.unwrap_err();
    eventually("the forged one to be counted", 10, || async {
        let (_, metrics) = webhook.plain("/metrics").await?;
        let line = r#"events_dropped_total{reason="unverified"} 1"#;
        if metrics.contains(line) { Ok(()) } else { Err(metrics) }
    })
    .await;
    assert_eq!(events(&namespace).await, [Value::Null; 0]);

    namespace.create_pod(&owned_by(unservable("real"), &job, uid)).await.unwrap_err();
    eventually("the real one's Event", 10, || async {
        if events(&namespace).await.len() == 1 { Ok(()) } else { Err("none yet".to_owned()) }
    })
    .await;
}

#[tokio::test]
async fn with_the_role_of_flyte_1_there_are_no_events_and_that_is_said_once() {
    let namespace = bed().namespace("event-rights").await;
    let mut webhook = Webhook::configure(&namespace.name, &namespace.name, Setup::default());
    webhook.init_certs().await;
    let rules = json!([{
        "apiGroups": ["*"],
        "resources": ["mutatingwebhookconfigurations", "secrets", "pods", "replicasets/finalizers"],
        "verbs": ["get", "create", "update", "patch"],
    }]);
    let kubeconfig = service_account(&namespace, rules).await;
    webhook.set_env("KUBECONFIG", kubeconfig.to_str().unwrap());
    webhook.spawn();
    webhook.ready().await;
    webhook.called(&namespace).await;
    let job = suspended_job(&namespace).await;
    for name in ["one", "two", "three"] {
        let pod = owned_by(unservable(name), &job, &job["metadata"]["uid"]);
        let refusal = namespace.create_pod(&pod).await.unwrap_err();
        assert!(refusal.message.contains("none of the secret managers injected secret"), "{refusal:?}");
    }
    eventually("three Events that were not written", 10, || async {
        let (_, metrics) = webhook.plain("/metrics").await?;
        let line = r#"events_dropped_total{reason="unverified"} 3"#;
        if metrics.contains(line) { Ok(()) } else { Err(metrics) }
    })
    .await;
    assert_eq!(webhook.logged().matches("Events cannot be written").count(), 1, "{}", webhook.logged());
}
