//! The only place where a pod is changed: all injections of a pod become one patch, or none does.
//!
//! The injections are played in the order of the requests, as the reference does it on its copy of the
//! pod: volume, fetch container, mount, variables. What is there already is left as it is, so that a
//! second pass over our own output changes nothing.

mod collisions;
mod containers;
mod described;
mod fetchers;
mod projected;
mod volumes;
mod writer;

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;

use crate::injection::{EnvVar, Fetch, FetchContainer, Injection, WriterLine};
use crate::outline::PodOutline;
use crate::patch::{PatchOperation, PatchValue, PullSecret, VolumeMount, escape_pointer};
use crate::secret::Secret;
use crate::settings::{SecretManagerType, Settings};

pub use collisions::Collision;
use containers::{Additions, NewContainer};
use described::NewParts;
use fetchers::Fetchers;
use volumes::Volumes;

/// A request, who serves it, and what that adds to the pod.
#[derive(Clone, Copy, Debug)]
pub struct Served<'a> {
    /// The request.
    pub request: &'a Secret,
    /// The manager that serves it.
    pub manager: SecretManagerType,
    /// What it adds.
    pub injection: &'a Injection,
}

/// What became of a pod's injections.
#[derive(Debug)]
pub struct Merged<'a> {
    /// The patch; empty where the pod has everything already.
    pub operations: Vec<PatchOperation<'a>>,
    /// Requests that end in one variable or file; the later one has won.
    pub collisions: Vec<Collision<'a>>,
}

/// Why injections cannot be merged into a pod.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// Both names that a volume of ours could have are taken by volumes of the pod.
    #[error(
        "the pod has volumes of its own named {0:?} and {1:?}, so there is no name left for the volume over the \
         Secret {2:?}; rename one of them"
    )]
    VolumeNameTaken(String, String, String),
    /// Two requests need one volume, container or mount of a manager described in configuration to be two different ones.
    #[error(
        "two requests of the pod would make the {what} {name:?} two different ones; put {{{{id}}}} into its name in \
         webhook.customSecretManagers"
    )]
    AtOdds {
        /// What it is.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The pod has a volume or a container of its own with the name of one that configuration describes.
    #[error("the pod has a {what} of its own named {name:?}, which webhook.customSecretManagers needs; rename it")]
    NameTaken {
        /// What it is.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The variables and mounts of all containers, and the keys of the volumes, come to more than [`MAX_ADDED_BYTES`].
    #[error(
        "its secrets come to {bytes} bytes over its {containers} containers, {MAX_ADDED_BYTES} are allowed and far \
         fewer fit into a pod; ask for fewer secrets, or in fewer containers"
    )]
    TooLarge {
        /// About how many bytes would be added.
        bytes: usize,
        /// All containers, new ones included.
        containers: usize,
    },
    /// The patch would have more than [`MAX_OPERATIONS`] operations.
    #[error(
        "its secrets need a patch of {0} operations, {MAX_OPERATIONS} are allowed; ask for fewer secrets, and remove \
         variables that the pod has many times"
    )]
    TooManyOperations(usize),
}

/// The most that is added to the containers and volumes of a pod, in bytes: an API server takes no larger object
/// (`MaxRequestBodyBytes` of `k8s.io/apiserver`), and etcd not even that.
pub const MAX_ADDED_BYTES: usize = 3 * 1024 * 1024;
/// The most operations of a patch: the API server's work for one grows with the pod.
pub const MAX_OPERATIONS: usize = 20_000;

/// Merges all injections of a pod.
///
/// # Errors
/// Never a partial result: see [`MergeError`].
pub fn merge<'a>(
    settings: &'a Settings,
    pod: &'a PodOutline<'a>,
    served: &'a [Served<'a>],
) -> Result<Merged<'a>, MergeError> {
    let volumes = Volumes::assign(pod, served)?;
    let mut play = Play::new(settings, pod, served)?;
    let yielding = YieldingNames::new(served);
    for (index, Served { injection, .. }) in served.iter().enumerate() {
        play.injection(&volumes, index, injection, &yielding);
    }
    let collisions = collisions::find(served, &volumes);
    Ok(Merged { operations: play.finish(volumes, served)?, collisions })
}

