//! Flyte's own command line (PyPI `flyte`).

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tokio::process::Command;

use super::process::{Service, certificate, rights, stored, value_in};
use crate::harness::bed;

const SIGABRT: i32 = 6;

/// The folder of the Python that holds the SDK of Flyte 2.
pub(super) fn venv() -> PathBuf {
    let venv = std::env::var_os("FLYTE_SECRETS_FLYTE2_VENV").map(PathBuf::from);
    venv.expect("FLYTE_SECRETS_FLYTE2_VENV is not set: run `make e2e`")
}

/// Whether `flyte …` succeeded, and what it printed.
async fn flyte(service: &Service, arguments: &[&str]) -> (bool, String) {
    let endpoint = format!("http://{}", service.address());
    flyte_at(service, &["--endpoint", &endpoint, "--insecure"], &[], arguments).await
}

/// The same with what says where the service is, and with variables of the environment.
pub(super) async fn flyte_at(
    service: &Service,
    endpoint: &[&str],
    variables: &[(&str, &Path)],
    arguments: &[&str],
) -> (bool, String) {
    let mut command = Command::new(venv().join("bin/flyte"));
    command.args(endpoint).args(arguments).env_clear().envs(variables.iter().copied());
    command.env("HOME", service.folder.path()).env("NO_COLOR", "1").env("COLUMNS", "400").kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(60), command.output()).await.unwrap().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = format!("{}\n{}", output.status, String::from_utf8_lossy(&text));
    // Under load the client's native code now and then aborts while Python ends, when all is done and printed.
    let aborted = output.status.signal() == Some(SIGABRT) && !text.contains("Error");
    (output.status.success() || aborted, text)
}

/// The same calls over any store.
async fn works(service: &Service) {
    let scope = ["--project", "flytesnacks", "--domain", "development"];
    let file = service.folder.path().join("binary");
    std::fs::write(&file, b"\x00planted\xff").unwrap();
    let run = async |arguments: &[&str], good: bool, parts: &[&str]| {
        let (ok, text) = flyte(service, arguments).await;
        assert_eq!(ok, good, "{arguments:?}: {text}");
        assert!(parts.iter().all(|part| text.contains(part)), "{arguments:?}: {text}");
        assert!(!text.contains("planted"), "{arguments:?}: {text}");
    };
    let value = ["create", "secret", "api_key", "--value", "planted 1"];
    let scoped = [&value[..], &scope].concat();
    let file = ["create", "secret", "certificate", "--from-file", path(&file)];
    let pull = [
        "create",
        "secret",
        "registry",
        "--type",
        "image_pull",
        "--registry",
        "ghcr.io",
        "--username",
        "u",
        "--password",
        "planted",
    ];
    run(&value, true, &[]).await;
    run(&value, false, &["already exists"]).await;
    run(&scoped, true, &[]).await;
    run(&file, true, &[]).await;
    run(&pull, true, &[]).await;
    run(&["create", "secret", "no/name", "--value", "planted"], false, &["no/name"]).await;
    run(&["get", "secret"], true, &["api_key", "certificate", "registry", "image_pull", "flytesnacks"]).await;
    run(&["get", "secret", "registry"], true, &["SECRET_TYPE_IMAGE_PULL_SECRET"]).await;
    run(&["get", "secret", "other"], false, &["NOT FOUND"]).await;
    run(&[&["delete", "secret", "api_key"][..], &scope].concat(), true, &[]).await;
    run(&[&["delete", "secret", "api_key"][..], &scope].concat(), false, &["NOT FOUND"]).await;
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn flytes_own_command_line_works_over_kubernetes() {
    let namespace = bed().namespace("flyte-cli").await;
    let kubeconfig = rights(&namespace).await;
    let service = Service::over_kubernetes("flyte-cli", &namespace.name, kubeconfig, json!({})).await;
    works(&service).await;
    let mut values: Vec<_> = stored(&namespace)
        .await
        .iter()
        .filter(|secret| secret["metadata"]["labels"]["app.flyte.org/managed"] == "true")
        .flat_map(|secret| secret["data"].as_object().unwrap().keys().cloned().collect::<Vec<_>>())
        .collect();
    values.sort();
    let id = |name: &str| format!("u__org__flyte__domain____project____key__{name}");
    assert_eq!(values, [id("api_key"), id("certificate"), id("registry")]);
    let beside = stored(&namespace).await.into_iter().find(|secret| secret["type"] == "kubernetes.io/dockerconfigjson");
    assert!(value_in(&beside.unwrap(), ".dockerconfigjson").unwrap().contains("ghcr.io"));
}

#[tokio::test]
async fn flytes_own_command_line_works_over_the_local_store() {
    let service = Service::over_local("flyte-cli-local", json!({})).await;
    works(&service).await;
}

#[tokio::test]
async fn flytes_own_command_line_works_over_tls() {
    let (folder, _) = certificate();
    let service = Service::over_local("flyte-cli-tls", json!({"server": {"certDir": folder.path()}})).await;
    let endpoint = format!("localhost:{}", service.port);
    let run = async |arguments: &[&str], trusted: bool| {
        let authority = folder.path().join("ca.crt");
        let trust = [("SSL_CERT_FILE", authority.as_path())];
        flyte_at(&service, &["--endpoint", &endpoint], if trusted { &trust } else { &[] }, arguments).await
    };
    let (ok, text) = run(&["create", "secret", "api_key", "--value", "planted"], true).await;
    assert!(ok, "{text}");
    let (ok, text) = run(&["get", "secret", "api_key"], true).await;
    assert!(ok && text.contains("api_key") && !text.contains("planted"), "{text}");
    let (ok, text) = run(&["get", "secret", "api_key"], false).await;
    assert!(!ok && text.contains("certificate"), "{text}");
}
