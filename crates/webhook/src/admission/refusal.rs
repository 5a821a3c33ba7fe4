//! Refusals in words that a task author understands: which request, who said what, what to change.

use std::fmt::Write as _;

use flyte_secrets_core::Secret;
use flyte_secrets_core::annotations::UndecodableRequest;
use flyte_secrets_core::merge::{Collision, MergeError};
use flyte_secrets_core::outline::PodOutline;

use super::delivery::Problem;
use super::resolve::Outcome;
use super::wording::{cut, plain};
use super::{Handled, limits};

/// The longest message, in bytes; the API server cuts longer ones less kindly.
const MAX_MESSAGE: usize = 8 * 1024;
/// The longest name in a message, in bytes: Kubernetes' names have at most 253, those of annotations 317.
const MAX_NAME: usize = 320;
/// No more of a request is repeated, in bytes.
const MAX_REQUEST: usize = 1024;

/// Codes of a refusal. What Flyte makes of them: 400 fails the task for good, 503 is tried again
/// (`flyteplugins/go/tasks/pluginmachinery/flytek8s` of Flyte).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Something is wrong with the pod, or a secret is missing.
    BadRequest,
    /// A retry may help.
    Unavailable,
}

impl Code {
    /// The number, as in HTTP.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unavailable => 503,
        }
    }

    /// Kubernetes' `metav1.StatusReason`.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::BadRequest => "BadRequest",
            Self::Unavailable => "ServiceUnavailable",
        }
    }
}

/// Why, in a word: for metrics, Events and whoever sorts log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RefusalReason {
    /// An annotation holds no request.
    Undecodable,
    /// The object is no pod that can be read, or none that could ever run.
    Malformed,
    /// The access policy keeps a secret from the pod.
    AccessPolicy,
    /// No manager serves a request: the secret is not there, may not be read, or nobody is configured for it.
    Unserved,
    /// A store fails, so that nobody knows.
    Unavailable,
    /// Requests of the pod exclude each other.
    Collision,
    /// The pod has no place for what must be added.
    Merge,
    /// A Secret that the pod would refer to could not be written.
    Delivery,
    /// The answer would have come too late.
    Late,
    /// A mistake in our program.
    Internal,
}

impl RefusalReason {
    /// All reasons.
    pub const ALL: [Self; 10] = [
        Self::Undecodable,
        Self::Malformed,
        Self::AccessPolicy,
        Self::Unserved,
        Self::Unavailable,
        Self::Collision,
        Self::Merge,
        Self::Delivery,
        Self::Late,
        Self::Internal,
    ];

    /// The name in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::Malformed => "malformed",
            Self::AccessPolicy => "access_policy",
            Self::Unserved => "unserved",
            Self::Unavailable => "unavailable",
            Self::Collision => "collision",
            Self::Merge => "merge",
            Self::Delivery => "delivery",
            Self::Late => "late",
            Self::Internal => "internal",
        }
    }
}

/// Why a pod is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code.
    pub code: Code,
    /// Why, in a word.
    pub reason: RefusalReason,
    /// The whole message; names only.
    pub message: String,
}

/// `namespace/name` of a pod, or what is known of it.
pub(super) fn pod_name(pod: &PodOutline<'_>, namespace: &str) -> String {
    let name = if pod.metadata.name.is_empty() { &pod.metadata.generate_name } else { &pod.metadata.name };
    format!("{}/{}", plain(namespace, MAX_NAME), plain(name, MAX_NAME))
}

impl Refusal {
    /// An annotation that holds no request.
    pub(super) fn undecodable(pod: &str, error: &UndecodableRequest) -> Self {
        let what = format!("failed to unmarshal secrets from pod annotations: {error}\nPod {pod}.");
        let advice = " Flyte writes these annotations; whoever makes the pod by hand gets a correct one with: \
                      flyte-secrets annotations encode";
        Self::new(Code::BadRequest, RefusalReason::Undecodable, what, advice)
    }

    /// Requests that no manager serves; `None` if all are served.
    pub(super) fn unserved(pod: &str, handled: &[Handled]) -> Option<Self> {
        let unserved: Vec<&Handled> = handled.iter().filter(|one| one.served.is_none()).collect();
        let first = unserved.first()?;
        let fails = |one: &&Handled| one.attempts.iter().any(|attempt| matches!(attempt.outcome, Outcome::Fails(_)));
        // One request that cannot be mended by a retry decides, or Flyte would try for ever.
        let (code, reason, advice) = if unserved.iter().all(fails) {
            (Code::Unavailable, RefusalReason::Unavailable, "\nThis may pass: try again.")
        } else {
            let advice = "\nCreate the secret where one of these managers looks, or change the request in the task's \
                          Secret(…) so that one of them can serve it.";
            (Code::BadRequest, RefusalReason::Unserved, advice)
        };
        let what =
            format!("none of the secret managers injected secret [{}] into pod {pod}:", shown(&first.request.secret));
        Some(Self::new(code, reason, list(what, "requests", unserved.iter().map(|one| answers(one))), advice))
    }

