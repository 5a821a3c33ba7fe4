//! The example of a connector, driven by the clients that Flyte's SDKs ship. Its web API is the API server of the test bed,
//! its API keys are tokens of service accounts: they are really checked, and really end.

mod support;

use serde_json::{Value, json};

use self::support::{Client, Connector, Flyte, Runner, create_request};
use crate::harness::bed;
use crate::harness::program::{command, path, run_ok};

/// A key that nobody knows.
const WRONG: &str = "planted-wrong-key-of-the-tests";

#[tokio::test]
async fn a_task_of_flyte_1_runs_as_a_job_and_every_state_of_it_is_told() {
    let namespace = bed().namespace("connector").await;
    let runner = Runner::new(&namespace, "runner").await;
    let connector = Connector::with_files(&namespace, &[]).await;
    connector.put_file("jobs_api_key", &format!("{}\n", runner.token().await));
    let mut client = connector.client(Flyte::One).await;

    let agents = client.ok("ListAgents", json!({})).await;
    let categories = &agents["agents"][0]["supported_task_categories"];
    assert_eq!(categories, &json!([{"name": "http_job"}]));
    assert_eq!(client.ok("Health", json!({})).await, json!("0801"), "SERVING");

    let mut request = create_request("flytesnacks", "run-1");
    request["template"] = client.ok("Template", json!({})).await;
    let meta = client.ok("CreateTask", request.clone()).await;
    assert_eq!(meta, client.ok("CreateTask", request).await, "a repeated Create is the same Job");
    let jobs = namespace.api.get(&runner.jobs()).await.unwrap();
    let jobs = jobs["items"].as_array().unwrap();
    let [job] = jobs.as_slice() else { panic!("{jobs:?}") };
    assert_eq!(job["spec"]["activeDeadlineSeconds"], 3600);
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    for (member, expected) in [
        ("image", json!("localhost/busybox:1")),
        ("command", json!(["echo"])),
        ("args", json!(["hello"])),
        ("resources", json!({"limits": {"cpu": "1", "memory": "1Gi"}})),
    ] {
        assert_eq!(container[member], expected, "{member}");
    }

    let pod = runner.pod(job["metadata"]["name"].as_str().unwrap()).await;
    client.phase(&meta, "INITIALIZING").await;
    runner.set_status(&pod, json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})).await;
    client.phase(&meta, "RUNNING").await;
    runner.set_status(&pod, json!({"phase": "Succeeded", "conditions": []})).await;
    let done = client.phase(&meta, "SUCCEEDED").await;
    let link = &done["resource"]["log_links"][0]["uri"];
    assert_eq!(
        link,
        &json!(format!("https://logs.example/{}/{}", namespace.name, job["metadata"]["name"].as_str().unwrap()))
    );

    assert_eq!(client.ok("DeleteTask", meta.clone()).await, json!({}));
    client.phase(&meta, "ABORTED").await;
    assert_eq!(client.ok("DeleteTask", meta).await, json!({}), "a Job that is gone is deleted");
    connector.ends_in_good_order(&[&client]).await;
}

#[tokio::test]
async fn a_job_that_fails_is_a_failed_task_with_the_jobs_reason() {
    let namespace = bed().namespace("connector-failed").await;
    let runner = Runner::new(&namespace, "runner").await;
    let connector = Connector::with_files(&namespace, &[]).await;
    connector.put_file("jobs_api_key", &runner.token().await);
    let mut client = connector.client(Flyte::One).await;
    let mut request = create_request("flytesnacks", "run-1");
    request["template"]["metadata"] = json!({"timeout": "1s"});
    let meta = client.ok("CreateTask", request).await;
    let failed = client.phase(&meta, "FAILED").await;
    let message = failed["resource"]["message"].as_str().unwrap();
    assert!(message.starts_with("DeadlineExceeded: "), "{message}");
    connector.holds_no_value(&[&client]);
}

