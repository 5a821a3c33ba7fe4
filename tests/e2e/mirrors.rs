//! `webhook.delivery: SecretRef` on a real API server: what is mirrored, what is written, and what is refused.

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::harness::api::Failure;
use crate::harness::identity::service_account;
use crate::harness::pod::variable;
use crate::harness::program::run_ok;
use crate::harness::review::{PATH, review};
use crate::harness::webhook::{local_store, merge};
use crate::harness::{Api, Namespace, Setup, Webhook, bed, eventually, request, task_pod};

/// The id of the secret `k`, and its hex MD5 (made with md5sum), which is the name of the stored Secret.
const STORED: (&str, &str) =
    ("u__org__flyte__domain__development__project__flytesnacks__key__k", "ddc1f24fc20de2a43d2f4b9122296cb6");
const MIRRORS: &str = "labelSelector=secrets.flyte.org%2Fmirror%3Dtrue";

/// Embedded over the Local store, with references.
fn setup(more: Value) -> Setup {
    let mut webhook = json!({
        "secretManagerTypes": ["Embedded", "K8s"], "delivery": "SecretRef", "embeddedSecretManagerConfig": local_store(),
    });
    merge(&mut webhook, more);
    Setup::with(webhook)
}

/// The request for `k` as a variable.
fn pod(name: &str) -> Value {
    task_pod(name, &[request(&[("key", "k"), ("mount_requirement", "ENV_VAR"), ("env_var", "WANTED")])])
}

/// The reference behind the variable.
fn reference(pod: &Value) -> &Value {
    &variable(pod, "main", "WANTED")["valueFrom"]["secretKeyRef"]
}

/// The mirrors of a namespace.
async fn mirrors(namespace: &Namespace) -> Vec<Value> {
    let list = namespace.api.get(&format!("{}?{MIRRORS}", namespace.path("secrets"))).await.unwrap();
    list["items"].as_array().unwrap().clone()
}

/// The text of a mirror.
fn text(mirror: &Value) -> String {
    String::from_utf8(BASE64.decode(mirror["data"]["value"].as_str().unwrap().as_bytes()).unwrap()).unwrap()
}

fn refused(failure: &Failure, code: u16, words: &[&str]) {
    assert_eq!(failure.code, code, "{failure:?}");
    for word in words {
        assert!(failure.message.contains(word), "{word} is not in: {}", failure.message);
    }
}

#[tokio::test]
async fn the_second_pod_writes_nothing() {
    let namespace = bed().namespace("second-pod").await;
    let webhook = Webhook::start(&namespace, setup(json!({}))).await;
    webhook.import(&json!({STORED.0: "planted"})).await;

    namespace.create_pod(&pod("first")).await.unwrap();
    let before = mirrors(&namespace).await;
    // Longer than it is remembered that a mirror is fine.
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    let second = namespace.create_pod(&pod("second")).await.unwrap();

    assert_eq!(reference(&second)["name"], before[0]["metadata"]["name"]);
    assert_eq!(mirrors(&namespace).await, before);
    assert_eq!(webhook.metric("mirror_writes_total").await, 1.0);
}

#[tokio::test]
async fn a_secret_stored_in_the_pods_namespace_is_referred_to_and_not_copied() {
    let namespace = bed().namespace("stored-here").await;
    let store = json!({"type": "K8s", "k8sConfig": {"namespace": namespace.name}});
    let _webhook = Webhook::start(&namespace, setup(json!({"embeddedSecretManagerConfig": store}))).await;
    let secret = json!({"metadata": {"name": STORED.1}, "stringData": {STORED.0: "planted"}});
    namespace.api.create(&namespace.path("secrets"), &secret).await.unwrap();

    let stored = namespace.create_pod(&pod("t")).await.unwrap();

    assert_eq!((&reference(&stored)["name"], &reference(&stored)["key"]), (&json!(STORED.1), &json!(STORED.0)));
    assert_eq!(mirrors(&namespace).await, [Value::Null; 0]);
}

#[tokio::test]
async fn a_rotation_is_written_once_at_the_next_pod() {
    let namespace = bed().namespace("rotated").await;
    let webhook = Webhook::configure(&namespace.name, &namespace.name, setup(json!({})));
    webhook.add_config("z.yaml", &json!({"cache": {"inMemoryFixedSize": {"defaultExpiration": "1s"}}}));
    let webhook = started(webhook, &namespace).await;
    webhook.import(&json!({STORED.0: "planted-old"})).await;
    namespace.create_pod(&pod("first")).await.unwrap();
    webhook.import(&json!({STORED.0: "planted-new"})).await;
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;

    for name in ["second", "third"] {
        namespace.create_pod(&pod(name)).await.unwrap();
        assert_eq!(text(&mirrors(&namespace).await[0]), "planted-new");
    }

    let (_, metrics) = webhook.plain("/metrics").await.unwrap();
    for kind in ["created", "marked", "updated"] {
        let line = metrics.lines().find(|line| line.contains(&format!("mirror_writes_total{{kind=\"{kind}\"")));
        assert!(line.is_some_and(|line| line.ends_with(" 1")), "{kind}: {line:?}");
    }
}

