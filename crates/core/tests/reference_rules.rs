//! Rules of the reference that no golden pod shows: several requests of one pod, and their order.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{injected, settings};
use flyte_secrets_core::annotations::encode_all;
use flyte_secrets_core::settings::InitContainerPlacement;
use flyte_secrets_core::{MountRequirement, Secret};
use serde_json::{Value, json};

fn file(group: &str, version: &str, key: &str) -> Secret {
    Secret {
        group: group.to_owned(),
        group_version: version.to_owned(),
        key: key.to_owned(),
        mount_requirement: MountRequirement::FILE,
        env_var: String::new(),
    }
}

/// The pod that comes out; the store holds `a` and `b`, and fetch containers come last as in the reference.
fn played(managers: &[&str], requests: &[Secret]) -> Value {
    let annotations: serde_json::Map<String, Value> =
        encode_all(requests).unwrap().into_iter().map(|(name, value)| (name, value.into())).collect();
    let labels = json!({"organization": "flyte", "project": "p", "domain": "d"});
    let id = |key: &str| format!("u__org__flyte__domain__d__project__p__key__{key}");
    let case = json!({
        "config": {"secretManagerTypes": managers},
        "store": {id("a"): {"string": "1"}, id("b"): {"string": "2"}},
        "pod": {"metadata": {"labels": labels, "annotations": annotations}, "spec": {"containers": [{"name": "main"}]}}
    });
    let mut settings = settings(&case);
    settings.init_container_placement = InitContainerPlacement::Last;
    let result = injected(&case, &settings, &case["pod"]).unwrap();
    assert!(result.served_by.iter().all(Option::is_some), "{:?}", result.declined);
    result.pod
}

#[test]
fn the_mount_of_embedded_files_comes_with_the_first_one_only() {
    let pod = played(&["Embedded", "AWS"], &[file("", "", "a"), file("g", "", "k"), file("", "", "b")]);
    let inits = &pod["spec"]["initContainers"];
    assert_eq!(inits[1]["name"], "aws-pull-secret-1");
    assert_eq!(inits[1]["volumeMounts"], json!([{"mountPath": "/tmp", "name": "aws-secret-vol"}]));
    assert_eq!(inits[0]["env"][2], json!({"name": "SECRETS", "value": "a=MQ==\nb=Mg==\n"}));
}

#[test]
fn requests_that_differ_in_anything_have_a_line_of_the_writer_each() {
    let pod = played(&["Embedded"], &[file("", "", "a"), file("g", "", "a")]);
    let env = pod["spec"]["initContainers"][0]["env"].as_array().unwrap().clone();
    assert_eq!(env.last().unwrap()["value"], "a=MQ==\na=MQ==\n");
}

#[test]
fn requests_that_differ_in_anything_have_a_vault_id_each() {
    let any = Secret { mount_requirement: MountRequirement::ANY, ..file("g", "", "k") };
    let named = Secret { env_var: "E".to_owned(), ..file("g", "", "k") };
    let requests = [file("g", "", "k"), file("g", "kv1", "k"), any, named, file("g", "", "k")];
    let annotations = played(&["Vault"], &requests)["metadata"]["annotations"].as_object().unwrap().clone();
    let secrets = annotations.keys().filter(|name| name.starts_with("vault.hashicorp.com/agent-inject-secret-"));
    assert_eq!(secrets.count(), 4, "the last request is the first one");
}

#[test]
fn a_fetch_container_has_what_is_added_behind_it_and_not_what_was_there_before() {
    let pod = played(&["AWS", "GCP"], &[file("g", "", "k"), file("g", "1", "")]);
    let inits = &pod["spec"]["initContainers"];
    let mounts = |index: usize| -> Vec<&str> {
        inits[index]["volumeMounts"].as_array().unwrap().iter().map(|mount| mount["name"].as_str().unwrap()).collect()
    };
    assert_eq!(mounts(0), ["aws-secret-vol", "gcp-secret-vol"]);
    assert_eq!(mounts(1), ["gcp-secret-vol"]);
}
