//! Kubernetes Events, so that whoever asks "why does my task not start?" finds the answer at the task.
//!
//! The pod that is refused does not exist, so its Event stands at its controller: the Job, the FlyteWorkflow, the
//! RayCluster. What a pod says of its controller is a claim of whoever creates the pod; an Event is written only where an
//! object of that kind, name and uid is in the pod's namespace. Nothing here is waited for by an admission: Events go
//! through a queue that is bounded, are limited in their rate, and are dropped, and counted, where there are too many or
//! where RBAC does not allow them. Events of one object that say the same are one Event with a count.
//!
//! Source of the form: `events.k8s.io/v1` of Kubernetes, whose `note` holds at most 1,024 bytes.

mod ledger;
mod owners;
mod recorder;
mod reporting;

use std::fmt;

use tokio::sync::mpsc::{self, Sender};

pub use reporting::Reporting;

use crate::metrics::{EventFate, Metrics};
use crate::server::{Outcome, Owner, Reviewed};
use recorder::Recorder;

/// Events that wait to be written.
const QUEUE: usize = 256;
/// What the API server takes as a `note` of an Event, in bytes.
const MAX_NOTE: usize = 1024;

/// The pod that we run in: Events about the webhook itself stand there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPod {
    /// Its namespace (`POD_NAMESPACE`).
    pub namespace: String,
    /// Its name (`POD_NAME`).
    pub name: String,
}

/// Something that an Event is to be made of.
#[derive(Debug)]
struct Occasion {
    about: About,
    /// `reason` of the Event: one word, for programs.
    reason: &'static str,
    /// What happened, for people; at most [`MAX_NOTE`] bytes.
    note: String,
}

/// What an Event stands at.
#[derive(Debug)]
enum About {
    /// The controller that a pod names.
    Controller { namespace: String, owner: Owner },
    /// Our own pod.
    Ourselves,
}

/// Where Events are handed in; clones share one queue. Handing in never waits and never fails.
#[derive(Clone)]
pub struct Events {
    queue: Option<Sender<Occasion>>,
    metrics: Metrics,
}

impl Events {
    /// Events that `client` writes, and the work to be spawned, which ends when the last clone is gone.
    ///
    /// `instance` names this replica in its Events. Needs `create` and `patch` on `events` of `events.k8s.io`, and `get` on
    /// the kinds of controllers; `get` on our own pod makes its Events findable by uid. What is missing is logged once.
    pub fn start(
        client: kube::Client,
        instance: &str,
        own_pod: Option<OwnPod>,
        metrics: Metrics,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (queue, occasions) = mpsc::channel(QUEUE);
        let recorder = Recorder::new(client, instance, own_pod, metrics.clone());
        (Self { queue: Some(queue), metrics }, recorder.run(occasions))
    }

    /// Takes everything and writes nothing (`webhook.events.enabled: false`, or no cluster).
    #[must_use]
    pub fn off(metrics: Metrics) -> Self {
        Self { queue: None, metrics }
    }

    /// Hands in what became of a review, if that is worth an Event: a pod that was refused, or admitted without its
    /// secrets, and really, not on a dry run.
    pub fn reviewed(&self, reviewed: &Reviewed) {
        let reason = match reviewed.outcome {
            outcome if outcome.is_refusal() => "SecretsRefused",
            Outcome::AdmittedUnserved => "SecretsMissing",
            _ => return,
        };
        if reviewed.dry_run || self.queue.is_none() {
            return;
        }
        let Some(owner) = reviewed.details.owner.clone() else {
            self.metrics.event(EventFate::NoController);
            return;
        };
        let about = About::Controller { namespace: reviewed.namespace.clone(), owner };
        self.hand_in(about, reason, reviewed.reason.as_deref().unwrap_or_default());
    }

    /// Hands in word of something that whoever runs the webhook should know, to stand at our own pod: a certificate's Secret
    /// that was deleted, a registration that was changed by hand. `reason` is one word in `UpperCamelCase`; `message` holds
    /// names only.
    pub fn note(&self, reason: &'static str, message: &str) {
        self.hand_in(About::Ourselves, reason, message);
    }

    fn hand_in(&self, about: About, reason: &'static str, message: &str) {
        let Some(queue) = &self.queue else { return };
        if queue.try_send(Occasion { about, reason, note: note(message) }).is_err() {
            self.metrics.event(EventFate::QueueFull);
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("on", &self.queue.is_some()).finish_non_exhaustive()
    }
}

/// A message as a `note`: its lines as one, as `kubectl describe` shows it.
fn note(message: &str) -> String {
    let mut note = String::with_capacity(message.len().min(MAX_NOTE));
    for word in message.split_whitespace() {
        if note.len() > MAX_NOTE {
            break;
        }
        if !note.is_empty() {
            note.push(' ');
        }
        note.push_str(word);
    }
    crate::admission::wording::cut(&mut note, MAX_NOTE);
    note
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
