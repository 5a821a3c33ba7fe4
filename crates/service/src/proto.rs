//! The messages and services of `proto/`, made by the build.
#![allow(missing_docs, unreachable_pub, dead_code, unused_imports, rust_2018_idioms, clippy::all, clippy::unwrap_used)]

connectrpc::include_generated!();

/// The descriptors of the services, for reflection.
pub(crate) const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
