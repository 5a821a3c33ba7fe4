//! `exec` with a real cluster: Secrets that the kubeconfig's user may read, flytekit as the command, and in a pod that was
//! injected. What needs no cluster is tested beside the program (`crates/cli/tests/command_line/exec.rs`).

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::harness::flytekit::{PROGRAM, environment, reading_pod, run as run_pod};
use crate::harness::identity::service_account;
use crate::harness::program::{self, command, run};
use crate::harness::webhook::local_store;
use crate::harness::{Namespace, Setup, Webhook, bed, request};

const PASSWORD: &str = "planted password $HOME $(X) $$";

/// A namespace with the Secret `db`.
async fn namespace_with_secret(purpose: &str) -> Namespace {
    let namespace = bed().namespace(purpose).await;
    let secret = json!({
        "metadata": {"name": "db"},
        "stringData": {"password": PASSWORD, "Cert.PEM": "planted certificate\n"},
    });
    namespace.api.create(&namespace.path("secrets"), &secret).await.unwrap();
    namespace
}

/// `exec` on a laptop whose kubeconfig is this one; nothing else is configured.
async fn exec(kubeconfig: &Path, options: &[&str], program: &[&str]) -> Output {
    let mut command = command(&program::path(), &[&["exec"], options, &["--"], program].concat());
    let home = tempfile::tempdir().unwrap();
    command.env("KUBECONFIG", kubeconfig).env("HOME", home.path());
    run(command).await
}

fn told(output: &Output) -> String {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!told.contains("planted"), "{told}");
    told
}

/// What flytekit reads, and what the variables hold.
fn printed(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn flytekit_reads_secrets_of_the_cluster_as_in_a_pod() {
    let namespace = namespace_with_secret("exec").await;
    let rules = json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]);
    let kubeconfig = service_account(&namespace, rules).await;
    let python = environment("FLYTE_SECRETS_VENV").join("bin/python");
    let questions = json!([
        {"group": "db", "key": "password"},
        {"group": "db", "key": "password", "group_version": "v1"},
        {"group": "db", "key": "Cert.PEM"},
        {"group": "db", "key": "other"},
    ]);
    let variables = json!(["PASSWORD", "CERT"]);
    let (questions, variables) = (questions.to_string(), variables.to_string());
    let command = [python.to_str().unwrap(), "-c", PROGRAM, &questions, &variables];
    let secrets = ["--secret", "db/password@v1:env=PASSWORD", "--secret", "db/Cert.PEM:file=CERT"];
    let output = exec(&kubeconfig, &[&["-n", &namespace.name], &secrets[..]].concat(), &command).await;
    let printed = printed(&output);
    let read = printed["secrets"].as_array().unwrap();
    assert_eq!(read[..3], [json!(PASSWORD), json!(PASSWORD), json!("planted certificate")], "{printed}");
    assert!(read[3]["error"].as_str().unwrap().contains("Unable to find secret"), "{printed}");
    assert_eq!(printed["variables"]["PASSWORD"], PASSWORD);
    let path = printed["variables"]["CERT"]["path"].as_str().unwrap();
    assert!(path.starts_with("/dev/shm/flyte-secrets-exec-") && path.ends_with("/db/cert.pem"), "{path}");
    assert_eq!(printed["variables"]["CERT"]["base64"], data_encoding::BASE64.encode(b"planted certificate\n"));
    assert!(told(&output).is_empty());
    assert!(!std::fs::exists(path).unwrap());
}

#[tokio::test]
async fn a_secret_that_is_not_there_or_may_not_be_read_is_named() {
    let namespace = namespace_with_secret("exec-missing").await;
    let here = ["-n", &*namespace.name];
    let missing = ["--secret", "db/nothing", "--secret", "other/key:env"];
    let output = exec(&bed().kubeconfig, &[&here[..], &missing].concat(), &["true"]).await;
    assert!(output.status.success(), "{output:?}");
    for expected in ["there is no key \"nothing\" of a Secret \"db\"", "no key \"key\" of a Secret \"other\""] {
        assert!(told(&output).contains(expected), "{output:?}");
    }
    let output = exec(&bed().kubeconfig, &[&here[..], &missing, &["--strict"]].concat(), &["echo", "started"]).await;
    assert!(output.status.code() == Some(125) && output.stdout.is_empty(), "{output:?}");

    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]);
    let kubeconfig = service_account(&namespace, rules).await;
    let output = exec(&kubeconfig, &[&here[..], &["--secret", "db/password"]].concat(), &["echo", "started"]).await;
    assert!(output.status.code() == Some(125) && output.stdout.is_empty(), "{output:?}");
    let told = told(&output);
    for expected in ["group:\"db\" key:\"password\" needs the Secret \"db\"", "secrets", "get", "Embedded: "] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
}

