//! The values with members: annotations, resources, label selectors, match conditions.

use serde_json::{Map, Value as Json};

use crate::custom_managers;
use crate::errors::ConfigError;
use crate::keys::Key;
use crate::kinds::Kind;
use crate::node::{Entry, Node, NodeValue};
use crate::origin::Source;
use crate::patterns;
use crate::values::Member;

/// Most members of one mapping or list.
const MAX_MEMBERS: usize = 200;
/// Kubernetes takes 64 in a webhook, and two are the webhook's own.
const MAX_CONDITIONS: usize = 62;
/// What the names of the webhook's own conditions begin with.
const OWN_CONDITIONS: &str = "flyte-secrets-";

/// Reads the members that are right; what is wrong goes to `errors`.
pub(crate) fn read(key: &Key, node: &Node, source: &Source, errors: &mut Vec<ConfigError>) -> Vec<Member> {
    if matches!(key.kind, Kind::CustomManagers) {
        return custom_managers::read(key, node, source, errors);
    }
    let mut reader = Reader { key: key.path, source, errors, members: Vec::new() };
    match key.kind {
        Kind::Annotations => reader.texts(&[], node, &key.kind.accepted(), |_| true),
        Kind::Resources => reader.resources(node, &key.kind.accepted()),
        Kind::LabelSelector => reader.label_selector(node, &key.kind.accepted()),
        Kind::MatchConditions => reader.match_conditions(node, &key.kind.accepted()),
        _ => {}
    }
    reader.members
}

struct Reader<'a> {
    key: &'a str,
    source: &'a Source,
    errors: &'a mut Vec<ConfigError>,
    members: Vec<Member>,
}

