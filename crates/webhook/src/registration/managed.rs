//! Who owns what in a configuration: its `metadata.managedFields`.

use serde_json::{Map, Value};

use super::desired::{FIELD_MANAGER, WEBHOOK_NAME};
use super::differences::our_webhook;

/// One entry: what a manager has set.
#[derive(Clone, Copy)]
struct Entry<'a> {
    manager: &'a str,
    is_apply: bool,
    fields: &'a Value,
}

fn entries(configuration: &Value) -> impl Iterator<Item = Entry<'_>> {
    configuration["metadata"]["managedFields"].as_array().into_iter().flatten().map(|entry| Entry {
        manager: entry["manager"].as_str().unwrap_or_default(),
        is_apply: entry["operation"] == "Apply",
        fields: &entry["fieldsV1"],
    })
}

fn applied(configuration: &Value) -> Option<&Value> {
    entries(configuration).find(|entry| entry.is_apply && entry.manager == FIELD_MANAGER).map(|entry| entry.fields)
}

/// The fields of our webhook in an entry.
fn of_webhook(fields: &Value) -> &Value {
    let mut webhooks = fields["f:webhooks"].as_object().into_iter().flatten();
    webhooks.find(|(key, _)| is_key_of(key, WEBHOOK_NAME)).map_or(&Value::Null, |(_, fields)| fields)
}

fn is_key_of(key: &str, name: &str) -> bool {
    key.strip_prefix("k:")
        .and_then(|key| serde_json::from_str::<Value>(key).ok())
        .is_some_and(|key| key["name"] == name)
}

/// Whether we have applied our webhook here, and nobody has put another configuration in the place of ours since.
pub(super) fn is_ours(configuration: &Value) -> bool {
    our_webhook(configuration).is_some() && applied(configuration).is_some_and(|fields| !of_webhook(fields).is_null())
}

/// Whether this is what a first step of ours left: an object of ours without any webhook.
pub(super) fn is_our_skeleton(configuration: &Value) -> bool {
    configuration["webhooks"].as_array().is_none_or(Vec::is_empty)
        && entries(configuration).any(|entry| entry.manager == FIELD_MANAGER)
}

/// Everybody who has set a field of our webhook, each once.
pub(super) fn webhook_managers(configuration: &Value) -> Vec<String> {
    let mut managers: Vec<String> = entries(configuration)
        .filter(|entry| !of_webhook(entry.fields).is_null())
        .map(|entry| entry.manager.to_owned())
        .collect();
    managers.sort();
    managers.dedup();
    managers
}

/// Whether we own the bundle, and would remove it by applying a configuration without it.
pub(super) fn bundle_is_ours_alone(configuration: &Value) -> bool {
    let owners = || entries(configuration).filter(|entry| owns_bundle(*entry));
    owners().any(|entry| entry.manager == FIELD_MANAGER) && owners().all(|entry| entry.manager == FIELD_MANAGER)
}

fn owns_bundle(entry: Entry<'_>) -> bool {
    !of_webhook(entry.fields)["f:clientConfig"]["f:caBundle"].is_null()
}

/// Whether we have applied this annotation.
pub(super) fn applied_annotation(configuration: &Value, name: &str) -> bool {
    let key = format!("f:{name}");
    applied(configuration).is_some_and(|fields| !fields["f:metadata"]["f:annotations"][key.as_str()].is_null())
}

/// Fields that are owned in parts: the reference to a Service, and a match condition beside its name.
const SERVICE: (&str, [&str; 4]) = ("clientConfig.service", ["f:name", "f:namespace", "f:path", "f:port"]);
const EXPRESSION: &str = "f:expression";