#[tokio::test]
async fn a_wrong_or_missing_key_is_an_error_that_names_it_and_a_new_one_works_at_once() {
    let namespace = bed().namespace("connector-keys").await;
    let (runner, stranger) =
        (Runner::new(&namespace, "runner").await, Runner::without_rights(&namespace, "stranger").await);
    let connector = Connector::with_files(&namespace, &[]).await;
    let mut client = connector.client(Flyte::One).await;
    let request = create_request("flytesnacks", "run-1");

    let error = client.fails("CreateTask", request.clone(), "FAILED_PRECONDITION").await;
    let file = connector.folder().join("secrets/jobs_api_key");
    let expected = format!(
        "no secret \"jobs_api_key\": looked for the variable FLYTE_SECRET_jobs_api_key and the file {}",
        file.display()
    );
    assert!(error.contains(&expected), "{error}");

    connector.put_file("jobs_api_key", WRONG);
    let error = client.fails("CreateTask", request.clone(), "UNAUTHENTICATED").await;
    assert!(error.contains("secret \"jobs_api_key\" (HTTP 401)"), "{error}");

    connector.put_file("jobs_api_key", &format!("{WRONG}\nsecond line"));
    let error = client.fails("CreateTask", request.clone(), "FAILED_PRECONDITION").await;
    assert!(error.contains("secret \"jobs_api_key\" holds characters that no HTTP header can hold"), "{error}");

    connector.put_file("jobs_api_key", &stranger.token().await);
    let error = client.fails("CreateTask", request.clone(), "PERMISSION_DENIED").await;
    assert!(error.contains("jobs_api_key") && error.contains("cannot create resource \"jobs\""), "{error}");

    connector.put_file("jobs_api_key", &runner.token().await);
    let meta = client.ok("CreateTask", request).await;
    connector.put_file("jobs_api_key", WRONG);
    for method in ["GetTask", "DeleteTask", "GetTaskLogs"] {
        client.fails(method, meta.clone(), "UNAUTHENTICATED").await;
    }
    connector.put_file("jobs_api_key", &runner.token().await);
    client.phase(&meta, "INITIALIZING").await;
    assert_eq!(client.ok("GetTaskLogs", meta).await, json!([{"body": {}}]), "a pod that has not begun has no log");
    connector.holds_no_value(&[&client]);
}

#[tokio::test]
async fn what_is_not_a_task_for_the_connector_is_refused_before_any_key_is_asked_for() {
    let namespace = bed().namespace("connector-invalid").await;
    let connector = Connector::with_files(&namespace, &[]).await;
    let mut client = connector.client(Flyte::One).await;
    let with = |change: fn(&mut Value)| {
        let mut request = create_request("flytesnacks", "run-1");
        change(&mut request);
        request
    };
    for (request, said) in [
        (json!({}), "the task's type is"),
        (with(|r| r["template"]["type"] = json!("spark")), "\"spark\""),
        (with(|r| r["template"]["container"] = json!({})), "no container with an image"),
        (with(|r| r["task_execution_metadata"] = json!({})), "for which execution"),
    ] {
        let error = client.fails("CreateTask", request, "INVALID_ARGUMENT").await;
        assert!(error.contains(said), "{error}");
    }
    let other = json!({"namespace": "a/../b", "job": "x", "org": "", "project": "", "domain": ""}).to_string();
    for meta in ["", "{}", other.as_str()] {
        let request = json!({"resource_meta": data_encoding::BASE64.encode(meta.as_bytes())});
        client.fails("GetTask", request, "INVALID_ARGUMENT").await;
    }
    client.fails("GetAgent", json!({"name": "another"}), "NOT_FOUND").await;
    client.fails("GetTaskMetrics", json!({}), "UNIMPLEMENTED").await;
}

#[tokio::test]
async fn a_key_of_a_store_is_remembered_until_it_is_turned_down() {
    let namespace = bed().namespace("connector-store").await;
    let runner = Runner::new(&namespace, "runner").await;
    let connector = Connector::with_local_store(&namespace).await;
    let mut client = connector.client(Flyte::One).await;
    let request = create_request("flytesnacks", "run-1");
    let first = runner.token_that_ends().await;
    connector.put_stored("u__org__flyte__domain__development__project____key__jobs_api_key", &first).await;
    let meta = client.ok("CreateTask", request).await;

    // The store is broken, and nobody notices: the key is remembered.
    let store = connector.folder().join("flyte-secrets/secrets.age");
    let kept = std::fs::read(&store).unwrap();
    std::fs::write(&store, "no age file").unwrap();
    client.phase(&meta, "INITIALIZING").await;
    std::fs::write(&store, kept).unwrap();

    runner.end_token().await;
    // The API server remembers tokens for 10 seconds.
    let error = client.eventually_fails("GetTask", &meta, "UNAUTHENTICATED").await;
    assert!(error.contains("turned down the API key in the secret \"jobs_api_key\""), "{error}");

    connector
        .put_stored("u__org__flyte__domain__development__project____key__jobs_api_key", &runner.token().await)
        .await;
    client.ok("GetTask", meta).await;
    assert!(connector.log().contains("was turned down and has changed since"), "{}", connector.log());
    connector.holds_no_value(&[&client]);
}

