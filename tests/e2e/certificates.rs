//! `init-certs`: the Secret with the webhook's certificates.

use std::path::Path;

use data_encoding::BASE64;
use serde_json::{Value, json};

use tokio::process::Command;

use crate::harness::certs::Authority;
use crate::harness::identity::service_account;
use crate::harness::program::run;
use crate::harness::{Namespace, Setup, Webhook, bed};

/// The last year of certificates that are valid for long enough.
const LATER: i32 = 2040;

async fn new(purpose: &str) -> (Namespace, Webhook) {
    let namespace = bed().namespace(purpose).await;
    let webhook = Webhook::configure(&namespace.name, &namespace.name, Setup::default());
    (namespace, webhook)
}

async fn secret(namespace: &Namespace) -> Value {
    namespace.api.get(&format!("{}/{}", namespace.path("secrets"), namespace.name)).await.unwrap()
}

/// A Secret as `init-certs` makes it, with a certificate of the test's own.
fn by_hand(namespace: &Namespace, names: &[&str], last_year: i32) -> Value {
    let authority = Authority::new("by hand");
    let leaf = authority.leaf(names, last_year);
    json!({
        "metadata": {"name": namespace.name},
        "type": "Opaque",
        "data": {
            "ca.crt": BASE64.encode(authority.pem.as_bytes()),
            "tls.crt": BASE64.encode(leaf.certificate.as_bytes()),
            "tls.key": BASE64.encode(leaf.key.as_bytes()),
        },
    })
}

/// The names that a certificate of this webhook must hold.
fn names(namespace: &Namespace) -> Vec<String> {
    let name = &namespace.name;
    let service = [name.clone(), format!("{name}.{name}"), format!("{name}.{name}.svc")];
    service.into_iter().chain([format!("{name}.{name}.svc.cluster.local"), "127.0.0.1".to_owned()]).collect()
}

#[tokio::test]
async fn init_certs_makes_the_secret_and_a_second_run_keeps_it() {
    let (namespace, webhook) = new("made").await;
    webhook.init_certs().await;
    let made = secret(&namespace).await;
    for key in ["ca.crt", "tls.crt", "tls.key"] {
        let on_disk = std::fs::read(webhook.cert_dir().join(key)).unwrap();
        assert_eq!(made["data"][key], BASE64.encode(&on_disk), "webhook.localCert writes {key} too");
    }
    assert_eq!(mode(&webhook.cert_dir().join("tls.key")), 0o600);

    webhook.init_certs().await;
    assert_eq!(secret(&namespace).await["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
}

fn mode(file: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_valid_secret_that_flyte_made_immutable_is_kept() {
    let (namespace, webhook) = new("kept").await;
    let names = names(&namespace);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut there = by_hand(&namespace, &names, LATER);
    there["immutable"] = json!(true);
    let there = namespace.api.create(&namespace.path("secrets"), &there).await.unwrap();

    webhook.init_certs().await;
    assert_eq!(secret(&namespace).await["metadata"]["uid"], there["metadata"]["uid"]);
    assert_eq!(secret(&namespace).await["data"], there["data"]);
}

#[tokio::test]
async fn a_secret_that_cannot_serve_is_replaced() {
    let (namespace, webhook) = new("replaced").await;
    let all = names(&namespace);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let mut immutable = by_hand(&namespace, &all, 2021);
    immutable["immutable"] = json!(true);
    let mut incomplete = by_hand(&namespace, &all, LATER);
    incomplete["data"].as_object_mut().unwrap().remove("tls.key");
    let cases = [
        ("expired", by_hand(&namespace, &all, 2021)),
        ("expired and immutable", immutable),
        ("for other names", by_hand(&namespace, &["other.example.com"], LATER)),
        ("without its key", incomplete),
        ("no certificate", json!({"metadata": {"name": namespace.name}, "stringData": {"tls.crt": "x"}})),
    ];
    let path = format!("{}/{}", namespace.path("secrets"), namespace.name);
    for (what, there) in cases {
        let there = namespace.api.create(&namespace.path("secrets"), &there).await.unwrap();
        webhook.init_certs().await;
        let now = secret(&namespace).await;
        assert_ne!(now["data"]["tls.crt"], there["data"]["tls.crt"], "{what}: still there");
        for key in ["ca.crt", "tls.crt", "tls.key"] {
            assert!(now["data"][key].is_string(), "{what}: {key} is missing");
        }
        namespace.api.delete(&path).await.unwrap();
    }
}

#[tokio::test]
async fn a_verb_that_is_missing_for_the_secret_is_named() {
    let verbs = |verbs: &[&str]| json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": verbs}]);
    for (rights, missing) in [(json!([]), "get"), (verbs(&["get"]), "create")] {
        let (namespace, mut webhook) = new("no-right").await;
        let kubeconfig = service_account(&namespace, rights.clone()).await;
        webhook.set_env("KUBECONFIG", kubeconfig.to_str().unwrap());

        let output = run(webhook.command(&["init-certs"])).await;
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "with {rights} it cannot work");
        for word in [missing, "secrets", namespace.name.as_str()] {
            assert!(errors.contains(word), "{word} is not in: {errors}");
        }
    }
}

/// The same command with a disk of 4 KiB, on which one small file has room, in the place of `folder`.
fn on_a_full_disk(folder: &Path, command: &Command) -> Command {
    let script = r#"mount -t tmpfs -o size=4k full "$0" && exec "$@""#;
    let mut full = Command::new("unshare");
    full.args(["--map-root-user", "--mount", "sh", "-c", script]).arg(folder);
    let command = command.as_std();
    full.arg(command.get_program()).args(command.get_args()).env_clear().kill_on_drop(true);
    for (name, value) in command.get_envs() {
        value.map(|value| full.env(name, value));
    }
    full
}

#[tokio::test]
async fn a_folder_that_is_read_only_and_a_full_disk_are_named_and_nothing_is_served() {
    let read_only = |webhook: &Webhook, command: &str| {
        let mut command = webhook.command(&[command]);
        command.arg("--webhook.certDir=/proc/flyte-secrets");
        command
    };
    let full = |webhook: &Webhook, command: &str| {
        std::fs::create_dir_all(webhook.cert_dir()).unwrap();
        on_a_full_disk(&webhook.cert_dir(), &webhook.command(&[command]))
    };
    let (namespace, mut webhook) = new("disk").await;
    webhook.set_env("POD_NAME", "webhook-0");
    let mut refused = Vec::new();
    for command in ["init-certs", "webhook"] {
        for (begun, told) in [
            (read_only(&webhook, command), "/proc/flyte-secrets cannot be written"),
            (full(&webhook, command), "No space left on device"),
        ] {
            let output = run(begun).await;
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success(), "{command}: {told}");
            assert!(errors.contains(told) && errors.contains("webhook.certDir"), "{command}: {told}: {errors}");
            refused.push((command, told));
        }
    }
    let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", namespace.name);
    let events = namespace.api.get(&path).await.unwrap()["items"].as_array().unwrap().clone();
    let ours: Vec<_> = events.iter().filter(|event| event["reason"] == "WebhookFailed").collect();
    for (_, told) in refused.iter().filter(|(command, _)| *command == "webhook") {
        let about = |event: &&&Value| event["note"].as_str().unwrap().contains(told);
        let event = ours.iter().find(about).unwrap_or_else(|| panic!("no Event says {told}: {events:?}"));
        assert_eq!(event["regarding"]["name"], "webhook-0");
    }
}
