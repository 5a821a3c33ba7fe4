//! From what an administrator wrote to templates, with everything that is wrong, at once and by place.

use serde_json::Value;

use super::fields::{Field, Values};
use super::place::{Kind, Text};
use super::script::{Role, roles};
use super::section::Sample;
use super::tree::Tree;
use crate::secret::{MountRequirement, Secret};

/// Something wrong with the description of a manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: names of members and numbers of items, from the manager down; empty for the manager itself.
    pub path: Vec<String>,
    /// What is wrong, and what to write instead.
    pub message: String,
}

/// Collects problems on its way through a description.
pub(super) struct Compiler {
    pub(super) problems: Vec<Problem>,
    /// Parts that are right so far.
    pub(super) samples: Vec<Sample>,
    pub(super) allows_unknown_fields: bool,
    path: Vec<String>,
    /// The fields that every request is known to have.
    pub(super) required: Vec<Field>,
}

/// The longest template, in bytes; a script of that length is a program that should be in the image.
const MAX_TEXT: usize = 16 * 1024;
/// How deep a part of a pod may nest.
const MAX_DEPTH: usize = 16;

impl Compiler {
    pub(super) fn new() -> Self {
        Self {
            problems: Vec::new(),
            samples: Vec::new(),
            allows_unknown_fields: false,
            path: Vec::new(),
            required: Vec::new(),
        }
    }

    pub(super) fn problem(&mut self, message: impl Into<String>) {
        self.problems.push(Problem { path: self.path.clone(), message: message.into() });
    }

