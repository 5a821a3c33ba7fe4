//! What a client of the API server sees: refusals, dry runs, warnings, and everything that must not change.

use serde_json::{Value, json};

use crate::harness::pod::{container, variables};
use crate::harness::webhook::local_store;
use crate::harness::{Setup, Webhook, bed, request, task_pod};

#[tokio::test]
async fn a_request_that_no_manager_serves_is_refused_with_400_and_every_managers_reason() {
    let namespace = bed().namespace("refused").await;
    let setup = Setup::with(json!({"secretManagerTypes": ["AWS", "Vault"]}));
    let _webhook = Webhook::start(&namespace, setup).await;

    let served = request(&[("group", "arn:aws"), ("key", "k"), ("mount_requirement", "FILE")]);
    let unserved = request(&[("group", "database"), ("key", "password"), ("mount_requirement", "ENV_VAR")]);
    let refusal = namespace.create_pod(&task_pod("t", &[served, unserved])).await.unwrap_err();

    assert_eq!(refusal.code, 400, "{refusal:?}");
    for word in ["flyte-pod-webhook.flyte.org", "flyte.secrets/s1", "database", "password", "Global", "AWS", "Vault"] {
        assert!(refusal.message.contains(word), "{word} is not in: {}", refusal.message);
    }
    assert!(!refusal.message.contains("flyte.secrets/s0"), "s0 is served: {}", refusal.message);
}

