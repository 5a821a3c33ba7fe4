//! What Flyte's documentation shows a task author, with the real flytekit: its tasks are serialised, the requests in their
//! templates become a pod's annotations, the webhook serves them, and flytekit runs the tasks with what came of it.
//!
//! Under the kubelet for K8s, Global and Embedded; elsewhere `realised` says what stands in for it.

use serde_json::{Value, json};

use crate::harness::azure::Azure;
use crate::harness::fetchers::{aws_sidecar, az, gcloud, vault_agent};
use crate::harness::realised::Realised;
use crate::harness::servers::Server;
use crate::harness::tasks::{FLYTEKIT, folder, pod_name, returned, workflow};
use crate::harness::webhook::local_store;
use crate::harness::{Namespace, Setup, Webhook, bed, program};

const NAME: &str = "planted name";
const PASSWORD: &str = "planted $HOME $(X) $$ password";
const CERTIFICATE: &str = "planted certificate\nof two lines\n";
const TOKEN: &str = "planted token";
const API_KEY: &str = "planted $$ key of an API";
const LICENSE: &str = "planted license\nünïcode\n";
const REGION: &str = "eu-central-1";

/// What the tasks and workflows of `secrets_workflow` and `embedded_workflow` return.
fn expected(name: &str) -> Value {
    match name.rsplit('.').next().unwrap() {
        "one_secret" => json!([NAME]),
        "two_keys_of_a_group" => json!([NAME, PASSWORD]),
        "as_the_platform_likes" => json!([PASSWORD]),
        "file_and_value" if name.starts_with("secrets") => {
            json!(["/etc/flyte/secrets/certificates/root.pem", CERTIFICATE, CERTIFICATE.trim_end()])
        }
        "of_a_version" => json!([TOKEN, TOKEN, CERTIFICATE.trim_end()]),
        "under_names_of_its_own" if name.starts_with("secrets") => json!([TOKEN, CERTIFICATE]),
        "sign_in" => json!([NAME, NAME, PASSWORD, CERTIFICATE, CERTIFICATE.trim_end()]),
        "value" => json!([API_KEY]),
        "file_and_value" => json!(["/etc/flyte/secrets/license", LICENSE, LICENSE.trim_end()]),
        "under_names_of_its_own" => json!([API_KEY, LICENSE]),
        "licensed" => json!([API_KEY, LICENSE, LICENSE.trim_end()]),
        other => panic!("nothing is known of {other}"),
    }
}

/// The Secrets that `secrets_workflow` asks for.
async fn make_secrets(namespace: &Namespace) {
    for (name, data) in [
        ("user-info", json!({"user_name": NAME, "user_password": PASSWORD})),
        ("certificates", json!({"Root.PEM": CERTIFICATE})),
        ("api", json!({"token": TOKEN})),
    ] {
        let secret = json!({"metadata": {"name": name}, "stringData": data});
        namespace.api.create(&namespace.path("secrets"), &secret).await.unwrap();
    }
}

fn id(name: &str) -> String {
    format!("u__org__flyte__domain__development__project__flytesnacks__key__{name}")
}

/// Runs these tasks and the workflow in one pod under the kubelet; it asks for all that any of them asks for.
async fn run_in_one_pod(namespace: &Namespace, tasks: &[&str], of_workflow: Option<&str>) {
    let jobs: Vec<Value> = tasks.iter().map(|task| FLYTEKIT.job(task)).chain(of_workflow.map(workflow)).collect();
    FLYTEKIT.start_pod(namespace, "all", tasks, &jobs).await;
    let results = returned(namespace, "all").await;
    for (name, result) in tasks.iter().copied().chain(of_workflow).zip(&results) {
        assert_eq!(result, &expected(name), "{name}");
    }
}

/// Runs the tasks of `embedded_workflow`, each from a pod of its own, and the workflow from one that asks for all.
async fn run_embedded_workflow(namespace: &Namespace) {
    let mut jobs = Vec::new();
    let mut containers = Vec::new();
    for task in FLYTEKIT.tasks_of("embedded_workflow") {
        let pod = namespace.create_pod(&FLYTEKIT.pod_of(task)).await.unwrap();
        let container = Realised::main(namespace, &pod).await;
        jobs.push(container.run(FLYTEKIT.job(task)));
        containers.push((task, container));
    }
    for ((task, container), result) in containers.iter().zip(&FLYTEKIT.execute(&jobs).await) {
        assert_eq!(container.seen(result), expected(task), "{task}");
    }
}

