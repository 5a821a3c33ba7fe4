//! The contract of Flyte secrets as data and functions of data: no I/O, no runtime, no Kubernetes client.
//!
//! A pod's annotations become [`Secret`]s ([`annotations`]), each injector turns one into an
//! [`injection`] for the pod's [`outline`], and [`merge`] turns all injections into one [`patch`].
//! Whether a pod may have what its labels claim is a question for [`access`]. Objects whose controllers make pods pass
//! requests on to them: [`propagate`].

pub mod access;
pub mod annotations;
pub mod azure_key_vault;
mod base32;
pub mod case;
pub mod encoded_id;
pub mod expansion;
pub mod image_pull;
pub mod injection;
pub mod injectors;
pub mod merge;
pub mod mirror;
pub mod outline;
pub mod patch;
pub mod paths;
pub mod propagate;
pub mod realise;
pub mod secret;
pub mod secret_name;
pub mod settings;
pub mod text_format;
pub mod value;

pub use secret::{MountRequirement, Secret};
pub use settings::{Profile, SecretManagerType, Settings};
