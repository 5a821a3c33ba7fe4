//! Values never stand in logs, errors or metrics. (Every test looks through the log of its webhook at the end; this
//! one goes the ways on which a value could get there.)

use data_encoding::{BASE64, HEXLOWER};
use serde_json::json;

use crate::harness::pod::variable;
use crate::harness::program::run;
use crate::harness::webhook::local_store;
use crate::harness::{Setup, Webhook, bed, request, task_pod};

const GLOBAL: &str = "planted-in-the-environment-$(X)-$$";
const FILE: &str = "planted-in-a-file\n";
const LOCAL: &str = "planted-in-the-local-store";
/// Begins like the others and is no text.
const BINARY: &[u8] = b"planted-binary-\xff\xfe\x00";

fn id(name: &str) -> String {
    format!("u__org__flyte__domain__development__project__flytesnacks__key__{name}")
}

/// The forms in which a value could be met.
fn forms(value: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(value);
    let readable = text.split('\u{fffd}').next().unwrap_or_default().trim_end().to_owned();
    // The first bytes only: what follows them changes how the last group is written.
    let start = &value[..12];
    vec![
        readable,
        BASE64.encode(start),
        HEXLOWER.encode(start),
        format!("{start:?}").trim_matches(['[', ']']).to_owned(),
    ]
}

#[tokio::test]
async fn a_planted_value_appears_in_no_log_no_error_and_no_metric() {
    let namespace = bed().namespace("secrecy").await;
    let mut setup = Setup::with(json!({
        "secretManagerTypes": ["Embedded", "K8s"], "embeddedSecretManagerConfig": local_store(),
    }));
    setup.env.push(("FLYTE_SECRET_G_ENV".to_owned(), GLOBAL.to_owned()));
    let webhook = Webhook::start(&namespace, setup).await;
    std::fs::create_dir_all(webhook.secrets_prefix().join("g")).unwrap();
    std::fs::write(webhook.secrets_prefix().join("g/file"), FILE).unwrap();
    webhook.import(&json!({id("text"): LOCAL, id("binary"): {"binary_base64": BASE64.encode(BINARY)}})).await;

    let mut seen = Vec::new();
    let kinds = ["ENV_VAR", "FILE", "ANY"];
    for key in ["env", "file", "text", "binary", "missing"] {
        for kind in kinds {
            let pod = task_pod("t", &[request(&[("group", "g"), ("key", key), ("mount_requirement", kind)])]);
            match namespace.try_pod(&pod).await {
                // The patched pod holds the value: that is what delivery PodSpec is.
                Ok(pod) if key == "env" && kind == "ENV_VAR" => {
                    let value = &variable(&pod, "main", "_UNION_G_ENV")["value"];
                    assert_eq!(value, &json!(GLOBAL.replace('$', "$$")), "the test plants what it thinks");
                }
                Ok(_) => {}
                Err(failure) => seen.push(failure.message),
            }
        }
    }
    // The store fails, and so does every command that reads it.
    std::fs::write(webhook.local_file(), [b"age-encryption.org/v1\n", LOCAL.as_bytes()].concat()).unwrap();
    let pod = task_pod("t", &[request(&[("key", "not-in-the-cache")])]);
    seen.push(namespace.try_pod(&pod).await.unwrap_err().message);
    for arguments in [["secret", "list"], ["config", "show"], ["config", "check"]] {
        let output = run(webhook.command(&arguments)).await;
        seen.push(String::from_utf8_lossy(&output.stdout).into_owned());
        seen.push(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    for page in ["/metrics", "/readyz", "/healthz"] {
        seen.push(webhook.plain(page).await.unwrap().1);
    }
    let log = webhook.logged();
    assert!(log.contains("flyte.secrets") || log.contains(&namespace.name), "the log tells of admissions: {log}");
    seen.push(log);

    for value in [GLOBAL.as_bytes(), FILE.as_bytes(), LOCAL.as_bytes(), BINARY] {
        for form in forms(value) {
            let found = seen.iter().find(|text| text.contains(&form));
            assert!(found.is_none(), "{form} stands in:\n{}", found.unwrap());
        }
    }
}