#[tokio::test]
async fn a_task_of_flyte_2_names_its_key_and_namespace_in_a_connection() {
    let namespace = bed().namespace("connector-two").await;
    let runner = Runner::new(&namespace, "runner").await;
    let connector = Connector::with_local_store(&namespace).await;
    let mut client = connector.client(Flyte::Two).await;
    let own = "u__org__flyte__domain__development__project__flytesnacks__key__team-key";
    connector.put_stored(own, &runner.token().await).await;
    connector.put_stored("u__org__flyte__domain__development__project__other__key__team-key", WRONG).await;

    let connectors = client.ok("ListConnectors", json!({})).await;
    assert_eq!(connectors["connectors"][0]["supported_task_categories"], json!([{"name": "http_job"}]));
    let connection = json!({"secrets": {"api_key": "team-key"}, "configs": {"namespace": namespace.name}});
    let mut request = create_request("flytesnacks", "run-1");
    request["connection"] = connection.clone();
    let mut meta = client.ok("CreateTask", request.clone()).await;
    meta["connection"] = connection;
    client.phase(&meta, "INITIALIZING").await;

    // The same words in another project are another secret; nobody reaches a secret of a project that is not its own.
    let mut other = create_request("other", "run-1");
    other["connection"] = request["connection"].clone();
    let error = client.fails("CreateTask", other, "UNAUTHENTICATED").await;
    assert!(error.contains("\"team-key\"") && error.contains("project \"other\""), "{error}");
    let mut third = create_request("third", "run-1");
    third["connection"] = json!({"secrets": {"api_key": "team-key", "more": own}});
    let error = client.fails("CreateTask", third, "FAILED_PRECONDITION").await;
    for part in
        ["secret \"api_key\" of the connection", "project__third__key__team-key", "secret \"more\" of the connection"]
    {
        assert!(error.contains(part), "{part}: {error}");
    }
    for (connection, said) in [
        (json!({"secrets": {"token": "team-key"}}), "none with the name \"api_key\""),
        (json!({"task_type": "spark", "secrets": {"api_key": "team-key"}}), "for tasks of type \"spark\""),
        (json!({"secrets": {"api_key": "team-key"}, "configs": {"namespace": "../x"}}), "no name of a namespace"),
    ] {
        request["connection"] = connection;
        let error = client.fails("CreateTask", request.clone(), "INVALID_ARGUMENT").await;
        assert!(error.contains(said), "{error}");
    }
    assert_eq!(client.ok("DeleteTask", meta.clone()).await, json!({}));
    client.phase(&meta, "ABORTED").await;
    connector.holds_no_value(&[&client]);
}

#[tokio::test]
async fn a_service_that_cannot_be_reached_is_unavailable() {
    let namespace = bed().namespace("connector-down").await;
    let connector = Connector::with_files(&namespace, &["--api-url", "https://127.0.0.1:1"]).await;
    connector.put_file("jobs_api_key", WRONG);
    let mut client = connector.client(Flyte::One).await;
    let error = client.fails("CreateTask", create_request("flytesnacks", "run-1"), "UNAVAILABLE").await;
    assert!(error.starts_with("https://127.0.0.1:1: "), "{error}");
    connector.holds_no_value(&[&client]);
}

#[tokio::test]
async fn the_messages_are_those_of_the_packages_of_flyte() {
    let namespace = bed().namespace("connector-messages").await;
    let connector = Connector::with_files(&namespace, &[]).await;
    let protos = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/connector/proto");
    let both = ["flyteidl.core.proto", "flyteidl.admin.proto"];
    for (flyte, own, at_least) in
        [(Flyte::One, "flyteidl.service.proto", 65), (Flyte::Two, "flyteidl2.connector.proto", 75)]
    {
        let files: Vec<_> = both.into_iter().chain([own]).map(|file| format!("{protos}/{file}")).collect();
        let mut client: Client = connector.client(flyte).await;
        let compared = client.ok("Differences", json!({"files": files})).await;
        assert_eq!(compared["wrong"], json!([]), "{own}");
        let checked = compared["checked"].as_u64().unwrap();
        assert!(checked >= at_least, "{own}: only {checked} lines were compared");
    }
}

#[tokio::test]
async fn the_help_tells_where_keys_come_from_and_a_key_never_travels_in_the_clear() {
    let program = path().with_file_name("flyte-secrets-connector");
    let help = run_ok(command(&program, &["--help"])).await;
    for word in ["FLYTE_SECRET_", "/etc/secrets", "local store", "jobs_api_key", "connection"] {
        assert!(help.contains(word), "{word}: {help}");
    }
    let output = crate::harness::program::run(command(&program, &["--api-url", "http://example.com"])).await;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("readable on the way"), "{told}");
}
