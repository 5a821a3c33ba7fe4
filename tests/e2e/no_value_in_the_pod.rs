//! With `webhook.delivery: SecretRef` a value stands in a Secret of the pod's namespace, and in no other object, log or event.

use std::path::PathBuf;

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::harness::pod::{container, variable};
use crate::harness::webhook::local_store;
use crate::harness::{Api, Setup, Webhook, bed, request, task_pod};

const TEXT: &str = "planted-text-for-a-variable";
const FILE: &[u8] = b"planted-bytes-for-a-file\xff\x00";
const GLOBAL: &str = "planted-global-$(X)-$$";

fn id(name: &str) -> String {
    format!("u__org__flyte__domain__development__project__flytesnacks__key__{name}")
}

#[tokio::test]
async fn a_value_stands_in_a_secret_and_nowhere_else() {
    // The API server's audit log holds this namespace's pods and events, as they came and as they were stored.
    let namespace = bed().namespace_named("audited").await;
    let mut setup = Setup::with(json!({
        "secretManagerTypes": ["Embedded"], "embeddedSecretManagerConfig": local_store(), "delivery": "SecretRef",
    }));
    setup.env.push(("FLYTE_SECRET_G_K".to_owned(), GLOBAL.to_owned()));
    let webhook = Webhook::start(&namespace, setup).await;
    webhook.import(&json!({id("text"): TEXT, id("Bytes"): {"binary_base64": BASE64.encode(FILE)}})).await;
    let requests = [
        request(&[("group", "g"), ("key", "k"), ("mount_requirement", "ENV_VAR")]),
        request(&[("key", "text"), ("mount_requirement", "ENV_VAR"), ("env_var", "TEXT")]),
        request(&[("key", "Bytes"), ("mount_requirement", "FILE"), ("env_var", "BYTES")]),
    ];
    let pod = namespace.create_pod(&task_pod("delivered", &requests)).await.unwrap();

    for (name, expected) in [("_UNION_G_K", GLOBAL.as_bytes()), ("TEXT", TEXT.as_bytes())] {
        let reference = &variable(&pod, "main", name)["valueFrom"]["secretKeyRef"];
        assert_eq!(value(&namespace.api, &namespace.path("secrets"), reference).await, expected, "{name}: {pod}");
    }
    assert_eq!(variable(&pod, "main", "BYTES")["value"], "/etc/flyte/secrets/Bytes");
    assert_eq!(container(&pod, "main")["volumeMounts"][0]["mountPath"], "/etc/flyte/secrets");
    let source = &pod["spec"]["volumes"][0]["projected"]["sources"][0]["secret"];
    let reference = json!({"name": source["name"], "key": source["items"][0]["key"]});
    assert_eq!(value(&namespace.api, &namespace.path("secrets"), &reference).await, FILE, "{pod}");

    let audited = std::fs::read_to_string(audit_log()).unwrap();
    assert!(audited.contains("\"name\":\"delivered\""), "the audit log holds the pod");
    let events = namespace.api.get(&namespace.path("events")).await.unwrap().to_string();
    let metrics = webhook.plain("/metrics").await.unwrap().1;
    let etcd = etcd_outside_secrets().await;
    assert!(etcd.contains("/registry/pods/audited/delivered"), "etcd's pods were read");
    for (place, text) in
        [("audit log", audited), ("events", events), ("metrics", metrics), ("etcd", etcd), ("log", webhook.logged())]
    {
        for value in [TEXT.as_bytes(), &FILE[..24], GLOBAL.as_bytes()] {
            // A patch travels in base64, and so does a Secret's data: any alignment of the first bytes would do.
            let plain = String::from_utf8_lossy(value).into_owned();
            let encoded = (0..3).map(|skip| BASE64.encode(&value[skip..][..12]));
            for form in std::iter::once(plain).chain(encoded) {
                assert!(!text.contains(&form), "{form} stands in the {place}");
            }
        }
    }
}

/// What a key of a Secret holds.
async fn value(api: &Api, secrets: &str, reference: &Value) -> Vec<u8> {
    let (name, key) = (reference["name"].as_str().unwrap(), reference["key"].as_str().unwrap());
    let secret = api.get(&format!("{secrets}/{name}")).await.unwrap();
    BASE64.decode(secret["data"][key].as_str().unwrap().as_bytes()).unwrap()
}

fn audit_log() -> PathBuf {
    bed().kubeconfig.with_file_name("log").join("audit.log")
}

/// Every key of etcd and what it holds, all but Secrets, as text.
async fn etcd_outside_secrets() -> String {
    let port = std::env::var("KTB_ETCD_PORT").unwrap_or_else(|_| "26379".to_owned());
    let secrets = b"/registry/secrets/";
    let mut all = String::new();
    let after = b"/registry/secrets0";
    for (from, to) in [(&b"\x00"[..], &secrets[..]), (&after[..], &b"\x00"[..])] {
        let range = json!({"key": BASE64.encode(from), "range_end": BASE64.encode(to)});
        let answer = crate::harness::plain_http::post(&format!("127.0.0.1:{port}"), "/v3/kv/range", &range).await;
        for pair in answer["kvs"].as_array().into_iter().flatten() {
            for part in ["key", "value"] {
                let bytes = BASE64.decode(pair[part].as_str().unwrap_or_default().as_bytes()).unwrap();
                all.push_str(&String::from_utf8_lossy(&bytes));
                all.push('\n');
            }
        }
    }
    all
}
