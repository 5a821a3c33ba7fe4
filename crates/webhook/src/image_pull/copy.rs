//! What a copy has of its original. Data in, data out.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::kubernetes::Wiped;

/// The label of our copies, with the value `true`.
const MARK: &str = "secrets.flyte.org/image-pull-copy";
/// The label that Flyte gives image-pull Secrets, and so has a copy that Flyte made.
const FLYTES: (&str, &str) = ("union.ai/secret-type", "image-pull-secret");
/// `kubectl apply` keeps the whole object in this annotation, credentials included.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A copy to be created: name, labels, annotations, type and data of the original, and our mark.
pub(super) fn create(original: &Secret, name: &str) -> Wiped {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    let mut copy = Wiped(Secret { metadata, type_: original.type_.clone(), ..Secret::default() });
    refresh(&mut copy, original);
    copy
}

/// Brings a copy in step. Labels and annotations of others stay.
pub(super) fn refresh(copy: &mut Wiped, original: &Secret) {
    // What was there is wiped with the Secret that is dropped here.
    drop(Wiped(Secret { data: std::mem::take(&mut copy.data), ..Secret::default() }));
    copy.data.clone_from(&original.data);
    let metadata = &mut copy.metadata;
    metadata.labels.get_or_insert_default().extend(labels(original));
    let annotations = annotations(original);
    if !annotations.is_empty() {
        metadata.annotations.get_or_insert_default().extend(annotations);
    }
}

/// Whether the copy is ours to change.
pub(super) fn is_ours(copy: &Secret) -> bool {
    let has = |name: &str, value: &str| {
        copy.metadata.labels.as_ref().and_then(|labels| labels.get(name)).is_some_and(|found| found == value)
    };
    has(MARK, "true") || has(FLYTES.0, FLYTES.1)
}

/// Whether the copy has all that the original has.
pub(super) fn is_current(copy: &Secret, original: &Secret) -> bool {
    let has = |found: &Option<BTreeMap<String, String>>, wanted: BTreeMap<String, String>| {
        wanted.iter().all(|(name, value)| found.as_ref().and_then(|found| found.get(name)) == Some(value))
    };
    // Without the mark: a copy of Flyte's is as good.
    let labels = original.metadata.labels.clone().unwrap_or_default();
    let empty = BTreeMap::new();
    copy.type_ == original.type_
        && copy.data.as_ref().unwrap_or(&empty) == original.data.as_ref().unwrap_or(&empty)
        && has(&copy.metadata.labels, labels)
        && has(&copy.metadata.annotations, annotations(original))
}

fn labels(original: &Secret) -> BTreeMap<String, String> {
    let mut labels = original.metadata.labels.clone().unwrap_or_default();
    labels.insert(MARK.to_owned(), "true".to_owned());
    labels
}

fn annotations(original: &Secret) -> BTreeMap<String, String> {
    let mut annotations = original.metadata.annotations.clone().unwrap_or_default();
    annotations.remove(LAST_APPLIED);
    annotations
}
