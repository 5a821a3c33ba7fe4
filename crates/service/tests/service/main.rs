//! The service through its router, over a real store.
#![allow(clippy::unwrap_used)]

mod calls;
mod changes;
mod names;
mod rest;
mod secrecy;
mod server;
mod support;
