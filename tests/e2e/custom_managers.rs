//! Managers described in configuration: the examples, and one of the test's own on a real node.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::flytekit::{reading_pod, run};
use crate::harness::pod::container;
use crate::harness::program::{self, command, run_ok};
use crate::harness::{Namespace, Setup, Webhook, bed, request, task_pod};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/custom-managers").join(name)
}

/// A webhook with the description of an example, as it stands in the tree.
fn configured(name: &str, namespace: &Namespace, example_name: &str) -> Webhook {
    let webhook = Webhook::configure(name, &namespace.name, Setup::with(json!({})));
    std::fs::copy(example(example_name), webhook.config_dir().join("example.yaml")).unwrap();
    webhook
}

async fn start(mut webhook: Webhook, namespace: &Namespace) -> Webhook {
    webhook.init_certs().await;
    webhook.spawn();
    webhook.ready().await;
    webhook.called(namespace).await;
    webhook
}

fn file(group: &str, key: &str, version: &str) -> String {
    request(&[("group", group), ("group_version", version), ("key", key), ("mount_requirement", "FILE")])
}

/// The pod as `inject` makes it of a configuration, without a webhook.
async fn injected(pod: &Value, example_name: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("pod.json");
    std::fs::write(&input, pod.to_string()).unwrap();
    let config = example(example_name);
    let arguments = ["inject", "-o", "json", "-f", input.to_str().unwrap(), "--config", config.to_str().unwrap()];
    serde_json::from_str(&run_ok(command(&program::path(), &arguments)).await).unwrap()
}

/// The pod of an example, stored by the API server; what `inject` makes of it passes strict validation.
async fn stored(example_name: &str, requests: &[String]) -> Value {
    let namespace = bed().namespace("custom").await;
    let mut pod = task_pod("t", requests);
    let strict = format!("{}?dryRun=All&fieldValidation=Strict", namespace.path("pods"));
    namespace.api.create(&strict, &injected(&pod, example_name).await).await.unwrap();

    let first = start(configured(&namespace.name, &namespace, example_name), &namespace).await;
    pod["metadata"]["name"] = json!("one");
    let one = namespace.create_pod(&pod).await.unwrap();
    // A second registration of the same description: everything is there, with what the API server has filled in.
    let second = start(configured(&format!("{}-2", namespace.name), &namespace, example_name), &namespace).await;
    pod["metadata"]["name"] = json!("two");
    let two = namespace.create_pod(&pod).await.unwrap();
    assert_eq!(one["spec"], two["spec"], "nothing is doubled");
    let counted = first.metric("admissions_total").await;
    assert!(counted > 0.0 && second.calls().await > 0.0);
    two
}

