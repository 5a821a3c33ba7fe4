//! The one volume over all Secrets that hold a pod's Embedded files (delivery `SecretRef`).

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use crate::injection::Item;
use crate::mirror::SecretReference;
use crate::outline::ProjectedFile;
use crate::patch::{ProjectedSource, ProjectedVolume, SecretProjection};

/// The files of the volume, each path once: Kubernetes refuses a volume with a path twice.
pub(super) struct ProjectedFiles<'a>(Vec<(&'a str, &'a Item)>);

impl<'a> ProjectedFiles<'a> {
    /// Takes what the requests ask for, in their order: a Secret and its keys each. Of two keys at one path the later
    /// one wins; second names give way to every name that was asked for, and to earlier second names.
    pub(super) fn new(requested: impl Iterator<Item = (&'a str, &'a [Item])> + Clone) -> Self {
        let mut files: Vec<(&'a str, &'a Item)> = Vec::new();
        let mut paths: HashMap<&'a str, usize> = HashMap::new();
        let items = || requested.clone().flat_map(|(secret, items)| items.iter().map(move |item| (secret, item)));
        for file in items().filter(|(_, item)| !item.yields) {
            let place = *paths.entry(&file.1.path).or_insert(files.len());
            match files.get_mut(place) {
                Some(earlier) => *earlier = file,
                None => files.push(file),
            }
        }
        for file in items().filter(|(_, item)| item.yields) {
            if let Entry::Vacant(free) = paths.entry(&file.1.path) {
                free.insert(files.len());
                files.push(file);
            }
        }
        Self(files)
    }

    /// Bytes of all names.
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(|(secret, item)| secret.len() + item.bytes()).sum()
    }

    /// The volume that shows them.
    pub(super) fn volume(&self) -> ProjectedVolume<'a> {
        let files = self.0.iter().map(|(secret, item)| (Cow::Borrowed(*secret), Cow::Borrowed(*item)));
        ProjectedVolume { sources: sources(files) }
    }

    /// The sources that a volume of an earlier pass needs instead of its own `present` ones, which stay as far as no
    /// file of now has their path; `None` where nothing is missing.
    pub(super) fn update(&self, present: &[ProjectedFile]) -> Option<Vec<ProjectedSource<'a>>> {
        let there: HashSet<(&str, &str, &str)> =
            present.iter().map(|file| (&*file.reference.name, &*file.reference.key, &*file.path)).collect();
        if self.0.iter().all(|(secret, item)| there.contains(&(secret, &item.key, &item.path))) {
            return None;
        }
        let paths: HashSet<&str> = self.0.iter().map(|(_, item)| &*item.path).collect();
        let ours = self.0.iter().map(|(secret, item)| (Cow::Borrowed(*secret), Cow::Borrowed(*item)));
        let others = present.iter().filter(|file| !paths.contains(&*file.path)).cloned();
        let others = others.map(|ProjectedFile { reference: SecretReference { name, key }, path }| {
            (Cow::Owned(name), Cow::Owned(Item { key, path, yields: false }))
        });
        Some(sources(ours.chain(others)))
    }
}

/// One source a Secret, in the order in which they come first.
fn sources<'a>(files: impl Iterator<Item = (Cow<'a, str>, Cow<'a, Item>)>) -> Vec<ProjectedSource<'a>> {
    let mut sources: Vec<ProjectedSource<'a>> = Vec::new();
    let mut places: HashMap<Cow<'a, str>, usize> = HashMap::new();
    for (name, item) in files {
        let place = *places.entry(name.clone()).or_insert(sources.len());
        match sources.get_mut(place) {
            Some(source) => source.secret.items.push(item),
            None => sources.push(ProjectedSource { secret: SecretProjection { items: vec![item], name } }),
        }
    }
    sources
}
