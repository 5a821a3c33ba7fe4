//! The pods that Flyte's own webhook makes, made by ours through a real API server.
//!
//! Each golden pod is made twice: as the task's pod in a namespace that our webhook serves, and as what Flyte made of
//! it in a namespace that no webhook serves. What the API server stores must be the same.

use std::collections::BTreeMap;

use futures::StreamExt;
use serde_json::{Map, Value, json};

use crate::harness::api::Failure;
use crate::harness::webhook::{local_store, merge};
use crate::harness::{Namespace, Setup, Webhook, bed};

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/core/testdata/public.json");

/// Webhooks that run at a time.
const AT_ONCE: usize = 4;

#[tokio::test]
async fn the_stored_pod_is_the_one_that_flytes_own_webhook_would_have_made() {
    let unserved = bed().namespace("golden-flyte").await;
    let groups = groups();
    let cases: usize = groups.values().map(Vec::len).sum();
    assert!(cases >= 90, "only {cases} golden pods are left: look at `concerns_the_cluster`");

    let checks = groups.into_values().map(|cases| check_group(&unserved, cases));
    let wrong: Vec<String> = futures::stream::iter(checks).buffer_unordered(AT_ONCE).concat().await;
    assert!(wrong.is_empty(), "{} of {cases} differ:\n{}", wrong.len(), wrong.join("\n"));
    println!("figure: golden_pods_through_api_server = {cases} pods");
}

/// The golden cases, those with the same configuration together.
fn groups() -> BTreeMap<String, Vec<Value>> {
    let text = std::fs::read_to_string(VECTORS).unwrap_or_else(|e| panic!("{VECTORS}: {e}"));
    let mut vectors: Value = serde_json::from_str(&text).unwrap();
    let Value::Array(cases) = vectors["cases"].take() else { panic!("{VECTORS} has no cases") };
    let mut groups: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for case in cases.into_iter().filter(concerns_the_cluster) {
        let key = ["profile", "config", "secrets_config", "env", "files", "store"].map(|name| case[name].to_string());
        groups.entry(key.join("\n")).or_default().push(case);
    }
    groups
}

/// Left out are the cases that depart from Flyte on purpose, those that need Secrets for image pulls, and those whose
/// store fails in a way that a file cannot: unit tests look at them.
fn concerns_the_cluster(case: &Value) -> bool {
    let store = case["store"].as_object().into_iter().flat_map(Map::values);
    let failing = store.into_iter().any(|value| value.get("error").is_some());
    let pulls_images = !case["config"]["embeddedSecretManagerConfig"]["imagePullSecrets"].is_null();
    case["departs"].as_array().is_none_or(Vec::is_empty) && !pulls_images && !failing
}

async fn check_group(unserved: &Namespace, cases: Vec<Value>) -> Vec<String> {
    let served = bed().namespace("golden").await;
    let _webhook = webhook_of(&served, &cases[0]).await;
    let mut wrong = Vec::new();
    for case in &cases {
        if let Err(why) = check(&served, unserved, case).await {
            wrong.push(format!("{}: {why}", case["name"]));
        }
    }
    wrong
}

/// A webhook with the configuration, the environment, the files and the store of a case.
async fn webhook_of(served: &Namespace, case: &Value) -> Webhook {
    let mut section = json!({
        "profile": if case["profile"] == "v1" { "flyte1" } else { "flyte2" },
        // As Flyte does it, so that the pods can be compared whole.
        "initContainerPlacement": "Last",
        "onManagerFailure": "Next",
        "embeddedSecretManagerConfig": local_store(),
    });
    merge(&mut section, case["config"].clone());
    let mut setup = Setup::with(section);
    setup.env = members(&case["env"]).map(|(name, value)| (name.clone(), text(value))).collect();
    setup.secrets = json!(members(&case["secrets_config"]).collect::<BTreeMap<_, _>>());
    let mut webhook = Webhook::configure(&served.name, &served.name, setup);
    for (path, content) in members(&case["files"]) {
        let file = webhook.secrets_prefix().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text(content)).unwrap();
    }
    if case["store"].as_object().is_some_and(|store| !store.is_empty()) {
        webhook.import(&case["store"]).await;
    }
    webhook.init_certs().await;
    webhook.spawn();
    webhook.ready().await;
    webhook.called(served).await;
    webhook
}

