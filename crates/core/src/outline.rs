//! What has to be known of a pod, borrowed from its JSON; everything else is skipped, never re-serialised.
//!
//! So a field that our version of Kubernetes does not know yet survives, and so does every quantity
//! and time stamp as it was written. Source of the members: Kubernetes' `core/v1` Pod.

use std::borrow::{Borrow, Cow};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::OnceLock;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::annotations;
use crate::mirror::SecretReference;
use crate::secret::Secret;

/// Text that is borrowed from the JSON wherever it holds no escape.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Text<'a>(Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Text<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// A map of strings: labels, annotations. Of several members of one name the last one counts, as in Go.
#[derive(Clone, Debug, Default)]
pub struct TextMap<'a>(BTreeMap<Text<'a>, Text<'a>>);

impl<'a> TextMap<'a> {
    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| &**value)
    }

    /// All members, in byte order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for TextMap<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MapVisitor;
        impl<'de> Visitor<'de> for MapVisitor {
            type Value = TextMap<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of strings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    members.insert(name, value);
                }
                Ok(TextMap(members))
            }
        }
        deserializer.deserialize_map(MapVisitor)
    }
}

/// `null` is the same as nothing, as everywhere in Kubernetes' API.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A JSON object. Reading a struct takes a list of its members, too, and nothing could be added to that.
#[derive(Clone, Debug, Default)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = T;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

/// As [`or_default`], for an object.
fn object<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::<Object<T>>::deserialize(deserializer).map(|object| object.unwrap_or_default().0)
}

/// As [`or_default`], for a list of objects.
fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let objects = Option::<Vec<Object<T>>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(objects.into_iter().map(|Object(object)| object).collect())
}

fn optional_object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(Option::<Object<T>>::deserialize(deserializer)?.map(|Object(object)| object))
}

fn spec<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<SpecOutline<'a>, D::Error> {
    let spec: Option<SpecOutline<'a>> = optional_object(deserializer)?;
    Ok(spec.map(|spec| SpecOutline { present: true, ..spec }).unwrap_or_default())
}

/// A pod, as far as injection is concerned.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodOutline<'a> {
    /// Names, labels and annotations.
    #[serde(borrow, deserialize_with = "object")]
    pub metadata: MetadataOutline<'a>,
    /// Containers and volumes.
    #[serde(borrow, deserialize_with = "spec")]
    pub spec: SpecOutline<'a>,
    /// The number of each request; read only where a template asks for it.
    #[serde(skip)]
    numbers: OnceLock<HashMap<Secret, usize>>,
}

impl<'a> PodOutline<'a> {
    /// Reads a pod's JSON.
    ///
    /// # Errors
    /// What is not JSON, or a member of another type than Kubernetes gives it.
    pub fn parse(json: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// The number of a request among those of the pod, from 0, in the order of the annotations; identical requests have
    /// one number.
    #[must_use]
    pub fn number_of(&self, request: &Secret) -> Option<usize> {
        let numbers = self.numbers.get_or_init(|| {
            let mut numbers = HashMap::new();
            for one in annotations::requests(self.metadata.annotations.iter()).unwrap_or_default() {
                let next = numbers.len();
                numbers.entry(one.secret).or_insert(next);
            }
            numbers
        });
        numbers.get(request).copied()
    }
}

/// `metadata`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MetadataOutline<'a> {
    /// The name, empty while the API server has yet to make one up from `generateName`.
    #[serde(borrow, deserialize_with = "or_default")]
    pub name: Text<'a>,
    /// The first part of a name to make up.
    #[serde(borrow, deserialize_with = "or_default")]
    pub generate_name: Text<'a>,
    /// The namespace; a review carries its own beside the pod.
    #[serde(borrow, deserialize_with = "or_default")]
    pub namespace: Text<'a>,
    /// The labels.
    #[serde(borrow, deserialize_with = "or_default")]
    pub labels: TextMap<'a>,
    /// The annotations, requests among them.
    #[serde(borrow, deserialize_with = "or_default")]
    pub annotations: TextMap<'a>,
    /// Who owns the pod, as its creator says.
    #[serde(borrow, deserialize_with = "objects")]
    pub owner_references: Vec<OwnerOutline<'a>>,
}

impl<'a> MetadataOutline<'a> {
    /// The owner that manages the pod; Kubernetes allows one.
    #[must_use]
    pub fn controller(&self) -> Option<&OwnerOutline<'a>> {
        self.owner_references.iter().find(|owner| owner.controller)
    }
}

