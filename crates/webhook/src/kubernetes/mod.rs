//! How this crate talks to the Kubernetes API: one client with bounded waits, and errors that name the
//! verb, the object and the RBAC rule that is missing.

mod call;
mod client;
mod secrets;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod fake_api_server;

pub use call::{ApiError, ApiErrorKind, Object, Verb};
pub use client::{ClientError, client};
pub(crate) use secrets::Secrets;
