//! Which fields of the registration are kept, and which are left to people.

use serde_json::{Value, json};

use crate::harness::identity::service_account;
use crate::harness::program::run;
use crate::harness::webhook::selector;
use crate::harness::{Namespace, Setup, Webhook, bed, eventually, request, task_pod};

fn pod(name: &str) -> Value {
    task_pod(name, &[request(&[("group", "g"), ("key", "k"), ("mount_requirement", "ENV_VAR")])])
}

/// Puts a changed configuration in the place of the one that stands, as somebody with an editor does.
async fn edit(namespace: &Namespace, webhook: &Webhook, change: impl Fn(&mut Value)) {
    let path = webhook.registration();
    eventually("an edit", 10, || async {
        let mut configuration = namespace.api.get(&path).await.unwrap();
        change(&mut configuration);
        let edited = namespace.api.replace(&format!("{path}?fieldManager=kubectl-edit"), &configuration).await;
        edited.map_err(|failure| failure.message)
    })
    .await;
}

/// The configuration without what every write changes.
async fn content(namespace: &Namespace, webhook: &Webhook) -> Value {
    let mut configuration = namespace.api.get(&webhook.registration()).await.unwrap();
    for field in ["managedFields", "resourceVersion", "generation"] {
        configuration["metadata"].as_object_mut().unwrap().remove(field);
    }
    configuration
}