/// Which of the second names ([`EnvVar::yields`]) may be set: those that are nobody else's.
struct YieldingNames<'a>(BTreeMap<&'a str, &'a EnvVar>);

impl<'a> YieldingNames<'a> {
    fn new(served: &'a [Served<'a>]) -> Self {
        let variables = || served.iter().flat_map(|one| &one.injection.env);
        let mut names = BTreeMap::new();
        for variable in variables().filter(|variable| variable.yields) {
            names.entry(&*variable.name).or_insert(variable);
        }
        for variable in variables().filter(|variable| !variable.yields) {
            names.remove(&*variable.name);
        }
        Self(names)
    }

    fn keeps(&self, variable: &EnvVar) -> bool {
        !variable.yields || self.0.get(&*variable.name).is_some_and(|kept| kept.source == variable.source)
    }
}

/// The reference's changes, in its order, as lists of additions.
struct Play<'a> {
    settings: &'a Settings,
    pod: &'a PodOutline<'a>,
    additions: Additions<'a>,
    described: NewParts<'a>,
    fetchers: Fetchers<'a>,
    new_containers: Vec<NewContainer<'a>>,
    writer_lines: Vec<&'a WriterLine>,
    has_embedded_file: bool,
}

impl<'a> Play<'a> {
    fn new(settings: &'a Settings, pod: &'a PodOutline<'a>, served: &'a [Served<'a>]) -> Result<Self, MergeError> {
        let mut additions = Additions::new(settings.profile, &pod.spec);
        let described = NewParts::gather(pod, served, &mut additions)?;
        let fetchers = Fetchers::new(&pod.spec.init_containers);
        Ok(Self {
            settings,
            pod,
            additions,
            described,
            fetchers,
            new_containers: Vec::new(),
            writer_lines: Vec::new(),
            has_embedded_file: false,
        })
    }

    fn injection(
        &mut self,
        volumes: &Volumes<'a>,
        index: usize,
        injection: &'a Injection,
        yielding: &YieldingNames<'a>,
    ) {
        let mut mount = volumes.mount(index);
        match (&injection.fetch, &mount) {
            (Some(Fetch::Own(container)), Some(mount)) => self.own_container(container, mount),
            (Some(Fetch::Line(line)), Some(mount)) => {
                if self.writer_lines.is_empty() {
                    self.first_line(mount);
                }
                self.writer_lines.push(line);
            }
            _ => {}
        }
        if !injection.with_first_file.is_empty() {
            if self.has_embedded_file {
                // The mount came with the first one; fetch containers of requests in between do without it.
                mount = None;
            } else {
                self.additions.env.extend(&injection.with_first_file);
                self.has_embedded_file = true;
            }
        }
        self.additions.mounts.extend(mount);
        self.additions.env.extend(injection.env.iter().filter(|variable| yielding.keeps(variable)));
    }

    /// A container of its own, unless an earlier pass has put it there.
    fn own_container(&mut self, container: &'a FetchContainer, mount: &VolumeMount<'a>) {
        if let Some(index) = self.fetchers.claim(container) {
            self.additions.leave_alone(index);
            return;
        }
        let so_far = self.pod.spec.init_containers.len() + self.new_containers.len();
        let name = self.fetchers.name(container.name_prefix, so_far);
        let own_mount = VolumeMount { mount_path: container.mount_path, name: mount.name.clone(), read_only: false };
        self.new_containers.push(self.additions.container(name, container, own_mount));
    }

    fn first_line(&mut self, mount: &VolumeMount<'a>) {
        let settings = &self.settings.embedded;
        if self.additions.recognise_writer(&self.pod.spec.init_containers, &settings.writer_name) {
            return;
        }
        let own_mount = VolumeMount { mount_path: mount.mount_path, name: mount.name.clone(), read_only: false };
        self.new_containers.push(self.additions.writer(settings, own_mount));
    }

    fn finish(mut self, volumes: Volumes<'a>, served: &'a [Served<'a>]) -> Result<Vec<PatchOperation<'a>>, MergeError> {
        let spec = &self.pod.spec;
        let described = self.described;
        let new = self.new_containers.len() + described.containers();
        let containers = spec.containers.len() + spec.init_containers.len() + new;
        let for_existing = self.additions.for_existing(described.mounts());
        let bytes = containers.saturating_mul(for_existing.bytes());
        let bytes = bytes.saturating_add(volumes.bytes()).saturating_add(described.bytes());
        if bytes > MAX_ADDED_BYTES {
            return Err(MergeError::TooLarge { bytes, containers });
        }
        let mut operations = annotations(self.pod, served);
        let has_volumes = volumes.write(spec, &mut operations);
        described.write_volumes(has_volumes, &mut operations);
        for_existing.write_init_containers(&spec.init_containers, &mut operations);
        for_existing.write_containers(&spec.containers, &mut operations);
        if !self.writer_lines.is_empty() {
            let written = writer::Written::new(&self.writer_lines);
            match self.new_containers.iter_mut().find(|container| container.is_writer) {
                Some(container) => container.set_writer(written),
                None => written.update(&self.settings.embedded.writer_name, spec, &mut operations),
            }
        }
        containers::insert(self.new_containers, &described, &self.additions, self.settings, spec, &mut operations);
        pull_secrets(self.pod, served, &mut operations);
        if operations.len() > MAX_OPERATIONS {
            return Err(MergeError::TooManyOperations(operations.len()));
        }
        Ok(operations)
    }
}

/// Annotations that are not there yet; of several values for one name the first counts.
fn annotations<'a>(pod: &'a PodOutline<'a>, served: &'a [Served<'a>]) -> Vec<PatchOperation<'a>> {
    let present = &pod.metadata.annotations;
    let mut new: BTreeMap<&str, &str> = BTreeMap::new();
    for annotation in served.iter().flat_map(|one| &one.injection.annotations) {
        if present.get(&annotation.name).is_none() {
            new.entry(&annotation.name).or_insert(&annotation.value);
        }
    }
    if new.is_empty() {
        return Vec::new();
    }
    if present.iter().next().is_none() {
        return vec![PatchOperation::add("/metadata/annotations".to_owned(), PatchValue::Annotations(new))];
    }
    let add = |(name, value): (&'a str, &'a str)| {
        let path = format!("/metadata/annotations/{}", escape_pointer(name));
        PatchOperation::add(path, PatchValue::Text(value.into()))
    };
    new.into_iter().map(add).collect()
}

/// The whole list is sorted as soon as one is added, as in the reference.
fn pull_secrets<'a>(pod: &'a PodOutline<'a>, served: &'a [Served<'a>], operations: &mut Vec<PatchOperation<'a>>) {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Reference {
        name: String,
    }
    if served.iter().all(|one| one.injection.pull_secret.is_none()) {
        return;
    }
    let mut all: Vec<(String, PullSecret<'a>)> = Vec::new();
    for &raw in &pod.spec.image_pull_secrets {
        let reference: Reference = serde_json::from_str(raw.get()).unwrap_or_default();
        all.push((reference.name, PullSecret::Kept(raw)));
    }
    let before = all.len();
    let mut names: HashSet<String> = all.iter().map(|(name, _)| name.clone()).collect();
    for name in served.iter().filter_map(|one| one.injection.pull_secret.as_deref()) {
        if names.insert(name.to_owned()) {
            all.push((name.to_owned(), PullSecret::New { name }));
        }
    }
    if all.len() > before {
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        let list = all.into_iter().map(|(_, reference)| reference).collect();
        operations.push(PatchOperation::add("/spec/imagePullSecrets".to_owned(), PatchValue::PullSecrets(list)));
    }
}
