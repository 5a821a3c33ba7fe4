//! Paths to pod templates inside an object.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value, json};

/// The longest path that is read, in steps; no kind comes near it.
const MAX_STEPS: usize = 64;

/// A way into an object, which may fork: `spec.template`, `spec.workerGroupSpecs[].template` (each element of a list),
/// `spec.mpiReplicaSpecs.*.template` (each member of an object), `patches[manager=me].template` (the one element with
/// that member; it is made where it is missing). The empty path is the object itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Member(String),
    EveryMember,
    EveryElement,
    Element { key: String, value: String },
}

/// Why a text is no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no path: {problem}; write spec.template, spec.groups[].template, spec.roles.*.template or spec.patches[name=me].template"
)]
pub struct PathError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// Something that must be an object, or a list, and is neither missing nor one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pointer:?} has another type than pods are described by")]
pub struct NotAnObject {
    /// Where it is: a JSON pointer (RFC 6901).
    pub pointer: String,
}

impl NotAnObject {
    pub(super) fn at(pointer: &str) -> Self {
        Self { pointer: pointer.to_owned() }
    }
}

/// Where one fork of a path ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// As far as it is there.
    pointer: String,
    /// What is missing behind that.
    missing: Vec<Step>,
}

impl Found {
    /// The place, if nothing is missing.
    pub(super) fn complete(self) -> Option<String> {
        self.missing.is_empty().then_some(self.pointer)
    }

    /// Whether what is missing may be made. `last`: the last member may.
    pub(super) fn can_be_made(&self, last: bool) -> bool {
        let keyed = self.missing.iter().any(|step| matches!(step, Step::Element { .. }));
        let forks = self.missing.iter().any(|step| matches!(step, Step::EveryMember | Step::EveryElement));
        !forks && (keyed || (last && self.missing.len() == 1))
    }

    /// Makes what is missing; gives the place.
    pub(super) fn make(self, object: &mut Value) -> Option<String> {
        let mut pointer = self.pointer;
        let mut inner = object.pointer_mut(&pointer)?;
        for (index, step) in self.missing.iter().enumerate() {
            let is_list = matches!(self.missing.get(index + 1), Some(Step::Element { .. }));
            let new = if is_list { Value::Array(Vec::new()) } else { Value::Object(Map::new()) };
            match step {
                Step::Member(name) => {
                    inner.as_object_mut()?.insert(name.clone(), new);
                    pointer.push_str(&format!("/{}", escaped(name)));
                }
                Step::Element { key, value } => {
                    let elements = inner.as_array_mut()?;
                    pointer.push_str(&format!("/{}", elements.len()));
                    elements.push(json!({key: value}));
                }
                Step::EveryMember | Step::EveryElement => return None,
            }
            inner = match (inner, step) {
                (Value::Object(members), Step::Member(name)) => members.get_mut(name)?,
                (Value::Array(elements), _) => elements.last_mut()?,
                _ => return None,
            };
        }
        Some(pointer)
    }
}

impl Path {
    /// Where the path leads, in the order of the object. `null` counts as missing, as everywhere in Kubernetes.
    pub(super) fn find(&self, object: &Value) -> Result<Vec<Found>, NotAnObject> {
        let mut found = Vec::new();
        walk(object, &self.0, String::new(), &mut found)?;
        Ok(found)
    }
}

fn walk(value: &Value, steps: &[Step], pointer: String, found: &mut Vec<Found>) -> Result<(), NotAnObject> {
    let Some((step, rest)) = steps.split_first() else {
        if !value.is_object() {
            return Err(NotAnObject { pointer });
        }
        found.push(Found { pointer, missing: Vec::new() });
        return Ok(());
    };
    let mut next = |key: &str, value: &Value| walk(value, rest, format!("{pointer}/{}", escaped(key)), found);
    match (step, value) {
        (Step::Member(name), Value::Object(members)) => match members.get(name).filter(|member| !member.is_null()) {
            Some(member) => next(name, member)?,
            None => found.push(Found { pointer, missing: steps.to_vec() }),
        },
        (Step::EveryMember, Value::Object(members)) => {
            for (name, member) in members.iter().filter(|(_, member)| !member.is_null()) {
                next(name, member)?;
            }
        }
        (Step::EveryElement, Value::Array(elements)) => {
            for (index, element) in elements.iter().enumerate().filter(|(_, element)| !element.is_null()) {
                next(&index.to_string(), element)?;
            }
        }
        (Step::Element { key, value }, Value::Array(elements)) => {
            let is_it = |element: &&Value| element.get(key).and_then(Value::as_str) == Some(value);
            match elements.iter().position(|element| is_it(&element)) {
                Some(index) => next(&index.to_string(), &elements[index])?,
                None => found.push(Found { pointer, missing: steps.to_vec() }),
            }
        }
        _ => return Err(NotAnObject { pointer }),
    }
    Ok(())
}

/// A member's name in a JSON pointer (RFC 6901, section 3).
pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let wrong = |problem| PathError { text: text.to_owned(), problem };
        let mut steps = Vec::new();
        // A dot in the middle of the brackets is part of the value.
        let (mut rest, mut first) = (text, true);
        while !rest.is_empty() {
            if steps.len() >= MAX_STEPS {
                return Err(wrong("it has too many steps"));
            }
            if let Some(inner) = rest.strip_prefix('[') {
                let (inner, behind) = inner.split_once(']').ok_or_else(|| wrong("a bracket is open"))?;
                steps.push(match inner.split_once('=') {
                    None if inner.is_empty() => Step::EveryElement,
                    Some((key, value)) if !key.is_empty() && !value.is_empty() => {
                        Step::Element { key: key.to_owned(), value: value.to_owned() }
                    }
                    _ => return Err(wrong("brackets hold nothing or name=value")),
                });
                rest = behind;
            } else {
                if !first {
                    rest = rest.strip_prefix('.').ok_or_else(|| wrong("a dot is missing"))?;
                }
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                let (name, behind) = rest.split_at(end);
                steps.push(match name {
                    "" => return Err(wrong("a name is empty")),
                    "*" => Step::EveryMember,
                    name => Step::Member(name.to_owned()),
                });
                rest = behind;
            }
            first = false;
        }
        Ok(Self(steps))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            let dot = if index == 0 { "" } else { "." };
            match step {
                Step::Member(name) => write!(f, "{dot}{name}")?,
                Step::EveryMember => write!(f, "{dot}*")?,
                Step::EveryElement => f.write_str("[]")?,
                Step::Element { key, value } => write!(f, "[{key}={value}]")?,
            }
        }
        Ok(())
    }
}
