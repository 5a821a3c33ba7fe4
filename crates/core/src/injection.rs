//! What one request adds to a pod: plain data, applied by [`crate::merge`] and nowhere else.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Where a variable's value comes from.
#[derive(Clone)]
pub enum EnvSource {
    /// Text that is no secret: a path, a prefix. Already written for the kubelet ([`crate::expansion`]).
    Text(String),
    /// A secret's value in the Pod (delivery `PodSpec`), already written for the kubelet.
    Secret(SecretString),
    /// A key of a Kubernetes Secret.
    SecretKeyRef {
        /// The Secret.
        name: String,
        /// The key.
        key: String,
        /// Whether the container starts without it: so in the reference's K8s manager, never where we know that it is there.
        optional: bool,
    },
    /// Kubernetes' `valueFrom`, as configuration describes it.
    From(serde_json::Value),
}

impl EnvSource {
    /// The `value` that will stand in the pod, if it is a plain one.
    pub(crate) fn value(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Secret(secret) => Some(secret.expose_secret()),
            Self::SecretKeyRef { .. } | Self::From(_) => None,
        }
    }

    /// Bytes of what stands in the pod for it: the value, or the names of the reference.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Secret(secret) => secret.expose_secret().len(),
            Self::SecretKeyRef { name, key, .. } => name.len() + key.len(),
            Self::From(source) => text_bytes(source),
        }
    }
}

impl PartialEq for EnvSource {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::SecretKeyRef { name, key, optional },
                Self::SecretKeyRef { name: other_name, key: other_key, optional: other_optional },
            ) => name == other_name && key == other_key && optional == other_optional,
            (Self::From(source), Self::From(other)) => source == other,
            _ => self.value().is_some() && self.value() == other.value(),
        }
    }
}

/// Shows where a value comes from and never the value.
impl fmt::Debug for EnvSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({text:?})"),
            Self::Secret(_) => f.write_str("Secret([REDACTED])"),
            Self::SecretKeyRef { name, key, .. } => write!(f, "SecretKeyRef({name:?}, {key:?})"),
            Self::From(source) => write!(f, "From({source})"),
        }
    }
}

/// An environment variable.
#[derive(Clone, Debug, PartialEq)]
pub struct EnvVar {
    /// The name, checked with [`crate::expansion::is_env_var_name`].
    pub name: String,
    /// The value's source.
    pub source: EnvSource,
    /// A second name that only helps flytekit find a group version; it gives way to any other
    /// request's name.
    pub yields: bool,
}

impl EnvVar {
    pub(crate) fn new(name: impl Into<String>, source: EnvSource) -> Self {
        Self { name: name.into(), source, yields: false }
    }

    pub(crate) fn text(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(name, EnvSource::Text(text.into()))
    }
}

/// Kubernetes' `EnvVar`; an empty `value` is left out, as the API server does.
impl Serialize for EnvVar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.name)?;
        match &self.source {
            EnvSource::SecretKeyRef { name, key, optional } => {
                let reference = SecretKeySelector { name, key, optional: *optional };
                map.serialize_entry("valueFrom", &ValueFrom { secret_key_ref: reference })?;
            }
            EnvSource::From(source) => map.serialize_entry("valueFrom", source)?,
            EnvSource::Text(_) | EnvSource::Secret(_) => {
                if let Some(value) = self.source.value().filter(|value| !value.is_empty()) {
                    map.serialize_entry("value", value)?;
                }
            }
        }
        map.end()
    }
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct ValueFrom<'a> {
    secret_key_ref: SecretKeySelector<'a>,
}

#[derive(serde::Serialize)]
struct SecretKeySelector<'a> {
    key: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    optional: bool,
}

/// A key of a Secret as a file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Item {
    /// The key.
    pub key: String,
    /// The path below the mount.
    pub path: String,
    /// As [`EnvVar::yields`].
    #[serde(skip)]
    pub yields: bool,
}

impl Item {
    /// Bytes of its names.
    pub(crate) fn bytes(&self) -> usize {
        self.key.len() + self.path.len()
    }
}

/// A volume and where every container mounts it, read-only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Where it is mounted.
    pub mount_path: String,
    /// What it shows.
    pub source: VolumeSource,
}

/// What a volume shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeSource {
    /// Keys of a Secret. One volume a Secret; the first request names it.
    Secret {
        /// The Secret.
        secret_name: String,
        /// The name the reference gives the volume.
        preferred_name: String,
        /// The keys.
        items: Vec<Item>,
    },
    /// Keys of a Secret, in the one volume over all Secrets that hold a pod's Embedded files.
    Projected {
        /// The volume's name.
        name: &'static str,
        /// The Secret.
        secret_name: String,
        /// The keys.
        items: Vec<Item>,
    },
    /// An empty folder in memory that a fetch container fills.
    Memory {
        /// The volume's name.
        name: &'static str,
    },
}

