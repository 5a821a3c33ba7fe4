//! Where a configuration that stands is not as ours shall be.

use serde_json::{Map, Value};

use super::desired::WEBHOOK_NAME;

/// Our webhook in a configuration.
pub(super) fn our_webhook(configuration: &Value) -> Option<&Value> {
    configuration["webhooks"].as_array()?.iter().find(|webhook| webhook["name"] == WEBHOOK_NAME)
}

/// The fields of `desired` that `existing` has otherwise or not at all, by the names that the documentation gives them.
pub(super) fn differences(existing: &Value, desired: &Value) -> Vec<String> {
    let mut fields = Vec::new();
    for (name, value) in members(&desired["metadata"]["annotations"]) {
        if existing["metadata"]["annotations"][name] != *value {
            fields.push(format!("metadata.annotations[{name}]"));
        }
    }
    let (ours, theirs) = (&desired["webhooks"][0], our_webhook(existing).unwrap_or(&Value::Null));
    for (name, value) in members(ours) {
        match name.as_str() {
            "clientConfig" => fields.extend(different(name, &theirs[name], value)),
            "matchConditions" => fields.extend(missing_items(name, &theirs[name], value)),
            _ if normal(&theirs[name]) != normal(value) => fields.push(name.clone()),
            _ => {}
        }
    }
    fields
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn different<'a>(path: &'a str, existing: &'a Value, desired: &'a Value) -> impl Iterator<Item = String> + 'a {
    members(desired)
        .filter(|(name, value)| normal(&existing[name.as_str()]) != normal(value))
        .map(move |(name, _)| format!("{path}.{name}"))
}

/// Items of a list that is merged by `name`.
fn missing_items<'a>(path: &'a str, existing: &'a Value, desired: &'a Value) -> impl Iterator<Item = String> + 'a {
    let there = existing.as_array().map_or(&[][..], Vec::as_slice);
    let items = desired.as_array().into_iter().flatten().filter(|item| !there.contains(item));
    items.map(move |item| format!("{path}[{}]", item["name"].as_str().unwrap_or_default()))
}

/// Without members that are empty: the API server leaves them out of what it stores.
fn normal(value: &Value) -> Value {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    };
    match value {
        Value::Array(items) => items.iter().map(normal).collect(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| (name.clone(), normal(value)));
            Value::Object(members.filter(|(_, value)| !is_empty(value)).collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(webhook: Value) -> Value {
        let mut configuration = json!({"metadata": {}, "webhooks": [{"name": "other"}, webhook]});
        configuration["webhooks"][1]["name"] = WEBHOOK_NAME.into();
        configuration
    }

    fn desired() -> Value {
        json!({
            "metadata": {"name": "x", "annotations": {"a": "b"}},
            "webhooks": [{
                "name": WEBHOOK_NAME,
                "clientConfig": {"service": {"name": "x", "port": 443}, "caBundle": "AA=="},
                "matchConditions": [{"name": "one", "expression": "true"}],
                "namespaceSelector": {"matchLabels": {"a": "b"}, "matchExpressions": []},
                "failurePolicy": "Fail",
            }],
        })
    }

    fn standing() -> Value {
        let mut standing = with(json!({
            "clientConfig": {"service": {"name": "x", "port": 443}, "caBundle": "AA=="},
            "matchConditions": [{"name": "other", "expression": "false"}, {"name": "one", "expression": "true"}],
            "namespaceSelector": {"matchLabels": {"a": "b"}},
            "failurePolicy": "Fail",
            "matchPolicy": "Equivalent",
        }));
        standing["metadata"]["annotations"] = json!({"a": "b", "c": "d"});
        standing
    }

    #[test]
    fn what_others_have_set_and_what_the_api_server_leaves_out_is_no_difference() {
        assert_eq!(differences(&standing(), &desired()), Vec::<String>::new());
    }

    #[test]
    fn each_field_that_differs_is_named() {
        for (pointer, value, name) in [
            ("/metadata/annotations/a", json!("c"), "metadata.annotations[a]"),
            ("/webhooks/1/clientConfig/caBundle", Value::Null, "clientConfig.caBundle"),
            ("/webhooks/1/clientConfig/service/port", json!(80), "clientConfig.service"),
            ("/webhooks/1/matchConditions/1/expression", json!("false"), "matchConditions[one]"),
            ("/webhooks/1/matchConditions", Value::Null, "matchConditions[one]"),
            ("/webhooks/1/namespaceSelector/matchLabels/c", json!("d"), "namespaceSelector"),
            ("/webhooks/1/failurePolicy", json!("Ignore"), "failurePolicy"),
        ] {
            let mut standing = standing();
            let (parent, member) = pointer.rsplit_once('/').unwrap();
            standing.pointer_mut(parent).unwrap()[member] = value;
            assert_eq!(differences(&standing, &desired()), [name], "{pointer}");
        }
    }

    #[test]
    fn where_our_webhook_is_not_there_everything_differs() {
        let standing = json!({"metadata": {"annotations": {"a": "b"}}, "webhooks": [{"name": "other"}]});
        assert_eq!(differences(&standing, &desired()).len(), 6);
        assert_eq!(differences(&json!({}), &desired()).len(), 7);
    }
}
