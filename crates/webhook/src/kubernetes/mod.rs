//! How this crate talks to the Kubernetes API: one client with bounded waits, and errors that name the
//! verb, the object and the RBAC rule that is missing.

mod access;
mod call;
mod client;
mod exchange;
mod jitter;
mod lists;
mod secrets;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod fake_api_server;

pub(crate) use access::{allowed, attributes};
pub use call::{ApiError, ApiErrorKind, Object, Verb};
pub use client::{ClientError, client, watching_client};
pub(crate) use exchange::{ONE, PAGE, exchange};
pub(crate) use jitter::jittered;
pub(crate) use lists::{labelled_secrets, secrets_of_live_pods};
pub use secrets::read_secret;
pub(crate) use secrets::{Secrets, Wiped, is_object_name};

/// Kubernetes' recommended label for who looks after an object, and our name there.
pub(crate) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "flyte-secrets");