/// A container that brings a secret before the task starts.
#[derive(Clone, Debug, PartialEq)]
pub enum Fetch {
    /// One container for this request.
    Own(FetchContainer),
    /// A line for the one container that writes all Embedded files of a pod.
    Line(WriterLine),
}

/// A container for one request.
#[derive(Clone, Debug, PartialEq)]
pub struct FetchContainer {
    /// The name without its number, `aws-pull-secret-`.
    pub name_prefix: &'static str,
    /// The image.
    pub image: String,
    /// The command; empty leaves the image's own.
    pub command: Vec<String>,
    /// Its own variables.
    pub env: Vec<EnvVar>,
    /// Where it mounts the injection's volume, writable.
    pub mount_path: &'static str,
    /// Kubernetes' `resources`.
    pub resources: serde_json::Value,
}

/// A file that the writer of Embedded files writes.
#[derive(Clone)]
pub struct WriterLine {
    /// The file's name, the request's key as written.
    pub name: String,
    /// The content in base64.
    pub content: SecretString,
}

impl WriterLine {
    /// Bytes of this line in the writer's variable.
    #[must_use]
    pub fn len(&self) -> usize {
        self.name.len() + self.content.expose_secret().len() + "=\n".len()
    }

    /// Never: a line has at least its separator and end.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }
}

impl PartialEq for WriterLine {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.content.expose_secret() == other.content.expose_secret()
    }
}

/// Shows the file's name and never its content.
impl fmt::Debug for WriterLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WriterLine({:?}, [REDACTED])", self.name)
    }
}

/// Parts of a pod as configuration describes them, in Kubernetes' own form. What has the same name is the same, and counts
/// once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Described {
    /// Volumes; each has a `name`.
    pub volumes: Vec<serde_json::Value>,
    /// Mounts for every container; each has a `name` and a `mountPath`.
    pub mounts: Vec<serde_json::Value>,
    /// Init containers that keep running; each has a `name`.
    pub sidecars: Vec<serde_json::Value>,
    /// Init containers; each has a `name`.
    pub init_containers: Vec<serde_json::Value>,
}

impl Described {
    /// All parts.
    pub fn parts(&self) -> impl Iterator<Item = &serde_json::Value> {
        let containers = self.sidecars.iter().chain(&self.init_containers);
        self.volumes.iter().chain(&self.mounts).chain(containers)
    }

    /// About how many bytes all parts come to.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.parts().map(text_bytes).sum()
    }
}

/// About how many bytes a value comes to as JSON.
pub(crate) fn text_bytes(value: &serde_json::Value) -> usize {
    use serde_json::Value;
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len() + 3,
        Value::Array(items) => 2 + items.iter().map(text_bytes).sum::<usize>(),
        Value::Object(members) => {
            2 + members.iter().map(|(name, value)| name.len() + 4 + text_bytes(value)).sum::<usize>()
        }
    }
}

/// An annotation of the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

/// A file that the task will see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenFile {
    /// The path in the container.
    pub path: String,
    /// What it comes from, in names: two different ones at one path are a collision.
    pub source: String,
}

/// Everything one request adds to the pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Injection {
    /// Variables that come, as the mount does, with the pod's first Embedded file only, before all others. Every
    /// Embedded file has some, and nothing else has.
    pub with_first_file: Vec<EnvVar>,
    /// Variables, in the order in which the reference adds them one by one.
    pub env: Vec<EnvVar>,
    /// A volume with its mount.
    pub volume: Option<Volume>,
    /// A container that brings the value.
    pub fetch: Option<Fetch>,
    /// Annotations, highest precedence first: a name that is there already is left as it is.
    pub annotations: Vec<Annotation>,
    /// What a manager described in configuration adds besides.
    pub described: Option<Box<Described>>,
    /// An image-pull Secret.
    pub pull_secret: Option<String>,
    /// The files that the task will see.
    pub files: Vec<SeenFile>,
}

impl Injection {
    /// All variables that the request may set, those that come with the pod's first Embedded file in front.
    pub fn variables(&self) -> impl Iterator<Item = &EnvVar> {
        self.with_first_file.iter().chain(&self.env)
    }

    /// The names of the Secrets that it refers to; one may come several times.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let of_variables = self.variables().filter_map(|variable| match &variable.source {
            EnvSource::SecretKeyRef { name, .. } => Some(name.as_str()),
            EnvSource::From(value_from) => value_from.pointer("/secretKeyRef/name")?.as_str(),
            EnvSource::Text(_) | EnvSource::Secret(_) => None,
        });
        let of_volume = self.volume.as_ref().and_then(|volume| match &volume.source {
            VolumeSource::Secret { secret_name, .. } | VolumeSource::Projected { secret_name, .. } => {
                Some(secret_name.as_str())
            }
            VolumeSource::Memory { .. } => None,
        });
        of_variables.chain(of_volume)
    }
}
