//! The K8s manager looks whether what is asked for is there (`webhook.k8s.checkExists`).

use serde_json::{Value, json};

use crate::harness::identity::service_account;
use crate::harness::{Namespace, Setup, Webhook, bed, eventually, request, task_pod};

fn setup(check: &str) -> Setup {
    Setup::with(json!({"secretManagerTypes": ["K8s"], "k8s": {"checkExists": check}}))
}

/// A pod that asks for one key of the Secret `db`.
fn pod(key: &str) -> Value {
    task_pod("t", &[request(&[("group", "db"), ("key", key), ("mount_requirement", "ENV_VAR")])])
}

/// What a pod is warned of.
async fn warnings(namespace: &Namespace, key: &str) -> Vec<String> {
    let path = format!("{}?dryRun=All", namespace.path("pods"));
    namespace.api.create_with_warnings(&path, &pod(key)).await.unwrap().1
}

#[tokio::test]
async fn refuse_admits_a_pod_as_soon_as_its_secret_and_key_are_there() {
    let namespace = bed().namespace("check-refuse").await;
    let webhook = Webhook::start(&namespace, setup("Refuse")).await;

    let refusal = namespace.try_pod(&pod("password")).await.unwrap_err();
    assert_eq!(refusal.code, 400, "{refusal:?}");
    let words = ["K8s: found no Secret \"db\" in the namespace", &namespace.name, "with the key \"password\""];
    for word in words {
        assert!(refusal.message.contains(word), "{word} is not in: {}", refusal.message);
    }

    let secret = json!({"metadata": {"name": "db"}, "stringData": {"password": "planted"}});
    namespace.api.create(&namespace.path("secrets"), &secret).await.unwrap();
    eventually("the Secret is seen", 10, || async {
        namespace.try_pod(&pod("password")).await.map_err(|refusal| refusal.message)
    })
    .await;
    let refusal = namespace.try_pod(&pod("token")).await.unwrap_err();
    assert_eq!(refusal.code, 400, "{refusal:?}");
    assert!(refusal.message.contains("found no key \"token\" in the Secret \"db\""), "{}", refusal.message);
    assert!(!refusal.message.contains("password"), "names of other keys are nobody's business: {}", refusal.message);
    assert!(webhook.metric("k8s_secret_checks_total").await >= 3.0);
}

#[tokio::test]
async fn warn_admits_every_pod_and_says_what_is_missing() {
    let namespace = bed().namespace("check-warn").await;
    let webhook = Webhook::start(&namespace, setup("Warn")).await;

    let warned = warnings(&namespace, "password").await;
    assert!(warned.iter().any(|text| text.contains("found no Secret \\\"db\\\"")), "{warned:?}");
    assert!(webhook.logged().contains("a pod is admitted although K8s found no Secret"), "{}", webhook.logged());

    let secret = json!({"metadata": {"name": "db"}, "stringData": {"password": "planted"}});
    namespace.api.create(&namespace.path("secrets"), &secret).await.unwrap();
    eventually("no warning any more", 10, || async {
        let warned = warnings(&namespace, "password").await;
        if warned.is_empty() { Ok(()) } else { Err(format!("{warned:?}")) }
    })
    .await;
}

#[tokio::test]
async fn without_the_right_to_look_refuse_answers_503_with_the_missing_rule_and_the_start_says_it() {
    let namespace = bed().namespace("check-forbidden").await;
    let rules = json!([{
        "apiGroups": ["admissionregistration.k8s.io"], "resources": ["mutatingwebhookconfigurations"],
        "verbs": ["get", "create", "update", "patch"],
    }]);
    let mut webhook = Webhook::configure(&namespace.name, &namespace.name, setup("Refuse"));
    webhook.init_certs().await;
    webhook.set_env("KUBECONFIG", service_account(&namespace, rules).await.to_str().unwrap());
    webhook.spawn();
    webhook.ready().await;
    webhook.called(&namespace).await;

    let refusal = namespace.try_pod(&pod("password")).await.unwrap_err();
    assert_eq!((refusal.code, refusal.reason.as_str()), (503, "ServiceUnavailable"), "{refusal:?}");
    let rule = "{apiGroups: [\"\"], resources: [\"secrets\"], verbs: [\"get\"]}";
    assert!(refusal.message.contains(rule), "{}", refusal.message);
    assert!(webhook.logged().contains("webhook.k8s.checkExists cannot look"), "{}", webhook.logged());
}
