//! The MutatingWebhookConfiguration.

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::harness::identity::service_account;
use crate::harness::pod::variables;
use crate::harness::webhook::selector;
use crate::harness::{Namespace, Setup, Webhook, bed, eventually, request, task_pod};

const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

#[tokio::test]
async fn a_fresh_cluster_gets_the_whole_registration() {
    let namespace = bed().namespace("fresh").await;
    let mut setup = Setup::default();
    setup.webhook["webhookTimeout"] = json!("7s");
    setup.env.push(("POD_NAME".to_owned(), "flyte-pod-webhook-0".to_owned()));
    let webhook = Webhook::start(&namespace, setup).await;

    let configuration = namespace.api.get(&webhook.registration()).await.unwrap();
    assert_eq!(configuration["metadata"]["ownerReferences"], Value::Null, "it outlives every pod");
    let webhooks = configuration["webhooks"].as_array().unwrap();
    assert_eq!(webhooks.len(), 1);
    let ours = &webhooks[0];
    assert_eq!(ours["name"], "flyte-pod-webhook.flyte.org");
    assert_eq!(ours["failurePolicy"], "Fail");
    assert_eq!(ours["sideEffects"], "NoneOnDryRun");
    assert_eq!(ours["timeoutSeconds"], 7, "webhook.webhookTimeout");
    assert_eq!(ours["admissionReviewVersions"], json!(["v1", "v1beta1"]));
    assert_eq!(ours["objectSelector"], json!({"matchLabels": {"inject-flyte-secrets": "true"}}));
    let conditions: Vec<&str> =
        ours["matchConditions"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(conditions, ["flyte-secrets-not-kube-system", "flyte-secrets-not-itself"]);
    assert_eq!(ours["reinvocationPolicy"], "IfNeeded");
    let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": namespace.name}});
    assert_eq!(ours["namespaceSelector"], selector, "webhook.namespaceSelector");
    let rules = ours["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 1);
    assert_eq!(rules[0]["operations"], json!(["CREATE"]));
    assert_eq!(rules[0]["resources"], json!(["pods"]));
    assert_eq!(rules[0]["apiGroups"], json!(["*"]));
    assert_eq!(rules[0]["apiVersions"], json!(["v1"]));
    assert_eq!(ours["clientConfig"]["url"], format!("https://127.0.0.1:{}/mutate--v1-pod", webhook.port));
    assert_eq!(ours["clientConfig"]["caBundle"], BASE64.encode(webhook.ca().as_bytes()));
}

#[tokio::test]
async fn a_registration_that_flyte_made_is_taken_over_and_what_others_added_is_kept() {
    let namespace = bed().namespace("taken-over").await;
    let there = by_flyte(&namespace).await;
    namespace.api.create(&format!("{CONFIGURATIONS}?fieldManager=Go-http-client"), &there).await.unwrap();

    let webhook = Webhook::start(&namespace, Setup::default()).await;

    let now = namespace.api.get(&webhook.registration()).await.unwrap();
    assert_eq!(now["metadata"]["labels"]["team"], "data");
    assert_eq!(now["metadata"]["annotations"]["example.com/note"], "kept");
    let webhooks = now["webhooks"].as_array().unwrap();
    assert_eq!(webhooks.len(), 2, "{now}");
    let ours = webhooks.iter().find(|webhook| webhook["name"] == "flyte-pod-webhook.flyte.org").unwrap();
    assert_eq!(ours["failurePolicy"], "Fail");
    assert_eq!(ours["clientConfig"]["service"], Value::Null, "a service or a URL, never both");
    assert_eq!(ours["clientConfig"]["caBundle"], BASE64.encode(webhook.ca().as_bytes()));
    assert_eq!(ours["timeoutSeconds"], 30);
    let by_hand = json!({"name": "by-hand", "expression": "true"});
    assert!(ours["matchConditions"].as_array().unwrap().contains(&by_hand), "those of other names are kept: {ours}");
    let owners = now["metadata"]["ownerReferences"].as_array().unwrap();
    let kinds: Vec<&str> = owners.iter().map(|owner| owner["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Namespace"], "what Flyte copied from its pod is taken away, and no more");

    let pod = task_pod("t", &[request(&[("group", "g"), ("key", "k"), ("mount_requirement", "ENV_VAR")])]);
    assert_eq!(variables(&namespace.create_pod(&pod).await.unwrap(), "main").len(), 2);
}

/// A configuration like the one that Flyte's webhook leaves, with what people add by hand.
async fn by_flyte(namespace: &Namespace) -> Value {
    let name = &namespace.name;
    let rule = json!({"operations": ["CREATE"], "apiGroups": ["*"], "apiVersions": ["v1"], "resources": ["pods"]});
    json!({
        "metadata": {
            "name": name,
            "labels": {"team": "data"},
            "annotations": {"example.com/note": "kept"},
            "ownerReferences": [
                {
                    "apiVersion": "v1", "kind": "Namespace", "name": name,
                    "uid": namespace.api.get(&format!("/api/v1/namespaces/{name}")).await.unwrap()["metadata"]["uid"],
                },
                {
                    "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "flyte-pod-webhook-5d7c9b8f6",
                    "uid": "6a2cbd3f-0b0f-4f3b-8a52-5c2f6d9f7f10", "controller": true, "blockOwnerDeletion": true,
                },
            ],
        },
        "webhooks": [
            {
                "name": "flyte-pod-webhook.flyte.org",
                "clientConfig": {"service": {"namespace": "flyte", "name": name, "path": "/mutate--v1-pod"}, "caBundle": BASE64.encode(b"old")},
                "rules": [rule], "failurePolicy": "Ignore", "sideEffects": "NoneOnDryRun",
                "admissionReviewVersions": ["v1", "v1beta1"], "timeoutSeconds": 29,
                "objectSelector": {"matchLabels": {"inject-flyte-secrets": "true"}},
                // Without a selector it would be called for the pods of all other tests as well.
                "namespaceSelector": selector("nobody"),
                "matchConditions": [{"name": "by-hand", "expression": "true"}],
            },
            {
                "name": "other.example.com",
                "clientConfig": {"url": "https://127.0.0.1:1/"},
                "rules": [rule], "failurePolicy": "Ignore", "sideEffects": "None", "admissionReviewVersions": ["v1"],
                "objectSelector": {"matchLabels": {"nobody": "has-this"}},
            },
        ],
    })
}

#[tokio::test]
async fn a_verb_that_is_missing_for_the_registration_is_named() {
    let group = "admissionregistration.k8s.io";
    let verbs = |verbs: &[&str]| json!([{"apiGroups": [group], "resources": ["mutatingwebhookconfigurations"], "verbs": verbs}]);
    let cases = [(json!([]), "get"), (verbs(&["get"]), "create"), (verbs(&["get", "create"]), "patch")];
    for (rights, missing) in cases {
        let namespace = bed().namespace("no-registration").await;
        let mut webhook = Webhook::configure(&namespace.name, &namespace.name, Setup::default());
        webhook.init_certs().await;
        let kubeconfig = service_account(&namespace, rights).await;
        webhook.set_env("KUBECONFIG", kubeconfig.to_str().unwrap());
        webhook.spawn();

        eventually("the reason why it is not ready", 15, || async {
            let (status, reasons) = webhook.plain("/readyz").await?;
            assert_eq!(status, 503, "it has no right to register");
            let words = [missing, "mutatingwebhookconfigurations", namespace.name.as_str()];
            if words.iter().all(|word| reasons.contains(word)) { Ok(()) } else { Err(reasons) }
        })
        .await;
    }
}
