//! What nobody needs any more is condemned, and later removed; the rest is kept in step with its source.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;

use flyte_secrets_core::mirror::{LABEL, MirrorSource, is_mirror_name};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::params::Preconditions;
use tokio::sync::watch;
use tokio::time::Instant;

use super::keep::Keeper;
use super::marks::{self, Marks};
use super::step::{Step, bring_in_step};
use super::{Mirrors, Write};
use crate::kubernetes::{ApiError, ApiErrorKind, Secrets, Wiped, jittered, labelled_secrets, secrets_of_live_pods};

/// Sources that are read at the same time.
const CONCURRENT: usize = 4;

/// Whether mirrors are collected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CollectionState {
    /// No sweep of this process has told yet; another replica may be the one that collects.
    #[default]
    Unknown,
    /// Mirrors that nobody needs are removed.
    Collecting,
    /// Mirrors work and stay for ever.
    Stays {
        /// The rules of a ClusterRole that would change that.
        missing: Vec<String>,
    },
}

/// What one sweep did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Mirrors that there were.
    pub mirrors: usize,
    /// Mirrors that were condemned.
    pub condemned: usize,
    /// Mirrors that were removed.
    pub removed: usize,
    /// What failed and will be tried by the next sweep: sources, mirrors or whole namespaces.
    pub failed: usize,
}

/// Collects mirrors. One at a time is enough, so the leader has it; two at the same time do no harm.
#[derive(Debug)]
pub struct Collector {
    mirrors: Mirrors,
    /// Condemned mirrors that we have seen, by namespace and name.
    sentences: HashMap<(String, String), Sentence>,
    /// The source with which the next sweep goes on.
    next_source: Option<MirrorSource>,
}

/// One condemned mirror.
#[derive(Debug)]
struct Sentence {
    /// Which one it is: another version is another sentence.
    version: Version,
    /// When we saw it first.
    seen: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    uid: Option<String>,
    resource_version: Option<String>,
}

/// A mirror as it was listed.
pub(super) struct Listed {
    pub(super) namespace: String,
    pub(super) name: String,
    version: Version,
    pub(super) marks: Marks,
}

impl Listed {
    fn of(metadata: ObjectMeta) -> Option<Self> {
        let marks = Marks::of(&metadata)?;
        let version = Version { uid: metadata.uid, resource_version: metadata.resource_version };
        Some(Self { namespace: metadata.namespace?, name: metadata.name?, version, marks })
    }

    fn place(&self) -> (String, String) {
        (self.namespace.clone(), self.name.clone())
    }
}

impl Mirrors {
    /// Whether mirrors are collected, to watch.
    #[must_use]
    pub fn collection(&self) -> watch::Receiver<CollectionState> {
        self.keeper.collection.subscribe()
    }
}

impl Collector {
    /// A collector that has seen nothing yet.
    #[must_use]
    pub fn new(mirrors: Mirrors) -> Self {
        Self { mirrors, sentences: HashMap::new(), next_source: None }
    }

    /// Sweeps for ever, with [`super::MirrorSettings::sweep`] in between.
    pub async fn run(mut self) -> Infallible {
        loop {
            match self.sweep().await {
                Ok(swept) => tracing::debug!(?swept, "mirrors were swept"),
                Err(error) => tracing::warn!(%error, "mirrors cannot be swept; the next sweep tries again"),
            }
            tokio::time::sleep(jittered(self.keeper().settings.sweep)).await;
        }
    }

    /// Says which permissions are missing for keeping and for collecting mirrors, if there are any: at start, whoever
    /// leads later.
    pub async fn check_permissions(&self) {
        let asked = async {
            self.mirrors.warn_of_missing_permissions().await?;
            self.mirrors.missing_permissions().await
        };
        match asked.await {
            Ok(missing) if missing.is_empty() => {}
            Ok(missing) => self.publish(missing),
            Err(error) => tracing::warn!(%error, "it is not known yet whether mirrors can be kept and collected"),
        }
    }

