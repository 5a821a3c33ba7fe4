//! The access policy as it is by default: labels are believed where the pod's namespace bears them out.

use serde_json::{Value, json};

use crate::harness::identity::service_account;
use crate::harness::pod::variable;
use crate::harness::webhook::{PLANTED, local_store};
use crate::harness::{Api, Namespace, Setup, Webhook, bed, request, task_pod};

/// What a mirror may be called.
const MIRROR: &str = "flyte-mirror-0123456789abcdef0123456789abcdef01234567";

/// A webhook over a local store with this access policy, `{}` being the default one.
async fn webhook(namespace: &Namespace, mut policy: Value, values: Value) -> Webhook {
    if policy["mode"].is_null() {
        policy["mode"] = json!("Enforce");
    }
    let setup = Setup::with(json!({
        "secretManagerTypes": ["Embedded"], "embeddedSecretManagerConfig": local_store(), "accessPolicy": policy,
    }));
    let webhook = Webhook::start(namespace, setup).await;
    webhook.import(&values).await;
    webhook
}

fn id(project: &str, domain: &str) -> String {
    format!("u__org__flyte__domain__{domain}__project__{project}__key__k")
}

/// A pod with these labels that asks for a variable.
fn pod(project: &str, domain: &str, fields: &[(&str, &str)]) -> Value {
    let mut all = vec![("mount_requirement", "ENV_VAR"), ("env_var", "WANTED")];
    all.extend(fields);
    let mut pod = task_pod("claimant", &[request(&all)]);
    pod["metadata"]["labels"]["project"] = json!(project);
    pod["metadata"]["labels"]["domain"] = json!(domain);
    pod
}

fn claim(project: &str, domain: &str) -> Value {
    pod(project, domain, &[("key", "k")])
}

fn holds_all(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
}

/// The line of the log about a breach.
fn logged_breach(webhook: &Webhook) -> String {
    let logged = webhook.logged();
    let line = logged.lines().find(|line| line.contains("access policy keeps from it"));
    line.unwrap_or_else(|| panic!("no breach is logged: {logged}")).to_owned()
}

/// The samples of breaches.
async fn breaches(webhook: &Webhook) -> Vec<String> {
    let (_, metrics) = webhook.plain("/metrics").await.unwrap();
    assert!(!metrics.contains(PLANTED), "a value stands in the metrics");
    metrics.lines().filter(|line| line.contains("access_policy_breaches_total{")).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_pod_elsewhere_with_the_labels_of_a_project_is_refused_counted_and_logged() {
    let namespace = bed().namespace("evil").await;
    let webhook =
        webhook(&namespace, json!({}), json!({id("flytesnacks", "development"): "planted of flytesnacks"})).await;

    let refusal = namespace.create_pod(&claim("flytesnacks", "development")).await.unwrap_err();

    assert_eq!(refusal.code, 400, "{refusal:?}");
    let line = format!(r#"webhook.accessPolicy.namespaces: ["{{project}}-{{domain}}", "flyte", "{}"]"#, namespace.name);
    holds_all(&refusal.message, &["rule namespace of the access policy", "flytesnacks", "development", &line]);
    assert!(!refusal.message.contains(PLANTED));
    let breaches = breaches(&webhook).await;
    assert_eq!(breaches.len(), 1, "{breaches:?}");
    holds_all(&breaches[0], &["rule=\"namespace\"", "mode=\"enforced\"", "} 1"]);
    let line = logged_breach(&webhook);
    holds_all(&line.to_lowercase(), &["warn", &namespace.name, "claimant", "creator", "namespace", "admin"]);
}

#[tokio::test]
async fn the_namespace_of_a_project_and_domain_gets_their_secrets_and_no_others() {
    let namespace = bed().namespace_named("snacks-development").await;
    let values =
        json!({id("snacks", "development"): "planted for snacks", id("other", "development"): "planted for other"});
    let _webhook = webhook(&namespace, json!({}), values).await;

    let tried = namespace.try_pod(&claim("snacks", "development")).await.unwrap();
    assert_eq!(variable(&tried, "main", "WANTED")["value"], "planted for snacks");
    let refusal = namespace.try_pod(&claim("other", "development")).await.unwrap_err();
    holds_all(&refusal.message, &["rule namespace", "it is the namespace of", "\"snacks\""]);
}

#[tokio::test]
async fn the_one_namespace_of_flyte_2_gets_the_secrets_of_every_project() {
    // Its default is in the list from the start.
    let namespace = bed().namespace_named("flyte").await;
    let values =
        json!({id("snacks", "development"): "planted for snacks", id("other", "production"): "planted for other"});
    let _webhook = webhook(&namespace, json!({}), values).await;

    for (project, domain, expected) in
        [("snacks", "development", "planted for snacks"), ("other", "production", "planted for other")]
    {
        let tried = namespace.try_pod(&claim(project, domain)).await.unwrap();
        assert_eq!(variable(&tried, "main", "WANTED")["value"], expected, "{project} in {domain}");
    }
}

#[tokio::test]
async fn audit_serves_warns_counts_and_logs() {
    let namespace = bed().namespace("audited-access").await;
    let values = json!({id("flytesnacks", "development"): "planted of flytesnacks"});
    let webhook = webhook(&namespace, json!({"mode": "Audit"}), values).await;

    let pods = namespace.path("pods");
    let answer = namespace.api.create_with_warnings(&pods, &claim("flytesnacks", "development")).await;

    let (pod, warnings) = answer.unwrap();
    assert_eq!(variable(&pod, "main", "WANTED")["value"], "planted of flytesnacks");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    holds_all(&warnings[0], &["webhook.accessPolicy.mode: Enforce", "rule namespace"]);
    let breaches = breaches(&webhook).await;
    assert_eq!(breaches.len(), 1, "{breaches:?}");
    holds_all(&breaches[0], &["rule=\"namespace\"", "mode=\"audited\"", "} 1"]);
    holds_all(&logged_breach(&webhook), &[&namespace.name, "claimant"]);
}

#[tokio::test]
async fn with_trusted_creators_only_their_pods_are_served() {
    let namespace = bed().namespace_named("trusting-development").await;
    let rules = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}]);
    let propeller = Api::of_kubeconfig(&service_account(&namespace, rules).await).await;
    let policy = json!({"trustedCreators": ["system:serviceaccount:trusting-development:webhook"]});
    let _webhook = webhook(&namespace, policy, json!({id("trusting", "development"): "planted"})).await;
    let task = claim("trusting", "development");

    let refusal = namespace.try_pod(&task).await.unwrap_err();
    assert_eq!(refusal.code, 400, "{refusal:?}");
    holds_all(&refusal.message, &["rule creator", "webhook.accessPolicy.trustedCreators"]);
    let tried = propeller.create(&format!("{}?dryRun=All", namespace.path("pods")), &task).await.unwrap();
    assert_eq!(variable(&tried, "main", "WANTED")["value"], "planted");
}