#[tokio::test]
async fn the_requests_of_a_template_and_its_annotations_are_those_of_our_own_command() {
    assert_eq!(FLYTEKIT.templates().len(), 19);
    for (name, template) in FLYTEKIT.templates() {
        template.annotations_are_ours(name).await;
    }
}

#[tokio::test]
async fn every_task_of_a_workflow_finds_its_kubernetes_secrets_in_flyte_2() {
    bed().with_node();
    let namespace = bed().namespace("tasks").await;
    let _webhook = Webhook::start(&namespace, Setup::default()).await;
    make_secrets(&namespace).await;

    let tasks = FLYTEKIT.tasks_of("secrets_workflow");
    for task in &tasks {
        FLYTEKIT.start_pod(&namespace, &pod_name(task), &[task], &[FLYTEKIT.job(task)]).await;
    }
    for task in tasks {
        assert_eq!(returned(&namespace, &pod_name(task)).await, [expected(task)], "{task}");
    }
}

#[tokio::test]
async fn a_workflow_finds_its_kubernetes_secrets_in_flyte_1() {
    bed().with_node();
    let namespace = bed().namespace("tasks-1").await;
    let setup = json!({"profile": "flyte1", "secretManagerType": "K8s", "secretManagerTypes": ["K8s"]});
    let _webhook = Webhook::start(&namespace, Setup::with(setup)).await;
    make_secrets(&namespace).await;

    run_in_one_pod(&namespace, &FLYTEKIT.tasks_of("secrets_workflow"), Some("secrets_workflow.sign_in")).await;
}

#[tokio::test]
async fn a_workflow_finds_the_webhooks_own_secrets_and_the_files_of_kubernetes() {
    bed().with_node();
    let namespace = bed().namespace("tasks-global").await;
    let mut setup = Setup::with(json!({"secretManagerTypes": ["K8s"], "delivery": "SecretRef"}));
    setup.env.push(("FLYTE_SECRET_USER-INFO_USER_NAME".to_owned(), NAME.to_owned()));
    setup.env.push(("FLYTE_SECRET_API_TOKEN".to_owned(), TOKEN.to_owned()));
    let webhook = Webhook::start(&namespace, setup).await;
    std::fs::create_dir_all(webhook.secrets_prefix().join("user-info")).unwrap();
    std::fs::write(webhook.secrets_prefix().join("user-info/user_password"), format!("{PASSWORD}\n")).unwrap();
    // The only Secret: what is not a file comes from the webhook.
    let secret = json!({"metadata": {"name": "certificates"}, "stringData": {"Root.PEM": CERTIFICATE}});
    namespace.api.create(&namespace.path("secrets"), &secret).await.unwrap();

    // As in Flyte, Global gives a value under the name that flytekit asks for, and not under `env_var`.
    let mut tasks = FLYTEKIT.tasks_of("secrets_workflow");
    tasks.retain(|task| !task.ends_with("under_names_of_its_own"));
    run_in_one_pod(&namespace, &tasks, Some("secrets_workflow.sign_in")).await;
}

#[tokio::test]
async fn a_workflow_finds_secrets_that_were_stored_by_name_in_kubernetes() {
    bed().with_node();
    let (namespace, store) = (bed().namespace("tasks-stored").await, bed().namespace("store").await);
    let stores = json!({"type": "K8s", "k8sConfig": {"namespace": store.name}});
    let setup =
        json!({"secretManagerTypes": ["Embedded"], "delivery": "SecretRef", "embeddedSecretManagerConfig": stores});
    let _webhook = Webhook::start(&namespace, Setup::with(setup)).await;
    // Names made with md5sum of the ids, as the Secret service calls them.
    for (name, key, value) in [
        ("f758a226b673610dd817a488b8302afa", "api_key", API_KEY),
        ("4ce6e6c0014164f33fadefc1650b39e2", "License", LICENSE),
    ] {
        let secret = json!({"metadata": {"name": name}, "stringData": {id(key): value}});
        store.api.create(&store.path("secrets"), &secret).await.unwrap();
    }

    run_in_one_pod(&namespace, &FLYTEKIT.tasks_of("embedded_workflow"), Some("embedded_workflow.licensed")).await;
}

