//! Stores of secret values, and the look-up that asks them.
//!
//! A store is anything that gives a value for an id ([`SecretFetcher`]). [`LookUps`] asks the stores for the scopes of an
//! id from narrow to wide, and remembers for a while what they said. Every store is one module:
//!
//! | module | values live in |
//! |---|---|
//! | [`values`] | a YAML or JSON document, for commands that work without a cluster |
//! | [`local`] | one encrypted file on this computer |
//! | `kubernetes` (Cargo feature of that name) | Secrets of one namespace |
//! | `aws` (Cargo feature of that name) | AWS Secrets Manager |
//! | `gcp` (Cargo feature of that name) | GCP Secret Manager |
//! | `azure` (Cargo feature of that name) | Azure Key Vault |
//! | `vault` (Cargo feature of that name) | a KV engine of HashiCorp Vault or OpenBao |
//! | `http` (Cargo feature of that name) | any system that speaks a small HTTPS protocol |
//!
//! Some can be written to as well ([`SecretWriter`]), which is the Secret service's business: all but `values` and `http`.

#[cfg(feature = "aws")]
pub mod aws;
#[cfg(feature = "azure")]
pub mod azure;
#[cfg(any(
    feature = "aws",
    feature = "azure",
    feature = "gcp",
    feature = "http",
    feature = "kubernetes",
    feature = "vault"
))]
mod causes;
#[cfg(any(feature = "aws", feature = "gcp"))]
pub mod cloud;
mod docker_config;
pub mod fetcher;
#[cfg(feature = "gcp")]
pub mod gcp;
#[cfg(feature = "http")]
pub mod http;
#[cfg(any(feature = "azure", feature = "http", feature = "vault"))]
mod https;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod local;
mod look_up;
#[cfg(test)]
mod test_log;
#[cfg(any(feature = "azure", feature = "kubernetes", feature = "vault"))]
mod turns;
pub mod values;
#[cfg(feature = "vault")]
pub mod vault;
pub mod writer;
#[cfg(any(feature = "aws", feature = "azure", feature = "gcp", feature = "vault"))]
mod writing;

pub use fetcher::{FailureClass, FetchError, SecretFetcher, SecretPlace};
#[cfg(any(feature = "azure", feature = "http", feature = "vault"))]
pub use https::SettingsError;
pub use look_up::{
    Asked, CacheEvent, CacheSettings, CallOutcome, Found, Freshness, LookUpError, LookUpObserver, LookUpSettings,
    LookUps, NoObserver, SPANS, Scope, Scopes,
};
pub use writer::{NewSecret, Page, PageRequest, SecretKind, SecretMetadata, SecretWriter, WriteError, WriteFailure};
