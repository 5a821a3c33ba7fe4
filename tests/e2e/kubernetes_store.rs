//! The Embedded manager over Secrets of a namespace, where Flyte 2's Secret service puts them.

use serde_json::{Value, json};

use crate::harness::identity::{admin_at, service_account};
use crate::harness::pod::variable;
use crate::harness::review::{PATH, review};
use crate::harness::webhook::free_port;
use crate::harness::{Api, Namespace, Setup, Webhook, bed, request, task_pod};

/// The ids under which a task of `flytesnacks` in `development` finds the secret `k`, from narrow to wide, each with
/// its hex MD5 (made with md5sum), which is the name of the Secret.
const PROJECT: (&str, &str) =
    ("u__org__flyte__domain__development__project__flytesnacks__key__k", "ddc1f24fc20de2a43d2f4b9122296cb6");
const DOMAIN: (&str, &str) =
    ("u__org__flyte__domain__development__project____key__k", "63d33c8880718d090513d6e7715be97b");
const ORGANIZATION: (&str, &str) = ("u__org__flyte__domain____project____key__k", "ab876e2e7db96bf3ea3d5fbd02918d8e");

/// Embedded over the Secrets of this namespace, and K8s behind it.
fn setup(namespace: &str) -> Setup {
    Setup::with(json!({
        "secretManagerTypes": ["Embedded", "K8s"],
        "embeddedSecretManagerConfig": {"type": "K8s", "k8sConfig": {"namespace": namespace}},
    }))
}

/// Stores a value as the Secret service does.
async fn store(namespace: &Namespace, (id, name): (&str, &str), value: &str) {
    let secret = json!({"metadata": {"name": name}, "stringData": {id: value}});
    namespace.api.create(&namespace.path("secrets"), &secret).await.unwrap();
}

/// A pod of a project and a domain that asks for a variable.
fn pod(project: &str, domain: &str, group: &str, key: &str) -> Value {
    let wanted = request(&[("group", group), ("key", key), ("mount_requirement", "ENV_VAR"), ("env_var", "WANTED")]);
    let mut pod = task_pod("t", &[wanted]);
    pod["metadata"]["labels"]["project"] = json!(project);
    pod["metadata"]["labels"]["domain"] = json!(domain);
    pod
}

fn holds_all(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
}

#[tokio::test]
async fn the_secret_of_the_narrowest_scope_is_taken() {
    let namespace = bed().namespace("stored").await;
    let _webhook = Webhook::start(&namespace, setup(&namespace.name)).await;
    store(&namespace, PROJECT, "planted for the project").await;
    store(&namespace, DOMAIN, "planted for the domain").await;
    store(&namespace, ORGANIZATION, "planted for the organization").await;

    for (project, domain, expected) in [
        ("flytesnacks", "development", "planted for the project"),
        ("other", "development", "planted for the domain"),
        ("other", "production", "planted for the organization"),
    ] {
        let tried = namespace.try_pod(&pod(project, domain, "", "k")).await.unwrap();
        assert_eq!(variable(&tried, "main", "WANTED")["value"], expected, "{project} in {domain}");
    }
}

#[tokio::test]
async fn a_secret_that_no_scope_has_is_refused_with_400_and_every_id_that_was_asked_for() {
    let namespace = bed().namespace("not-stored").await;
    let mut setup = setup(&namespace.name);
    setup.webhook["secretManagerTypes"] = json!(["Embedded"]);
    let _webhook = Webhook::start(&namespace, setup).await;

    let refusal = namespace.create_pod(&pod("flytesnacks", "development", "", "k")).await.unwrap_err();

    assert_eq!(refusal.code, 400, "{refusal:?}");
    holds_all(&refusal.message, &["Embedded", PROJECT.0, DOMAIN.0, ORGANIZATION.0, &namespace.name]);
}

#[tokio::test]
async fn a_stored_secret_cannot_be_had_through_the_k8s_manager() {
    let namespace = bed().namespace("protected").await;
    let _webhook = Webhook::start(&namespace, setup(&namespace.name)).await;
    store(&namespace, PROJECT, "planted for the project").await;

    // A task of another project knows how the Secret is called and what its data key is.
    let refusal = namespace.create_pod(&pod("other", "development", PROJECT.1, PROJECT.0)).await.unwrap_err();

    assert_eq!(refusal.code, 400, "{refusal:?}");
    holds_all(&refusal.message, &["K8s", "never hands out", PROJECT.1, &namespace.name]);
}

#[tokio::test]
async fn the_right_that_is_missing_for_the_store_is_named() {
    let namespace = bed().namespace("no-store-right").await;
    let mut setup = setup(&namespace.name);
    setup.webhook["secretManagerTypes"] = json!(["Embedded"]);
    let mut webhook = Webhook::configure(&namespace.name, &namespace.name, setup);
    webhook.init_certs().await;
    store(&namespace, PROJECT, "planted for the project").await;
    let registration = json!([{
        "apiGroups": ["admissionregistration.k8s.io"], "resources": ["mutatingwebhookconfigurations"],
        "verbs": ["get", "create", "patch"],
    }]);
    let kubeconfig = service_account(&namespace, registration).await;
    webhook.set_env("KUBECONFIG", kubeconfig.to_str().unwrap());
    webhook.spawn();
    webhook.ready().await;
    webhook.called(&namespace).await;

    let refusal = namespace.create_pod(&pod("flytesnacks", "development", "", "k")).await.unwrap_err();

    assert_eq!(refusal.code, 400, "a retry does not help: {refusal:?}");
    holds_all(&refusal.message, &["Embedded", "grant the verb get on secrets", &namespace.name]);
}

#[tokio::test]
async fn an_api_server_that_cannot_be_reached_for_the_store_is_answered_with_503() {
    let namespace = bed().namespace("unreachable-store").await;
    let mut setup = setup("flyte");
    setup.webhook["disableCreateMutatingWebhookConfig"] = json!(true);
    let mut webhook = Webhook::configure(&namespace.name, &namespace.name, setup);
    webhook.init_certs().await;
    let nobody = admin_at("nobody.kubeconfig", &format!("https://127.0.0.1:{}", free_port()));
    webhook.set_env("KUBECONFIG", nobody.to_str().unwrap());
    webhook.spawn();
    webhook.ready().await;

    let direct = Api::of_server(&format!("https://127.0.0.1:{}", webhook.port), &webhook.ca());
    let task = review(&namespace.name, &pod("flytesnacks", "development", "", "k"));
    let answer = direct.create(PATH, &task).await.unwrap();

    assert_eq!(answer["response"]["allowed"], false, "K8s is not asked instead: {answer}");
    let status = &answer["response"]["status"];
    assert_eq!((&status["code"], &status["reason"]), (&json!(503), &json!("ServiceUnavailable")));
    holds_all(status["message"].as_str().unwrap(), &["Embedded", "cannot be reached"]);
}