impl Reader<'_> {
    fn resources(&mut self, node: &Node, accepted: &str) {
        for entry in self.entries(&[], node, accepted) {
            match self.name(&[], entry, &["limits", "requests", "claims"]) {
                Some("claims") => self.claims(&entry.value),
                Some(name) => self.texts(
                    &[name],
                    &entry.value,
                    "a mapping from resource names to quantities such as 200m or 500Mi",
                    patterns::is_quantity,
                ),
                None => {}
            }
        }
    }

    fn claims(&mut self, node: &Node) {
        let Some(items) = self.items(&["claims"], node, "a list of mappings with `name` and `request`") else { return };
        let claims = items.iter().map(|item| self.object(&["claims"], item, &["name", "request"], &[])).collect();
        self.keep(&["claims"], node, Json::Array(claims));
    }

    fn label_selector(&mut self, node: &Node, accepted: &str) {
        for entry in self.entries(&[], node, accepted) {
            match self.name(&[], entry, &["matchLabels", "matchExpressions"]) {
                Some("matchLabels") => self.texts(
                    &["matchLabels"],
                    &entry.value,
                    "a mapping from labels to their values",
                    patterns::is_label_value,
                ),
                Some(_) => self.expressions(&entry.value),
                None => {}
            }
        }
    }

    /// A list in which each has a name; kept by name, so that a later file replaces the one of an earlier.
    fn match_conditions(&mut self, node: &Node, accepted: &str) {
        // No conditions are shown as a mapping without members.
        if matches!(&node.value, NodeValue::Map(entries) if entries.is_empty()) {
            return;
        }
        let Some(items) = self.items(&[], node, accepted) else { return };
        if items.len() > MAX_CONDITIONS {
            self.error(&[], node, &format!("more than {MAX_CONDITIONS} conditions"));
        }
        let mut names = Vec::new();
        for item in items {
            let condition = self.object(&[], item, &["name", "expression"], &[]);
            let text = |member: &str| condition[member].as_str().unwrap_or_default();
            let (name, expression) = (text("name"), text("expression"));
            let wrong = if !patterns::is_qualified_name(name) {
                "`name` must be one that Kubernetes takes here (letters, digits, `-`, `_`, `.`, at most one `/`)"
            } else if name.starts_with(OWN_CONDITIONS) {
                "names that begin with `flyte-secrets-` are the webhook's own"
            } else if names.contains(&name.to_owned()) {
                "this `name` is there twice"
            } else if expression.trim().is_empty() {
                "`expression` must be a CEL expression"
            } else {
                names.push(name.to_owned());
                self.keep(&[name], item, Json::from(expression));
                continue;
            };
            self.error(&[], item, wrong);
        }
    }

    fn expressions(&mut self, node: &Node) {
        let at = &["matchExpressions"];
        let Some(items) = self.items(at, node, "a list of mappings with `key`, `operator` and `values`") else {
            return;
        };
        let expressions = items.iter().map(|item| self.expression(at, item)).collect();
        self.keep(at, node, Json::Array(expressions));
    }

    fn expression(&mut self, at: &[&str], item: &Node) -> Json {
        let mut expression = self.object(at, item, &["key", "operator"], &["values"]);
        let operator = expression["operator"].as_str().unwrap_or_default();
        let known =
            ["In", "NotIn", "Exists", "DoesNotExist"].into_iter().find(|name| name.eq_ignore_ascii_case(operator));
        let values = expression["values"].as_array().map_or(0, Vec::len);
        let wrong = match known {
            _ if !expression["key"].as_str().is_some_and(patterns::is_qualified_name) => Some("`key` must be a label"),
            None => Some("`operator` must be one of In, NotIn, Exists, DoesNotExist"),
            Some("In" | "NotIn") if values == 0 => Some("the operators In and NotIn need `values`"),
            Some("Exists" | "DoesNotExist") if values > 0 => {
                Some("the operators Exists and DoesNotExist take no `values`")
            }
            Some(_) => None,
        };
        match wrong {
            Some(wrong) => self.error(at, item, wrong),
            None => expression["operator"] = Json::from(known),
        }
        expression
    }

    /// A mapping with texts and lists of texts.
    fn object(&mut self, at: &[&str], node: &Node, texts: &[&'static str], lists: &[&'static str]) -> Json {
        let known: Vec<&'static str> = texts.iter().chain(lists).copied().collect();
        let mut object = Map::new();
        for entry in self.entries(at, node, "a mapping") {
            let Some(name) = self.name(at, entry, &known) else { continue };
            let value = match &entry.value.value {
                NodeValue::Null => continue,
                NodeValue::Scalar(text) if texts.contains(&name) => Json::from(text.as_str()),
                NodeValue::List(items) if lists.contains(&name) => Json::Array(self.list(at, items)),
                _ => {
                    let expected = if texts.contains(&name) { "a text" } else { "a list" };
                    self.expected(at, &entry.value, &format!("{expected} for `{name}`"));
                    continue;
                }
            };
            object.insert(name.to_owned(), value);
        }
        Json::Object(object)
    }

    fn list(&mut self, at: &[&str], items: &[Node]) -> Vec<Json> {
        let mut texts = Vec::new();
        for item in items {
            match &item.value {
                NodeValue::Scalar(text) if patterns::is_label_value(text) => texts.push(Json::from(text.as_str())),
                _ => self.expected(at, item, "a value of a label"),
            }
        }
        texts
    }

    /// A mapping from qualified names to texts that are `right`.
    fn texts(&mut self, at: &[&str], node: &Node, accepted: &str, right: fn(&str) -> bool) {
        for entry in self.entries(at, node, accepted) {
            let mut path = at.to_vec();
            path.push(&entry.key);
            match &entry.value.value {
                NodeValue::Null => {}
                _ if !patterns::is_qualified_name(&entry.key) => {
                    let origin = self.source.at(entry.line, entry.column);
                    let message =
                        "not a name that Kubernetes takes here (letters, digits, `-`, `_`, `.`, at most one `/`)";
                    self.errors.push(ConfigError::new(origin, self.path(&path), message));
                }
                NodeValue::Scalar(text) if right(text) => {
                    self.keep(&path, &entry.value, Json::from(text.as_str()));
                }
                _ => self.expected(&path, &entry.value, accepted),
            }
        }
    }

    /// The members of a mapping, each once.
    fn entries<'n>(&mut self, at: &[&str], node: &'n Node, accepted: &str) -> &'n [Entry] {
        match &node.value {
            NodeValue::Null => &[],
            NodeValue::Map(entries) if entries.len() <= MAX_MEMBERS => entries,
            NodeValue::Map(_) => {
                self.error(at, node, &format!("more than {MAX_MEMBERS} members"));
                &[]
            }
            _ => {
                self.expected(at, node, accepted);
                &[]
            }
        }
    }

    fn items<'n>(&mut self, at: &[&str], node: &'n Node, accepted: &str) -> Option<&'n [Node]> {
        match &node.value {
            NodeValue::Null => None,
            NodeValue::List(items) if items.len() <= MAX_MEMBERS => Some(items),
            _ => {
                self.expected(at, node, accepted);
                None
            }
        }
    }

    /// The known spelling of a member's name.
    fn name(&mut self, at: &[&str], entry: &Entry, known: &[&'static str]) -> Option<&'static str> {
        let name = known.iter().copied().find(|name| name.eq_ignore_ascii_case(&entry.key));
        if name.is_none() {
            let mut path = at.to_vec();
            path.push(&entry.key);
            let origin = self.source.at(entry.line, entry.column);
            let message = format!("unknown key; known here: {}", known.join(", "));
            self.errors.push(ConfigError::new(origin, self.path(&path), message));
        }
        name
    }

    fn keep(&mut self, path: &[&str], node: &Node, value: Json) {
        let path = path.iter().map(|name| (*name).to_owned()).collect();
        self.members.push(Member { path, value, origin: self.source.at(node.line, node.column) });
    }

    fn expected(&mut self, at: &[&str], node: &Node, accepted: &str) {
        self.error(at, node, &format!("expected {accepted}, got {}", node.describe()));
    }

    fn error(&mut self, at: &[&str], node: &Node, message: &str) {
        self.errors.push(ConfigError::new(self.source.at(node.line, node.column), self.path(at), message));
    }

    fn path(&self, at: &[&str]) -> String {
        at.iter().fold(self.key.to_owned(), |path, name| path + "." + name)
    }
}
