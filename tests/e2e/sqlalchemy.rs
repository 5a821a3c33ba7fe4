//! `secret_connect_args` of `flytekitplugins-sqlalchemy`, as its documentation shows them: the tasks are serialised, the webhook
//! serves the requests in their templates, and the plugin's own executor logs in at a real PostgreSQL.

use serde_json::{Value, json};

use crate::harness::realised::Realised;
use crate::harness::servers::Server;
use crate::harness::tasks::FLYTEKIT;
use crate::harness::webhook::local_store;
use crate::harness::{Namespace, Setup, Webhook, bed};

const PASSWORD: &str = "planted $HOME $(X) $$ pass'word\" ünïcode";
const OLD_PASSWORD: &str = "planted and no longer right";

/// What is run for a task of `sql_tasks`: its container, which asks for so many rows of this database.
async fn job(namespace: &Namespace, task: &str, database: &Server) -> (Value, Realised) {
    let task = format!("sql_tasks.{task}");
    let pod = namespace.create_pod(&FLYTEKIT.pod_of(&task)).await.unwrap();
    let mut main = Realised::main(namespace, &pod).await;
    let (_, port) = database.address.split_once(':').unwrap();
    main.env.insert("PGPORT".to_owned(), port.to_owned());
    let mut job = FLYTEKIT.job(&task);
    job["inputs"] = json!({"count": 3});
    (main.run(job), main)
}

#[tokio::test]
async fn the_password_of_a_query_comes_as_a_variable_as_a_file_and_by_its_name() {
    let namespace = bed().namespace("sqlalchemy").await;
    let webhook = Webhook::start(
        &namespace,
        Setup::with(json!({
            "secretManagerTypes": ["Embedded", "K8s"], "delivery": "SecretRef",
            "embeddedSecretManagerConfig": local_store(),
        })),
    )
    .await;
    let id = |name: &str| format!("u__org__flyte__domain__development__project__flytesnacks__key__{name}");
    webhook.import(&json!({id("warehouse_password"): PASSWORD, id("old_password"): OLD_PASSWORD})).await;
    let secret = json!({"metadata": {"name": "database"}, "stringData": {"password": PASSWORD}});
    namespace.api.create(&namespace.path("secrets"), &secret).await.unwrap();
    let database = Server::postgresql(PASSWORD).await;

    let tasks = ["by_variable", "by_file", "of_a_version", "stored_by_name", "wrong"];
    let mut jobs = Vec::new();
    let mut containers = Vec::new();
    for task in tasks {
        let (job, container) = job(&namespace, task, &database).await;
        jobs.push(job);
        containers.push(container);
    }
    let results = FLYTEKIT.execute(&jobs).await;

    for (task, result) in tasks.iter().zip(&results[..4]) {
        assert_eq!(result, &json!([[[1, 1], [2, 4], [3, 9]]]), "{task}");
    }
    let error = results[4]["error"].as_str().unwrap_or_else(|| panic!("{}", results[4]));
    assert!(error.contains("password authentication failed for user \"flyte\""), "{error}");
    for value in [PASSWORD, OLD_PASSWORD] {
        assert!(!error.contains(value), "the plugin's error holds a password");
    }
}