/// A webhook with the Embedded manager over this store, which delivers by mirror.
async fn embedded(namespace: &Namespace, stores: Value, env: &[(&str, &str)]) -> Webhook {
    let mut setup = Setup::with(json!({
        "secretManagerTypes": ["Embedded"], "delivery": "SecretRef", "embeddedSecretManagerConfig": stores,
    }));
    setup.env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Webhook::start(namespace, setup).await
}

#[tokio::test]
async fn a_workflow_finds_the_secrets_of_the_local_store() {
    let namespace = bed().namespace("tasks-local").await;
    let webhook = embedded(&namespace, local_store(), &[]).await;
    webhook.import(&json!({id("api_key"): API_KEY, id("License"): LICENSE})).await;
    run_embedded_workflow(&namespace).await;
}

#[tokio::test]
async fn a_workflow_finds_the_secrets_of_aws() {
    let namespace = bed().namespace("tasks-aws").await;
    let moto = Server::moto().await;
    moto.moto_put(REGION, &id("api_key"), json!({"SecretString": API_KEY})).await;
    moto.moto_put(REGION, &id("License"), json!({"SecretString": LICENSE})).await;
    let config = json!({"region": REGION, "endpoint": format!("http://{}", moto.address)});
    let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
    let _webhook = embedded(&namespace, json!({"type": "AWS", "awsConfig": config}), &keys).await;
    run_embedded_workflow(&namespace).await;
}

#[tokio::test]
async fn a_workflow_finds_the_secrets_of_gcp() {
    let namespace = bed().namespace("tasks-gcp").await;
    let drongo = Server::drongo().await;
    drongo.drongo_put("my-project", &id("api_key"), API_KEY.as_bytes()).await;
    drongo.drongo_put("my-project", &id("License"), LICENSE.as_bytes()).await;
    let endpoint = format!("http://{}", drongo.address);
    let config = json!({"project": "my-project", "endpoint": endpoint, "anonymous": true});
    let _webhook = embedded(&namespace, json!({"type": "GCP", "gcpConfig": config}), &[]).await;
    run_embedded_workflow(&namespace).await;
}

#[tokio::test]
async fn a_workflow_finds_the_secrets_of_azure() {
    let namespace = bed().namespace("tasks-azure").await;
    let azure = Azure::start(&[("api_key", API_KEY), ("License", LICENSE)]).await;
    let env = azure.env();
    let env: Vec<_> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let _webhook = embedded(&namespace, json!({"type": "Azure", "azureConfig": azure.config()}), &env).await;
    run_embedded_workflow(&namespace).await;
}

#[tokio::test]
async fn a_workflow_finds_the_secrets_of_openbao() {
    let namespace = bed().namespace("tasks-openbao").await;
    let bao = Server::openbao().await;
    bao.bao_put(&id("api_key"), API_KEY).await;
    bao.bao_put(&id("License"), LICENSE).await;
    let auth = json!({"method": "Token", "tokenFile": bao.root_token_file()});
    let config = json!({"address": format!("http://{}", bao.address), "auth": auth});
    let _webhook = embedded(&namespace, json!({"type": "Vault", "vaultConfig": config}), &[]).await;
    run_embedded_workflow(&namespace).await;
}

/// The pod of a task of `fetched_workflow`, served by this manager, and its container before anything was fetched.
async fn fetched(namespace: &Namespace, task: &str) -> (Value, Realised) {
    let pod = namespace.create_pod(&FLYTEKIT.pod_of(task)).await.unwrap();
    let main = Realised::main(namespace, &pod).await;
    (pod, main)
}

async fn webhook_of(namespace: &Namespace, manager: &str) -> Webhook {
    Webhook::start(namespace, Setup::with(json!({"secretManagerTypes": [manager]}))).await
}

