//! The volumes of a pod's injections: their names, their keys, and whether they are there already.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::projected::ProjectedFiles;
use super::{MergeError, Served};
use crate::injection::{Item, VolumeSource};
use crate::outline::{PodOutline, SpecOutline, VolumeOutline};
use crate::patch::{EmptyDir, PatchOperation, PatchValue, PodVolume, SecretVolume, VolumeMount};
use crate::paths::clash;

/// The longest name that Kubernetes gives a volume (RFC 1123 label).
const MAX_NAME: usize = 63;

/// One volume of ours.
struct Assigned<'a> {
    name: Cow<'a, str>,
    shows: Shows<'a>,
    /// Where an earlier pass, or the pod's author, has put it.
    existing: Option<usize>,
}

/// What a volume of ours shows.
enum Shows<'a> {
    /// A folder in memory.
    Memory,
    /// Keys of a Secret.
    Secret(&'a str, Vec<&'a Item>),
    /// Keys of several Secrets.
    Projected(ProjectedFiles<'a>),
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
                        VolumeSource::Memory { name } => this.named(name, || Shows::Memory),
                        VolumeSource::Projected { name, .. } => {
                            this.named(name, || Shows::Projected(ProjectedFiles::new(projected(served, name))))
                        }
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

    fn named(&mut self, name: &'a str, shows: impl FnOnce() -> Shows<'a>) -> usize {
        self.volumes.iter().position(|volume| volume.name == name).unwrap_or_else(|| {
            let existing = self.present.get(name).copied();
            self.volumes.push(Assigned { name: Cow::Borrowed(name), shows: shows(), existing });
            self.volumes.len() - 1
        })
    }

    /// One volume a Secret: the first request names it.
    fn secret(&mut self, spec: &SpecOutline<'_>, secret: &'a str, preferred: &'a str) -> Result<usize, MergeError> {
        let same = |volume: &Assigned<'_>| matches!(&volume.shows, Shows::Secret(name, _) if *name == secret);
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
                self.volumes.push(Assigned { name, shows: Shows::Secret(secret, Vec::new()), existing });
                return Ok(self.volumes.len() - 1);
            }
        }
        Err(MergeError::VolumeNameTaken(preferred.to_owned(), stable, secret.to_owned()))
    }

    /// Gives every volume over one Secret the keys that its requests ask for, each once.
    fn items(&mut self, served: &'a [Served<'a>]) {
        let requested = || {
            served.iter().zip(&self.mounts).filter_map(|(one, mount)| match &one.injection.volume.as_ref()?.source {
                VolumeSource::Secret { items, .. } => Some((mount.as_ref()?.0, items)),
                VolumeSource::Memory { .. } | VolumeSource::Projected { .. } => None,
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
            if let Shows::Secret(_, place) = &mut volume.shows {
                *place = items;
            }
        }
    }

    /// The read-only mount that goes to every container for a request.
    pub(super) fn mount(&self, request: usize) -> Option<VolumeMount<'a>> {
        let (volume, mount_path) = self.mounts[request]?;
        Some(VolumeMount { mount_path, name: self.volumes[volume].name.clone(), read_only: true })
    }

    /// About how many bytes the keys of all volumes come to.
    pub(super) fn bytes(&self) -> usize {
        let bytes = |volume: &Assigned<'_>| match &volume.shows {
            Shows::Memory => 0,
            Shows::Secret(name, items) => name.len() + items.iter().map(|item| item.bytes()).sum::<usize>(),
            Shows::Projected(files) => files.bytes(),
        };
        self.volumes.iter().map(bytes).sum()
    }

    /// Adds what is not there yet; says whether the pod has a list of volumes then.
    pub(super) fn write(self, spec: &SpecOutline<'_>, operations: &mut Vec<PatchOperation<'a>>) -> bool {
        let mut new = Vec::new();
        for Assigned { name, shows, existing } in self.volumes {
            match existing {
                None => new.push(shows.volume(name)),
                Some(index) => shows.update(index, &spec.volumes[index], operations),
            }
        }
        let has_list = !spec.volumes.is_empty() || !new.is_empty();
        if spec.volumes.is_empty() && has_list {
            operations.push(PatchOperation::add("/spec/volumes".to_owned(), PatchValue::Volumes(new)));
            return has_list;
        }
        let add = |volume| PatchOperation::add("/spec/volumes/-".to_owned(), PatchValue::Volume(volume));
        operations.extend(new.into_iter().map(add));
        has_list
    }
}

/// The Secrets and keys that requests want in the projected volume of that name.
fn projected<'a>(served: &'a [Served<'a>], volume: &'a str) -> impl Iterator<Item = (&'a str, &'a [Item])> + Clone {
    served.iter().filter_map(move |one| match &one.injection.volume.as_ref()?.source {
        VolumeSource::Projected { name, secret_name, items } if *name == volume => Some((&**secret_name, &**items)),
        _ => None,
    })
}

impl<'a> Shows<'a> {
    /// A new volume.
    fn volume(self, name: Cow<'a, str>) -> PodVolume<'a> {
        let volume = PodVolume { name, ..PodVolume::default() };
        match self {
            Self::Memory => PodVolume { empty_dir: Some(EmptyDir::MEMORY), ..volume },
            Self::Secret(secret_name, items) => {
                PodVolume { secret: Some(SecretVolume { items, optional: true, secret_name }), ..volume }
            }
            Self::Projected(files) => PodVolume { projected: Some(files.volume()), ..volume },
        }
    }

    /// Adds to a volume that is there what it lacks.
    fn update(self, index: usize, present: &VolumeOutline<'_>, operations: &mut Vec<PatchOperation<'a>>) {
        match self {
            Self::Memory => {}
            Self::Secret(_, items) => {
                let present = present.secret.iter().flat_map(|secret| &secret.items);
                let present: HashSet<_> = present.map(|item| (&*item.key, &*item.path)).collect();
                for item in items.into_iter().filter(|item| !present.contains(&(&*item.key, &*item.path))) {
                    let path = format!("/spec/volumes/{index}/secret/items/-");
                    operations.push(PatchOperation::add(path, PatchValue::Item(item)));
                }
            }
            Self::Projected(files) => {
                let present = present.files_by_reference();
                if let Some(sources) = present.and_then(|present| files.update(present)) {
                    let path = format!("/spec/volumes/{index}/projected/sources");
                    operations.push(PatchOperation::replace(path, PatchValue::Sources(sources)));
                }
            }
        }
    }
}
