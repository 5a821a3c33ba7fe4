//! What a container of an injected pod will see: the kubelet's part of the way, as data. [`Plan::of`] reads a pod,
//! [`Plan::references`] says which Secrets are needed, and [`Plan::realise`] gives variables and files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use data_encoding::BASE64;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::expansion::expand;
use crate::injectors::WRITER_VARIABLE;
use crate::mirror::SecretReference;
use crate::paths::{SECRETS_DIR, join, lower_name};
use crate::value::SecretValue;

/// Where something that a container sees comes from.
#[derive(Clone, Debug)]
enum Source {
    /// Text of the pod, for the kubelet to expand. It may hold a value (delivery `PodSpec`).
    Text(SecretString),
    /// What the pod holds as it is.
    Value(SecretValue),
    /// A key of a Secret.
    Key { reference: SecretReference, optional: bool },
}

/// What a container needs to see its secrets.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// In the order of the container; others than the wanted ones are there for `$(NAME)` only.
    variables: Vec<(String, Source, bool)>,
    /// By their path below [`SECRETS_DIR`].
    files: BTreeMap<String, Source>,
    unfilled: BTreeSet<String>,
}

/// What a container sees.
#[derive(Clone, Debug, Default)]
pub struct Realised {
    /// The wanted variables, in the container's order.
    pub variables: Vec<RealisedVariable>,
    /// The files below [`SECRETS_DIR`], by their path there.
    pub files: BTreeMap<String, SecretValue>,
    /// What no Secret holds.
    pub missing: Vec<Missing>,
}

/// A variable with its value.
#[derive(Clone, Debug)]
pub struct RealisedVariable {
    /// The name.
    pub name: String,
    /// The value. Bytes: a Secret may hold any.
    pub value: SecretValue,
    /// Whether the value came out of a Secret; else it is text of the pod, a path say.
    pub from_secret: bool,
}

/// A variable or file without a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// `the variable NAME` or `the file PATH`.
    pub what: String,
    /// What is not there.
    pub reference: SecretReference,
    /// Whether the container starts without it, which Kubernetes does silently.
    pub optional: bool,
}

/// Why a pod cannot be realised.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RealiseError {
    /// There is no container of that name, or none at all.
    #[error("the pod has no container {0:?}; it has {1}")]
    NoContainer(String, String),
}

impl Plan {
    /// Reads a pod. `container` is a container or init container of it; `None` is the first one. Of its variables those for
    /// whose names `wanted` says so are realised, of its files all below [`SECRETS_DIR`].
    ///
    /// # Errors
    /// If the pod has no such container.
    pub fn of(pod: &Value, container: Option<&str>, wanted: impl Fn(&str) -> bool) -> Result<Self, RealiseError> {
        let container = find(pod, container)?;
        let variables = list(&container["env"])
            .filter_map(|variable| {
                let name = variable["name"].as_str()?;
                Some((name.to_owned(), variable_source(variable)?, wanted(name)))
            })
            .collect();
        let mut plan = Self { variables, ..Self::default() };
        let mut mounts: Vec<(&str, &str)> = list(&container["volumeMounts"])
            .filter_map(|mount| Some((mount["mountPath"].as_str()?, mount["name"].as_str()?)))
            .filter(|(path, _)| below(path).is_some())
            .collect();
        // A mount inside another one covers what that shows there, so it comes later.
        mounts.sort_by_key(|(path, _)| path.len());
        for (path, name) in mounts {
            let volume = list(&pod["spec"]["volumes"]).find(|volume| volume["name"] == name);
            plan.mount(pod, path, volume.unwrap_or(&Value::Null));
        }
        Ok(plan)
    }

    /// The keys of Secrets that are needed, each once.
    #[must_use]
    pub fn references(&self) -> BTreeSet<(&str, &str)> {
        let variables = self.variables.iter().filter(|(.., wanted)| *wanted).map(|(_, source, _)| source);
        variables
            .chain(self.files.values())
            .filter_map(|source| match source {
                Source::Key { reference: SecretReference { name, key }, .. } => Some((name.as_str(), key.as_str())),
                Source::Text(_) | Source::Value(_) => None,
            })
            .collect()
    }

    /// Init containers that fill a folder of secrets with what is not in the pod.
    #[must_use]
    pub fn unfilled(&self) -> &BTreeSet<String> {
        &self.unfilled
    }