fn names<'a>(pod: &'a Value, list: &str) -> Vec<&'a str> {
    pod["spec"][list].as_array().into_iter().flatten().map(|one| one["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn confidant_is_asked_by_one_init_container_a_secret() {
    let requests = [file("payments-production", "Stripe", ""), file("payments-production", "it's $(HOME)", "")];
    let pod = stored("confidant.yaml", &requests).await;
    assert_eq!(names(&pod, "volumes"), ["confidant-secrets", "confidant-config"]);
    let scripts: Vec<&str> =
        pod["spec"]["initContainers"].as_array().unwrap().iter().map(|one| one["args"][0].as_str().unwrap()).collect();
    assert!(scripts[0].contains("service=payments-production key=Stripe\n"), "{}", scripts[0]);
    assert!(scripts[1].contains(r"key='it'\''s $$(HOME)'"), "{}", scripts[1]);
    assert_eq!(container(&pod, "main")["volumeMounts"][0]["mountPath"], "/etc/flyte/secrets");
}

#[tokio::test]
async fn the_secrets_store_csi_driver_mounts_one_volume_a_class() {
    let requests = [file("Db", "user", ""), file("Db", "password", ""), file("mail", "token", "")];
    let pod = stored("secrets-store-csi.yaml", &requests).await;
    let volumes = pod["spec"]["volumes"].as_array().unwrap();
    assert_eq!(volumes.len(), 2, "{pod}");
    let csi = json!({"driver": "secrets-store.csi.k8s.io", "readOnly": true, "volumeAttributes": {"secretProviderClass": "Db"}});
    assert_eq!(volumes[0]["csi"], csi);
    let mounts = container(&pod, "main")["volumeMounts"].as_array().unwrap();
    let paths: Vec<_> = mounts.iter().map(|mount| mount["mountPath"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/etc/flyte/secrets/db", "/etc/flyte/secrets/mail"]);
}

#[tokio::test]
async fn one_password_is_asked_without_a_shell() {
    let pod = stored("onepassword.yaml", &[file("Db", "Password", "")]).await;
    let fetching = &pod["spec"]["initContainers"][0];
    assert_eq!(fetching["command"][6], "op://flyte/Db/Password");
    assert_eq!(fetching["volumeMounts"][0]["subPath"], "db");
}

#[tokio::test]
async fn infisical_is_asked_by_its_agent_or_by_its_command_line() {
    let pod = stored("infisical.yaml", &[file("shared", "TOKEN", "1"), file("team/db", "PASSWORD", "")]).await;
    assert_eq!(pod["metadata"]["annotations"]["org.infisical.com/inject"], "true");
    let command = pod["spec"]["initContainers"][0]["command"].as_array().unwrap();
    assert_eq!(command[3..], ["fetch", "PASSWORD", "team/db", "password"]);
}

#[tokio::test]
async fn names_that_try_to_leave_their_place_are_declined_or_stay_in_it() {
    let long = "x".repeat(300);
    let odd = [
        "..",
        "../../etc",
        "/etc/passwd",
        "a/b",
        "%2f",
        "__",
        "-rf",
        "--help",
        "a b",
        "ü",
        "a:b",
        "$(HOME)",
        "'; id; '",
        "{{key}}",
        "\"",
        "\\",
        "*",
        "~",
        ".",
        &long,
    ];
    for name in ["confidant.yaml", "secrets-store-csi.yaml", "onepassword.yaml", "infisical.yaml"] {
        let namespace = bed().namespace("custom-names").await;
        let _webhook = start(configured(&namespace.name, &namespace, name), &namespace).await;
        let mut served = 0;
        for (group, key) in odd.iter().flat_map(|odd| [(*odd, "key"), ("group", *odd)]) {
            match namespace.try_pod(&task_pod("t", &[file(group, key, "")])).await {
                Ok(_) => served += 1,
                // Ours, with a reason: never the API server's word on an invalid pod.
                Err(refused) => {
                    assert_eq!(refused.code, 400, "{name} {group:?} {key:?}: {}", refused.message);
                    assert!(
                        refused.message.contains("none of the secret managers injected secret"),
                        "{}",
                        refused.message
                    );
                }
            }
        }
        assert!(served > 0 || name == "onepassword.yaml", "{name}");
    }
}

#[tokio::test]
async fn a_template_that_could_break_out_keeps_the_webhook_from_starting() {
    let namespace = bed().namespace("custom-refused").await;
    let cases = [
        (
            "command: [sh, -ec, \"get '{{key}}'\"]",
            "bad.yaml:9:32: webhook.customSecretManagers.Mine.file.initContainers.0.command.2: {{key}} in a shell script could break out",
        ),
        (
            "command: [get, \"{{kye}}\"]",
            "bad.yaml:9:28: webhook.customSecretManagers.Mine.file.initContainers.0.command.1: `{{kye}}` names no field",
        ),
        (
            "commandd: [get]",
            "bad.yaml:9:23: webhook.customSecretManagers.Mine.file.initContainers.0.commandd: Kubernetes has no such field",
        ),
    ];
    for (line, expected) in cases {
        let mut webhook = Webhook::configure(&namespace.name, &namespace.name, Setup::with(json!({})));
        let bad = format!(
            "webhook:\n  secretManagerTypes: [Mine]\n  customSecretManagers:\n    - name: Mine\n      requires: [key]\n      \
             file:\n        initContainers:\n          - name: get-{{{{id}}}}\n            {line}\n            image: x\n"
        );
        std::fs::write(webhook.config_dir().join("bad.yaml"), bad).unwrap();
        webhook.spawn();
        assert!(!webhook.ended().await.success());
        assert!(webhook.logged().contains(expected), "{expected}\n{}", webhook.logged());
    }
}

/// A manager that really runs: a script in busybox writes what it was given, so that every byte on the way can be seen.
#[tokio::test]
async fn what_a_request_says_reaches_the_program_in_the_init_container_byte_for_byte() {
    bed().with_node();
    let namespace = bed().namespace("custom-node").await;
    let setup = Setup::with(json!({
        "secretManagerTypes": ["Mine"],
        "customSecretManagers": [{
            "name": "Mine", "requires": ["group", "key"],
            "file": {
                "path": "/etc/flyte/secrets/{{group|lower}}/{{key|lower}}",
                "volumes": [{"name": "mine", "emptyDir": {"medium": "Memory"}}],
                "volumeMounts": [{"name": "mine", "mountPath": "/etc/flyte/secrets", "readOnly": true}],
                "initContainers": [{
                    "name": "mine-{{id}}", "image": "localhost/busybox:1", "imagePullPolicy": "Never",
                    "command": ["sh", "-euc"],
                    "args": [
                        "f=/out/{{group|lower|path|sh}}/{{key|lower|path|sh}}\nmkdir -p \"${f%/*}\"\n\
                         x=$(printf %s {{group|sh}})\nprintf '%s|%s|%s|%s' \"$x\" {{key|json|sh}} \"$KEY\" \"$1\" > \"$f\"",
                        "script", "{{key}}",
                    ],
                    "env": [{"name": "KEY", "value": "{{key}}"}],
                    "volumeMounts": [{"name": "mine", "mountPath": "/out"}],
                }],
            },
        }],
    }));
    let _webhook = Webhook::start(&namespace, setup).await;
    let odd = [
        ("db", "password"),
        ("it's $(PATH) $$", "A \"B\" `id` $(id) ${HOME} $$(KEY) \\ ;|&"),
        ("ünï code", "{{group}} '$x' %2f # *"),
    ];
    let requests: Vec<String> = odd.iter().map(|(group, key)| file(group, key, "")).collect();
    // The questions stand in the pod, too, where the kubelet reads `$`.
    let text = |text: &str| text.replace('$', "$$");
    let questions: Vec<Value> =
        odd.iter().map(|(group, key)| json!({"group": text(group), "key": text(key)})).collect();
    let read = run(&namespace, &reading_pod(&requests, &json!(questions), &json!([]))).await;
    for (index, (group, key)) in odd.iter().enumerate() {
        assert_eq!(read["secrets"][index], format!("{group}|{}|{key}|{key}", json!(key)), "{read}");
    }
}
