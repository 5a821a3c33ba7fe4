//! The rights that a chart gives, one by one.

use std::fmt;

use serde_json::{Deserializer, Value};

use super::testbed::script;

/// One verb on one resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Right {
    /// The ServiceAccount that has it.
    pub(crate) account: String,
    /// The Role or ClusterRole that gives it.
    pub(crate) role: String,
    /// Of the Role; empty: of a ClusterRole.
    pub(crate) namespace: String,
    pub(crate) group: String,
    pub(crate) resource: String,
    /// Empty: all objects.
    pub(crate) name: String,
    pub(crate) verb: String,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { role, namespace, group, resource, name, verb, .. } = self;
        let kind = if namespace.is_empty() { "ClusterRole" } else { "Role" };
        write!(f, "{kind} {namespace}/{role}: {verb} {resource}.{group} {name}")
    }
}

/// The rights in manifests (YAML), of every ServiceAccount that they bind one to.
pub(crate) async fn rights(manifests: &str) -> Vec<Right> {
    let convert = ["create", "--dry-run=client", "--validate=false", "--output=json", "--filename=-"];
    let json = script("kubectl.sh", &convert, manifests).await.unwrap();
    let mut objects = Vec::new();
    for document in Deserializer::from_str(&json).into_iter::<Value>() {
        let document = document.unwrap();
        match document["items"].as_array() {
            Some(items) => objects.extend(items.iter().cloned()),
            None => objects.push(document),
        }
    }
    let bindings = objects.iter().filter(|object| text(&object["kind"]).ends_with("RoleBinding"));
    let mut rights = Vec::new();
    for binding in bindings {
        let role = &binding["roleRef"];
        let of_role = objects.iter().find(|object| {
            let place = &object["metadata"];
            object["kind"] == role["kind"]
                && place["name"] == role["name"]
                && place["namespace"] == binding["metadata"]["namespace"]
        });
        let of_role = of_role.unwrap_or_else(|| panic!("a role for {binding}"));
        for subject in list(&binding["subjects"]) {
            rights.extend(of_rules(of_role, &text(&subject["name"])));
        }
    }
    rights.sort();
    rights
}

fn of_rules(role: &Value, account: &str) -> Vec<Right> {
    let mut rights = Vec::new();
    for rule in list(&role["rules"]) {
        let everything = vec![Value::from("")];
        let names = rule["resourceNames"].as_array().unwrap_or(&everything);
        for (group, resource, name, verb) in list(&rule["apiGroups"])
            .iter()
            .flat_map(|group| list(&rule["resources"]).iter().map(move |resource| (group, resource)))
            .flat_map(|(group, resource)| names.iter().map(move |name| (group, resource, name)))
            .flat_map(|(group, resource, name)| list(&rule["verbs"]).iter().map(move |v| (group, resource, name, v)))
        {
            rights.push(Right {
                account: account.to_owned(),
                role: text(&role["metadata"]["name"]),
                namespace: text(&role["metadata"]["namespace"]),
                group: text(group),
                resource: text(resource),
                name: text(name),
                verb: text(verb),
            });
        }
    }
    rights
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