    /// Requests that exclude each other (`webhook.onCollision: Refuse`).
    pub(super) fn collisions(pod: &str, collisions: &[Collision<'_>]) -> Self {
        let what = format!("the secrets of pod {pod} exclude each other:");
        let lines = collisions.iter().map(|collision| format!("\n  {}", plain(&collision.to_string(), MAX_REQUEST)));
        let advice = "\nGive one of them another env_var, key or group.";
        Self::new(Code::BadRequest, RefusalReason::Collision, list(what, "collisions", lines), advice)
    }

    /// A pod that has no place for what must be added.
    pub(super) fn merge(pod: &str, error: &MergeError) -> Self {
        let error = plain(&error.to_string(), MAX_MESSAGE);
        let what = format!("cannot add the secrets to pod {pod}: {error}");
        Self::new(Code::BadRequest, RefusalReason::Merge, what, "")
    }

    /// A pod that asks for secrets and that no secret can be added to; `None` for every pod that could ever run.
    pub(super) fn impossible(pod_name: &str, pod: &PodOutline<'_>) -> Option<Self> {
        if !pod.spec.present {
            return Some(Self::malformed(&format!("pod {pod_name} has no spec")));
        }
        let what = limits::too_many(pod)?;
        Some(Self::malformed(&format!("pod {pod_name} has more than {} {what}", limits::MAX_MEMBERS)))
    }

    /// Secrets that the pod would refer to and that could not be written.
    pub(super) fn delivery(pod: &str, problems: &[Problem]) -> Self {
        let (code, advice) = if problems.iter().all(|problem| problem.retryable) {
            (Code::Unavailable, "\nThis may pass: try again.")
        } else {
            (Code::BadRequest, "\nWith webhook.delivery: PodSpec no Secret is written.")
        };
        let what = format!("cannot write what pod {pod} would refer to:");
        let line = |problem: &Problem| format!("\n  {}: {}", problem.what, plain(&problem.why, MAX_REQUEST));
        Self::new(code, RefusalReason::Delivery, list(what, "Secrets", problems.iter().map(line)), advice)
    }

    /// A fault of ours.
    pub(super) fn internal(pod: &str, what: &str) -> Self {
        Self::new(
            Code::Unavailable,
            RefusalReason::Internal,
            format!("flyte-secrets failed on pod {pod}: {what}."),
            " This may pass: try again.",
        )
    }

    /// A pod that cannot be read.
    pub(crate) fn malformed(what: &str) -> Self {
        let what = format!("the object of this review is no pod that can be read: {what}");
        Self::new(Code::BadRequest, RefusalReason::Malformed, what, "")
    }

    /// Whatever has to be left out of a long message, it is not the advice.
    fn new(code: Code, reason: RefusalReason, mut what: String, advice: &str) -> Self {
        cut(&mut what, MAX_MESSAGE - advice.len());
        what.push_str(advice);
        Self { code, reason, message: what }
    }
}

/// Adds parts as long as there is room for them, and says how many there was none for.
fn list(mut what: String, name: &str, parts: impl ExactSizeIterator<Item = String>) -> String {
    /// Room for the advice and the number of parts left out.
    const RESERVE: usize = 512;
    let mut left = parts.len();
    for mut part in parts {
        let room = MAX_MESSAGE.saturating_sub(RESERVE + what.len());
        let fits = part.len() <= room;
        cut(&mut part, room);
        what.push_str(&part);
        left -= 1;
        if !fits {
            break;
        }
    }
    if left > 0 {
        let _ = write!(what, "\nand {left} more {name}");
    }
    what
}

/// A request and what every manager said about it.
fn answers(Handled { request, attempts, .. }: &Handled) -> String {
    let mut text =
        format!("\nrequest [{}] (annotation {}):", shown(&request.secret), plain(&request.annotation, MAX_NAME));
    for attempt in attempts {
        let _ = match &attempt.outcome {
            Outcome::Serves => write!(text, "\n  {}: serves it", attempt.manager),
            Outcome::Declines(reason) => write!(text, "\n  {}: {reason}", attempt.manager),
            Outcome::Fails(reason) => write!(text, "\n  {}: failed, {reason}", attempt.manager),
        };
    }
    text
}

fn shown(secret: &Secret) -> String {
    plain(&secret.to_string(), MAX_REQUEST)
}
