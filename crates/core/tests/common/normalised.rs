//! When two pods are the same. The command line's tests compare with this, too.
#![allow(missing_docs, unreachable_pub)]

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Leaves out what two equal pods may differ in.
pub fn normalised(mut pod: Value) -> Value {
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
