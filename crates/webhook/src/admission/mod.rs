//! The story of one pod: requests → answers of the managers → merge → decision.
//!
//! Everything that decides is in the `core` crate; here the look-ups are awaited and the outcome is
//! put into words.

mod limits;
mod refusal;
mod resolve;
mod sources;
pub(crate) mod wording;

use std::time::Instant;

use flyte_secrets_core::annotations::{self, Request};
use flyte_secrets_core::injection::Injection;
use flyte_secrets_core::injectors::Context;
use flyte_secrets_core::merge::{Served, merge};
use flyte_secrets_core::outline::PodOutline;
use flyte_secrets_core::settings::{OnCollision, OnUnserved};
use flyte_secrets_core::{SecretManagerType, Settings};
use futures::stream::{self, StreamExt};
use zeroize::Zeroizing;

use limits::Room;
pub use refusal::{Code, Refusal};
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
}

/// A decision and how it came about.
#[derive(Debug)]
pub struct Admission {
    /// What becomes of the pod.
    pub decision: Decision,
    /// Every request, in the order of the annotations' numbers; identical ones once.
    pub handled: Vec<Handled>,
    /// Sentences for whoever creates the pod; names only.
    pub warnings: Vec<String>,
}

/// Decides about a pod. Ends at the deadline, whatever the stores do.
pub async fn admit(
    settings: &Settings,
    sources: &Sources,
    pod: &PodOutline<'_>,
    namespace: &str,
    deadline: Instant,
) -> Admission {
    let pod_name = refusal::pod_name(pod, namespace);
    let requests = match annotations::requests(pod.metadata.annotations.iter()) {
        Ok(requests) => distinct(requests),
        Err(error) => return unserved(settings, Refusal::undecodable(&pod_name, &error), Vec::new()),
    };
    if requests.is_empty() {
        return Admission { decision: Decision::Unchanged, handled: Vec::new(), warnings: Vec::new() };
    }
    if let Some(refusal) = Refusal::impossible(&pod_name, pod) {
        return Admission { decision: Decision::Refused(refusal), handled: Vec::new(), warnings: Vec::new() };
    }
    let handled = resolved(Context { settings, pod, namespace }, sources, deadline, requests).await;
    if let Some(refusal) = Refusal::unserved(&pod_name, &handled) {
        return if refusal.code == Code::Unavailable {
            // A retry may mend it, so nobody is better off with a task that runs without its secret.
            Admission { decision: Decision::Refused(refusal), handled, warnings: Vec::new() }
        } else {
            unserved(settings, refusal, handled)
        };
    }
    merged(settings, pod, &pod_name, handled)
}

/// Merges what the managers add.
fn merged(settings: &Settings, pod: &PodOutline<'_>, pod_name: &str, handled: Vec<Handled>) -> Admission {
    let served: Vec<Served<'_>> = handled
        .iter()
        .filter_map(|one| {
            let (manager, injection) = one.served.as_ref()?;
            Some(Served { request: &one.request.secret, manager: *manager, injection })
        })
        .collect();
    let (decision, warnings) = match merge(settings, pod, &served) {
        Err(error) => (Decision::Refused(Refusal::merge(pod_name, &error)), Vec::new()),
        Ok(merged) if settings.on_collision == OnCollision::Refuse && !merged.collisions.is_empty() => {
            (Decision::Refused(Refusal::collisions(pod_name, &merged.collisions)), Vec::new())
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
                    Err(error) => Decision::Refused(Refusal::internal(pod_name, &error.to_string())),
                }
            };
            (decision, warnings)
        }
    };
    drop(served);
    Admission { decision, handled, warnings }
}

/// What `webhook.onUnserved` says about a pod that cannot be served.
fn unserved(settings: &Settings, refusal: Refusal, handled: Vec<Handled>) -> Admission {
    match settings.on_unserved {
        OnUnserved::Refuse => Admission { decision: Decision::Refused(refusal), handled, warnings: Vec::new() },
        OnUnserved::Admit => {
            let warnings = vec![format!("admitted without its secrets: {}", refusal.message)];
            Admission { decision: Decision::Unserved(refusal), handled, warnings }
        }
    }
}

/// Identical requests count once.
fn distinct(requests: Vec<Request>) -> Vec<Request> {
    let mut seen = std::collections::HashSet::new();
    requests.into_iter().filter(|request| seen.insert(request.secret.clone())).collect()
}

/// What the managers say about all requests, many at a time. A request that does not fit into the pod any more is declined
/// there and passed on; it is the same one every time, as room is given in the order of the requests.
async fn resolved(context: Context<'_>, sources: &Sources, deadline: Instant, requests: Vec<Request>) -> Vec<Handled> {
    let mut answers = stream::iter(requests)
        .map(|request| resolve::resolve(context, sources, deadline, request))
        .buffered(CONCURRENT_REQUESTS);
    let (mut handled, mut room) = (Vec::new(), Room::default());
    while let Some(mut one) = answers.next().await {
        while let Err(reason) = room.take(&one) {
            resolve::pass_on(context, sources, deadline, &mut one, reason).await;
        }
        handled.push(one);
    }
    handled
}