#[tokio::test]
async fn a_dash_in_a_name_gives_no_project_the_namespace_of_another() {
    // `a` in `b-c` and `a-b` in `c` would both run in `a-b-c`: it belongs to the domain that is configured.
    for (name, domains, owner, other) in [
        ("dash1-b-c", json!([]), ("dash1-b", "c"), ("dash1", "b-c")),
        ("dash2-b-c", json!(["b-c"]), ("dash2", "b-c"), ("dash2-b", "c")),
    ] {
        let namespace = bed().namespace_named(name).await;
        let values =
            json!({id(owner.0, owner.1): "planted for the owner", id(other.0, other.1): "planted for the other"});
        let _webhook = webhook(&namespace, json!({"domains": domains}), values).await;

        let tried = namespace.try_pod(&claim(owner.0, owner.1)).await.unwrap();
        assert_eq!(variable(&tried, "main", "WANTED")["value"], "planted for the owner", "{name}");
        let refusal = namespace.try_pod(&claim(other.0, other.1)).await.unwrap_err();
        assert_eq!(refusal.code, 400, "{name}: {refusal:?}");
        holds_all(&refusal.message, &["rule namespace", name]);
    }
}

#[tokio::test]
async fn the_k8s_manager_never_hands_out_keys_mirrors_stored_secrets_and_denied_ones() {
    let namespace = bed().namespace("guarded").await;
    let setup = Setup::with(json!({
        "secretManagerTypes": ["K8s"],
        "embeddedSecretManagerConfig": {"type": "K8s", "k8sConfig": {"namespace": namespace.name}},
        "accessPolicy": {"mode": "Enforce", "denySecrets": ["private-*"]},
    }));
    let _webhook = Webhook::start(&namespace, setup).await;

    for (group, key, why) in [
        (&*namespace.name, "tls.key", "private key"),
        (MIRROR, "value", "mirror"),
        ("ddc1f24fc20de2a43d2f4b9122296cb6", "k", "belong to the Secret service"),
        ("private-things", "k", "denySecrets lists \"private-*\""),
    ] {
        let asked = pod("flytesnacks", "development", &[("group", group), ("key", key)]);
        let refusal = namespace.try_pod(&asked).await.unwrap_err();
        assert_eq!(refusal.code, 400, "{group}: {refusal:?}");
        holds_all(&refusal.message, &["K8s", "never hands out", group, why]);
    }
    let asked = pod("flytesnacks", "development", &[("group", "own"), ("key", "k")]);
    let tried = namespace.try_pod(&asked).await.unwrap();
    assert_eq!(variable(&tried, "main", "WANTED")["valueFrom"]["secretKeyRef"]["name"], "own");
}
