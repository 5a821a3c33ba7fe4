//! Variables and mounts of all containers, and the init containers that are new.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::described::{self, NewParts};
use super::writer::Written;
use crate::injection::{EnvSource, EnvVar, FetchContainer, text_bytes};
use crate::injectors::is_our_writer;
use crate::outline;
use crate::outline::{ContainerOutline, EnvOutline, MountOutline, SpecOutline};
use crate::patch::{Container, PatchOperation, PatchValue, SecurityContext, VolumeMount};
use crate::settings::{EmbeddedSettings, InitContainerPlacement, InitContainerSecurityContext, Profile, Settings};

/// What goes to every container, in the order in which it is added.
pub(super) struct Additions<'a> {
    profile: Profile,
    pub(super) env: Vec<&'a EnvVar>,
    pub(super) mounts: Vec<VolumeMount<'a>>,
    /// Init containers that an earlier pass of ours has added: they have everything.
    ours: Vec<bool>,
}

/// A fetch container to insert. Additions that come after it go to it, too.
pub(super) struct NewContainer<'a> {
    pub(super) name: String,
    pub(super) is_writer: bool,
    image: &'a str,
    command: Cow<'a, [String]>,
    env: Vec<Cow<'a, EnvVar>>,
    mount: VolumeMount<'a>,
    resources: &'a serde_json::Value,
    env_from: usize,
    mounts_from: usize,
}

impl<'a> Additions<'a> {
    pub(super) fn new(profile: Profile, spec: &SpecOutline<'_>) -> Self {
        Self { profile, env: Vec::new(), mounts: Vec::new(), ours: vec![false; spec.init_containers.len()] }
    }

    /// An earlier pass has added this init container: it has everything.
    pub(super) fn leave_alone(&mut self, index: usize) {
        self.ours[index] = true;
    }

    /// Whether an earlier pass has added the writer of Embedded files.
    pub(super) fn recognise_writer(&mut self, existing: &[ContainerOutline<'_>], name: &str) -> bool {
        let found = existing.iter().position(|there| *there.name == *name && is_our_writer(there));
        found.inspect(|&index| self.leave_alone(index)).is_some()
    }

    pub(super) fn container(
        &self,
        name: String,
        container: &'a FetchContainer,
        mount: VolumeMount<'a>,
    ) -> NewContainer<'a> {
        NewContainer {
            name,
            is_writer: false,
            image: &container.image,
            command: Cow::Borrowed(&container.command),
            env: container.env.iter().map(Cow::Borrowed).collect(),
            mount,
            resources: &container.resources,
            env_from: self.env.len(),
            mounts_from: self.mounts.len(),
        }
    }

    /// The writer, still without its lines.
    pub(super) fn writer(&self, settings: &'a EmbeddedSettings, mount: VolumeMount<'a>) -> NewContainer<'a> {
        NewContainer {
            name: settings.writer_name.clone(),
            is_writer: true,
            image: &settings.writer.image,
            command: Cow::Borrowed(&[]),
            env: Vec::new(),
            mount,
            resources: &settings.writer.resources,
            env_from: self.env.len(),
            mounts_from: self.mounts.len(),
        }
    }

    /// What all of it comes to for a container that was there before.
    pub(super) fn for_existing<'p>(&'p self, described: &'p [&'a Value]) -> ForExisting<'p, 'a> {
        let env = effective(self.profile, &self.env);
        let names = env.iter().enumerate().map(|(index, variable)| (&*variable.name, index)).collect();
        ForExisting { additions: self, env, names, mounts: distinct(&self.mounts), described }
    }
}

/// The additions in the order of the lists, each name once: worked out once, for all containers of the pod.
pub(super) struct ForExisting<'p, 'a> {
    additions: &'p Additions<'a>,
    env: Vec<&'a EnvVar>,
    names: HashMap<&'a str, usize>,
    mounts: Vec<&'p VolumeMount<'a>>,
    /// Mounts that configuration describes.
    described: &'p [&'a Value],
}