#[tokio::test]
async fn an_annotation_that_cannot_be_read_is_refused_with_400_and_its_place() {
    let namespace = bed().namespace("undecodable").await;
    let _webhook = Webhook::start(&namespace, Setup::default()).await;

    let unknown_field = request(&[("group", "g"), ("kee", "k")]);
    for (annotation, word) in [(unknown_field, "kee"), ("NOT BASE32".to_owned(), "base32")] {
        let good = request(&[("group", "g"), ("key", "k")]);
        let refusal = namespace.create_pod(&task_pod("t", &[good, annotation])).await.unwrap_err();
        assert_eq!(refusal.code, 400, "{refusal:?}");
        assert!(refusal.message.contains("flyte.secrets/s1"), "{}", refusal.message);
        assert!(refusal.message.contains(word), "{word} is not in: {}", refusal.message);
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_read_is_answered_with_503_so_that_flyte_tries_again() {
    let namespace = bed().namespace("unavailable").await;
    let setup = Setup::with(json!({"secretManagerTypes": ["Embedded"], "embeddedSecretManagerConfig": local_store()}));
    let webhook = Webhook::start(&namespace, setup).await;
    webhook.import(&json!({"u__org__flyte__domain____project____key__k": "planted"})).await;
    let pod = task_pod("t", &[request(&[("key", "k")])]);
    namespace.try_pod(&pod).await.expect("served while the store can be read");

    std::fs::write(webhook.local_file(), "garbage").unwrap();
    namespace.try_pod(&pod).await.expect("served from the cache");
    let refusal = namespace.create_pod(&task_pod("t", &[request(&[("key", "other")])])).await.unwrap_err();

    assert_eq!((refusal.code, refusal.reason.as_str()), (503, "ServiceUnavailable"), "{refusal:?}");
    for word in ["flyte.secrets/s0", "Embedded"] {
        assert!(refusal.message.contains(word), "{word} is not in: {}", refusal.message);
    }
}

#[tokio::test]
async fn flyte_1_admits_what_it_cannot_serve_and_warns() {
    let namespace = bed().namespace("admitted").await;
    let setup = Setup::with(json!({"profile": "flyte1", "secretManagerType": "AWS"}));
    let _webhook = Webhook::start(&namespace, setup).await;

    let pod = task_pod("t", &[request(&[("group", "g"), ("key", "k"), ("mount_requirement", "ENV_VAR")])]);
    let (stored, warnings) = namespace.api.create_with_warnings(&namespace.path("pods"), &pod).await.unwrap();

    assert!(variables(&stored, "main").is_empty(), "{stored}");
    assert!(warnings.iter().any(|text| text.contains("flyte.secrets/s0")), "{warnings:?}");
}

#[tokio::test]
async fn a_dry_run_answers_the_same_and_leaves_nothing() {
    let namespace = bed().namespace("dry-run").await;
    let _webhook = Webhook::start(&namespace, Setup::default()).await;
    let pod = task_pod("t", &[request(&[("group", "g"), ("key", "k")])]);

    let tried = namespace.try_pod(&pod).await.unwrap();
    let path = format!("{}/t", namespace.path("pods"));
    assert_eq!(namespace.api.get(&path).await.unwrap_err().code, 404);
    let secrets = namespace.api.get(&namespace.path("secrets")).await.unwrap();
    let names: Vec<_> = secrets["items"].as_array().unwrap().iter().map(|secret| &secret["metadata"]["name"]).collect();
    assert_eq!(names, [&json!(namespace.name)], "only the certificate's Secret");

    let stored = namespace.create_pod(&pod).await.unwrap();
    assert_eq!(tried["spec"], stored["spec"]);
    assert_eq!(tried["metadata"]["annotations"], stored["metadata"]["annotations"]);
}

#[tokio::test]
async fn pods_without_the_label_are_left_alone() {
    let namespace = bed().namespace("unlabelled").await;
    let webhook = Webhook::start(&namespace, Setup::default()).await;
    let before = webhook.calls().await;

    for label in [Value::Null, json!("false")] {
        let mut pod = task_pod("t", &[request(&[("group", "g"), ("key", "k")])]);
        pod["metadata"]["labels"] = json!({"inject-flyte-secrets": label});
        if label.is_null() {
            pod["metadata"]["labels"] = json!({"app": "other"});
        }
        let tried = namespace.try_pod(&pod).await.unwrap();
        assert!(tried["spec"]["volumes"].is_null(), "{tried}");
    }
    assert_eq!(webhook.calls().await, before, "the webhook was not called at all");
}

#[tokio::test]
async fn everything_that_the_webhook_does_not_know_of_a_pod_survives() {
    let namespace = bed().namespace("survives").await;
    let _webhook = Webhook::start(&namespace, Setup::default()).await;
    let pod = pod_with_everything();
    let plain = bed().namespace("plain").await;

    let mut stored = namespace.create_pod(&pod).await.unwrap();
    let without = plain.create_pod(&pod).await.unwrap();

    assert_eq!(variables(&stored, "main"), ["FLYTE_SECRETS_ENV_PREFIX", "_UNION_G_K"]);
    assert_eq!(without["spec"]["hostnameOverride"], "a-name-of-its-own", "the cluster knows the newer fields");
    assert!(container(&without, "main")["restartPolicyRules"].is_array(), "the cluster knows the newer fields");
    stored["spec"]["containers"][0].as_object_mut().unwrap().remove("env");
    assert_eq!(stored["spec"], without["spec"]);
    assert_eq!(stored["metadata"]["annotations"], without["metadata"]["annotations"]);
}

/// A pod with one request and with fields that few pods have; some are only a few versions of Kubernetes old.
fn pod_with_everything() -> Value {
    let mut pod = task_pod("t", &[request(&[("group", "g"), ("key", "k"), ("mount_requirement", "ENV_VAR")])]);
    let spec = json!({
        "hostnameOverride": "a-name-of-its-own",
        "resources": {"limits": {"cpu": "1500m", "memory": "64Mi"}},
        "schedulingGates": [{"name": "example.com/wait"}],
        "os": {"name": "linux"},
        "readinessGates": [{"conditionType": "example.com/ready"}],
        "topologySpreadConstraints": [{
            "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"a": "b"}}, "matchLabelKeys": ["c"], "nodeTaintsPolicy": "Honor",
        }],
        "volumes": [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": {
            "accessModes": ["ReadWriteOncePod"], "resources": {"requests": {"storage": "1Gi"}},
        }}}}],
        "containers": [{
            "name": "main", "image": "task:1",
            "restartPolicy": "Never",
            "restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}],
            "resizePolicy": [{"resourceName": "cpu", "restartPolicy": "NotRequired"}],
            "volumeMounts": [{"name": "scratch", "mountPath": "/scratch", "recursiveReadOnly": "IfPossible", "readOnly": true}],
            "securityContext": {"procMount": "Default", "appArmorProfile": {"type": "RuntimeDefault"}},
            "livenessProbe": {"grpc": {"port": 1, "service": "s"}, "terminationGracePeriodSeconds": 9},
            "lifecycle": {"stopSignal": "SIGUSR1", "preStop": {"sleep": {"seconds": 1}}},
        }],
        "restartPolicy": "Never",
    });
    for (name, value) in spec.as_object().unwrap() {
        pod["spec"][name] = value.clone();
    }
    pod["metadata"]["annotations"]["example.com/note"] = json!("quotes \" and $(dollars) and ünïcode\n");
    pod
}
