//! Every golden pod: what Flyte's own code makes of it, and where ours departs on purpose.
//!
//! `testdata/public.json` was made by running the reference's functions; its notes say how to read it.
//! Admission `denied` or `unchanged` here means that a request is served by nobody.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::BTreeMap;

use common::{injected, settings};
use flyte_secrets_core::settings::InitContainerPlacement;
use serde_json::{Value, json};

fn cases() -> Vec<Value> {
    let document: Value = serde_json::from_str(include_str!("../testdata/public.json")).unwrap();
    document["cases"].as_array().unwrap().clone()
}

/// Leaves out what two equal pods may differ in.
fn normalised(mut pod: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.retain(|name, value| {
                    strip(value);
                    let empty_list = value.as_array().is_some_and(Vec::is_empty);
                    let empty_map = value.as_object().is_some_and(serde_json::Map::is_empty);
                    !(empty_list
                        || (name == "creationTimestamp" && value.is_null())
                        || (empty_map && ["status", "resources", "annotations"].contains(&name.as_str()))
                        || (name == "value" && *value == ""))
                });
            }
            Value::Array(elements) => elements.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut pod);
    // The script of the container that writes files is ours.
    for container in pod["spec"]["initContainers"].as_array_mut().into_iter().flatten() {
        if container["env"].as_array().is_some_and(|env| env.iter().any(|variable| variable["name"] == "SECRETS")) {
            container["command"] = json!(["<script>"]);
        }
    }
    // The ids of Vault's annotations are free.
    if let Some(annotations) = pod["metadata"]["annotations"].as_object_mut() {
        let stem = |name: &str| {
            ["secret", "file", "template"]
                .map(|kind| format!("vault.hashicorp.com/agent-inject-{kind}-"))
                .into_iter()
                .find(|stem| name.starts_with(stem))
        };
        let renamed: BTreeMap<String, Value> = std::mem::take(annotations)
            .into_iter()
            .map(|(name, value)| match stem(&name) {
                Some(stem) => (format!("{stem}{value}"), value),
                None => (name, value),
            })
            .collect();
        *annotations = renamed.into_iter().collect();
    }
    pod
}

#[test]
fn pods_come_out_as_from_the_reference() {
    let mut wrong = Vec::new();
    for case in cases().iter().filter(|case| case.get("departs").is_none()) {
        let (name, expect) = (case["name"].as_str().unwrap(), &case["expect"]);
        let mut settings = settings(case);
        settings.init_container_placement = InitContainerPlacement::Last;
        let ours = injected(case, &settings, &case["pod"]).filter(|ours| ours.served_by.iter().all(Option::is_some));
        match (expect["admission"].as_str().unwrap(), ours) {
            ("patched", Some(ours)) => {
                let (pod, expected) = (normalised(ours.pod), normalised(expect["pod"].clone()));
                if pod != expected {
                    wrong.push(format!("{name}:\n ours     {pod}\n expected {expected}"));
                }
                if expect.get("served_by").is_some() && json!(ours.served_by) != expect["served_by"] {
                    wrong.push(format!("{name}: served by {:?}", ours.served_by));
                }
            }
            ("unchanged", Some(ours)) if ours.pod == case["pod"] => {}
            ("unchanged" | "denied", None) => {}
            (admission, ours) => wrong.push(format!("{name}: {admission}, ours {ours:?}")),
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_second_pass_over_our_own_output_changes_nothing() {
    for case in cases() {
        for placement in [InitContainerPlacement::AfterSidecars, InitContainerPlacement::Last] {
            let mut settings = settings(&case);
            settings.init_container_placement = placement;
            if let Some(once) = injected(&case, &settings, &case["pod"]) {
                let twice = injected(&case, &settings, &once.pod).unwrap();
                assert_eq!(once.pod, twice.pod, "{}", case["name"]);
            }
        }
    }
}