#[tokio::test]
async fn in_a_pod_that_was_injected_its_own_secrets_come_first() {
    bed().with_node();
    let namespace = namespace_with_secret("exec-pod").await;
    let setup = Setup::with(json!({"secretManagerTypes": ["K8s"]}));
    let _webhook = Webhook::start(&namespace, setup).await;
    let requests = [
        request(&[("group", "db"), ("key", "password"), ("mount_requirement", "1")]),
        request(&[("group", "db"), ("key", "Cert.PEM"), ("mount_requirement", "2")]),
    ];
    let questions = json!([{"group": "db", "key": "password"}, {"group": "db", "key": "Cert.PEM"}]);
    let mut pod = reading_pod(&requests, &questions, &json!(["PASSWORD", "CERT"]));
    // A raw container: the task's command behind ours. There is no service account's token, so nothing else could be asked.
    let binary = program::path().canonicalize().unwrap();
    let container = &mut pod["spec"]["containers"][0];
    let exec = [
        binary.to_str().unwrap(),
        "exec",
        "--secret",
        "db/password:file=PASSWORD",
        "--secret",
        "db/Cert.PEM=CERT",
        "--",
    ];
    let mut command: Vec<Value> = exec.into_iter().map(Value::from).collect();
    command.append(container["command"].as_array_mut().unwrap());
    container["command"] = command.into();
    let folder = json!({"name": "binary", "mountPath": binary.parent().unwrap(), "readOnly": true});
    container["volumeMounts"].as_array_mut().unwrap().push(folder);
    let volume = json!({"name": "binary", "hostPath": {"path": binary.parent().unwrap()}});
    pod["spec"]["volumes"].as_array_mut().unwrap().push(volume);

    let printed = run_pod(&namespace, &pod).await;
    assert_eq!(printed["secrets"], json!([PASSWORD, "planted certificate"]), "{printed}");
    let content = |name: &str| {
        let variable = &printed["variables"][name];
        assert!(variable["path"].as_str().unwrap().starts_with("/dev/shm/flyte-secrets-exec-"), "{printed}");
        data_encoding::BASE64.decode(variable["base64"].as_str().unwrap().as_bytes()).unwrap()
    };
    assert_eq!((content("PASSWORD"), content("CERT")), (PASSWORD.into(), b"planted certificate\n".to_vec()));
}

/// What a task has read, without the paths of its files.
fn without_paths(mut printed: Value) -> Value {
    for variable in printed["variables"].as_object_mut().unwrap().values_mut() {
        if let Some(file) = variable.as_object_mut() {
            file.remove("path");
        }
    }
    printed
}

#[tokio::test]
async fn a_command_sees_what_the_pod_sees_whichever_manager_serves_it() {
    bed().with_node();
    let namespace = namespace_with_secret("exec-same").await;
    let mut setup = Setup::with(json!({
        "secretManagerTypes": ["Embedded", "K8s"], "embeddedSecretManagerConfig": local_store(), "delivery": "SecretRef",
    }));
    setup.env.push(("FLYTE_SECRET_G_K".to_owned(), PASSWORD.to_owned()));
    let webhook = Webhook::start(&namespace, setup).await;
    let id = |name: &str| format!("u__org__flyte__domain__development__project__flytesnacks__key__{name}");
    let binary: Vec<u8> = (0..=255).chain(*b"planted\n").collect();
    let stored = json!({id("text"): PASSWORD, id("Binary"): {"binary_base64": data_encoding::BASE64.encode(&binary)}});
    webhook.import(&stored).await;

    let requests = [
        request(&[("group", "g"), ("key", "k")]),
        request(&[("key", "text"), ("env_var", "TEXT")]),
        request(&[("key", "Binary"), ("mount_requirement", "FILE"), ("env_var", "BINARY_FILE")]),
        request(&[("group", "db"), ("group_version", "v2"), ("key", "password"), ("mount_requirement", "ENV_VAR")]),
        request(&[("group", "db"), ("key", "Cert.PEM"), ("mount_requirement", "FILE"), ("env_var", "CERT")]),
        request(&[("group", "db"), ("key", "nothing"), ("mount_requirement", "ENV_VAR"), ("env_var", "NOTHING")]),
    ];
    let questions = json!([
        {"group": "g", "key": "k"},
        {"group": "db", "key": "password"},
        {"group": "db", "key": "password", "group_version": "v2"},
        {"group": "db", "key": "Cert.PEM"},
    ]);
    let variables = json!(["TEXT", "BINARY_FILE", "CERT", "NOTHING"]);
    let pod = reading_pod(&requests, &questions, &variables);
    let in_pod = run_pod(&namespace, &pod).await;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pod.json");
    std::fs::write(&file, pod.to_string()).unwrap();
    let mut command = webhook.command(&["exec", "-n", &namespace.name, "-f", file.to_str().unwrap()]);
    command.arg("--").arg(environment("FLYTE_SECRETS_VENV").join("bin/python")).args([
        "-c",
        PROGRAM,
        &questions.to_string(),
        &variables.to_string(),
    ]);
    let output = run(command).await;
    assert_eq!(without_paths(printed(&output)), without_paths(in_pod.clone()));
    assert_eq!(in_pod["secrets"], json!([PASSWORD, PASSWORD, PASSWORD, "planted certificate"]));
    assert!(told(&output).contains("the variable NOTHING has no value"), "{output:?}");
}
