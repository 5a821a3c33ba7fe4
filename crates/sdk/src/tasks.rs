//! What a task calls: [`current_context`]`().secrets().get(group, key, group_version)`, with the names, paths and
//! values of flytekit 1.16.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use flyte_secrets_sdk::tasks::{ExposeSecret, current_context};
//! # let mock = flyte_secrets_sdk::testing::Secrets::new().value("user-info", "password", None, "s3cret").mock()?;
//! # let _guard = mock.enter();
//!
//! let password = current_context().secrets().get("user-info", "password", None)?;
//! assert_eq!(password.expose_secret(), "s3cret");
//! # Ok(())
//! # }
//! ```
//!
//! A secret is looked for in the variable `<prefix><GROUP>_<VERSION>_<KEY>`, then in the file
//! `<folder>/<group>/<version>/<file prefix><key>`; a part that is empty is left out. Prefix, folder and file prefix
//! come from the three variables of [`SecretsConfig`], which the webhook sets in the pods that it serves.

mod config;
mod context;
mod declared;
mod error;
mod file;
mod found;
mod manager;
mod python;
mod surroundings;

pub use config::SecretsConfig;
pub(crate) use context::Entered;
pub use context::{Context, current_context};
pub use declared::{InvalidSecret, Secret};
pub use error::{Name, SecretError};
pub use flyte_secrets_core::MountRequirement;
pub use found::{Found, Source};
pub use manager::{GroupSecrets, MAX_VALUE_SIZE, SecretsManager};
pub use secrecy::{ExposeSecret, SecretSlice, SecretString};
pub(crate) use surroundings::{Surroundings, Variables};
