//! The Secret service of Flyte: names and metadata go out, values only come in.
//!
//! `flyteidl2.secret.SecretService` over Connect, gRPC, gRPC-Web and REST, on one port. A call takes this way:
//!
//! 1. [`router()`] takes the request off the wire, asks who sends it ([`Authentication`]), which then is in its extensions
//!    ([`Identity`]), and takes its body into memory that is wiped;
//! 2. `rpc` reads the message (`rest` makes one of a path and a query);
//! 3. [`Secrets`] checks the name, asks whether the identity may do this ([`AccessPolicy`]), writes, and tells the log who changed
//!    which name, and the webhook's caches that they are out of date ([`Invalidate`]).
//!
//! Where secrets are kept is a [`flyte_secrets_stores::SecretWriter`].

mod access;
mod audit;
mod authentication;
mod body;
mod browser;
mod cluster;
mod health;
mod invalidation;
mod metrics;
mod names;
mod observer;
mod page_token;
mod problem;
mod proto;
mod rest;
mod router;
mod rpc;
mod secrets;
mod server;

pub use access::{AccessPolicy, Action, Everybody, Identity, Rules};
pub use authentication::{Authentication, Oidc, OidcError, Refusal, ReviewTokens, TokenReview};
pub use health::Readiness;
pub use invalidation::{InvalidWebhookUrl, Invalidate, Webhooks};
pub use metrics::Metrics;
pub use router::{SERVICES, router};
pub use secrets::{Caller, ListRequest, Listed, Secrets};
pub use server::{BindError, Limits, Running, ServerSettings, serve};
