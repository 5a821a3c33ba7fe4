//! The messages and services of `proto/`, as `build.rs` has them made.
#![allow(missing_docs, unreachable_pub, elided_lifetimes_in_paths, clippy::all, clippy::unwrap_used)]

connectrpc::include_generated!();
