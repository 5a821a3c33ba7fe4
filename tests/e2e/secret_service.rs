//! The Secret service: over the Secrets of a real API server, with the rights that its documentation names, and over the local
//! store; asked by Flyte's own command line, by gRPC's own client, and by curl.

mod authentication;
mod client;
mod crashes;
/// The issuer of the service's own tests.
#[allow(dead_code, reason = "what only those need")]
#[path = "../../crates/service/tests/service/issuer.rs"]
mod issuer;
mod key_vault;
mod pods;
mod process;
mod protocols;
mod writers;
