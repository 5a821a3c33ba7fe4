//! Parts of a pod that configuration describes: each name once, and what an earlier pass has put there stays.

use std::collections::HashMap;

use serde_json::Value;

use super::containers::Additions;
use super::{MergeError, Served};
use crate::injection::text_bytes;
use crate::outline::{ContainerOutline, PodOutline};
use crate::patch::{PatchOperation, PatchValue};

/// What is new of all described parts of a pod.
#[derive(Default)]
pub(super) struct NewParts<'a> {
    volumes: Vec<&'a Value>,
    /// For every container, whether they are there or not.
    mounts: Vec<&'a Value>,
    sidecars: Vec<&'a Value>,
    init_containers: Vec<&'a Value>,
}

impl<'a> NewParts<'a> {
    /// Gathers the parts of all requests; containers that an earlier pass has added are left alone.
    pub(super) fn gather(
        pod: &'a PodOutline<'a>,
        served: &'a [Served<'a>],
        additions: &mut Additions<'a>,
    ) -> Result<Self, MergeError> {
        let mut new = Self::default();
        let mut volumes = Distinct { what: "volume", seen: HashMap::new() };
        let mut containers = Distinct { what: "container", seen: HashMap::new() };
        let mut mounts = HashMap::new();
        for part in served.iter().filter_map(|one| one.injection.described.as_deref()) {
            for volume in &part.volumes {
                if volumes.is_first(volume)? {
                    new.volume(pod, volume)?;
                }
            }
            for mount in &part.mounts {
                let place = (text(mount, "name"), text(mount, "mountPath"));
                match mounts.insert(place, mount) {
                    None => new.mounts.push(mount),
                    Some(other) if other == mount => {}
                    Some(_) => return Err(MergeError::AtOdds { what: "mount", name: place.1.to_owned() }),
                }
            }
            for (place, all) in [(&mut new.sidecars, &part.sidecars), (&mut new.init_containers, &part.init_containers)]
            {
                for container in all {
                    if containers.is_first(container)? && !is_there(pod, container, additions)? {
                        place.push(container);
                    }
                }
            }
        }
        Ok(new)
    }

    fn volume(&mut self, pod: &PodOutline<'_>, volume: &'a Value) -> Result<(), MergeError> {
        let name = text(volume, "name");
        match pod.spec.volumes.iter().find(|there| *there.name == *name) {
            None => self.volumes.push(volume),
            Some(there) if there.shows(volume) => {}
            Some(_) => return Err(MergeError::NameTaken { what: "volume", name: name.to_owned() }),
        }
        Ok(())
    }

    /// The mounts for every container.
    pub(super) fn mounts(&self) -> &[&'a Value] {
        &self.mounts
    }

    /// How many containers are new.
    pub(super) fn containers(&self) -> usize {
        self.sidecars.len() + self.init_containers.len()
    }

    /// About how many bytes are added, mounts without their copies.
    pub(super) fn bytes(&self) -> usize {
        let containers = self.sidecars.iter().chain(&self.init_containers);
        self.volumes.iter().chain(containers).map(|part| text_bytes(part)).sum()
    }

    /// Adds the volumes; `has_list` says whether the pod has some by then.
    pub(super) fn write_volumes(&self, has_list: bool, operations: &mut Vec<PatchOperation<'a>>) {
        append("/spec/volumes", has_list, &self.volumes, operations);
    }

    /// Inserts sidecars in front of, and init containers behind the `others` that were inserted at `position`.
    pub(super) fn write_containers(
        &self,
        position: usize,
        others: usize,
        has_list: bool,
        operations: &mut Vec<PatchOperation<'a>>,
    ) {
        let list = "/spec/initContainers";
        if !has_list {
            let all: Vec<_> = self.sidecars.iter().chain(&self.init_containers).copied().collect();
            append(list, false, &all, operations);
            return;
        }
        let behind = position + self.sidecars.len() + others;
        let places = (position..).zip(&self.sidecars).chain((behind..).zip(&self.init_containers));
        operations.extend(
            places.map(|(place, part)| PatchOperation::add(format!("{list}/{place}"), PatchValue::Described(part))),
        );
    }
}

/// Appends to a list, or makes it.
pub(super) fn append<'a>(list: &str, has_list: bool, parts: &[&'a Value], operations: &mut Vec<PatchOperation<'a>>) {
    if !has_list && !parts.is_empty() {
        operations.push(PatchOperation::add(list.to_owned(), PatchValue::AllDescribed(parts.to_vec())));
        return;
    }
    let add = |part: &&'a Value| PatchOperation::add(format!("{list}/-"), PatchValue::Described(part));
    operations.extend(parts.iter().map(add));
}

/// The parts of one kind by their names.
struct Distinct<'a> {
    what: &'static str,
    seen: HashMap<&'a str, &'a Value>,
}

impl<'a> Distinct<'a> {
    /// Whether the part is the first of its name; another one has to be the same.
    fn is_first(&mut self, part: &'a Value) -> Result<bool, MergeError> {
        let name = text(part, "name");
        match self.seen.insert(name, part) {
            None => Ok(true),
            Some(other) if other == part => Ok(false),
            Some(_) => Err(MergeError::AtOdds { what: self.what, name: name.to_owned() }),
        }
    }
}

/// Whether an earlier pass has added the container.
fn is_there<'a>(pod: &'a PodOutline<'a>, container: &Value, additions: &mut Additions<'a>) -> Result<bool, MergeError> {
    let name = text(container, "name");
    let index = pod.spec.init_containers.iter().position(|there| *there.name == *name);
    let is_ours = index.is_some_and(|index| is_same(&pod.spec.init_containers[index], container));
    let is_taken = index.is_some() || pod.spec.containers.iter().any(|there| *there.name == *name);
    match index.filter(|_| is_ours) {
        Some(index) => {
            additions.leave_alone(index);
            Ok(true)
        }
        None if is_taken => Err(MergeError::NameTaken { what: "container", name: name.to_owned() }),
        None => Ok(false),
    }
}

/// As fetch containers are recognised: by command and plain variables of its own.
fn is_same(there: &ContainerOutline<'_>, ours: &Value) -> bool {
    let list = |name: &str| ours[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let command = list("command");
    let same_command = command.len() == there.command().len()
        && command.iter().zip(there.command()).all(|(ours, there)| ours.as_str() == Some(there));
    let same_variable = |ours: &Value| match ours.get("valueFrom") {
        Some(_) => there.env_value(text(ours, "name")).is_some(),
        None => there.env_value(text(ours, "name")) == Some(text(ours, "value")),
    };
    same_command && list("env").iter().all(same_variable)
}

fn text<'v>(part: &'v Value, member: &str) -> &'v str {
    part[member].as_str().unwrap_or_default()
}