async fn check(served: &Namespace, unserved: &Namespace, case: &Value) -> Result<(), String> {
    let ours = served.create_pod(&prepared(case, &case["pod"])).await;
    if case["expect"]["admission"] == "denied" {
        return match ours {
            Err(refusal) if Some(u64::from(refusal.code)) == case["expect"]["code"].as_u64() => Ok(()),
            other => Err(format!("should be refused with {}, but: {other:?}", case["expect"]["code"])),
        };
    }
    let expected = if case["expect"]["admission"] == "patched" { &case["expect"]["pod"] } else { &case["pod"] };
    let theirs = unserved.create_pod(&prepared(case, expected)).await;
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => same(&compared(&ours), &compared(&theirs)),
        // A pod that Kubernetes itself refuses must be refused with the same words.
        (Err(Failure { message: ours, .. }), Err(Failure { message: theirs, .. })) if ours == theirs => Ok(()),
        (ours, theirs) => Err(format!("ours: {}\n  Flyte's: {}", outcome(&ours), outcome(&theirs))),
    }
}

/// A golden pod, for a namespace of ours, never scheduled, named after its case.
fn prepared(case: &Value, pod: &Value) -> Value {
    let mut pod = pod.clone();
    pod["metadata"]["name"] = json!(text(&case["name"]).replace('_', "-"));
    pod["metadata"].as_object_mut().unwrap().remove("namespace");
    pod["spec"]["schedulerName"] = json!("nobody");
    pod["spec"]["automountServiceAccountToken"] = json!(false);
    pod
}

/// What counts of a stored pod: labels, annotations and spec.
fn compared(stored: &Value) -> Value {
    let mut spec = stored["spec"].clone();
    // The program that writes Embedded files is our own.
    for container in spec["initContainers"].as_array_mut().into_iter().flatten() {
        if container["env"].as_array().into_iter().flatten().any(|variable| variable["name"] == "SECRETS") {
            container["command"] = Value::Null;
        }
    }
    let (annotations, vault) = vault_apart(&stored["metadata"]["annotations"]);
    json!({"labels": stored["metadata"]["labels"], "annotations": annotations, "vault": vault, "spec": spec})
}

/// The annotations with an id of Vault's agent as a list without the ids, which each program may choose.
fn vault_apart(annotations: &Value) -> (Value, Value) {
    let mut others = Map::new();
    let mut secrets: BTreeMap<&str, BTreeMap<&str, &Value>> = BTreeMap::new();
    for (name, value) in members(annotations) {
        let part = ["secret", "file", "template"].into_iter().find_map(|part| {
            Some((part, name.strip_prefix("vault.hashicorp.com/agent-inject-")?.strip_prefix(part)?.strip_prefix('-')?))
        });
        match part {
            Some((part, id)) => drop(secrets.entry(id).or_default().insert(part, value)),
            None => drop(others.insert(name.clone(), value.clone())),
        }
    }
    let mut secrets: Vec<Value> = secrets.into_values().map(|secret| json!(secret)).collect();
    secrets.sort_by_key(Value::to_string);
    (Value::Object(others), Value::Array(secrets))
}

fn same(ours: &Value, theirs: &Value) -> Result<(), String> {
    let mut differences = Vec::new();
    differ("", ours, theirs, &mut differences);
    if differences.is_empty() { Ok(()) } else { Err(differences.join("\n  ")) }
}

fn differ(path: &str, ours: &Value, theirs: &Value, out: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            for name in a.keys().chain(b.keys().filter(|name| !a.contains_key(*name))) {
                differ(&format!("{path}.{name}"), &ours[name], &theirs[name], out);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (n, (ours, theirs)) in a.iter().zip(b).enumerate() {
                differ(&format!("{path}[{n}]"), ours, theirs, out);
            }
        }
        _ if ours == theirs => {}
        _ => out.push(format!("{path}: ours {ours}, Flyte's {theirs}")),
    }
}

fn outcome(result: &Result<Value, Failure>) -> String {
    match result {
        Ok(_) => "stored".to_owned(),
        Err(failure) => format!("{} {}", failure.code, failure.message),
    }
}

fn members(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
