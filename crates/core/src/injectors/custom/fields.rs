//! What a template can name: the fields of a request, and what is made of them.

use std::borrow::Cow;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::case;
use crate::outline::PodOutline;
use crate::secret::Secret;

/// A name between `{{` and `}}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    Group,
    Key,
    GroupVersion,
    EnvVar,
    Variable,
    Id,
    Index,
    Namespace,
}

impl Field {
    pub(super) const ALL: [Self; 8] = [
        Self::Group,
        Self::Key,
        Self::GroupVersion,
        Self::EnvVar,
        Self::Variable,
        Self::Id,
        Self::Index,
        Self::Namespace,
    ];
    /// Those that a manager can require.
    pub(super) const OF_A_REQUEST: [Self; 4] = [Self::Group, Self::Key, Self::GroupVersion, Self::EnvVar];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Key => "key",
            Self::GroupVersion => "groupVersion",
            Self::EnvVar => "envVar",
            Self::Variable => "variable",
            Self::Id => "id",
            Self::Index => "index",
            Self::Namespace => "namespace",
        }
    }

    /// Whether the text is made by us or Kubernetes: letters, digits and `-`, so that it changes nothing wherever it stands.
    pub(super) const fn is_harmless(self) -> bool {
        matches!(self, Self::Id | Self::Index | Self::Namespace)
    }
}

/// What the fields of one request hold.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) request: &'a Secret,
    /// `webhook.secretEnvVarPrefix`.
    pub(super) prefix: &'a str,
    pub(super) namespace: &'a str,
    /// The pod, if there is one; without it every request is the first.
    pub(super) pod: Option<&'a PodOutline<'a>>,
}

impl<'a> Values<'a> {
    pub(super) fn get(&self, field: Field) -> Cow<'a, str> {
        let Self { request, prefix, namespace, pod } = *self;
        match field {
            Field::Group => Cow::Borrowed(&request.group),
            Field::Key => Cow::Borrowed(&request.key),
            Field::GroupVersion => Cow::Borrowed(&request.group_version),
            Field::EnvVar if !request.env_var.is_empty() => Cow::Borrowed(&request.env_var),
            Field::EnvVar | Field::Variable => Cow::Owned(variable(prefix, request)),
            Field::Id => Cow::Owned(request_id(request)),
            Field::Index => Cow::Owned(pod.and_then(|pod| pod.number_of(request)).unwrap_or_default().to_string()),
            Field::Namespace => Cow::Borrowed(namespace),
        }
    }
}

/// Where flytekit looks: the prefix and what is not empty of group, version and key, in upper case, joined with `_`.
fn variable(prefix: &str, request: &Secret) -> String {
    let parts = [&request.group, &request.group_version, &request.key];
    let parts: Vec<&str> = parts.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    case::upper(&format!("{prefix}{}", parts.join("_")))
}

/// A name for a request: the same in every pod and every pass. 16 hexadecimal digits.
pub(in super::super) fn request_id(request: &Secret) -> String {
    let Secret { group, group_version, key, mount_requirement, env_var } = request;
    let mut digest = Sha256::new();
    for part in [group, group_version, key, env_var] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.update(mount_requirement.number().to_be_bytes());
    HEXLOWER.encode(&digest.finalize()[..8])
}
