//! The story of one pod: requests → answers of the managers → merge → decision.
//!
//! Everything that decides is in the `core` crate; here the look-ups are awaited and the outcome is
//! put into words.

mod delivery;
mod existence;
mod fresh;
mod limits;
mod refusal;
mod resolve;
mod sources;
pub(crate) mod wording;

use std::time::Instant;

use flyte_secrets_core::access::{self, Breach, Claim};
use flyte_secrets_core::annotations::{self, Request};
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::injection::Injection;
use flyte_secrets_core::injectors::Context;
use flyte_secrets_core::merge::{Served, merge};
use flyte_secrets_core::outline::PodOutline;
use flyte_secrets_core::settings::{AccessMode, OnCollision, OnUnserved};
use flyte_secrets_core::{SecretManagerType, Settings};
use futures::stream::{self, StreamExt};
use zeroize::Zeroizing;

use crate::image_pull::PullSecret;
pub use delivery::{Way, Writers};
pub use existence::{Existence, ExistingSecrets};
pub use fresh::Fresh;
use limits::Room;
pub use refusal::{Code, Refusal, RefusalReason};
use resolve::Circumstances;
pub use resolve::{Attempt, Outcome};
pub use sources::{Failure, Sources, Variables};

/// Requests of one pod that are looked up at the same time.
const CONCURRENT_REQUESTS: usize = 64;

/// Bytes that hold nearly every patch: one that grows leaves copies of its values behind.
const USUAL_PATCH: usize = 8 * 1024;

/// What becomes of a pod.
#[derive(Debug)]
pub enum Decision {
    /// It asks for nothing, or has everything already.
    Unchanged,
    /// It gets this JSON patch.
    Patched(Patch),
    /// It is not admitted.
    Refused(Refusal),
    /// It is admitted as it is although something was asked for (`webhook.onUnserved: Admit`).
    Unserved(Refusal),
}

/// A JSON patch, as bytes. It may hold values: `Debug` shows its length only.
pub struct Patch(pub Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Patch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Patch({} bytes)", self.0.len())
    }
}

/// One request and what every manager said about it.
#[derive(Debug)]
pub struct Handled {
    /// The request, with the annotation it stands in.
    pub request: Request,
    /// The managers' answers, in the order they were asked.
    pub attempts: Vec<Attempt>,
    /// Who serves it, and what that adds to the pod.
    pub served: Option<(SecretManagerType, Injection)>,
    /// Where the value was found, if the webhook has read one.
    pub whence: Option<Whence>,
    /// How that value reaches the container.
    pub way: Option<Way>,
    /// The image-pull Secret that goes with it.
    pub pull_secret: Option<PullSecret>,
    /// Whether it asked for a value that the access policy keeps from this pod.
    pub breached: bool,
    /// Why it is served and may all the same come to nothing (`webhook.k8s.checkExists: Warn`); without its subject, the
    /// manager. Names only.
    pub doubt: Option<String>,
}

impl Handled {
    fn new(request: Request) -> Self {
        Self {
            request,
            attempts: Vec::new(),
            served: None,
            whence: None,
            way: None,
            pull_secret: None,
            breached: false,
            doubt: None,
        }
    }
}

/// Where a value was found. Names only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whence {
    /// The store.
    pub store: String,
    /// The id of the scope that has it; none for Global, which has no scopes.
    pub id: Option<SecretId>,
    /// Whether it is an old value, served because its store is down.
    pub stale: bool,
}

/// Who creates a pod, and where.
#[derive(Clone, Copy, Debug)]
pub struct Creation<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// The user name that the API server has authenticated (`userInfo.username` of the review).
    pub creator: &'a str,
}

/// A decision and how it came about.
#[derive(Debug)]
pub struct Admission {
    /// The pod, as `namespace/name`.
    pub pod: String,
    /// What becomes of the pod.
    pub decision: Decision,
    /// Every request, in the order of the annotations' numbers; identical ones once.
    pub handled: Vec<Handled>,
    /// Sentences for whoever creates the pod; names only.
    pub warnings: Vec<String>,
    /// What the access policy has against it, if one of its requests ran into that.
    pub breach: Option<Breach>,
}

impl Admission {
    fn new(pod: String, decision: Decision) -> Self {
        Self { pod, decision, handled: Vec::new(), warnings: Vec::new(), breach: None }
    }
}