/// Whether a field, by the name that [`differences`](super::differences::differences) gives it, has its value from this program.
/// A change by anybody else would have made it theirs.
pub(super) fn is_set_by_us(configuration: &Value, field: &str) -> bool {
    entries(configuration).filter(|entry| entry.manager == FIELD_MANAGER).any(|entry| {
        let (at, name) = match field.strip_prefix("metadata.annotations") {
            Some(name) => (&entry.fields["f:metadata"]["f:annotations"], name),
            None => (of_webhook(entry.fields), field),
        };
        let (members, item) = match name.split_once('[') {
            Some((members, item)) => (members, item.strip_suffix(']')),
            None => (name, None),
        };
        let at =
            members.split('.').filter(|name| !name.is_empty()).fold(at, |at, name| &at[format!("f:{name}").as_str()]);
        match (item, at.as_object()) {
            (None, Some(fields)) => members != SERVICE.0 || SERVICE.1.iter().all(|name| fields.contains_key(*name)),
            (Some(item), Some(fields)) => fields.iter().any(|(key, below)| {
                key.strip_prefix("f:") == Some(item) || is_key_of(key, item) && !below[EXPRESSION].is_null()
            }),
            (_, None) => false,
        }
    })
}

/// What an apply of ours has set and `desired` has no more. Another apply gives it up.
pub(super) fn abandoned(configuration: &Value, desired: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    if let Some(fields) = applied(configuration).and_then(Value::as_object) {
        walk(fields, desired, "", &mut paths);
    }
    // By the names of the documentation.
    let webhook = format!("webhooks[{WEBHOOK_NAME}].");
    for path in &mut paths {
        if let Some(field) = path.strip_prefix(&webhook) {
            *path = field.to_owned();
        }
    }
    paths
}

fn walk(fields: &Map<String, Value>, desired: &Value, path: &str, abandoned: &mut Vec<String>) {
    for (key, below) in fields {
        let (wanted, path) = if let Some(name) = key.strip_prefix("f:") {
            let path = match path {
                "" => name.to_owned(),
                "metadata.annotations" => format!("{path}[{name}]"),
                _ => format!("{path}.{name}"),
            };
            (desired.get(name), path)
        } else if let Some(item) = key.strip_prefix("k:") {
            (item_of(desired, item), format!("{path}[{}]", name_in(item)))
        } else {
            // `.` is the field itself; lists of plain values are not ours.
            continue;
        };
        match (wanted, below.as_object()) {
            (None | Some(Value::Null), _) => abandoned.push(path),
            (Some(wanted), Some(below)) => walk(below, wanted, &path, abandoned),
            (Some(_), None) => {}
        }
    }
}

/// The lists that are ours are merged by name.
fn name_in(key: &str) -> String {
    let key: Value = serde_json::from_str(key).unwrap_or_default();
    key["name"].as_str().unwrap_or_default().to_owned()
}

