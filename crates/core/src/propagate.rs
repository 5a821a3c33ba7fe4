//! Passing requests for secrets to the pods that an object's controller makes.
//!
//! A pod asks with a label and annotations, and only for itself: what stands on a Job or on a SparkApplication reaches
//! no pod. [`propagate`] puts them where the pods of the object's kind get theirs, by the table [`KINDS`].

mod difference;
mod kinds;
mod path;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

pub use difference::{Operation, difference};
pub use kinds::{KINDS, Kind, Place, Shape, makes_no_pods};
pub use path::{NotAnObject, Path, PathError};

use crate::Secret;
use crate::annotations::{EncodeError, LABEL, LABEL_VALUE, PREFIX, encode_all};

/// The labels by which Flyte 2 says whose a pod is; Embedded, image-pull Secrets and the access policy read them.
pub const OWNER_LABELS: [&str; 3] = ["organization", "project", "domain"];

/// Labels and annotations for pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodMetadata {
    /// Labels by name.
    pub labels: BTreeMap<String, String>,
    /// Annotations by name.
    pub annotations: BTreeMap<String, String>,
}

impl PodMetadata {
    /// What asks for these secrets.
    ///
    /// # Errors
    /// If one of them cannot be written as an annotation.
    pub fn asking_for(secrets: &[Secret]) -> Result<Self, EncodeError> {
        let annotations = encode_all(secrets)?.into_iter().collect();
        Ok(Self { labels: BTreeMap::new(), annotations }.with_label())
    }

    /// What an object asks for: all its requests, the label, and its [`OWNER_LABELS`]. They are looked for in the
    /// object's own metadata, then where its pods get theirs; the first that has requests counts. Nothing if none has.
    #[must_use]
    pub fn of(object: &Value) -> Option<Self> {
        let own = object.get("metadata").and_then(Self::of_metadata);
        own.or_else(|| metadata_of_pods(object).into_iter().find_map(Self::of_metadata))
    }

    fn of_metadata(metadata: &Value) -> Option<Self> {
        let texts = |member: &str| {
            let members = metadata.get(member).and_then(Value::as_object).into_iter().flatten();
            members.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        };
        let annotations: BTreeMap<_, _> = texts("annotations").filter(|(name, _)| name.starts_with(PREFIX)).collect();
        let labels = texts("labels").filter(|(name, _)| OWNER_LABELS.contains(&name.as_str())).collect();
        (!annotations.is_empty()).then(|| Self { labels, annotations }.with_label())
    }

    /// Adds others; of two with one name, the added one counts.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.labels.extend(others.labels);
        self.annotations.extend(others.annotations);
        self.with_label()
    }

    /// Whether there is nothing to put anywhere.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.annotations.is_empty()
    }

    /// Whether there is a request among the annotations.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.annotations.keys().any(|name| name.starts_with(PREFIX))
    }

    /// Without the label the webhook is not called, and requests are only text.
    fn with_label(mut self) -> Self {
        if self.asks() {
            self.labels.insert(LABEL.to_owned(), LABEL_VALUE.to_owned());
        }
        self
    }
}

/// Why nothing was put into an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PropagateError {
    /// The kind is not in [`KINDS`], and no path was given.
    #[error("{kind} of {} is not a kind whose pods are known; name the paths of its pod templates", version_or_nothing(.api_version))]
    UnknownKind {
        /// The object's `apiVersion`.
        api_version: String,
        /// The object's `kind`.
        kind: String,
    },
    /// None of the places is there.
    #[error("{kind} has no pod template; looked for {}", .paths.join(", "))]
    NoPods {
        /// The object's `kind`.
        kind: String,
        /// The paths that were looked for.
        paths: Vec<String>,
    },
    /// Something on the way is of another type than the kind has there.
    #[error(transparent)]
    NotAnObject(#[from] NotAnObject),
}

fn version_or_nothing(api_version: &str) -> &str {
    if api_version.is_empty() { "no apiVersion" } else { api_version }
}