/// Decides about a pod; nothing is written yet ([`Writers::write`]). Ends at the deadline, whatever the stores do.
pub async fn admit(
    settings: &Settings,
    sources: &Sources,
    pod: &PodOutline<'_>,
    creation: Creation<'_>,
    deadline: Instant,
) -> Admission {
    let Creation { namespace, creator } = creation;
    let mut admission = Admission::new(refusal::pod_name(pod, namespace), Decision::Unchanged);
    let requests = match annotations::requests(pod.metadata.annotations.iter()) {
        Ok(requests) => distinct(requests),
        Err(error) => {
            let refusal = Refusal::undecodable(&admission.pod, &error);
            return unserved(settings, refusal, admission);
        }
    };
    if requests.is_empty() {
        return admission;
    }
    if let Some(refusal) = Refusal::impossible(&admission.pod, pod) {
        admission.decision = Decision::Refused(refusal);
        return admission;
    }
    let breach = breach(settings, pod, namespace, creator);
    let context = Context { settings, pod, namespace };
    let circumstances = Circumstances { context, sources, breach: breach.as_ref(), deadline };
    admission.handled = resolved(circumstances, requests).await;
    admission.breach = breach.filter(|_| admission.handled.iter().any(|one| one.breached));
    if let (Some(breach), AccessMode::Audit) = (&admission.breach, settings.access.mode) {
        admission.warnings.push(format!("with webhook.accessPolicy.mode: Enforce the webhook {breach}"));
    }
    admission.warnings.extend(admission.handled.iter().filter_map(doubtful));
    if let Some(mut refusal) = Refusal::unserved(&admission.pod, &admission.handled) {
        let enforced = admission.breach.is_some() && settings.access.mode == AccessMode::Enforce;
        if enforced && refusal.code == Code::BadRequest {
            refusal.reason = RefusalReason::AccessPolicy;
        }
        if refusal.code == Code::Unavailable {
            // A retry may mend it, so nobody is better off with a task that runs without its secret.
            admission.decision = Decision::Refused(refusal);
            return admission;
        }
        return unserved(settings, refusal, admission);
    }
    let (decision, warnings) = merged(settings, pod, &admission);
    admission.decision = decision;
    admission.warnings.extend(warnings);
    admission
}

/// What the access policy has against a pod.
fn breach(settings: &Settings, pod: &PodOutline<'_>, namespace: &str, creator: &str) -> Option<Breach> {
    if settings.access.mode == AccessMode::Off {
        return None;
    }
    access::check(&settings.access, &Claim::of(pod, namespace, creator)).err()
}

/// Merges what the managers add.
fn merged(settings: &Settings, pod: &PodOutline<'_>, admission: &Admission) -> (Decision, Vec<String>) {
    let served: Vec<Served<'_>> = admission
        .handled
        .iter()
        .filter_map(|one| {
            let (manager, injection) = one.served.as_ref()?;
            Some(Served { request: &one.request.secret, manager: *manager, injection })
        })
        .collect();
    match merge(settings, pod, &served) {
        Err(error) => (Decision::Refused(Refusal::merge(&admission.pod, &error)), Vec::new()),
        Ok(merged) if settings.on_collision == OnCollision::Refuse && !merged.collisions.is_empty() => {
            (Decision::Refused(Refusal::collisions(&admission.pod, &merged.collisions)), Vec::new())
        }
        Ok(merged) => {
            let warnings = merged.collisions.iter().map(ToString::to_string).collect();
            let decision = if merged.operations.is_empty() {
                Decision::Unchanged
            } else {
                let mut json = Zeroizing::new(Vec::with_capacity(USUAL_PATCH));
                // Serialising our own operations cannot fail: every key is a string.
                match serde_json::to_writer(&mut *json, &merged.operations) {
                    Ok(()) => Decision::Patched(Patch(json)),
                    Err(error) => Decision::Refused(Refusal::internal(&admission.pod, &error.to_string())),
                }
            };
            (decision, warnings)
        }
    }
}

/// What whoever creates the pod is told about a request that is served and may come to nothing.
fn doubtful(handled: &Handled) -> Option<String> {
    let (manager, _) = handled.served.as_ref()?;
    let doubt = handled.doubt.as_ref()?;
    Some(format!("{}: {manager} {doubt}; the task starts without what is missing", handled.request.annotation))
}

/// What `webhook.onUnserved` says about a pod that cannot be served.
fn unserved(settings: &Settings, refusal: Refusal, mut admission: Admission) -> Admission {
    admission.decision = match settings.on_unserved {
        OnUnserved::Refuse => Decision::Refused(refusal),
        OnUnserved::Admit => {
            admission.warnings.push(format!("admitted without its secrets: {}", refusal.message));
            Decision::Unserved(refusal)
        }
    };
    admission
}

/// Identical requests count once.
fn distinct(requests: Vec<Request>) -> Vec<Request> {
    let mut seen = std::collections::HashSet::new();
    requests.into_iter().filter(|request| seen.insert(request.secret.clone())).collect()
}

/// What the managers say about all requests, many at a time. A request that does not fit into the pod any more is declined
/// there and passed on; it is the same one every time, as room is given in the order of the requests.
async fn resolved(circumstances: Circumstances<'_>, requests: Vec<Request>) -> Vec<Handled> {
    let mut answers =
        stream::iter(requests).map(|request| resolve::resolve(circumstances, request)).buffered(CONCURRENT_REQUESTS);
    let (mut handled, mut room) = (Vec::new(), Room::default());
    while let Some(mut one) = answers.next().await {
        while let Err(reason) = room.take(&one) {
            resolve::pass_on(circumstances, &mut one, reason).await;
        }
        handled.push(one);
    }
    handled
}
