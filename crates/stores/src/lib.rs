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

pub mod fetcher;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod local;
mod look_up;
#[cfg(test)]
mod test_log;
pub mod values;

pub use fetcher::{FailureClass, FetchError, SecretFetcher, SecretPlace};
pub use look_up::{
    Asked, CacheEvent, CacheSettings, CallOutcome, Found, Freshness, LookUpError, LookUpObserver, LookUpSettings,
    LookUps, NoObserver, Scopes,
};