    /// One sweep over all mirrors of the cluster.
    ///
    /// Needs `list` and `delete` on Secrets and `list` on pods in all namespaces. What is missing is told by
    /// [`Mirrors::collection`], and nothing is condemned then.
    ///
    /// # Errors
    ///
    /// When mirrors cannot be listed. What fails for a single one is counted, and left to the next sweep.
    pub async fn sweep(&mut self) -> Result<Swept, ApiError> {
        let mut missing = match self.mirrors.missing_permissions().await {
            // Then we shall see.
            Err(error) if error.kind == ApiErrorKind::Forbidden => Vec::new(),
            answer => answer?,
        };
        let mut swept = Swept::default();
        if missing.is_empty() {
            swept = match self.sweep_all(&mut missing).await {
                Err(error) if error.kind == ApiErrorKind::Forbidden => {
                    missing.push(error.object.rule(error.verb));
                    swept
                }
                outcome => outcome?,
            };
        }
        missing.sort();
        missing.dedup();
        self.publish(missing);
        Ok(swept)
    }

    async fn sweep_all(&mut self, missing: &mut Vec<String>) -> Result<Swept, ApiError> {
        let listed = labelled_secrets(&self.keeper().client, LABEL).await?;
        // Another installation has other sources: what is gone for us may be there for it.
        let ours = &self.keeper().settings.installation;
        let ours = |mirror: &Listed| mirror.marks.installation == *ours;
        let listed: Vec<Listed> = listed.into_iter().filter_map(Listed::of).filter(ours).collect();
        let mut swept = Swept { mirrors: listed.len(), ..Swept::default() };
        // Pods are listed after this, so those that were admitted before the sentence are seen.
        let due = self.due(&listed);
        let gone = self.read_sources(&listed, &mut swept).await;
        let now = self.keeper().clock.now();
        let mut candidates = BTreeMap::<String, Vec<&Listed>>::new();
        for mirror in &listed {
            let old = !mirror.marks.needed_within(self.keeper().settings.retention, now);
            if mirror.marks.condemned || old || gone.contains(&mirror.marks.source) {
                candidates.entry(mirror.namespace.clone()).or_default().push(mirror);
            }
        }
        for (namespace, candidates) in candidates {
            if let Err(error) = self.sweep_namespace(&namespace, &candidates, &due, &mut swept).await {
                if error.kind == ApiErrorKind::Forbidden {
                    missing.push(error.object.rule(error.verb));
                }
                swept.failed += 1;
                tracing::warn!(%error, namespace, "mirrors of a namespace cannot be swept; the next sweep tries again");
            }
        }
        Ok(swept)
    }

    /// The condemned mirrors whose grace is over. Sentences that are new to us begin now.
    fn due(&mut self, listed: &[Listed]) -> BTreeSet<(String, String)> {
        let condemned = listed.iter().filter(|mirror| mirror.marks.condemned);
        let mut sentences: HashMap<_, _> = condemned
            .map(|mirror| (mirror.place(), Sentence { version: mirror.version.clone(), seen: Instant::now() }))
            .collect();
        for (place, sentence) in &mut sentences {
            if let Some(known) = self.sentences.get(place).filter(|known| known.version == sentence.version) {
                sentence.seen = known.seen;
            }
        }
        self.sentences = sentences;
        let grace = self.keeper().settings.grace;
        let due = self.sentences.iter().filter(|(_, sentence)| sentence.seen.elapsed() >= grace);
        due.map(|(place, _)| place.clone()).collect()
    }

    /// Reads sources again and brings their mirrors in step; returns those that are gone.
    async fn read_sources(&mut self, listed: &[Listed], swept: &mut Swept) -> BTreeSet<MirrorSource> {
        let mut mirrors = BTreeMap::<&MirrorSource, Vec<&Listed>>::new();
        for mirror in listed {
            let mirrors = mirrors.entry(&mirror.marks.source).or_default();
            // Whoever needs a condemned one will see to its value; a change of ours would put off its removal.
            if !mirror.marks.condemned {
                mirrors.push(mirror);
            }
        }
        let limit = self.keeper().settings.sources_per_sweep;
        let first = self.next_source.take();
        let (before, after): (Vec<_>, Vec<_>) =
            mirrors.into_iter().partition(|(source, _)| first.as_ref().is_some_and(|first| *source < first));
        let mut in_turn = after.into_iter().chain(before);
        let now: Vec<_> = in_turn.by_ref().take(limit).collect();
        self.next_source = in_turn.next().map(|(source, _)| source.clone());
        let keeper = self.keeper();
        let steps: Vec<BoxFuture<'_, (MirrorSource, Step)>> =
            now.into_iter().map(|(source, mirrors)| bring_in_step(keeper, source, mirrors).boxed()).collect();
        let mut steps = futures::stream::iter(steps).buffer_unordered(CONCURRENT);
        let mut gone = BTreeSet::new();
        while let Some((source, outcome)) = steps.next().await {
            match outcome {
                Step::Gone => drop(gone.insert(source)),
                Step::Failed(failures) => swept.failed += failures,
            }
        }
        gone
    }

