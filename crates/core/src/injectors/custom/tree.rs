//! Parts of a pod with templates in them. What comes from a request fills texts; lists, members and their names stay.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::fields::{Field, Values};
use super::place::Text;
use crate::injectors::Decline;

/// Part of a pod, as Kubernetes' API has it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Tree {
    /// A number, a truth value.
    Fixed(Value),
    Text(Text),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

impl Tree {
    /// The part for a request.
    pub(super) fn fill(&self, values: &Values<'_>) -> Result<Value, Decline> {
        match self {
            Self::Fixed(value) => Ok(value.clone()),
            Self::Text(text) => text.fill(values).map(Value::String),
            Self::List(items) => items.iter().map(|item| item.fill(values)).collect(),
            Self::Map(members) => {
                let members = members.iter().map(|(name, tree)| Ok((name.clone(), tree.fill(values)?)));
                members.collect::<Result<Map<_, _>, _>>().map(Value::Object)
            }
        }
    }

    /// The fields of a request that it depends on.
    pub(super) fn fields(&self) -> BTreeSet<Field> {
        let mut fields = BTreeSet::new();
        self.collect_fields(&mut fields);
        fields
    }

    fn collect_fields(&self, fields: &mut BTreeSet<Field>) {
        match self {
            Self::Fixed(_) => {}
            Self::Text(text) => fields.extend(text.template.placeholders().map(|placeholder| placeholder.field)),
            Self::List(items) => items.iter().for_each(|item| item.collect_fields(fields)),
            Self::Map(members) => members.iter().for_each(|(_, tree)| tree.collect_fields(fields)),
        }
    }

    pub(super) fn member(&self, name: &str) -> Option<&Self> {
        let Self::Map(members) = self else { return None };
        members.iter().find(|(known, _)| known == name).map(|(_, tree)| tree)
    }
}

/// The names of all Kubernetes Secrets that a part of a pod refers to: the kubelet or a driver would read them.
pub(super) fn secret_names(part: &Value) -> Vec<&str> {
    let mut names = Vec::new();
    collect_secret_names(part, &mut names);
    names
}

fn collect_secret_names<'v>(part: &'v Value, names: &mut Vec<&'v str>) {
    match part {
        Value::Array(items) => items.iter().for_each(|item| collect_secret_names(item, names)),
        Value::Object(members) => {
            for (name, value) in members {
                let refers = name == "secret" || name.ends_with("ecretRef") || name == "secretKeyRef";
                match value {
                    Value::String(text) if name == "secretName" => names.push(text),
                    Value::Object(reference) if refers => names.extend(reference.get("name").and_then(Value::as_str)),
                    _ => {}
                }
                collect_secret_names(value, names);
            }
        }
        _ => {}
    }
}
