//! How a value that the webhook has read reaches the container: by reference to a Secret of the pod's namespace, or in the
//! Pod itself. Which Secret is decided here; it is written last ([`Writers::write`]), when the pod can be admitted.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use flyte_secrets_core::mirror::{Form, MirrorSource, SecretReference, VALUE_KEY, mirror_name};
use flyte_secrets_core::settings::Delivery;
use flyte_secrets_core::value::SecretValue;
use flyte_secrets_core::{Secret, Settings};
use flyte_secrets_stores::SecretPlace;
use futures::future::join_all;

use super::{Admission, Decision, Refusal};
use crate::image_pull::{PullSecret, PullSecrets};
use crate::mirrors::{MAX_VALUE, Mirrors, WantedMirror};

/// The way of one value.
#[derive(Debug)]
pub enum Way {
    /// It stands in the Pod (`webhook.delivery: PodSpec`).
    PodSpec,
    /// The pod refers to the stored Secret itself, which is in its namespace.
    Stored(SecretReference),
    /// The pod refers to a mirror of ours.
    Mirror(WantedMirror),
}

impl Way {
    /// What the pod refers to; none where the value stands in it.
    #[must_use]
    pub fn reference(&self) -> Option<SecretReference> {
        match self {
            Self::PodSpec => None,
            Self::Stored(reference) => Some(reference.clone()),
            Self::Mirror(mirror) => Some(SecretReference { name: mirror.name.clone(), key: VALUE_KEY.to_owned() }),
        }
    }
}

/// A value and where it was read.
pub(super) struct Read<'a> {
    pub(super) source: MirrorSource,
    pub(super) value: &'a SecretValue,
    pub(super) fetched: SystemTime,
    pub(super) place: Option<SecretPlace>,
}

/// The way for a request of a pod in `namespace`.
///
/// # Errors
/// A sentence without its subject, for a value that no Secret can hold.
pub(super) fn way(settings: &Settings, namespace: &str, request: &Secret, read: Read<'_>) -> Result<Way, &'static str> {
    let Read { source, value, fetched, place } = read;
    if settings.delivery == Delivery::PodSpec {
        return Ok(Way::PodSpec);
    }
    if let Some(SecretPlace { name, key, .. }) = place.filter(|place| place.namespace == namespace) {
        return Ok(Way::Stored(SecretReference { name, key }));
    }
    if value.expose_bytes().len() > MAX_VALUE {
        return Err("found a value of more than 1 MiB, which is the most that a Kubernetes Secret holds");
    }
    let form = Form::of(request);
    let name = mirror_name(namespace, &source, form);
    Ok(Way::Mirror(WantedMirror { name, source, form, value: value.clone(), fetched }))
}

/// Who writes the Secrets that pods refer to.
#[derive(Clone)]
pub struct Writers {
    /// Mirrors of values.
    pub mirrors: Mirrors,
    /// Copies of image-pull Secrets.
    pub pull_secrets: Option<Arc<PullSecrets>>,
}

impl Writers {
    /// Writes what a pod that is about to be admitted refers to. Afterwards everything is there, or the pod is refused.
    pub async fn write(&self, mut admission: Admission, namespace: &str, deadline: Instant) -> Admission {
        if !matches!(admission.decision, Decision::Patched(_) | Decision::Unchanged) {
            return admission;
        }
        let problems = {
            let mirrors = distinct(admission.handled.iter().filter_map(|one| match one.way.as_ref()? {
                Way::Mirror(mirror) => Some((mirror.name.as_str(), mirror)),
                Way::PodSpec | Way::Stored(_) => None,
            }));
            let copies = distinct(
                admission.handled.iter().filter_map(|one| one.pull_secret.as_ref()).map(|one| (one.name(), one)),
            );
            let mirrors = join_all(mirrors.into_iter().map(|mirror| self.mirror(namespace, mirror, deadline)));
            let copies = join_all(copies.into_iter().map(|secret| self.copy(namespace, secret, deadline)));
            let (mirrors, copies) = futures::join!(mirrors, copies);
            mirrors.into_iter().chain(copies).filter_map(Result::err).collect::<Vec<_>>()
        };
        if !problems.is_empty() {
            admission.decision = Decision::Refused(Refusal::delivery(&admission.pod, &problems));
        }
        admission
    }

    async fn mirror(&self, namespace: &str, mirror: &WantedMirror, deadline: Instant) -> Result<(), Problem> {
        self.mirrors.keep(namespace, mirror, deadline.into()).await.map_err(|error| Problem {
            what: format!("the mirror {} of {}", mirror.name, mirror.source),
            why: error.to_string(),
            retryable: error.is_retryable(),
        })
    }

    async fn copy(&self, namespace: &str, secret: &PullSecret, deadline: Instant) -> Result<(), Problem> {
        let Some(pull_secrets) = &self.pull_secrets else { return Ok(()) };
        let copied = pull_secrets.copy(secret, namespace, deadline.into()).await;
        copied.map(drop).map_err(|error| Problem {
            what: format!("the image-pull Secret {}", secret.name()),
            why: error.to_string(),
            retryable: true,
        })
    }
}

/// Why a Secret that a pod would refer to could not be written. Names only.
pub(super) struct Problem {
    pub(super) what: String,
    pub(super) why: String,
    pub(super) retryable: bool,
}

/// The first of each name.
fn distinct<'a, T>(all: impl Iterator<Item = (&'a str, &'a T)>) -> Vec<&'a T> {
    let mut seen = std::collections::HashSet::new();
    all.filter(|(name, _)| seen.insert(*name)).map(|(_, one)| one).collect()
}
