//! The volumes of a pod's injections: their names, their keys, and whether they are there already.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::{MergeError, Served};
use crate::injection::{Item, VolumeSource};
use crate::outline::{PodOutline, SpecOutline};
use crate::patch::{EmptyDir, PatchOperation, PatchValue, PodVolume, SecretVolume, VolumeMount};
use crate::paths::clash;

/// The longest name that Kubernetes gives a volume (RFC 1123 label).
const MAX_NAME: usize = 63;

/// One volume of ours.
struct Assigned<'a> {
    name: Cow<'a, str>,
    /// The Secret and the keys it shall show; none for a folder in memory.
    secret: Option<(&'a str, Vec<&'a Item>)>,
    /// Where an earlier pass, or the pod's author, has put it.
    existing: Option<usize>,
}

/// All volumes, in the order of the requests.
pub(super) struct Volumes<'a> {
    /// The pod's own volumes by name.
    present: HashMap<&'a str, usize>,
    volumes: Vec<Assigned<'a>>,
    /// For each request the volume and where it is mounted.
    mounts: Vec<Option<(usize, &'a str)>>,
}

impl<'a> Volumes<'a> {
    pub(super) fn assign(pod: &'a PodOutline<'a>, served: &'a [Served<'a>]) -> Result<Self, MergeError> {
        let mut present = HashMap::with_capacity(pod.spec.volumes.len());
        for (index, volume) in pod.spec.volumes.iter().enumerate() {
            present.entry(&*volume.name).or_insert(index);
        }
        let mut this = Self { present, volumes: Vec::new(), mounts: Vec::with_capacity(served.len()) };
        for Served { injection, .. } in served {
            let mount = match &injection.volume {
                None => None,
                Some(volume) => {
                    let index = match &volume.source {
                        VolumeSource::Memory { name } => this.memory(name),
                        VolumeSource::Secret { secret_name, preferred_name, .. } => {
                            this.secret(&pod.spec, secret_name, preferred_name)?
                        }
                    };
                    Some((index, &*volume.mount_path))
                }
            };
            this.mounts.push(mount);
        }
        this.items(served);
        Ok(this)
    }

    fn memory(&mut self, name: &'a str) -> usize {
        self.volumes.iter().position(|volume| volume.name == name).unwrap_or_else(|| {
            let existing = self.present.get(name).copied();
            self.volumes.push(Assigned { name: Cow::Borrowed(name), secret: None, existing });
            self.volumes.len() - 1
        })
    }

    /// One volume a Secret: the first request names it.
    fn secret(&mut self, spec: &SpecOutline<'_>, secret: &'a str, preferred: &'a str) -> Result<usize, MergeError> {
        let same = |volume: &Assigned<'_>| volume.secret.as_ref().is_some_and(|(name, _)| *name == secret);
        if let Some(index) = self.volumes.iter().position(same) {
            return Ok(index);
        }
        let stable = format!("fs-{}", &HEXLOWER.encode(&Sha256::digest(secret))[..32]);
        let names = [Cow::Borrowed(preferred), Cow::Owned(stable.clone())];
        for name in names.into_iter().filter(|name| name.len() <= MAX_NAME) {
            let existing = self.present.get(&*name).copied();
            let ours = |index: usize| {
                spec.volumes[index].secret.as_ref().is_some_and(|s| *s.secret_name == *secret && !s.items.is_empty())
            };
            let taken_here = self.volumes.iter().any(|volume| volume.name == name);
            if !taken_here && existing.is_none_or(ours) {
                self.volumes.push(Assigned { name, secret: Some((secret, Vec::new())), existing });
                return Ok(self.volumes.len() - 1);
            }
        }
        Err(MergeError::VolumeNameTaken(preferred.to_owned(), stable, secret.to_owned()))
    }

    /// Gives every volume the keys that its requests ask for, each once.
    fn items(&mut self, served: &'a [Served<'a>]) {
        let requested = || {
            served.iter().zip(&self.mounts).filter_map(|(one, mount)| match &one.injection.volume.as_ref()?.source {
                VolumeSource::Secret { items, .. } => Some((mount.as_ref()?.0, items)),
                VolumeSource::Memory { .. } => None,
            })
        };
        // Second paths give way to every path that was asked for, whatever the order.
        let mut asked: Vec<Vec<&'a Item>> = vec![Vec::new(); self.volumes.len()];
        for (volume, items) in requested() {
            asked[volume].extend(items.iter().filter(|item| !item.yields));
        }
        let mut kept: Vec<Vec<&'a Item>> = vec![Vec::new(); self.volumes.len()];
        for (volume, items) in requested() {
            for item in items {
                let there = kept[volume].iter().any(|other| other.key == item.key && other.path == item.path);
                let in_the_way = |other: &&Item| clash(&other.path, &item.path);
                let gives_way =
                    item.yields && (asked[volume].iter().any(in_the_way) || kept[volume].iter().any(in_the_way));
                if !there && !gives_way {
                    kept[volume].push(item);
                }
            }
        }
        for (volume, items) in self.volumes.iter_mut().zip(kept) {
            if let Some((_, place)) = &mut volume.secret {
                *place = items;
            }
        }
    }

    /// The read-only mount that goes to every container for a request.
    pub(super) fn mount(&self, request: usize) -> Option<VolumeMount<'a>> {
        let (volume, mount_path) = self.mounts[request]?;
        Some(VolumeMount { mount_path, name: self.volumes[volume].name.clone(), read_only: true })
    }

    /// Adds what is not there yet.
    pub(super) fn write(self, spec: &SpecOutline<'_>, operations: &mut Vec<PatchOperation<'a>>) {
        let mut new = Vec::new();
        for Assigned { name, secret, existing } in self.volumes {
            match (existing, secret) {
                (None, None) => new.push(PodVolume { name, empty_dir: Some(EmptyDir::MEMORY), secret: None }),
                (None, Some((secret_name, items))) => {
                    let secret = SecretVolume { items, optional: true, secret_name };
                    new.push(PodVolume { name, empty_dir: None, secret: Some(secret) });
                }
                (Some(_), None) => {}
                (Some(index), Some((_, items))) => {
                    let present = spec.volumes[index].secret.iter().flat_map(|secret| &secret.items);
                    let present: HashSet<_> = present.map(|item| (&*item.key, &*item.path)).collect();
                    for item in items.into_iter().filter(|item| !present.contains(&(&*item.key, &*item.path))) {
                        let path = format!("/spec/volumes/{index}/secret/items/-");
                        operations.push(PatchOperation::add(path, PatchValue::Item(item)));
                    }
                }
            }
        }
        if spec.volumes.is_empty() && !new.is_empty() {
            operations.push(PatchOperation::add("/spec/volumes".to_owned(), PatchValue::Volumes(new)));
            return;
        }
        let add = |volume| PatchOperation::add("/spec/volumes/-".to_owned(), PatchValue::Volume(volume));
        operations.extend(new.into_iter().map(add));
    }
}
