//! What is known of a review besides its answer.

use std::time::Duration;

use crate::admission::RefusalReason;

/// What is told of a review in the log, in traces and in Events. Names and times, never a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// The pod's `generateName`.
    pub generate_name: String,
    /// The controller that the pod names as its owner.
    pub owner: Option<Owner>,
    /// The user who creates the pod, as the API server has authenticated it.
    pub creator: String,
    /// The requests with the numbers of their annotations; as many as 2 KiB hold.
    pub requests: String,
    /// The stores that gave a value, each once.
    pub stores: Vec<String>,
    /// How long the managers' answers took, look-ups in stores included.
    pub look_up: Duration,
    /// How long it took to write the Secrets that the pod refers to.
    pub write: Duration,
    /// Why the pod was not served, in a word.
    pub refusal: Option<RefusalReason>,
}

/// The controller that a pod names as its owner; nobody has checked it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Group and version.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// The name; in the pod's namespace.
    pub name: String,
    /// The uid.
    pub uid: String,
}
