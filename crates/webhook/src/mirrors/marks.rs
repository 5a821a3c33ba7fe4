//! What stands on a mirror, and how it is written. Data in, data out.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use flyte_secrets_core::mirror::{
    CHANGING, CONDEMNED, FETCHED, Form, INSTALLATION, LABEL, MirrorSource, NEEDED, SOURCE, VALUE_KEY, mirror_name,
};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;

use super::FreshValue;
use crate::kubernetes::{MANAGED_BY, Wiped};

/// What a Secret says about itself, if it is a mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) source: MirrorSource,
    pub(super) form: Form,
    /// When it was last needed; `None` if that cannot be read.
    pub(super) needed: Option<SystemTime>,
    pub(super) changing: bool,
    pub(super) condemned: bool,
    /// Whose it is to collect.
    pub(super) installation: String,
}

impl Marks {
    /// `None` if it is not a mirror. A Secret with our label and a source counts only under the name that belongs to them.
    pub(super) fn of(metadata: &ObjectMeta) -> Option<Self> {
        let labelled = metadata.labels.as_ref()?.get(LABEL).is_some_and(|value| value == "true");
        let annotations = metadata.annotations.as_ref().filter(|_| labelled)?;
        let source = MirrorSource::parse(annotations.get(SOURCE)?)?;
        let (namespace, name) = (metadata.namespace.as_deref()?, metadata.name.as_deref()?);
        let form = [Form::Env, Form::File].into_iter().find(|form| mirror_name(namespace, &source, *form) == name)?;
        Some(Self {
            source,
            form,
            needed: annotations.get(NEEDED).and_then(|text| parse(text)),
            changing: annotations.contains_key(CHANGING),
            condemned: annotations.contains_key(CONDEMNED),
            installation: annotations.get(INSTALLATION).cloned().unwrap_or_default(),
        })
    }

    /// Whether the mirror was needed less than `period` ago. Clocks of replicas differ: so much into the future is as good.
    pub(super) fn needed_within(&self, period: Duration, now: SystemTime) -> bool {
        let distance = |needed: SystemTime| now.duration_since(needed).unwrap_or_else(|error| error.duration());
        self.needed.is_some_and(|needed| distance(needed) < period)
    }
}

/// The value in a mirror.
pub(super) fn value(secret: &Secret) -> Option<&[u8]> {
    secret.data.as_ref()?.get(VALUE_KEY).map(|ByteString(bytes)| bytes.as_slice())
}

/// A new mirror.
pub(super) fn mirror(namespace: &str, name: &str, source: &MirrorSource, value: &FreshValue, now: SystemTime) -> Wiped {
    let labels = [(LABEL, "true"), MANAGED_BY].map(|(label, value)| (label.to_owned(), value.to_owned()));
    let mut secret = Wiped(Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some(labels.into()),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    });
    annotate(&mut secret, SOURCE, source.to_string());
    put(&mut secret, value);
    renew(&mut secret, now);
    secret
}

/// Puts a value in, which takes the mark of a change away.
pub(super) fn put(secret: &mut Wiped, FreshValue { value, fetched }: &FreshValue) {
    // What was there is wiped with the Secret that is dropped here.
    let bytes = ByteString(value.expose_bytes().to_vec());
    drop(Wiped(Secret {
        data: secret.data.replace(BTreeMap::from([(VALUE_KEY.to_owned(), bytes)])),
        ..Secret::default()
    }));
    annotate(secret, FETCHED, text(*fetched));
    remove(secret, CHANGING);
}

/// Needed now, not condemned, and nobody's change goes on.
pub(super) fn renew(secret: &mut Wiped, now: SystemTime) {
    annotate(secret, NEEDED, text(now));
    remove(secret, CONDEMNED);
    remove(secret, CHANGING);
}

/// Says whose it is to collect; who writes it last, has it.
pub(super) fn belongs_to(secret: &mut Wiped, installation: &str) {
    if !installation.is_empty() {
        annotate(secret, INSTALLATION, installation.to_owned());
    }
}

/// Marks that the value is about to be replaced, with a `token` that no other mark has.
pub(super) fn mark(secret: &mut Wiped, token: String) {
    annotate(secret, CHANGING, token);
}

/// Condemns.
pub(super) fn condemn(secret: &mut Wiped, now: SystemTime) {
    annotate(secret, CONDEMNED, text(now));
}

fn annotate(secret: &mut Wiped, name: &str, value: String) {
    secret.metadata.annotations.get_or_insert_default().insert(name.to_owned(), value);
}

fn remove(secret: &mut Wiped, name: &str) {
    secret.metadata.annotations.get_or_insert_default().remove(name);
}

/// RFC 3339 in UTC with nanoseconds.
fn text(time: SystemTime) -> String {
    // Years beyond 9999 are nobody's.
    Timestamp::try_from(time).map_or_else(|_| String::new(), |time| format!("{time:.9}"))
}

fn parse(text: &str) -> Option<SystemTime> {
    text.parse::<Timestamp>().ok().map(SystemTime::from)
}

#[cfg(test)]
#[path = "marks_tests.rs"]
#[allow(clippy::unwrap_used)]
mod tests;
