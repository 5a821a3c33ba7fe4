//! What the stores over HTTPS have in common: one client, one way to read an answer, one way to fail.
//!
//! A client follows no redirects and repeats no requests, trusts the platform's roots (and a CA file), honours
//! `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, and speaks HTTP/1.1. Certificates are read again when
//! their files change.

// Each store uses a part of it.
#![cfg_attr(not(all(feature = "azure", feature = "http", feature = "vault")), allow(dead_code, unused_imports))]

mod address;
mod client;
mod credential_file;

use std::path::PathBuf;

pub use address::SettingsError;
pub(crate) use address::{base_url, encoded_path, encoded_segment};
pub(crate) use client::{Answer, Call, Https, Network};
pub(crate) use credential_file::read_credential;

/// The largest answer of a store, in bytes.
pub(crate) const MAX_ANSWER: usize = 4 << 20;

/// The files that a client needs for TLS; all in PEM.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsFiles {
    /// Roots to trust beside the platform's.
    pub(crate) ca: Option<PathBuf>,
    /// The client's certificate chain and its private key.
    pub(crate) client: Option<(PathBuf, PathBuf)>,
}