    /// Goes on at a member or an item.
    pub(super) fn at<T>(&mut self, step: impl ToString, go_on: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step.to_string());
        let result = go_on(self);
        self.path.pop();
        result
    }

    /// Where it is now.
    pub(super) fn place(&self) -> &[String] {
        &self.path
    }

    /// A text; nothing where it is wrong.
    pub(super) fn text(&mut self, value: &Value, kind: Kind, expanded: bool) -> Option<Text> {
        let Value::String(text) = value else {
            self.problem("must be a text; numbers and truth values stand in quotation marks");
            return None;
        };
        if text.len() > MAX_TEXT {
            self.problem(format!("a text of more than {MAX_TEXT} bytes"));
            return None;
        }
        let text = Text::new(text, kind, expanded).map_err(|wrong| self.problem(wrong)).ok()?;
        let fields = text.template.placeholders().map(|placeholder| placeholder.field);
        let missing =
            fields.filter(|field| matches!(field, Field::Group | Field::Key) && !self.required.contains(field));
        for field in missing.collect::<std::collections::BTreeSet<_>>() {
            let name = field.name();
            self.problem(format!(
                "{{{{{name}}}}} is not there in every request: add `{name}` to `requires`, so that requests without it \
                 are declined"
            ));
        }
        let request = sample_request();
        if let Err(decline) = text.fill(&sample(&request)) {
            if text.template.is_fixed() {
                self.problem(decline.0);
                return None;
            }
            self.problem(format!("with a request of group `group`, key `key` and version `1` it {}", decline.0));
            return None;
        }
        Some(text)
    }

    /// Any part of a pod.
    pub(super) fn part(&mut self, value: &Value) -> Tree {
        if self.path.len() > MAX_DEPTH {
            self.problem(format!("nested more than {MAX_DEPTH} levels deep"));
            return Tree::Fixed(Value::Null);
        }
        match value {
            Value::Null => {
                self.problem("nothing stands here; an empty mapping is {} and an empty text \"\"");
                Tree::Fixed(Value::Null)
            }
            Value::Bool(_) | Value::Number(_) => Tree::Fixed(value.clone()),
            Value::String(_) => self.leaf(value, Kind::Text, false),
            Value::Array(items) => Tree::List(
                items.iter().enumerate().map(|(index, item)| self.at(index, |this| this.part(item))).collect(),
            ),
            Value::Object(_) => self.members(value, |this, name, member| match (name, member) {
                // Of a probe or a hook: the kubelet expands nothing there.
                ("command", Value::Array(_)) => this.command(value, "command", false),
                ("path", Value::String(_)) if this.is_below_a_folder() => this.leaf(member, Kind::Path, false),
                _ => this.part(member),
            }),
        }
    }

    /// The members of a mapping, each by `member`.
    pub(super) fn members(&mut self, value: &Value, mut member: impl FnMut(&mut Self, &str, &Value) -> Tree) -> Tree {
        let Value::Object(members) = value else {
            self.problem("must be a mapping");
            return Tree::Fixed(Value::Null);
        };
        let mut trees = Vec::new();
        for (name, value) in members {
            if name.contains("{{") {
                self.at(name, |this| {
                    this.problem(
                        "a template in the name of a member; only values are filled, and names of annotations",
                    );
                });
                continue;
            }
            trees.push((name.clone(), self.at(name, |this| member(this, name, value))));
        }
        Tree::Map(trees)
    }

    /// A text at its place in a part.
    pub(super) fn leaf(&mut self, value: &Value, kind: Kind, expanded: bool) -> Tree {
        self.text(value, kind, expanded).map_or(Tree::Fixed(Value::Null), Tree::Text)
    }

    /// A part in which nothing comes from a request.
    pub(super) fn fixed(&mut self, value: &Value) -> Tree {
        match value {
            Value::String(_) => self.leaf(value, Kind::Fixed, false),
            Value::Array(items) => Tree::List(
                items.iter().enumerate().map(|(index, item)| self.at(index, |this| this.fixed(item))).collect(),
            ),
            Value::Object(_) => self.members(value, |this, _, member| this.fixed(member)),
            _ => self.part(value),
        }
    }

    /// The items of a list, each by `item`.
    pub(super) fn list(&mut self, value: &Value, item: impl Fn(&mut Self, &Value) -> Tree) -> Tree {
        let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
        Tree::List(items.iter().enumerate().map(|(index, value)| self.at(index, |this| item(this, value))).collect())
    }

    /// `command` or `args` of a container or a probe.
    pub(super) fn command(&mut self, container: &Value, member: &str, expanded: bool) -> Tree {
        let words = |name: &str| -> Vec<&str> {
            let items = container[name].as_array().map(Vec::as_slice).unwrap_or_default();
            items.iter().map(|item| item.as_str().unwrap_or_default()).collect()
        };
        let (command, args) = (words("command"), if expanded { words("args") } else { Vec::new() });
        let roles = roles(&command, &args);
        let first = if member == "args" { command.len() } else { 0 };
        let items = container[member].as_array().map(Vec::as_slice).unwrap_or_default();
        let trees = items.iter().enumerate().map(|(index, item)| {
            let kind = match roles[first + index] {
                Role::Program => Kind::Fixed,
                Role::Argument => Kind::Argument,
                Role::Script => Kind::Script,
                Role::Code => Kind::Code,
            };
            self.at(index, |this| this.leaf(item, kind, expanded))
        });
        Tree::List(trees.collect())
    }

    /// Whether a `path` here is one below the folder of a volume: in `items`, or of a projected token.
    fn is_below_a_folder(&self) -> bool {
        let parent = self.path.iter().rev().skip(1).find(|step| !step.bytes().all(|byte| byte.is_ascii_digit()));
        parent.is_some_and(|name| matches!(name.as_str(), "items" | "serviceAccountToken" | "clusterTrustBundle"))
    }
}

/// A request to try templates with.
pub(super) fn sample_request() -> Secret {
    Secret {
        group: "group".to_owned(),
        group_version: "1".to_owned(),
        key: "key".to_owned(),
        mount_requirement: MountRequirement::ANY,
        env_var: "ENV_VAR".to_owned(),
    }
}

pub(super) fn sample(request: &Secret) -> Values<'_> {
    Values { request, prefix: "_UNION_", namespace: "namespace", pod: None }
}