async fn started(mut webhook: Webhook, namespace: &Namespace) -> Webhook {
    webhook.init_certs().await;
    webhook.spawn();
    webhook.ready().await;
    webhook.called(namespace).await;
    webhook
}

#[tokio::test]
async fn a_secret_that_stands_in_the_place_of_a_mirror_is_left_alone() {
    let namespace = bed().namespace("taken").await;
    let webhook = Webhook::start(&namespace, setup(json!({}))).await;
    webhook.import(&json!({STORED.0: "planted"})).await;
    let tried = namespace.try_pod(&pod("t")).await.unwrap();
    let name = reference(&tried)["name"].as_str().unwrap();
    let theirs = json!({"metadata": {"name": name}, "stringData": {"value": "theirs"}});
    let theirs = namespace.api.create(&namespace.path("secrets"), &theirs).await.unwrap();

    refused(&namespace.create_pod(&pod("t")).await.unwrap_err(), 503, &[name, "left alone"]);

    let now = namespace.api.get(&format!("{}/{name}", namespace.path("secrets"))).await.unwrap();
    assert_eq!(now, theirs);
}

#[tokio::test]
async fn a_dry_run_creates_nothing() {
    let namespace = bed().namespace("dry").await;
    let webhook = Webhook::start(&namespace, setup(json!({}))).await;
    webhook.import(&json!({STORED.0: "planted"})).await;

    let tried = namespace.try_pod(&pod("t")).await.unwrap();

    assert!(reference(&tried)["name"].is_string(), "it shows what would be: {tried}");
    assert_eq!(mirrors(&namespace).await, [Value::Null; 0]);
}

#[tokio::test]
async fn a_full_quota_of_secrets_is_answered_with_503_and_the_reason() {
    let namespace = bed().namespace("full").await;
    let webhook = Webhook::start(&namespace, setup(json!({}))).await;
    webhook.import(&json!({STORED.0: "planted"})).await;
    let quota = json!({"metadata": {"name": "none"}, "spec": {"hard": {"count/secrets": "0"}}});
    namespace.api.create(&namespace.path("resourcequotas"), &quota).await.unwrap();
    eventually("the quota counts", 20, || async {
        let quota = namespace.api.get(&format!("{}/none", namespace.path("resourcequotas"))).await.unwrap();
        if quota["status"]["hard"].is_object() { Ok(()) } else { Err(quota.to_string()) }
    })
    .await;

    refused(&namespace.create_pod(&pod("t")).await.unwrap_err(), 503, &["quota", "none"]);
}

#[tokio::test]
async fn an_admission_policy_against_mirrors_is_answered_with_503_and_its_words() {
    let namespace = bed().namespace("policy").await;
    let webhook = Webhook::start(&namespace, setup(json!({}))).await;
    webhook.import(&json!({STORED.0: "planted"})).await;
    let (api, name) = (&namespace.api, &namespace.name);
    let registration = "/apis/admissionregistration.k8s.io/v1";
    let policy = json!({
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"]},
            ]},
            "validations": [{"expression": "false", "message": "no Secrets by programs"}],
        },
    });
    api.create(&format!("{registration}/validatingadmissionpolicies"), &policy).await.unwrap();
    let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": name}});
    let binding = json!({
        "metadata": {"name": name},
        "spec": {
            "policyName": name, "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": selector},
        },
    });
    api.create(&format!("{registration}/validatingadmissionpolicybindings"), &binding).await.unwrap();
    let secret = json!({"metadata": {"generateName": "probe-"}});
    eventually("the policy", 30, || async {
        match api.create(&namespace.path("secrets"), &secret).await {
            Ok(_) => Err("it does not count yet".to_owned()),
            Err(_) => Ok(()),
        }
    })
    .await;

    refused(&namespace.create_pod(&pod("t")).await.unwrap_err(), 503, &["no Secrets by programs", name]);
}

#[tokio::test]
async fn a_namespace_that_is_terminating_is_answered_with_503_and_the_reason() {
    let namespace = bed().namespace("terminating").await;
    let webhook = Webhook::start(&namespace, setup(json!({}))).await;
    webhook.import(&json!({STORED.0: "planted"})).await;
    // What nobody takes the finalizer from keeps the namespace in its state.
    let held = json!({"metadata": {"name": "held", "finalizers": ["example.com/held"]}});
    namespace.api.create(&namespace.path("configmaps"), &held).await.unwrap();
    namespace.api.delete(&format!("/api/v1/namespaces/{}", namespace.name)).await.unwrap();

    // The API server takes no pod any more, so the webhook is asked as it would be asked by a slower one.
    let direct = Api::of_server(&format!("https://127.0.0.1:{}", webhook.port), &webhook.ca());
    let answer = direct.create(PATH, &review(&namespace.name, &pod("t"))).await.unwrap();

    let status = &answer["response"]["status"];
    assert_eq!((&answer["response"]["allowed"], &status["code"]), (&json!(false), &json!(503)), "{answer}");
    assert!(status["message"].as_str().unwrap().contains("terminat"), "{answer}");
}

