//! Image-pull Secrets: copied from the webhook's namespace to where pods need them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::webhook::local_store;
use crate::harness::{Namespace, Setup, Webhook, bed, eventually, request, task_pod};

const ID: &str = "u__org__flyte__domain__development__project__flytesnacks__key__registry";
/// `img-pull-` and the start of the SHA-256 of `flyte:development:flytesnacks:registry` (made with sha256sum).
const NAME: &str = "img-pull-e9156e3dfefc7349";
/// How long it may be remembered what the original holds, and some more.
const REMEMBERED: u64 = 20;

/// The webhook's own namespace, that of the pods, and the webhook.
struct Scene {
    own: Namespace,
    pods: Namespace,
    _webhook: Webhook,
}

impl Scene {
    /// The original is there, with these credentials.
    async fn new(purpose: &str, credentials: &str) -> Self {
        let (own, pods) = (bed().namespace(&format!("{purpose}-own")).await, bed().namespace(purpose).await);
        let mut embedded = local_store();
        embedded["imagePullSecrets"] = json!({"enabled": true});
        let setup = Setup::with(json!({"secretManagerTypes": ["Embedded"], "embeddedSecretManagerConfig": embedded}));
        let mut webhook = Webhook::configure(&pods.name, &pods.name, setup);
        webhook.set_env("POD_NAMESPACE", &own.name);
        webhook.init_certs().await;
        webhook.spawn();
        webhook.ready().await;
        webhook.called(&pods).await;
        webhook.import(&json!({ID: "planted value of the task"})).await;
        own.api.create(&own.path("secrets"), &original(credentials)).await.unwrap();
        Self { own, pods, _webhook: webhook }
    }

    /// What the copy holds.
    async fn copied(&self) -> Option<String> {
        let secret = self.pods.api.get(&format!("{}/{NAME}", self.pods.path("secrets"))).await;
        let data = secret.ok()?["data"][".dockerconfigjson"].as_str()?.to_owned();
        Some(String::from_utf8(data_encoding::BASE64.decode(data.as_bytes()).unwrap()).unwrap())
    }
}

fn original(credentials: &str) -> Value {
    json!({
        "metadata": {"name": NAME, "labels": {"union.ai/secret-type": "image-pull-secret"}},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": config(credentials)},
    })
}

fn config(credentials: &str) -> String {
    json!({"auths": {"registry.example": {"auth": credentials}}}).to_string()
}

fn pod(name: &str) -> Value {
    let wanted = request(&[("key", "registry"), ("mount_requirement", "ENV_VAR"), ("env_var", "WANTED")]);
    let mut pod = task_pod(name, &[wanted]);
    pod["spec"]["imagePullSecrets"] = json!([{"name": "zebra"}, {"name": "aardvark"}]);
    pod
}

#[tokio::test]
async fn the_secret_is_copied_and_added_once_to_a_sorted_list() {
    let scene = Scene::new("pulling", "planted-1").await;

    let mut pod = scene.pods.create_pod(&pod("task")).await.unwrap();

    let listed = json!([{"name": "aardvark"}, {"name": NAME}, {"name": "zebra"}]);
    assert_eq!(pod["spec"]["imagePullSecrets"], listed);
    assert_eq!(scene.copied().await, Some(config("planted-1")));
    // What has been admitted comes by once more.
    pod["metadata"] = json!({
        "name": "again", "labels": pod["metadata"]["labels"], "annotations": pod["metadata"]["annotations"],
    });
    let again = scene.pods.try_pod(&pod).await.unwrap();
    assert_eq!(again["spec"]["imagePullSecrets"], listed);
    assert_eq!(again["spec"]["containers"], pod["spec"]["containers"]);
}

#[tokio::test]
async fn new_credentials_reach_the_copy_with_a_later_pod() {
    let scene = Scene::new("rotated-pull", "planted-old").await;
    scene.pods.create_pod(&pod("before")).await.unwrap();
    assert_eq!(scene.copied().await, Some(config("planted-old")));

    let path = format!("{}/{NAME}", scene.own.path("secrets"));
    scene.own.api.replace(&path, &original("planted-new")).await.unwrap();

    let number = std::sync::atomic::AtomicU32::new(0);
    eventually("new credentials", REMEMBERED, || async {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(500)).await;
        scene.pods.create_pod(&pod(&format!("after-{number}"))).await.unwrap();
        match scene.copied().await {
            Some(held) if held == config("planted-new") => Ok(()),
            _ => Err("the copy is old".to_owned()),
        }
    })
    .await;
}

#[tokio::test]
async fn a_secret_of_that_name_that_is_not_ours_is_never_touched() {
    let scene = Scene::new("foreign-pull", "planted-ours").await;
    let path = scene.pods.path("secrets");
    let mut foreign = original("planted-theirs");
    foreign["metadata"]["labels"] = json!({"owner": "somebody"});
    let before = scene.pods.api.create(&path, &foreign).await.unwrap();

    let pod = scene.pods.create_pod(&pod("task")).await.unwrap();

    assert!(pod["spec"]["imagePullSecrets"].as_array().unwrap().contains(&json!({"name": NAME})));
    let after = scene.pods.api.get(&format!("{path}/{NAME}")).await.unwrap();
    assert_eq!(after["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"]);
    assert_eq!(scene.copied().await, Some(config("planted-theirs")));
}

#[tokio::test]
async fn a_dry_run_copies_nothing() {
    let scene = Scene::new("dry-pull", "planted").await;

    let tried = scene.pods.try_pod(&pod("task")).await.unwrap();

    assert!(tried["spec"]["imagePullSecrets"].as_array().unwrap().contains(&json!({"name": NAME})));
    assert_eq!(scene.copied().await, None);
}