impl<'a> ForExisting<'_, 'a> {
    /// About how many bytes go to every container.
    pub(super) fn bytes(&self) -> usize {
        let env = self.env.iter().map(|variable| {
            let around = match &variable.source {
                EnvSource::SecretKeyRef { .. } | EnvSource::From(_) => r#""valueFrom":{}"#.len(),
                EnvSource::Text(_) | EnvSource::Secret(_) => 0,
            };
            r#"{"name":"","value":""},"#.len() + variable.name.len() + around + variable.source.size()
        });
        let mounts = self.mounts.iter();
        let mounts =
            mounts.map(|mount| r#"{"mountPath":"","name":""},"#.len() + mount.mount_path.len() + mount.name.len());
        let described = self.described.iter().map(|mount| text_bytes(mount));
        env.chain(mounts).chain(described).sum()
    }

    /// Patches the init containers, all but those that an earlier pass of ours has added.
    pub(super) fn write_init_containers(
        &self,
        containers: &[ContainerOutline<'_>],
        operations: &mut Vec<PatchOperation<'a>>,
    ) {
        for (index, container) in containers.iter().enumerate().filter(|(index, _)| !self.additions.ours[*index]) {
            self.write(format!("/spec/initContainers/{index}"), container, operations);
        }
    }

    /// Patches the containers.
    pub(super) fn write_containers(
        &self,
        containers: &[ContainerOutline<'_>],
        operations: &mut Vec<PatchOperation<'a>>,
    ) {
        for (index, container) in containers.iter().enumerate() {
            self.write(format!("/spec/containers/{index}"), container, operations);
        }
    }

    fn write(&self, path: String, container: &ContainerOutline<'_>, operations: &mut Vec<PatchOperation<'a>>) {
        match self.additions.profile {
            Profile::Flyte1 => append_env(&path, &container.env, &self.env, &self.names, operations),
            Profile::Flyte2 => prepend_env(&path, &container.env, &self.env, &self.names, operations),
        }
        let has_list = add_mounts(&path, container, &self.mounts, operations);
        if !self.described.is_empty() {
            add_described(&path, container, has_list, self.described, operations);
        }
    }
}

/// What adding variables one by one comes to, in the order of the list: Flyte 1 appends and leaves
/// what is there, Flyte 2 takes away what is there and puts each in front.
fn effective<'a>(profile: Profile, added: &[&'a EnvVar]) -> Vec<&'a EnvVar> {
    let mut seen = HashSet::new();
    let mut first_of_name = |variable: &&&'a EnvVar| seen.insert(&*variable.name);
    match profile {
        Profile::Flyte1 => added.iter().filter(&mut first_of_name).copied().collect(),
        Profile::Flyte2 => added.iter().rev().filter(&mut first_of_name).copied().collect(),
    }
}

fn distinct<'m, 'a>(mounts: &'m [VolumeMount<'a>]) -> Vec<&'m VolumeMount<'a>> {
    let mut seen = HashSet::new();
    mounts.iter().filter(|mount| seen.insert(&*mount.name)).collect()
}

