//! Pods as Flyte makes them.

use data_encoding::{Encoding, Specification};
use serde_json::{Value, json};

/// A field of a request and its value; `mount_requirement` by its number.
pub(crate) type Field<'a> = (&'a str, &'a str);

/// The value of an annotation that asks for a secret: text format in base32, written apart from the product's code.
pub(crate) fn request(fields: &[Field<'_>]) -> String {
    let mut text = String::new();
    for (name, value) in fields {
        let quoted = if *name == "mount_requirement" { (*value).to_owned() } else { format!("{value:?}") };
        text.push_str(&format!("{name}: {quoted}\n"));
    }
    alphabet().encode(text.as_bytes())
}

fn alphabet() -> Encoding {
    let mut specification = Specification::new();
    specification.symbols.push_str("abcdefghijklmnopqrstuvwxyz123456");
    specification.encoding().unwrap()
}

/// A task's pod with one container `main` and these requests. It is never scheduled, so that it is there as stored.
pub(crate) fn task_pod(name: &str, requests: &[String]) -> Value {
    let annotations: serde_json::Map<_, _> =
        requests.iter().enumerate().map(|(n, text)| (format!("flyte.secrets/s{n}"), json!(text))).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {
                "inject-flyte-secrets": "true",
                "organization": "flyte", "project": "flytesnacks", "domain": "development",
            },
            "annotations": annotations,
        },
        "spec": {
            "schedulerName": "nobody",
            "automountServiceAccountToken": false,
            "containers": [{"name": "main", "image": "task:1"}],
        },
    })
}

/// The container of that name.
pub(crate) fn container<'a>(pod: &'a Value, name: &str) -> &'a Value {
    let all = pod["spec"]["containers"].as_array().into_iter().chain(pod["spec"]["initContainers"].as_array());
    all.flatten().find(|container| container["name"] == name).unwrap_or_else(|| panic!("no container {name}: {pod}"))
}

/// The names of a container's variables, in their order.
pub(crate) fn variables<'a>(pod: &'a Value, name: &str) -> Vec<&'a str> {
    let list = container(pod, name)["env"].as_array();
    list.into_iter().flatten().map(|variable| variable["name"].as_str().unwrap()).collect()
}

/// A variable of a container; null if it is not there.
pub(crate) fn variable<'a>(pod: &'a Value, container_name: &str, name: &str) -> &'a Value {
    let list = container(pod, container_name)["env"].as_array();
    list.into_iter().flatten().find(|variable| variable["name"] == name).unwrap_or(&Value::Null)
}
