//! The name of the Kubernetes Secret that holds one secret of Flyte.

use data_encoding::HEXLOWER;
use md5::{Digest, Md5};

/// The name of the Kubernetes Secret for an encoded id, or for a key without a group: its MD5 in lower-case hex.
///
/// Always 32 characters, so always a valid name. MD5 is part of the contract here and protects nothing.
/// Source: `EncodeK8sSecretName` of Flyte 2.
#[must_use]
pub fn kubernetes_secret_name(of: &str) -> String {
    HEXLOWER.encode(&Md5::digest(of.as_bytes()))
}