/// An owner of a pod (`metav1.OwnerReference`). Owners are in the pod's namespace, or of the cluster.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OwnerOutline<'a> {
    /// Group and version, `batch/v1` say.
    #[serde(borrow, deserialize_with = "or_default")]
    pub api_version: Text<'a>,
    /// The kind, `Job` say.
    #[serde(borrow, deserialize_with = "or_default")]
    pub kind: Text<'a>,
    /// The name.
    #[serde(borrow, deserialize_with = "or_default")]
    pub name: Text<'a>,
    /// The uid.
    #[serde(borrow, deserialize_with = "or_default")]
    pub uid: Text<'a>,
    /// Whether it manages the pod.
    #[serde(deserialize_with = "or_default")]
    pub controller: bool,
}

/// `spec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SpecOutline<'a> {
    /// Whether the pod has a `spec` at all; nothing can be added to one that has not.
    #[serde(skip)]
    pub present: bool,
    /// The containers.
    #[serde(borrow, deserialize_with = "objects")]
    pub containers: Vec<ContainerOutline<'a>>,
    /// The init containers, native sidecars among them.
    #[serde(borrow, deserialize_with = "objects")]
    pub init_containers: Vec<ContainerOutline<'a>>,
    /// The volumes.
    #[serde(borrow, deserialize_with = "objects")]
    pub volumes: Vec<VolumeOutline<'a>>,
    /// The image-pull secrets, as they are written.
    #[serde(borrow, deserialize_with = "or_default")]
    pub image_pull_secrets: Vec<&'a RawValue>,
}

/// A container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerOutline<'a> {
    /// The name.
    #[serde(borrow, deserialize_with = "or_default")]
    pub name: Text<'a>,
    /// The variables.
    #[serde(borrow, deserialize_with = "objects")]
    pub env: Vec<EnvOutline<'a>>,
    /// The mounts.
    #[serde(borrow, deserialize_with = "objects")]
    pub volume_mounts: Vec<MountOutline<'a>>,
    /// `Always` makes an init container a native sidecar (KEP-753).
    #[serde(borrow, deserialize_with = "or_default")]
    pub restart_policy: Text<'a>,
    /// The command as it is written; read only where it may be one of ours.
    #[serde(borrow)]
    command: Option<&'a RawValue>,
    #[serde(skip)]
    parsed_command: OnceLock<Vec<String>>,
}

impl ContainerOutline<'_> {
    /// Whether this init container keeps running beside the others.
    #[must_use]
    pub fn is_native_sidecar(&self) -> bool {
        &*self.restart_policy == "Always"
    }

    /// The command; empty where there is none.
    #[must_use]
    pub fn command(&self) -> &[String] {
        let parse = || self.command.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
        self.parsed_command.get_or_init(parse)
    }

    /// The plain value of a variable; a missing `value` is the empty text.
    #[must_use]
    pub fn env_value(&self, name: &str) -> Option<&str> {
        self.env.iter().find(|variable| &*variable.name == name).map(|variable| &*variable.value)
    }
}

/// A variable of a container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EnvOutline<'a> {
    /// The name.
    #[serde(borrow, deserialize_with = "or_default")]
    pub name: Text<'a>,
    /// The plain value; missing is empty.
    #[serde(borrow, deserialize_with = "or_default")]
    pub value: Text<'a>,
    /// Where the value comes from otherwise, as it is written.
    #[serde(borrow)]
    pub value_from: Option<&'a RawValue>,
}

/// A mount of a container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MountOutline<'a> {
    /// The volume's name.
    #[serde(borrow, deserialize_with = "or_default")]
    pub name: Text<'a>,
    /// The path in the container.
    #[serde(borrow, deserialize_with = "or_default")]
    pub mount_path: Text<'a>,
}

/// A volume.
#[derive(Clone, Debug, Default)]
pub struct VolumeOutline<'a> {
    /// The name.
    pub name: Text<'a>,
    /// The Secret it shows, if it shows one.
    pub secret: Option<SecretVolumeOutline<'a>>,
    /// Where a projected volume's files come from, as it is written; read only where it may be one of ours, because
    /// nearly every pod has one of its ServiceAccount.
    projected: Option<&'a RawValue>,
    /// Any other source by its name, as it is written.
    other: Option<(Text<'a>, &'a RawValue)>,
    files: OnceLock<Option<Vec<ProjectedFile>>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for VolumeOutline<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct VolumeVisitor;
        impl<'de> Visitor<'de> for VolumeVisitor {
            type Value = VolumeOutline<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a volume")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut volume = VolumeOutline::default();
                while let Some(member) = map.next_key::<Text<'de>>()? {
                    match &*member {
                        "name" => volume.name = map.next_value::<Option<Text<'de>>>()?.unwrap_or_default(),
                        "secret" => {
                            let secret: Option<Object<SecretVolumeOutline<'de>>> = map.next_value()?;
                            volume.secret = secret.map(|Object(secret)| secret);
                        }
                        "projected" => volume.projected = map.next_value()?,
                        _ => {
                            let source: Option<&'de RawValue> = map.next_value()?;
                            volume.other = source.map(|source| (member, source));
                        }
                    }
                }
                Ok(volume)
            }
        }
        deserializer.deserialize_map(VolumeVisitor)
    }
}