/// The item of a list that has all members of the key.
fn item_of<'a>(list: &'a Value, key: &str) -> Option<&'a Value> {
    let key: Map<String, Value> = serde_json::from_str(key).ok()?;
    list.as_array()?.iter().find(|item| key.iter().all(|(name, value)| item[name.as_str()] == *value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KEY: &str = "k:{\"name\":\"flyte-pod-webhook.flyte.org\"}";

    fn managed(entries: &[(&str, &str, Value)]) -> Value {
        let entries: Vec<Value> = entries
            .iter()
            .map(|(manager, operation, webhook)| {
                let mut fields = json!({"f:webhooks": {}});
                fields["f:webhooks"][KEY] = webhook.clone();
                json!({"manager": manager, "operation": operation, "fieldsV1": fields})
            })
            .collect();
        json!({"metadata": {"managedFields": entries}, "webhooks": [{"name": WEBHOOK_NAME}]})
    }

    fn bundle() -> Value {
        json!({".": {}, "f:name": {}, "f:clientConfig": {"f:caBundle": {}}})
    }

    #[test]
    fn it_is_ours_if_we_applied_it_and_it_still_holds_our_webhook() {
        assert!(is_ours(&managed(&[(FIELD_MANAGER, "Apply", bundle())])));
        assert!(!is_ours(&managed(&[(FIELD_MANAGER, "Update", bundle())])));
        assert!(!is_ours(&managed(&[("flytepropeller", "Update", bundle())])));
        let mut gone = managed(&[(FIELD_MANAGER, "Apply", bundle())]);
        gone["webhooks"] = json!([]);
        assert!(!is_ours(&gone));
        assert!(is_our_skeleton(&gone));
    }

    #[test]
    fn a_bundle_that_somebody_else_has_set_too_can_be_given_up() {
        let none = || json!({"f:name": {}});
        for (ours, theirs, alone) in
            [(bundle(), none(), true), (bundle(), bundle(), false), (none(), bundle(), false), (none(), none(), false)]
        {
            let configuration = managed(&[(FIELD_MANAGER, "Apply", ours), ("cainjector", "Update", theirs)]);
            assert_eq!(bundle_is_ours_alone(&configuration), alone, "{configuration}");
        }
    }

    #[test]
    fn what_is_no_longer_wanted_is_found_at_any_depth() {
        let owned = json!({
            "f:name": {}, "f:rules": {}, "f:namespaceSelector": {},
            "f:clientConfig": {"f:caBundle": {}, "f:service": {"f:name": {}}},
            "f:matchConditions": {"k:{\"name\":\"a\"}": {".": {}, "f:name": {}}, "k:{\"name\":\"b\"}": {"f:name": {}}},
        });
        let mut configuration = managed(&[(FIELD_MANAGER, "Apply", owned)]);
        configuration["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"] =
            json!({"f:annotations": {"f:note": {}}});
        let desired = json!({
            "metadata": {"name": "x"},
            "webhooks": [{
                "name": WEBHOOK_NAME, "rules": [], "clientConfig": {"service": {"name": "x"}},
                "matchConditions": [{"name": "b"}],
            }],
        });
        let mut found = abandoned(&configuration, &desired);
        found.sort();
        assert_eq!(
            found,
            ["clientConfig.caBundle", "matchConditions[a]", "metadata.annotations", "namespaceSelector",]
        );
    }

    #[test]
    fn a_field_is_set_by_us_if_nobody_else_has_set_it_since() {
        let owned = json!({
            "f:failurePolicy": {}, "f:clientConfig": {"f:url": {}},
            "f:matchConditions": {
                ".": {}, "k:{\"name\":\"a\"}": {"f:name": {}, "f:expression": {}}, "k:{\"name\":\"b\"}": {"f:name": {}},
            },
        });
        let mut configuration = managed(&[(FIELD_MANAGER, "Apply", owned.clone()), ("kubectl", "Update", bundle())]);
        configuration["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"] =
            json!({"f:annotations": {"f:example.com/note": {}}});
        for (field, ours) in [
            ("failurePolicy", true),
            ("clientConfig.url", true),
            ("matchConditions[a]", true),
            ("metadata.annotations[example.com/note]", true),
            ("matchConditions[b]", false),
            ("clientConfig.caBundle", false),
            ("clientConfig.service", false),
            ("timeoutSeconds", false),
            ("metadata.annotations[other]", false),
            ("metadata.ownerReferences", false),
        ] {
            assert_eq!(is_set_by_us(&configuration, field), ours, "{field}");
        }
        for (port, ours) in [("f:port", true), ("f:other", false)] {
            let service = json!({"f:name": {}, "f:namespace": {}, "f:path": {}, port: {}});
            let fields = json!({"f:clientConfig": {"f:service": service}});
            let configuration = managed(&[(FIELD_MANAGER, "Apply", fields)]);
            assert_eq!(is_set_by_us(&configuration, "clientConfig.service"), ours, "{port}");
        }
        let theirs = managed(&[("kubectl", "Update", owned)]);
        assert!(!is_set_by_us(&theirs, "failurePolicy"));
    }
}
