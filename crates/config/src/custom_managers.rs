//! Descriptions of secret managers: from YAML to templates, every error with its line.

use flyte_secrets_core::injectors::{Compiled, CustomManager, Problem};
use serde_json::{Map, Number, Value as Json};

use crate::errors::ConfigError;
use crate::keys::Key;
use crate::kubernetes;
use crate::node::{Node, NodeValue};
use crate::origin::Source;
use crate::values::Member;

/// Each adds a manager that every request may come to.
const MAX_MANAGERS: usize = 20;

/// Reads a list of managers, each kept by its name so that a later file replaces it; what is wrong goes to `errors`.
pub(crate) fn read(key: &Key, node: &Node, source: &Source, errors: &mut Vec<ConfigError>) -> Vec<Member> {
    let wrong = |node: &Node, message: String| ConfigError::new(source.at(node.line, node.column), key.path, message);
    let items = match &node.value {
        NodeValue::List(items) if items.len() <= MAX_MANAGERS => items,
        NodeValue::List(_) => {
            errors.push(wrong(node, format!("more than {MAX_MANAGERS} managers")));
            return Vec::new();
        }
        // None are shown as a mapping without members.
        NodeValue::Map(members) if members.is_empty() => return Vec::new(),
        _ => {
            errors.push(wrong(node, format!("expected {}, got {}", key.kind.accepted(), node.describe())));
            return Vec::new();
        }
    };
    let mut members: Vec<Member> = Vec::new();
    for item in items {
        let description = json(item);
        let name = description["name"].as_str().unwrap_or_default().to_owned();
        let label = if name.is_empty() { key.path.to_owned() } else { format!("{}.{name}", key.path) };
        if members.iter().any(|member| member.path.iter().any(|known| known.eq_ignore_ascii_case(&name))) {
            errors.push(wrong(item, format!("a second manager named {name:?}; case makes no difference")));
        }
        for Problem { path, message } in problems(&description) {
            let place = locate(item, &path);
            let label = path.iter().fold(label.clone(), |label, step| format!("{label}.{step}"));
            errors.push(ConfigError::new(source.at(place.line, place.column), label, message));
        }
        members.push(Member { path: vec![name], value: description, origin: source.at(item.line, item.column) });
    }
    members
}

/// The manager of a description without problems.
pub(crate) fn compiled(member: &Member) -> CustomManager {
    CustomManager::compile(&member.value).manager.expect("what has problems is an error when it is read")
}

fn problems(description: &Json) -> Vec<Problem> {
    let Compiled { mut problems, samples, allows_unknown_fields, .. } = CustomManager::compile(description);
    problems.extend(samples.iter().flat_map(|sample| kubernetes::check(sample, allows_unknown_fields)));
    problems
}

/// YAML's values as JSON: what is no truth value and no number is a text.
fn json(node: &Node) -> Json {
    match &node.value {
        NodeValue::Null => Json::Null,
        NodeValue::Scalar(text) if node.is_plain => match text.to_ascii_lowercase().as_str() {
            "true" => Json::Bool(true),
            "false" => Json::Bool(false),
            _ => text.parse::<Number>().map_or_else(|_| Json::from(text.as_str()), Json::Number),
        },
        NodeValue::Scalar(text) => Json::from(text.as_str()),
        NodeValue::List(items) => items.iter().map(json).collect(),
        NodeValue::Map(entries) => {
            Json::Object(entries.iter().map(|entry| (entry.key.clone(), json(&entry.value))).collect::<Map<_, _>>())
        }
    }
}

/// The place of a path, or of the last part of it that is there.
fn locate<'n>(node: &'n Node, path: &[String]) -> &'n Node {
    let Some((step, rest)) = path.split_first() else { return node };
    let next = match &node.value {
        NodeValue::List(items) => step.parse::<usize>().ok().and_then(|index| items.get(index)),
        NodeValue::Map(entries) => entries.iter().find(|entry| entry.key == *step).map(|entry| &entry.value),
        _ => None,
    };
    next.map_or(node, |next| locate(next, rest))
}