#[tokio::test]
async fn a_task_finds_what_the_sidecar_of_aws_writes() {
    let namespace = bed().namespace("fetched-aws").await;
    let _webhook = webhook_of(&namespace, "AWS").await;
    let moto = Server::moto().await;
    moto.moto_put(REGION, "user_password", json!({"SecretString": PASSWORD})).await;

    let (pod, main) = fetched(&namespace, "fetched_workflow.aws").await;
    aws_sidecar(&namespace, &pod, &main, REGION, &moto).await;
    assert_eq!(FLYTEKIT.execute(&[main.run(FLYTEKIT.job("fetched_workflow.aws"))]).await, [json!([PASSWORD])]);
}

#[tokio::test]
async fn a_task_finds_what_gcloud_writes() {
    let namespace = bed().namespace("fetched-gcp").await;
    let _webhook = webhook_of(&namespace, "GCP").await;
    let drongo = Server::drongo().await;
    drongo.drongo_put("my-project", "API-token", b"planted and old").await;
    drongo.drongo_put_version("my-project", "API-token", TOKEN.as_bytes()).await;

    let (pod, main) = fetched(&namespace, "fetched_workflow.gcp").await;
    gcloud(&namespace, &pod, &main, &drongo).await;
    assert_eq!(FLYTEKIT.execute(&[main.run(FLYTEKIT.job("fetched_workflow.gcp"))]).await, [json!([TOKEN])]);
}

#[tokio::test]
async fn a_task_finds_what_azures_command_line_writes() {
    let namespace = bed().namespace("fetched-azure").await;
    let _webhook = webhook_of(&namespace, "Azure").await;
    let secret = "https://flyte.vault.azure.net/secrets/API-token";
    let versions = [(format!("{secret}/"), TOKEN), (format!("{secret}/8f1c"), PASSWORD)];
    let versions = versions.each_ref().map(|(id, value)| (id.as_str(), *value));

    let mut jobs = Vec::new();
    let mut containers = Vec::new();
    for task in ["fetched_workflow.azure", "fetched_workflow.azure_of_a_version"] {
        let (pod, main) = fetched(&namespace, task).await;
        az(&namespace, &pod, &main, &versions).await;
        jobs.push(main.run(FLYTEKIT.job(task)));
        containers.push(main);
    }
    assert_eq!(FLYTEKIT.execute(&jobs).await, [json!([TOKEN]), json!([PASSWORD])]);
}

#[tokio::test]
async fn a_task_finds_what_vaults_agent_writes() {
    let namespace = bed().namespace("fetched-vault").await;
    let _webhook = webhook_of(&namespace, "Vault").await;
    let bao = Server::openbao().await;
    bao.bao_write("secret/data/user-info", &json!({"data": {"password": PASSWORD}})).await;

    let (pod, main) = fetched(&namespace, "fetched_workflow.vault").await;
    vault_agent(&pod, &main, &bao).await;
    assert_eq!(FLYTEKIT.execute(&[main.run(FLYTEKIT.job("fetched_workflow.vault"))]).await, [json!([PASSWORD])]);
}

#[tokio::test]
async fn a_task_that_did_not_ask_for_its_secret_is_told_where_flytekit_has_looked() {
    let container = json!({"FLYTE_SECRETS_ENV_PREFIX": "_UNION_", "FLYTE_SECRETS_DEFAULT_DIR": "/nowhere"});
    let mut job = FLYTEKIT.job("secrets_workflow.one_secret");
    job["env"] = container;
    let result = &FLYTEKIT.execute(&[job]).await[0];
    let error = result["error"].as_str().unwrap_or_else(|| panic!("{result}"));
    for word in ["user-info", "user_name", "_UNION_USER-INFO_USER_NAME", "/nowhere/user-info/user_name"] {
        assert!(error.contains(word), "{word} is not in: {error}");
    }
}

/// What a task author runs without any cluster.
#[tokio::test]
async fn tasks_can_be_tested_on_a_laptop() {
    let mut command = program::command(&FLYTEKIT.python(), &["-m", "unittest", "test_on_a_laptop"]);
    let rest = tempfile::tempdir().unwrap();
    command.current_dir(folder()).env("PYTHONDONTWRITEBYTECODE", "1").env("TMPDIR", rest.path());
    let output = program::run(command).await;
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && report.contains("Ran 6 tests"), "{report}");
}