fn append_env<'a>(
    path: &str,
    present: &[EnvOutline<'_>],
    env: &[&'a EnvVar],
    names: &HashMap<&str, usize>,
    operations: &mut Vec<PatchOperation<'a>>,
) {
    let there: HashSet<usize> = present.iter().filter_map(|variable| names.get(&*variable.name).copied()).collect();
    let new = env.iter().enumerate().filter(|(index, _)| !there.contains(index)).map(|(_, variable)| *variable);
    if present.is_empty() {
        let new: Vec<_> = new.collect();
        if !new.is_empty() {
            operations.push(PatchOperation::add(format!("{path}/env"), PatchValue::Envs(new)));
        }
        return;
    }
    let add = |variable| PatchOperation::add(format!("{path}/env/-"), PatchValue::Env(Cow::Borrowed(variable)));
    operations.extend(new.map(add));
}

fn prepend_env<'a>(
    path: &str,
    present: &[EnvOutline<'_>],
    env: &[&'a EnvVar],
    names: &HashMap<&str, usize>,
    operations: &mut Vec<PatchOperation<'a>>,
) {
    if env.is_empty() {
        return;
    }
    if present.is_empty() {
        operations.push(PatchOperation::add(format!("{path}/env"), PatchValue::Envs(env.to_vec())));
        return;
    }
    let ours: Vec<usize> = (0..present.len()).filter(|&index| names.contains_key(&*present[index].name)).collect();
    // An earlier pass has put them there; another webhook may have moved them by variables of its own.
    let there = ours.iter().map(|&index| &present[index]);
    if ours.len() == env.len() && there.zip(env).all(|(there, variable)| same_variable(there, variable)) {
        return;
    }
    operations.extend(ours.iter().rev().map(|index| PatchOperation::remove(format!("{path}/env/{index}"))));
    operations.extend(env.iter().enumerate().map(|(index, variable)| {
        PatchOperation::add(format!("{path}/env/{index}"), PatchValue::Env(Cow::Borrowed(*variable)))
    }));
}

/// Adds the mounts of volumes that the container does not mount; says whether it has a list of mounts then.
fn add_mounts<'a>(
    path: &str,
    container: &ContainerOutline<'_>,
    mounts: &[&VolumeMount<'a>],
    operations: &mut Vec<PatchOperation<'a>>,
) -> bool {
    if mounts.is_empty() {
        return !container.volume_mounts.is_empty();
    }
    let present: HashSet<&str> = container.volume_mounts.iter().map(|mount| &*mount.name).collect();
    let new = mounts.iter().filter(|mount| !present.contains(&*mount.name)).copied().cloned();
    if present.is_empty() {
        let new: Vec<_> = new.collect();
        if !new.is_empty() {
            operations.push(PatchOperation::add(format!("{path}/volumeMounts"), PatchValue::Mounts(new)));
        }
        return true;
    }
    operations.extend(new.map(|mount| PatchOperation::add(format!("{path}/volumeMounts/-"), PatchValue::Mount(mount))));
    true
}

/// Adds the mounts that configuration describes. One volume can be mounted at several places, so the place counts, too.
fn add_described<'a>(
    path: &str,
    container: &ContainerOutline<'_>,
    has_list: bool,
    mounts: &[&'a Value],
    operations: &mut Vec<PatchOperation<'a>>,
) {
    let is_there = |mount: &Value| {
        let same = |there: &MountOutline<'_>| mount["name"] == *there.name && mount["mountPath"] == *there.mount_path;
        container.volume_mounts.iter().any(same)
    };
    let new: Vec<&Value> = mounts.iter().filter(|mount| !is_there(mount)).copied().collect();
    described::append(&format!("{path}/volumeMounts"), has_list, &new, operations);
}

/// Whether a variable of the pod is the one that we would add.
fn same_variable(there: &EnvOutline<'_>, ours: &EnvVar) -> bool {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct ValueFrom {
        secret_key_ref: Option<SecretKeySelector>,
    }
    #[derive(serde::Deserialize)]
    struct SecretKeySelector {
        name: String,
        key: String,
        optional: Option<bool>,
    }
    *there.name == *ours.name
        && match (&ours.source, there.value_from) {
            (EnvSource::SecretKeyRef { name, key, optional }, Some(raw)) => {
                let source: Option<ValueFrom> = serde_json::from_str(raw.get()).ok();
                source.and_then(|source| source.secret_key_ref).is_some_and(|reference| {
                    reference.name == *name
                        && reference.key == *key
                        && reference.optional.unwrap_or_default() == *optional
                })
            }
            (EnvSource::From(ours), Some(raw)) => {
                serde_json::from_str::<Value>(raw.get()).is_ok_and(|there| outline::holds(&there, ours))
            }
            (source, None) => source.value() == Some(&there.value),
            _ => false,
        }
}

impl<'a> NewContainer<'a> {
    /// Gives the writer its lines.
    pub(super) fn set_writer(&mut self, written: Written) {
        self.command = Cow::Owned(written.command);
        self.env = vec![Cow::Owned(written.variable)];
    }

    /// The container with all that was added after it.
    fn finish(self, additions: &Additions<'a>, context: InitContainerSecurityContext) -> Container<'a> {
        let Self { name, is_writer, image, command, env: own, mount, resources, env_from, mounts_from } = self;
        let security_context = match context {
            InitContainerSecurityContext::None => None,
            // The programs of the clouds keep files of their own; our script writes into its volume only.
            InitContainerSecurityContext::Restricted => Some(SecurityContext::restricted(is_writer)),
        };
        // Its own variables stay: without them it could not fetch.
        let is_own = |variable: &&&'a EnvVar| own.iter().any(|own| own.name == variable.name);
        let added = effective(additions.profile, &additions.env[env_from..]);
        let added: Vec<_> =
            added.iter().filter(|variable| !is_own(variable)).map(|variable| Cow::Borrowed(*variable)).collect();
        let env = match additions.profile {
            Profile::Flyte1 => own.into_iter().chain(added).collect(),
            Profile::Flyte2 => added.into_iter().chain(own).collect(),
        };
        let later = distinct(&additions.mounts[mounts_from..]).into_iter().filter(|later| later.name != mount.name);
        let later: Vec<_> = later.cloned().collect();
        let volume_mounts = std::iter::once(mount).chain(later).collect();
        Container { command, env, image, name, resources, security_context, volume_mounts }
    }
}

/// Inserts the new containers in one run, those of configuration around the others.
pub(super) fn insert<'a>(
    new: Vec<NewContainer<'a>>,
    described: &NewParts<'a>,
    additions: &Additions<'a>,
    settings: &Settings,
    spec: &SpecOutline<'_>,
    operations: &mut Vec<PatchOperation<'a>>,
) {
    let existing = &spec.init_containers;
    let context = settings.init_container_security_context;
    let others = new.len();
    let containers = new.into_iter().map(|container| container.finish(additions, context));
    if existing.is_empty() {
        if others > 0 {
            let value = PatchValue::Containers(containers.collect());
            operations.push(PatchOperation::add("/spec/initContainers".to_owned(), value));
        }
        described.write_containers(0, others, others > 0, operations);
        return;
    }
    let position = match settings.init_container_placement {
        InitContainerPlacement::First => 0,
        InitContainerPlacement::Last => existing.len(),
        InitContainerPlacement::AfterSidecars => {
            existing.iter().position(|container| !container.is_native_sidecar()).unwrap_or(existing.len())
        }
    };
    for (offset, container) in containers.enumerate() {
        let path = format!("/spec/initContainers/{}", position + offset);
        operations.push(PatchOperation::add(path, PatchValue::Container(Box::new(container))));
    }
    described.write_containers(position, others, true, operations);
}
