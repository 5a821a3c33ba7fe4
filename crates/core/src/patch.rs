//! The JSON patch (RFC 6902) that an admission answers with. Written, never computed by a diff.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::injection::{EnvVar, Item};

/// One operation.
#[derive(Debug, Serialize)]
pub struct PatchOperation<'a> {
    /// What to do.
    pub op: Op,
    /// Where: a JSON pointer (RFC 6901).
    pub path: String,
    /// With what; nothing for [`Op::Remove`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<PatchValue<'a>>,
}

/// The kinds of operations that we write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// Puts a value in, before the element at that index, or makes the member.
    Add,
    /// Takes a value out.
    Remove,
    /// Puts a value in another's place.
    Replace,
}

impl<'a> PatchOperation<'a> {
    pub(crate) fn add(path: String, value: PatchValue<'a>) -> Self {
        Self { op: Op::Add, path, value: Some(value) }
    }

    pub(crate) fn remove(path: String) -> Self {
        Self { op: Op::Remove, path, value: None }
    }

    pub(crate) fn replace(path: String, value: PatchValue<'a>) -> Self {
        Self { op: Op::Replace, path, value: Some(value) }
    }
}

/// Everything that we put into a pod, as it stands there.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum PatchValue<'a> {
    /// An annotation.
    Text(Cow<'a, str>),
    /// The command of a container.
    Texts(Vec<String>),
    /// The annotations of a pod that had none.
    Annotations(std::collections::BTreeMap<&'a str, &'a str>),
    /// A variable.
    Env(Cow<'a, EnvVar>),
    /// The variables of a container that had none.
    Envs(Vec<&'a EnvVar>),
    /// A mount.
    Mount(VolumeMount<'a>),
    /// The mounts of a container that had none.
    Mounts(Vec<VolumeMount<'a>>),
    /// A volume.
    Volume(PodVolume<'a>),
    /// The volumes of a pod that had none.
    Volumes(Vec<PodVolume<'a>>),
    /// One more key of a volume of ours.
    Item(&'a Item),
    /// What a projected volume of ours shows.
    Sources(Vec<ProjectedSource<'a>>),
    /// An init container.
    Container(Box<Container<'a>>),
    /// The init containers of a pod that had none.
    Containers(Vec<Container<'a>>),
    /// A part of a pod as configuration describes it.
    Described(&'a serde_json::Value),
    /// The first of such parts in a list.
    AllDescribed(Vec<&'a serde_json::Value>),
    /// All image-pull secrets.
    PullSecrets(Vec<PullSecret<'a>>),
}

/// Kubernetes' `VolumeMount`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeMount<'a> {
    /// Where.
    pub mount_path: &'a str,
    /// Which volume.
    pub name: Cow<'a, str>,
    /// Whether nothing can be written; left out where something can.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// Kubernetes' `Volume`, of the kinds that we make.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodVolume<'a> {
    /// The name.
    pub name: Cow<'a, str>,
    /// A folder in memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<EmptyDir>,
    /// Keys of a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretVolume<'a>>,
    /// Keys of several Secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub projected: Option<ProjectedVolume<'a>>,
}

/// Kubernetes' `EmptyDirVolumeSource` in memory.
#[derive(Debug, Serialize)]
pub struct EmptyDir {
    medium: &'static str,
}

impl EmptyDir {
    pub(crate) const MEMORY: Self = Self { medium: "Memory" };
}

/// Kubernetes' `SecretVolumeSource`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretVolume<'a> {
    /// The keys.
    pub items: Vec<&'a Item>,
    /// Always, as in the reference.
    pub optional: bool,
    /// The Secret.
    pub secret_name: &'a str,
}

/// Kubernetes' `ProjectedVolumeSource`.
#[derive(Debug, Serialize)]
pub struct ProjectedVolume<'a> {
    /// One a Secret.
    pub sources: Vec<ProjectedSource<'a>>,
}

/// Kubernetes' `VolumeProjection`.
#[derive(Debug, Serialize)]
pub struct ProjectedSource<'a> {
    /// The Secret.
    pub secret: SecretProjection<'a>,
}

/// Kubernetes' `SecretProjection`; not optional: the pod waits for the Secret rather than start without it.
#[derive(Debug, Serialize)]
pub struct SecretProjection<'a> {
    /// The keys.
    pub items: Vec<Cow<'a, Item>>,
    /// The Secret.
    pub name: Cow<'a, str>,
}

/// Kubernetes' `Container`, as far as our init containers need it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Container<'a> {
    /// The command.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub command: Cow<'a, [String]>,
    /// The variables.
    pub env: Vec<Cow<'a, EnvVar>>,
    /// The image.
    pub image: &'a str,
    /// The name.
    pub name: String,
    /// The resources.
    pub resources: &'a serde_json::Value,
    /// What the container may do; left out where nothing is said about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_context: Option<SecurityContext>,
    /// The mounts.
    pub volume_mounts: Vec<VolumeMount<'a>>,
}

/// Kubernetes' `SecurityContext`: what the Pod Security Standard `restricted` asks of every container, named in full so that
/// nothing depends on what the pod says. The user is left to the image and the pod: a number of ours would be outside the
/// range that OpenShift gives to a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecurityContext {
    allow_privilege_escalation: bool,
    capabilities: Capabilities,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    read_only_root_filesystem: bool,
    run_as_non_root: bool,
    seccomp_profile: SeccompProfile,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Capabilities {
    drop: [&'static str; 1],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct SeccompProfile {
    r#type: &'static str,
}

impl SecurityContext {
    /// `read_only_root_filesystem` for programs that write nowhere but into their volume.
    pub(crate) const fn restricted(read_only_root_filesystem: bool) -> Self {
        Self {
            allow_privilege_escalation: false,
            capabilities: Capabilities { drop: ["ALL"] },
            read_only_root_filesystem,
            run_as_non_root: true,
            seccomp_profile: SeccompProfile { r#type: "RuntimeDefault" },
        }
    }
}

/// Kubernetes' `LocalObjectReference` in the list of image-pull secrets.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum PullSecret<'a> {
    /// One that was there, as it was written.
    Kept(&'a RawValue),
    /// A new one.
    New {
        /// The Secret.
        name: &'a str,
    },
}

/// Encodes a member's name for a JSON pointer (RFC 6901, section 3).
#[must_use]
pub fn escape_pointer(name: &str) -> Cow<'_, str> {
    if name.contains(['~', '/']) { Cow::Owned(name.replace('~', "~0").replace('/', "~1")) } else { Cow::Borrowed(name) }
}