#[tokio::test]
async fn every_field_of_ours_comes_back_at_once_when_somebody_changes_it() {
    let namespace = bed().namespace("drift").await;
    let webhook = Webhook::start(&namespace, Setup::default()).await;
    let before = content(&namespace, &webhook).await;
    let ours = "/webhooks/0";
    for (pointer, value) in [
        ("/failurePolicy", json!("Ignore")),
        ("/timeoutSeconds", json!(3)),
        ("/reinvocationPolicy", json!("Never")),
        ("/sideEffects", json!("None")),
        ("/admissionReviewVersions", json!(["v1"])),
        ("/objectSelector", json!({"matchLabels": {"nobody": "has-this"}})),
        // An empty one would have it called for the pods of all other tests.
        ("/namespaceSelector", selector("nobody")),
        ("/rules/0/scope", json!("Cluster")),
        ("/matchConditions/0/expression", json!("false")),
        ("/clientConfig/caBundle", json!("Z2FyYmFnZQ==")),
        ("/clientConfig/url", json!("https://127.0.0.1:1/")),
        ("/name", json!("another.example.com")),
    ] {
        edit(&namespace, &webhook, |configuration| {
            *configuration.pointer_mut(&format!("{ours}{pointer}")).unwrap() = value.clone();
        })
        .await;
        if pointer == "/name" {
            break;
        }
        eventually(&format!("{pointer} as it was"), 20, || async {
            let now = content(&namespace, &webhook).await;
            if now == before { Ok(()) } else { Err(now.to_string()) }
        })
        .await;
    }
    // A webhook of another name is somebody else's, so it stays, and ours comes back beside it.
    eventually("our webhook", 20, || async {
        let now = content(&namespace, &webhook).await;
        let names: Vec<&Value> = now["webhooks"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
        if names.len() == 2 && names.contains(&&json!("flyte-pod-webhook.flyte.org")) {
            Ok(())
        } else {
            Err(now.to_string())
        }
    })
    .await;
    edit(&namespace, &webhook, |configuration| {
        let webhooks = configuration["webhooks"].as_array_mut().unwrap();
        webhooks.retain(|one| one["name"] == "flyte-pod-webhook.flyte.org");
    })
    .await;
    namespace.create_pod(&pod("t")).await.unwrap();
    assert!(webhook.logged().contains("somebody else changed the registration"));
}

#[tokio::test]
async fn what_is_not_ours_stays_as_people_set_it_and_is_no_reason_to_write() {
    let namespace = bed().namespace("by-hand").await;
    let mut setup = Setup::default();
    setup.webhook["registration"] = json!({"refresh": "1s"});
    let webhook = Webhook::start(&namespace, setup).await;
    edit(&namespace, &webhook, |configuration| {
        configuration["metadata"]["labels"] = json!({"team": "data"});
        configuration["metadata"]["annotations"] = json!({"example.com/note": "kept"});
        configuration["webhooks"][0]["matchPolicy"] = json!("Exact");
        let conditions = configuration["webhooks"][0]["matchConditions"].as_array_mut().unwrap();
        conditions.push(json!({"name": "by-hand", "expression": "true"}));
    })
    .await;
    let edited = namespace.api.get(&webhook.registration()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let now = namespace.api.get(&webhook.registration()).await.unwrap();
    assert_eq!(now["metadata"]["resourceVersion"], edited["metadata"]["resourceVersion"], "nothing was written");

    edit(&namespace, &webhook, |configuration| configuration["webhooks"][0]["failurePolicy"] = json!("Ignore")).await;
    eventually("the repair", 20, || async {
        let now = namespace.api.get(&webhook.registration()).await.unwrap();
        if now["webhooks"][0]["failurePolicy"] == "Fail" { Ok(()) } else { Err(now.to_string()) }
    })
    .await;
    let now = namespace.api.get(&webhook.registration()).await.unwrap();
    assert_eq!(now["metadata"]["labels"]["team"], "data");
    assert_eq!(now["metadata"]["annotations"]["example.com/note"], "kept");
    assert_eq!(now["webhooks"][0]["matchPolicy"], "Exact");
    assert_eq!(now["webhooks"][0]["matchConditions"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_selector_that_is_not_configured_is_left_to_people() {
    let namespace = bed().namespace("selector").await;
    let mut setup = Setup::default();
    setup.webhook["namespaceSelector"] = Value::Null;
    let mut webhook = Webhook::configure(&namespace.name, &namespace.name, setup);
    let there = json!({
        "metadata": {"name": namespace.name},
        "webhooks": [{
            "name": "flyte-pod-webhook.flyte.org", "clientConfig": {"url": "https://127.0.0.1:1/"},
            "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Ignore",
            "namespaceSelector": selector(&namespace.name), "objectSelector": {"matchLabels": {"nobody": "has-this"}},
        }],
    });
    let (configurations, _) =
        webhook.registration().rsplit_once('/').map(|(all, name)| (all.to_owned(), name.to_owned())).unwrap();
    namespace.api.create(&configurations, &there).await.unwrap();
    webhook.init_certs().await;
    webhook.spawn();
    webhook.ready().await;
    webhook.called(&namespace).await;
    let now = namespace.api.get(&webhook.registration()).await.unwrap();
    assert_eq!(now["webhooks"][0]["namespaceSelector"], selector(&namespace.name));
    assert_eq!(now["webhooks"][0]["failurePolicy"], "Fail");
}

#[tokio::test]
async fn what_is_configured_no_more_is_given_up() {
    let namespace = bed().namespace("given-up").await;
    let mut setup = Setup::default();
    setup.webhook["registration"] = json!({
        "failurePolicy": "Ignore", "reinvocationPolicy": "Never",
        "matchConditions": [{"name": "mine", "expression": "request.operation == 'CREATE'"}],
    });
    let mut webhook = Webhook::start(&namespace, setup).await;
    let now = namespace.api.get(&webhook.registration()).await.unwrap();
    let ours = &now["webhooks"][0];
    assert_eq!((&ours["failurePolicy"], &ours["reinvocationPolicy"]), (&json!("Ignore"), &json!("Never")));
    assert_eq!(ours["matchConditions"].as_array().unwrap().len(), 3);

    webhook.terminate();
    webhook.ended().await;
    let mut section = json!({"webhook": {"registration": {"failurePolicy": "Fail", "matchConditions": []}}});
    section["webhook"]["registration"]["reinvocationPolicy"] = json!("IfNeeded");
    let config = std::fs::read(webhook.config_dir().join("config.yaml")).unwrap();
    let mut config: Value = serde_json::from_slice(&config).unwrap();
    config["webhook"]["registration"] = section["webhook"]["registration"].take();
    webhook.add_config("config.yaml", &config);
    webhook.spawn();
    webhook.ready().await;
    let now = namespace.api.get(&webhook.registration()).await.unwrap();
    let ours = &now["webhooks"][0];
    assert_eq!((&ours["failurePolicy"], &ours["reinvocationPolicy"]), (&json!("Fail"), &json!("IfNeeded")));
    assert_eq!(ours["matchConditions"].as_array().unwrap().len(), 2, "{ours}");
}

#[tokio::test]
async fn the_webhooks_own_pods_and_those_of_kube_system_are_admitted_when_no_replica_is_left() {
    let namespace = bed().namespace("none-left").await;
    let mut setup = Setup::default();
    setup.webhook["namespaceSelector"] = json!({
        "matchLabels": Value::Null,
        "matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "In", "values": [namespace.name, "kube-system"]},
        ],
    });
    let mut webhook = Webhook::start(&namespace, setup).await;
    webhook.terminate();
    webhook.ended().await;

    let refused = namespace.try_pod(&pod("task")).await.unwrap_err();
    assert!(refused.message.contains("flyte-pod-webhook.flyte.org"), "{}", refused.message);
    for (label, name) in
        [("app", "flyte-pod-webhook"), ("app.kubernetes.io/name", "flyte-secrets"), ("app", &namespace.name)]
    {
        let mut own = pod("own");
        own["metadata"]["labels"][label] = json!(name);
        namespace.try_pod(&own).await.unwrap_or_else(|failure| panic!("{label}={name}: {}", failure.message));
    }
    let mut other = pod("other");
    other["metadata"]["labels"]["app"] = json!("something");
    namespace.try_pod(&other).await.unwrap_err();
    namespace.api.create("/api/v1/namespaces/kube-system/pods?dryRun=All", &pod("system")).await.unwrap();
}

#[tokio::test]
async fn with_the_rights_of_flyte_1_everything_is_kept_and_what_is_missing_is_said() {
    let namespace = bed().namespace("flyte1-rights").await;
    let rights = json!([{
        "apiGroups": ["", "admissionregistration.k8s.io"],
        "resources": ["mutatingwebhookconfigurations", "secrets", "pods"],
        "verbs": ["get", "create", "update", "patch"],
    }]);
    let kubeconfig = service_account(&namespace, rights).await;
    let mut setup = Setup { kubeconfig: Some(kubeconfig), ..Setup::default() };
    setup.webhook["registration"] = json!({"refresh": "1s"});
    let webhook = Webhook::start(&namespace, setup).await;
    edit(&namespace, &webhook, |configuration| configuration["webhooks"][0]["failurePolicy"] = json!("Ignore")).await;
    eventually("the repair", 20, || async {
        let now = namespace.api.get(&webhook.registration()).await.unwrap();
        if now["webhooks"][0]["failurePolicy"] == "Fail" { Ok(()) } else { Err(now.to_string()) }
    })
    .await;
    let logged = webhook.logged();
    assert_eq!(logged.matches("the registration may not be watched").count(), 1, "{logged}");
    assert!(logged.contains(r#"verbs: [\"watch\"]"#), "{logged}");

    let output = run(webhook.command(&["unregister"])).await;
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("verbs: [\"delete\"]"));
}