/// A file of a projected volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectedFile {
    /// The key that it shows.
    pub reference: SecretReference,
    /// The path below the mount.
    pub path: String,
}

impl VolumeOutline<'_> {
    /// The files of a projected volume that an earlier pass of ours has made: it shows named keys of Secrets by
    /// references of our form, and nothing else. `None` for every other volume.
    #[must_use]
    pub fn files_by_reference(&self) -> Option<&[ProjectedFile]> {
        self.files.get_or_init(|| ours(self.projected?)).as_deref()
    }

    /// Whether it shows what `volume`, Kubernetes' JSON, does: an API server has read and written it in between, so it may
    /// hold defaults.
    #[must_use]
    pub fn shows(&self, volume: &Value) -> bool {
        let sources = volume.as_object().into_iter().flatten().filter(|(member, _)| *member != "name");
        let raw = |raw: &RawValue, source| serde_json::from_str(raw.get()).is_ok_and(|there| holds(&there, source));
        sources.into_iter().all(|(member, source)| match member.as_str() {
            "secret" => self.secret.as_ref().is_some_and(|secret| {
                let items = source["items"].as_array().map(Vec::as_slice).unwrap_or_default();
                let same =
                    |item: &Value, there: &ItemOutline<'_>| item["key"] == *there.key && item["path"] == *there.path;
                source["secretName"] == *secret.secret_name
                    && items.len() == secret.items.len()
                    && items.iter().zip(&secret.items).all(|(item, there)| same(item, there))
            }),
            "projected" => self.projected.is_some_and(|there| raw(there, source)),
            _ => self.other.as_ref().is_some_and(|(name, there)| **name == **member && raw(there, source)),
        })
    }
}

/// Whether `there` holds everything of `ours`, apart from what an API server leaves out (empty) or writes anew (quantities).
pub(crate) fn holds(there: &Value, ours: &Value) -> bool {
    match (there, ours) {
        (Value::Object(there), Value::Object(ours)) => ours.iter().all(|(name, ours)| match there.get(name) {
            Some(_) if matches!(name.as_str(), "sizeLimit" | "storage" | "divisor") => true,
            Some(there) => holds(there, ours),
            None => is_empty(ours),
        }),
        (Value::Array(there), Value::Array(ours)) => {
            there.len() == ours.len() && there.iter().zip(ours).all(|(there, ours)| holds(there, ours))
        }
        _ => there == ours,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

fn ours(projected: &RawValue) -> Option<Vec<ProjectedFile>> {
    let Object(volume): Object<ProjectedOutline<'_>> = serde_json::from_str(projected.get()).ok()?;
    let mut files = Vec::new();
    for source in volume.sources {
        let secret = source.secret.filter(|secret| !secret.items.is_empty())?;
        for item in &secret.items {
            let reference = SecretReference { name: secret.name.to_string(), key: item.key.to_string() };
            let path = item.path.to_string();
            files.push(Some(ProjectedFile { reference, path }).filter(|file| file.reference.is_ours())?);
        }
    }
    (!files.is_empty()).then_some(files)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ProjectedOutline<'a> {
    #[serde(borrow, deserialize_with = "objects")]
    sources: Vec<ProjectionOutline<'a>>,
}

/// One source of a projected volume; those that are no Secret are nothing here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ProjectionOutline<'a> {
    #[serde(borrow, deserialize_with = "optional_object")]
    secret: Option<SecretProjectionOutline<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SecretProjectionOutline<'a> {
    #[serde(borrow, deserialize_with = "or_default")]
    name: Text<'a>,
    #[serde(borrow, deserialize_with = "objects")]
    items: Vec<ItemOutline<'a>>,
}

/// A volume over a Secret.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SecretVolumeOutline<'a> {
    /// The Secret's name.
    #[serde(borrow, deserialize_with = "or_default")]
    pub secret_name: Text<'a>,
    /// The keys it shows; none means all.
    #[serde(borrow, deserialize_with = "objects")]
    pub items: Vec<ItemOutline<'a>>,
}

/// A key of a Secret as a file of a volume.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ItemOutline<'a> {
    /// The key.
    #[serde(borrow, deserialize_with = "or_default")]
    pub key: Text<'a>,
    /// The path below the mount.
    #[serde(borrow, deserialize_with = "or_default")]
    pub path: Text<'a>,
}