    /// Variables and files, with what `value_of` says the Secrets hold.
    pub fn realise(&self, value_of: impl Fn(&SecretReference) -> Option<SecretValue>) -> Realised {
        let mut realised = Realised::default();
        let mut before: HashMap<&str, SecretValue> = HashMap::with_capacity(self.variables.len());
        for (name, source, wanted) in &self.variables {
            let value = match source {
                Source::Text(text) => {
                    let value_of = |name: &str| before.get(name).map(SecretValue::expose_bytes);
                    SecretValue::binary(expand(text.expose_secret(), value_of))
                }
                Source::Value(value) => value.clone(),
                // Nobody has looked for it.
                Source::Key { .. } if !wanted => continue,
                Source::Key { reference, optional } => match value_of(reference) {
                    Some(value) => value,
                    None => {
                        let what = format!("the variable {name}");
                        realised.missing.push(Missing { what, reference: reference.clone(), optional: *optional });
                        continue;
                    }
                },
            };
            if *wanted {
                let from_secret = !matches!(source, Source::Text(_));
                realised.variables.push(RealisedVariable { name: name.clone(), value: value.clone(), from_secret });
            }
            before.insert(name, value);
        }
        for (path, source) in &self.files {
            let value = match source {
                Source::Text(text) => SecretValue::Text(text.clone()),
                Source::Value(value) => value.clone(),
                Source::Key { reference, optional } => match value_of(reference) {
                    Some(value) => value,
                    None => {
                        let what = format!("the file {SECRETS_DIR}/{path}");
                        realised.missing.push(Missing { what, reference: reference.clone(), optional: *optional });
                        continue;
                    }
                },
            };
            realised.files.insert(path.clone(), value);
        }
        realised
    }

    fn mount(&mut self, pod: &Value, mount_path: &str, volume: &Value) {
        if let Some(secret) = volume.get("secret") {
            self.items(mount_path, &secret["secretName"], secret);
        }
        for source in list(&volume["projected"]["sources"]) {
            self.items(mount_path, &source["secret"]["name"], &source["secret"]);
        }
        if volume.get("emptyDir").is_none() {
            return;
        }
        let mounts = |container: &&Value| {
            list(&container["volumeMounts"])
                .any(|mount| mount["name"] == volume["name"] && mount["readOnly"].as_bool() != Some(true))
        };
        for container in list(&pod["spec"]["initContainers"]).filter(mounts) {
            let lines = list(&container["env"]).find(|variable| variable["name"] == WRITER_VARIABLE);
            match lines.and_then(|variable| variable["value"].as_str()) {
                Some(lines) => self.written(mount_path, lines),
                None => {
                    self.unfilled.insert(container["name"].as_str().unwrap_or_default().to_owned());
                }
            }
        }
    }

    fn items(&mut self, mount_path: &str, name: &Value, secret: &Value) {
        let optional = secret["optional"].as_bool().unwrap_or_default();
        for item in list(&secret["items"]) {
            if let (Some(name), Some(key), Some(path)) = (name.as_str(), item["key"].as_str(), item["path"].as_str()) {
                let reference = SecretReference { name: name.to_owned(), key: key.to_owned() };
                self.file(&join(&[mount_path, path]), Source::Key { reference, optional });
            }
        }
    }

    /// What the writer of Embedded files writes: a line `name=base64` each, every file under its lower-case name too,
    /// unless that is another's.
    fn written(&mut self, mount_path: &str, lines: &str) {
        let decoded = |line: &str| {
            let (name, content) = line.split_once('=')?;
            let name = String::from_utf8(expand(name, |_| None)).ok()?;
            Some((name, SecretValue::binary(BASE64.decode(content.as_bytes()).ok()?)))
        };
        let written: Vec<(String, SecretValue)> = lines.lines().filter_map(decoded).collect();
        for (name, value) in written.iter().rev() {
            if let Some(lower) = lower_name(name) {
                self.file(&join(&[mount_path, &lower]), Source::Value(value.clone()));
            }
        }
        for (name, value) in written {
            self.file(&join(&[mount_path, &name]), Source::Value(value));
        }
    }

    fn file(&mut self, path: &str, source: Source) {
        if let Some(path) = below(path).filter(|path| !path.is_empty()) {
            self.files.insert(path.to_owned(), source);
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, reference: SecretReference { name, key }, .. } = self;
        write!(f, "{what} has no value: there is no key {key:?} of a Secret {name:?}")
    }
}

fn variable_source(variable: &Value) -> Option<Source> {
    let Some(from) = variable.get("valueFrom") else {
        return Some(Source::Text(SecretString::from(variable["value"].as_str().unwrap_or_default())));
    };
    let reference = &from["secretKeyRef"];
    Some(Source::Key {
        reference: SecretReference {
            name: reference["name"].as_str()?.to_owned(),
            key: reference["key"].as_str()?.to_owned(),
        },
        optional: reference["optional"].as_bool().unwrap_or_default(),
    })
}

fn find<'p>(pod: &'p Value, wanted: Option<&str>) -> Result<&'p Value, RealiseError> {
    let mut containers = list(&pod["spec"]["containers"]).chain(list(&pod["spec"]["initContainers"]));
    let found = match wanted {
        None => containers.next(),
        Some(name) => containers.find(|container| container["name"] == name),
    };
    found.ok_or_else(|| {
        let all = list(&pod["spec"]["containers"]).chain(list(&pod["spec"]["initContainers"]));
        let names: Vec<&str> = all.filter_map(|container| container["name"].as_str()).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        RealiseError::NoContainer(wanted.unwrap_or_default().to_owned(), names)
    })
}

/// The path below the folder of the secrets; empty for the folder itself.
#[must_use]
pub fn below(path: &str) -> Option<&str> {
    let rest = path.strip_prefix(SECRETS_DIR)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
#[path = "realise_tests.rs"]
#[allow(clippy::unwrap_used)]
mod tests;