/// Puts labels and annotations wherever the pods of an object get theirs: at the places of its kind in [`KINDS`], and
/// at `more`. Gives the places as JSON pointers, in the order of the object.
///
/// What is there under the same name is replaced. If `metadata` holds requests, they replace **all** requests that are
/// there: of two sets that got mixed, the webhook would serve both. A second call changes nothing; nothing else of the
/// object is touched, and nothing at all if there is an error.
///
/// # Errors
/// If the kind is not known and `more` is empty, if there is none of the places, or if something on the way to one
/// is no object or list.
pub fn propagate(
    object: &mut Value,
    metadata: &PodMetadata,
    more: &[Place<'_>],
) -> Result<Vec<String>, PropagateError> {
    let text = |member: &str| object.get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
    let kind = Kind::of(object);
    let places: Vec<&Place<'_>> = kind.map(|kind| kind.places).unwrap_or_default().iter().chain(more).collect();
    if places.is_empty() {
        return Err(PropagateError::UnknownKind { api_version: text("apiVersion"), kind: text("kind") });
    }
    let mut after = object.clone();
    let mut done: Vec<String> = Vec::new();
    for place in &places {
        for pointer in place.make(&mut after, !metadata.is_empty())? {
            if !done.contains(&pointer) {
                put(&mut after, &pointer, place.shape, metadata)?;
                done.push(pointer);
            }
        }
    }
    if done.is_empty() {
        let paths = places.iter().map(|place| place.to_string()).collect();
        return Err(PropagateError::NoPods { kind: text("kind"), paths });
    }
    *object = after;
    Ok(done)
}

/// The whole pod templates of an object, as JSON pointers: where `inject` finds a pod's `metadata` and `spec`.
#[must_use]
pub fn pod_templates(object: &Value) -> Vec<String> {
    let places = Kind::of(object).map(|kind| kind.places).unwrap_or_default();
    let whole = places.iter().filter(|place| place.shape == Shape::Template);
    // What has another type than it should is no pod; whoever reads the object says so.
    whole.flat_map(|place| place.path().find(object).unwrap_or_default()).filter_map(|found| found.complete()).collect()
}

/// Whatever metadata the pods of an object get, as far as it is there.
fn metadata_of_pods(object: &Value) -> Vec<&Value> {
    let places = Kind::of(object).map(|kind| kind.places).unwrap_or_default();
    let found = places.iter().flat_map(|place| {
        let pointers = place.path().find(object).unwrap_or_default().into_iter().filter_map(|found| found.complete());
        pointers.map(|pointer| format!("{pointer}{}", place.shape.metadata()))
    });
    found.filter_map(|pointer| object.pointer(&pointer)).collect()
}

/// Whether the pods of an object ask for secrets at a place that is no whole pod template.
#[must_use]
pub fn asks_elsewhere(object: &Value) -> bool {
    let whole = Kind::of(object).is_none_or(|kind| kind.places.iter().all(|place| place.shape == Shape::Template));
    !whole && metadata_of_pods(object).into_iter().any(|metadata| PodMetadata::of_metadata(metadata).is_some())
}

/// Puts labels and annotations at a place that is there.
fn put(object: &mut Value, pointer: &str, shape: Shape, metadata: &PodMetadata) -> Result<(), NotAnObject> {
    let at = |members: &str| format!("{pointer}{}{members}", shape.metadata());
    let mut write = |member: &'static str, wanted: &BTreeMap<String, String>| {
        if wanted.is_empty() {
            return Ok(());
        }
        let mut inner = object.pointer_mut(pointer).ok_or_else(|| NotAnObject::at(pointer))?;
        if shape != Shape::Metadata {
            inner = member_of(inner, "metadata", || at(""))?;
        }
        let members = member_of(inner, member, || at(&format!("/{member}")))?;
        let members = members.as_object_mut().ok_or_else(|| NotAnObject::at(&at(&format!("/{member}"))))?;
        replace(members, wanted);
        Ok(())
    };
    write("labels", &metadata.labels)?;
    write("annotations", &metadata.annotations)
}

/// A member of an object, made where it is missing.
fn member_of<'a>(
    object: &'a mut Value,
    name: &str,
    pointer: impl Fn() -> String,
) -> Result<&'a mut Value, NotAnObject> {
    let members = object.as_object_mut().ok_or_else(|| NotAnObject::at(&pointer()))?;
    let member = members.entry(name).or_insert(Value::Null);
    if member.is_null() {
        *member = Value::Object(Map::new());
    }
    if member.is_object() { Ok(member) } else { Err(NotAnObject::at(&pointer())) }
}

/// Writes the wanted members; requests that are not among them go, where others come.
fn replace(members: &mut Map<String, Value>, wanted: &BTreeMap<String, String>) {
    if wanted.keys().any(|name| name.starts_with(PREFIX)) {
        members.retain(|name, _| !name.starts_with(PREFIX) || wanted.contains_key(name));
    }
    for (name, value) in wanted {
        members.insert(name.clone(), value.clone().into());
    }
}
