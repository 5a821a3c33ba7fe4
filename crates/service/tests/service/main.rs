//! The service through its router, over a real store.
#![allow(clippy::unwrap_used)]

mod authentication;
mod authorization;
mod calls;
mod changes;
mod issuer;
mod names;
mod rest;
mod secrecy;
mod server;
mod support;