    /// Condemns and removes those of `candidates` that no live pod refers to.
    async fn sweep_namespace(
        &mut self,
        namespace: &str,
        candidates: &[&Listed],
        due: &BTreeSet<(String, String)>,
        swept: &mut Swept,
    ) -> Result<(), ApiError> {
        let referred = secrets_of_live_pods(&self.keeper().client, namespace, is_mirror_name).await?;
        for mirror in candidates.iter().filter(|mirror| !referred.contains(&mirror.name)) {
            if !mirror.marks.condemned {
                if let Some(version) = self.condemn(mirror).await? {
                    swept.condemned += 1;
                    self.sentences.insert(mirror.place(), Sentence { version, seen: Instant::now() });
                }
            } else if due.contains(&mirror.place()) && self.remove(mirror).await? {
                swept.removed += 1;
                self.sentences.remove(&mirror.place());
            }
        }
        Ok(())
    }

    /// The condemned version, or `None` if the mirror was needed meanwhile.
    async fn condemn(&self, mirror: &Listed) -> Result<Option<Version>, ApiError> {
        let secrets = self.secrets(&mirror.namespace);
        let Some(mut found) = secrets.get(&mirror.name).await?.map(Wiped) else { return Ok(None) };
        let uid = found.metadata.uid.clone();
        let is_as_listed = Marks::of(&found.metadata)
            .is_some_and(|marks| !marks.condemned && marks.needed == mirror.marks.needed && uid == mirror.version.uid);
        if !is_as_listed {
            return Ok(None);
        }
        marks::condemn(&mut found, self.keeper().clock.now());
        let Some(resource_version) = unless_overtaken(secrets.update(&mirror.name, &found).await)? else {
            return Ok(None);
        };
        self.keeper().observer.wrote(Write::Condemned);
        Ok(Some(Version { uid, resource_version: Some(resource_version) }))
    }

    /// Whether the mirror was removed; it is not if somebody has changed it since the sentence.
    async fn remove(&self, mirror: &Listed) -> Result<bool, ApiError> {
        let Version { uid, resource_version } = mirror.version.clone();
        let exactly = Preconditions { uid, resource_version };
        let outcome = self.secrets(&mirror.namespace).delete_exactly(&mirror.name, exactly).await;
        let removed = unless_overtaken(outcome)?.is_some();
        if removed {
            self.keeper().observer.wrote(Write::Removed);
            tracing::info!(namespace = mirror.namespace, name = mirror.name, source = %mirror.marks.source, "removed a mirror");
        }
        Ok(removed)
    }

    fn publish(&self, missing: Vec<String>) {
        let state = if missing.is_empty() { CollectionState::Collecting } else { CollectionState::Stays { missing } };
        self.keeper().observer.collection(&state);
        let changed = self.keeper().collection.send_replace(state.clone()) != state;
        if let CollectionState::Stays { missing } = state
            && changed
        {
            tracing::warn!(
                missing = missing.join(", "),
                "mirrors of secrets work and stay for ever; add these rules to the ClusterRole of our service account"
            );
        }
    }

    fn keeper(&self) -> &Keeper {
        &self.mirrors.keeper
    }

    fn secrets(&self, namespace: &str) -> Secrets {
        Secrets::new(self.keeper().client.clone(), namespace)
    }
}

/// `None` if somebody else has changed or removed the object.
fn unless_overtaken<T>(outcome: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match outcome {
        Err(error) if matches!(error.kind, ApiErrorKind::Conflict | ApiErrorKind::NotFound) => Ok(None),
        outcome => outcome.map(Some),
    }
}
