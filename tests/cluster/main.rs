//! In a cluster: the image in pods of a real node, as users install it.
//!
//! Some tests disturb the whole cluster, so one runs at a time (`--test-threads=1`).
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[allow(dead_code, unused_imports, reason = "each of the two programs uses a part of it")]
#[path = "../e2e/harness/mod.rs"]
mod harness;
mod support;

mod chart;
mod deployment;
mod disturbances;
mod flyte1;
mod image;
mod kustomize;
mod raw_containers;
mod rbac;
mod sbom;
mod secret_service;
mod troubles;
