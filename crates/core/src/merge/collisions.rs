//! Requests that end in one variable, file or mount with different sources.

use std::collections::BTreeMap;
use std::fmt;

use super::Served;
use super::volumes::Volumes;
use crate::injection::EnvSource;
use crate::secret::Secret;

/// Two requests of a pod that cannot both have what they ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collision<'a> {
    /// What both end in.
    pub place: Place,
    /// The earlier request, which loses.
    pub earlier: &'a Secret,
    /// The later request, which wins; the same as `earlier` where a request is at odds with itself.
    pub later: &'a Secret,
}

/// What two requests end in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A variable.
    Variable(String),
    /// A file.
    File(String),
    /// A folder with two volumes: Kubernetes refuses such a pod.
    Mount(String),
}

impl fmt::Display for Collision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, earlier, later } = self;
        match place {
            Place::Variable(name) if earlier == later => {
                write!(f, "the request [{later}] sets {name}, one of Flyte's own variables, a second time")
            }
            Place::Variable(name) => {
                write!(f, "the requests [{earlier}] and [{later}] both set the variable {name}; the later one wins")
            }
            Place::File(path) => {
                write!(f, "the requests [{earlier}] and [{later}] both write the file {path}; the later one wins")
            }
            Place::Mount(path) => write!(
                f,
                "the requests [{earlier}] and [{later}] need two volumes at {path}, which Kubernetes refuses; \
                 take one manager for both, or other groups"
            ),
        }
    }
}

/// All collisions, each place once.
pub(super) fn find<'a>(served: &'a [Served<'a>], volumes: &Volumes<'a>) -> Vec<Collision<'a>> {
    let mut variables: BTreeMap<&str, (usize, &EnvSource)> = BTreeMap::new();
    let mut files: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    let mut mounts: BTreeMap<&str, (usize, String)> = BTreeMap::new();
    let mut found: BTreeMap<Place, (usize, usize)> = BTreeMap::new();
    for (index, Served { injection, .. }) in served.iter().enumerate() {
        for variable in injection.variables().filter(|variable| !variable.yields) {
            let (earlier, source) = variables.insert(&variable.name, (index, &variable.source)).unzip();
            if source.is_some_and(|source| *source != variable.source) {
                found.insert(Place::Variable(variable.name.clone()), (earlier.unwrap_or(index), index));
            }
        }
        for file in &injection.files {
            let (earlier, source) = files.insert(&file.path, (index, &file.source)).unzip();
            if source.is_some_and(|source| source != file.source) {
                found.insert(Place::File(file.path.clone()), (earlier.unwrap_or(index), index));
            }
        }
        let described = injection.described.iter().flat_map(|described| &described.mounts);
        let described =
            described.filter_map(|mount| Some((mount["mountPath"].as_str()?, mount["name"].as_str()?.to_owned())));
        let ours = volumes.mount(index).map(|mount| (mount.mount_path, mount.name.to_string()));
        for (path, volume) in ours.into_iter().chain(described) {
            let (earlier, other) = mounts.insert(path, (index, volume.clone())).unzip();
            if other.is_some_and(|other| other != volume) {
                found.insert(Place::Mount(path.to_owned()), (earlier.unwrap_or(index), index));
            }
        }
    }
    found
        .into_iter()
        .map(|(place, (earlier, later))| Collision {
            place,
            earlier: served[earlier].request,
            later: served[later].request,
        })
        .collect()
}
