//! Refusals in words that a task author understands: which request, who said what, what to change.

use std::fmt::Write as _;

use flyte_secrets_core::annotations::UndecodableRequest;
use flyte_secrets_core::merge::{Collision, MergeError};
use flyte_secrets_core::outline::PodOutline;

use super::Handled;
use super::resolve::Outcome;

/// The longest message; the API server cuts longer ones less kindly.
const MAX_MESSAGE: usize = 8 * 1024;

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

/// Why a pod is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code.
    pub code: Code,
    /// The whole message; names only.
    pub message: String,
}

/// `namespace/name` of a pod, or what is known of it.
pub(super) fn pod_name(pod: &PodOutline<'_>, namespace: &str) -> String {
    let name = if pod.metadata.name.is_empty() { &pod.metadata.generate_name } else { &pod.metadata.name };
    format!("{namespace}/{}", &**name)
}

impl Refusal {
    /// An annotation that holds no request.
    pub(super) fn undecodable(pod: &str, error: &UndecodableRequest) -> Self {
        Self::new(
            Code::BadRequest,
            format!(
                "failed to unmarshal secrets from pod annotations: {error}\nPod {pod}. Flyte writes these annotations; \
                 whoever makes the pod by hand gets a correct one with: flyte-secrets annotations encode"
            ),
        )
    }

    /// Requests that no manager serves; `None` if all are served.
    pub(super) fn unserved(pod: &str, handled: &[Handled]) -> Option<Self> {
        let unserved: Vec<&Handled> = handled.iter().filter(|one| one.served.is_none()).collect();
        let first = unserved.first()?;
        let fails =
            |one: &&Handled| one.attempts.iter().any(|attempt| matches!(attempt.outcome, Outcome::Fails(_)));
        // One request that cannot be mended by a retry decides, or Flyte would try for ever.
        let code = if unserved.iter().all(fails) { Code::Unavailable } else { Code::BadRequest };
        let mut message = format!("none of the secret managers injected secret [{}]", first.request.secret);
        let _ = write!(message, " into pod {pod}:");
        for one in unserved {
            let _ = write!(message, "\nrequest [{}] (annotation {}):", one.request.secret, one.request.annotation);
            for attempt in &one.attempts {
                let _ = match &attempt.outcome {
                    Outcome::Serves => write!(message, "\n  {}: serves it", attempt.manager),
                    Outcome::Declines(reason) => write!(message, "\n  {}: {reason}", attempt.manager),
                    Outcome::Fails(reason) => write!(message, "\n  {}: failed, {reason}", attempt.manager),
                };
            }
        }
        message.push_str(match code {
            Code::Unavailable => "\nThis may pass: try again.",
            Code::BadRequest => {
                "\nCreate the secret where one of these managers looks, or change the request in the task's Secret(…) \
                 so that one of them can serve it."
            }
        });
        Some(Self::new(code, message))
    }

    /// Requests that exclude each other (`webhook.onCollision: Refuse`).
    pub(super) fn collisions(pod: &str, collisions: &[Collision<'_>]) -> Self {
        let mut message = format!("the secrets of pod {pod} exclude each other:");
        for collision in collisions {
            let _ = write!(message, "\n  {collision}");
        }
        message.push_str("\nGive one of them another env_var, key or group.");
        Self::new(Code::BadRequest, message)
    }

    /// A pod that has no place for what must be added.
    pub(super) fn merge(pod: &str, error: &MergeError) -> Self {
        Self::new(Code::BadRequest, format!("cannot add the secrets to pod {pod}: {error}"))
    }

    /// A fault of ours.
    pub(super) fn internal(pod: &str, what: &str) -> Self {
        Self::new(Code::Unavailable, format!("flyte-secrets failed on pod {pod}: {what}. This may pass: try again."))
    }

    /// A pod that cannot be read.
    pub(crate) fn malformed(what: &str) -> Self {
        Self::new(Code::BadRequest, format!("the object of this review is no pod that can be read: {what}"))
    }

    fn new(code: Code, mut message: String) -> Self {
        if message.len() > MAX_MESSAGE {
            message.truncate(message.floor_char_boundary(MAX_MESSAGE));
            message.push('…');
        }
        Self { code, message }
    }
}
