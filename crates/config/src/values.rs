//! Values as the kinds give them, before they become settings.

use std::time::Duration;

use serde_json::{Map, Value as Json};

use crate::access_rules::AccessRule;
use crate::durations;
use crate::origin::Origin;

/// The value of a key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    Integer(u32),
    Duration(Duration),
    Text(String),
    List(Vec<String>),
    Rules(Vec<AccessRule>),
    /// A structure, flat: merging by member is then a matter of equal paths.
    Members(Vec<Member>),
}

/// One member of a structure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    /// From the key to the member: `["limits", "cpu"]`.
    pub(crate) path: Vec<String>,
    pub(crate) value: Json,
    pub(crate) origin: Origin,
}

impl Value {
    /// As JSON, which is YAML too.
    pub(crate) fn to_json(&self) -> Json {
        match self {
            Self::Bool(value) => Json::from(*value),
            Self::Integer(value) => Json::from(*value),
            Self::Duration(value) => Json::from(durations::format(*value)),
            Self::Text(value) => Json::from(value.as_str()),
            Self::List(values) => Json::from(values.as_slice()),
            Self::Rules(rules) => Json::from_iter(rules.iter().map(AccessRule::to_json)),
            Self::Members(members) => nested(members),
        }
    }
}

/// Puts `over` over `members`: a member of the same path is replaced and keeps the spelling of its name.
pub(crate) fn merge(members: &mut Vec<Member>, over: Vec<Member>, case_sensitive: bool) {
    let same = |one: &str, other: &str| if case_sensitive { one == other } else { one.eq_ignore_ascii_case(other) };
    for new in over {
        let known = members.iter_mut().find(|member| {
            member.path.len() == new.path.len()
                && member.path.iter().zip(&new.path).all(|(one, other)| same(one, other))
        });
        match known {
            Some(member) => (member.value, member.origin) = (new.value, new.origin),
            None => members.push(new),
        }
    }
}

/// The structure that the members make.
pub(crate) fn nested(members: &[Member]) -> Json {
    let mut root = Map::new();
    for member in members {
        insert(&mut root, &member.path, &member.value);
    }
    Json::Object(root)
}

fn insert(map: &mut Map<String, Json>, path: &[String], value: &Json) {
    match path {
        [] => {}
        [name] => {
            map.insert(name.clone(), value.clone());
        }
        [name, rest @ ..] => {
            let child = map.entry(name.as_str()).or_insert_with(|| Json::Object(Map::new()));
            if let Json::Object(child) = child {
                insert(child, rest, value);
            }
        }
    }
}