#[tokio::test]
async fn a_mirror_whose_source_is_gone_is_collected_before_its_retention_is_over() {
    let namespace = bed().namespace("source-gone").await;
    let webhook = Webhook::start(&namespace, setup(json!({"mirrorRetention": "60s", "mirrorGrace": "2s"}))).await;
    webhook.import(&json!({STORED.0: "planted"})).await;
    namespace.create_pod(&pod("t")).await.unwrap();
    namespace.api.delete(&format!("{}/t?gracePeriodSeconds=0", namespace.path("pods"))).await.unwrap();
    let begun = std::time::Instant::now();

    run_ok(webhook.command(&["secret", "delete", "k", "--domain=development", "--project=flytesnacks"])).await;

    eventually("the removal", 50, || async {
        if mirrors(&namespace).await.is_empty() { Ok(()) } else { Err("it is still there".to_owned()) }
    })
    .await;
    assert!(begun.elapsed().as_secs() < 60, "not for its age: {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_mirror_cannot_be_had_through_the_k8s_manager() {
    let namespace = bed().namespace("mirror-of-another").await;
    let webhook = Webhook::start(&namespace, setup(json!({}))).await;
    webhook.import(&json!({STORED.0: "planted"})).await;
    let stored = namespace.create_pod(&pod("t")).await.unwrap();
    let name = reference(&stored)["name"].as_str().unwrap();

    let wanted = request(&[("group", name), ("key", "value"), ("mount_requirement", "ENV_VAR")]);
    let failure = namespace.create_pod(&task_pod("thief", &[wanted])).await.unwrap_err();

    refused(&failure, 400, &["K8s", "never hands out", name]);
}

#[tokio::test]
async fn a_mirror_is_collected_when_no_pod_needs_it_and_comes_back() {
    let namespace = bed().namespace("collected").await;
    let webhook = Webhook::start(&namespace, setup(json!({"mirrorRetention": "2s", "mirrorGrace": "2s"}))).await;
    webhook.import(&json!({STORED.0: "planted"})).await;
    namespace.create_pod(&pod("t")).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(9)).await;
    assert_eq!(mirrors(&namespace).await.len(), 1, "a pod refers to it");

    namespace.api.delete(&format!("{}/t?gracePeriodSeconds=0", namespace.path("pods"))).await.unwrap();
    eventually("the removal", 20, || async {
        if mirrors(&namespace).await.is_empty() { Ok(()) } else { Err("it is still there".to_owned()) }
    })
    .await;

    namespace.create_pod(&pod("again")).await.unwrap();
    assert_eq!(text(&mirrors(&namespace).await[0]), "planted");
}

#[tokio::test]
async fn with_the_role_of_flyte_1_mirrors_work_and_stay_and_the_log_and_a_metric_say_so() {
    let namespace = bed().namespace("flyte1-role").await;
    let webhook = Webhook::configure(&namespace.name, &namespace.name, setup(json!({})));
    let rules = json!([{
        "apiGroups": ["*"],
        "resources": ["mutatingwebhookconfigurations", "secrets", "pods", "replicasets/finalizers"],
        "verbs": ["get", "create", "update", "patch"],
    }]);
    let kubeconfig = service_account(&namespace, rules).await;
    let mut webhook = webhook;
    webhook.set_env("KUBECONFIG", kubeconfig.to_str().unwrap());
    let webhook = started(webhook, &namespace).await;
    webhook.import(&json!({STORED.0: "planted"})).await;

    namespace.create_pod(&pod("t")).await.unwrap();

    assert_eq!(mirrors(&namespace).await.len(), 1);
    eventually("a word about collection", 20, || async {
        let log = webhook.logged();
        let rules = ["stay for ever", r#"resources: [\"secrets\"], verbs: [\"list\"]"#, r#"verbs: [\"delete\"]"#];
        if rules.iter().all(|rule| log.contains(rule)) { Ok(()) } else { Err(log) }
    })
    .await;
    let (_, metrics) = webhook.plain("/metrics").await.unwrap();
    assert!(metrics.contains("mirror_collection 0"), "{metrics}");
    assert!(!webhook.logged().contains("are refused in every namespace"), "Flyte 1's role is enough for keeping them");
}

#[tokio::test]
async fn without_a_role_for_mirrors_the_log_says_at_start_which_rules_are_missing() {
    let namespace = bed().namespace("no-role").await;
    let mut webhook = Webhook::configure(&namespace.name, &namespace.name, setup(json!({})));
    let rules = json!([{
        "apiGroups": ["admissionregistration.k8s.io"], "resources": ["mutatingwebhookconfigurations"],
        "verbs": ["get", "create", "patch"],
    }]);
    webhook.init_certs().await;
    webhook.set_env("KUBECONFIG", service_account(&namespace, rules).await.to_str().unwrap());
    webhook.spawn();
    webhook.ready().await;

    eventually("a word about mirrors", 20, || async {
        let log = webhook.logged();
        let words = ["are refused in every namespace", r#"verbs: [\"create\"]"#, "webhook.delivery: PodSpec"];
        if words.iter().all(|word| log.contains(word)) { Ok(()) } else { Err(log) }
    })
    .await;
}
