//! Stores of secret values, and the look-up that asks them.
//!
//! A store is anything that gives a value for an id ([`SecretFetcher`]). [`look_up`] walks the scopes
//! of an id from narrow to wide. Every store is one module:
//!
//! | module | values live in |
//! |---|---|
//! | [`values`] | a YAML or JSON document, for commands that work without a cluster |
//! | [`local`] | one encrypted file on this computer |
//! | `kubernetes` (Cargo feature of that name) | Secrets of one namespace |
//! | `aws` (Cargo feature of that name) | AWS Secrets Manager |
//! | `gcp` (Cargo feature of that name) | GCP Secret Manager |

#[cfg(feature = "aws")]
pub mod aws;
#[cfg(any(feature = "aws", feature = "gcp"))]
pub mod cloud;
pub mod fetcher;
#[cfg(feature = "gcp")]
pub mod gcp;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod local;
mod look_up;
pub mod values;

pub use fetcher::{FailureClass, FetchError, SecretFetcher, SecretPlace};
pub use look_up::{Asked, Found, LookUpError, look_up};
