//! The only place where a pod is changed: all injections of a pod become one patch, or none does.
//!
//! The injections are played in the order of the requests, as the reference does it on its copy of the
//! pod: volume, fetch container, mount, variables. What is there already is left as it is, so that a
//! second pass over our own output changes nothing.

mod collisions;
mod containers;
mod volumes;
mod writer;

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::injection::{EnvVar, Fetch, FetchContainer, Injection, WriterLine};
use crate::outline::PodOutline;
use crate::patch::{PatchOperation, PatchValue, PullSecret, VolumeMount, escape_pointer};
use crate::secret::Secret;
use crate::settings::{SecretManagerType, Settings};

pub use collisions::Collision;
use containers::{Additions, NewContainer};
use volumes::Volumes;

/// A request, who serves it, and what that adds to the pod.
#[derive(Clone, Debug)]
pub struct Served<'a> {
    /// The request.
    pub request: &'a Secret,
    /// The manager that serves it.
    pub manager: SecretManagerType,
    /// What it adds.
    pub injection: Injection,
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
}

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
    let mut play = Play::new(settings, pod);
    let yielding = YieldingNames::new(served);
    for (index, Served { injection, .. }) in served.iter().enumerate() {
        play.injection(&volumes, index, injection, &yielding);
    }
    let collisions = collisions::find(served, &volumes);
    Ok(Merged { operations: play.finish(volumes, served), collisions })
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
    new_containers: Vec<NewContainer<'a>>,
    writer_lines: Vec<&'a WriterLine>,
}

impl<'a> Play<'a> {
    fn new(settings: &'a Settings, pod: &'a PodOutline<'a>) -> Self {
        let additions = Additions::new(settings.profile, &pod.spec);
        Self { settings, pod, additions, new_containers: Vec::new(), writer_lines: Vec::new() }
    }

    fn injection(
        &mut self,
        volumes: &Volumes<'a>,
        index: usize,
        injection: &'a Injection,
        yielding: &YieldingNames<'a>,
    ) {
        let mount = volumes.mount(index);
        let mut variables_with_it: &'a [EnvVar] = &[];
        match (&injection.fetch, &mount) {
            (Some(Fetch::Own(container)), Some(mount)) => self.own_container(container, mount),
            (Some(Fetch::Line(line)), Some(mount)) => {
                if self.writer_lines.is_empty() {
                    self.first_line(mount);
                    variables_with_it = &line.first;
                }
                if !self.writer_lines.contains(&line) {
                    self.writer_lines.push(line);
                }
            }
            _ => {}
        }
        self.additions.mounts.extend(mount);
        let variables = injection.env.iter().filter(|variable| yielding.keeps(variable));
        self.additions.env.extend(variables_with_it.iter().chain(variables));
    }

    /// A container of its own, unless an earlier pass has put it there.
    fn own_container(&mut self, container: &'a FetchContainer, mount: &VolumeMount<'a>) {
        if self.additions.recognise(&self.pod.spec.init_containers, container) {
            return;
        }
        let name = self.free_name(container.name_prefix);
        let own_mount = VolumeMount { mount_path: container.mount_path, name: mount.name.clone(), read_only: false };
        self.new_containers.push(self.additions.container(name, container, own_mount));
    }

    /// The name carries the number of init containers so far, as in the reference, or the next free number.
    fn free_name(&self, prefix: &str) -> String {
        let existing = &self.pod.spec.init_containers;
        let taken = |name: &str| {
            existing.iter().any(|container| *container.name == *name)
                || self.new_containers.iter().any(|container| container.name == name)
        };
        let first = existing.len() + self.new_containers.len();
        (first..)
            .map(|number| format!("{prefix}{number}"))
            .find(|name| !taken(name))
            .expect("a pod has fewer containers than there are numbers")
    }

    fn first_line(&mut self, mount: &VolumeMount<'a>) {
        let settings = &self.settings.embedded;
        if self.additions.recognise_writer(&self.pod.spec.init_containers, &settings.writer_name) {
            return;
        }
        let own_mount = VolumeMount { mount_path: mount.mount_path, name: mount.name.clone(), read_only: false };
        self.new_containers.push(self.additions.writer(settings, own_mount));
    }

    fn finish(mut self, volumes: Volumes<'a>, served: &'a [Served<'a>]) -> Vec<PatchOperation<'a>> {
        let spec = &self.pod.spec;
        let mut operations = annotations(self.pod, served);
        volumes.write(spec, &mut operations);
        self.additions.write("/spec/initContainers", &spec.init_containers, true, &mut operations);
        self.additions.write("/spec/containers", &spec.containers, false, &mut operations);
        if !self.writer_lines.is_empty() {
            let written = writer::Written::new(&self.writer_lines);
            match self.new_containers.iter_mut().find(|container| container.is_writer) {
                Some(container) => container.set_writer(written),
                None => written.update(&self.settings.embedded.writer_name, spec, &mut operations),
            }
        }
        let placement = self.settings.init_container_placement;
        containers::insert(self.new_containers, &self.additions, placement, spec, &mut operations);
        pull_secrets(self.pod, served, &mut operations);
        operations
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
    let mut all: Vec<(String, PullSecret<'a>)> = Vec::new();
    for &raw in &pod.spec.image_pull_secrets {
        let reference: Reference = serde_json::from_str(raw.get()).unwrap_or_default();
        all.push((reference.name, PullSecret::Kept(raw)));
    }
    let before = all.len();
    for name in served.iter().filter_map(|one| one.injection.pull_secret.as_deref()) {
        if all.iter().all(|(present, _)| present != name) {
            all.push((name.to_owned(), PullSecret::New { name }));
        }
    }
    if all.len() > before {
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        let list = all.into_iter().map(|(_, reference)| reference).collect();
        operations.push(PatchOperation::add("/spec/imagePullSecrets".to_owned(), PatchValue::PullSecrets(list)));
    }
}
