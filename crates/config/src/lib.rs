//! Configuration of flyte-secrets: Flyte's own files, flags and environment as typed settings.
//!
//! [`load`] reads the files that [`Inputs`] names and returns [`Loaded`]: the typed [`Config`], every
//! key with its value and where that came from, and warnings; or all errors at once. One table
//! ([`reference()`] prints it) says which keys there are, what they accept and what they default to.

mod access_rules;
mod certificates;
mod custom_managers;
mod durations;
mod environment;
mod errors;
mod expand;
mod files;
mod flags;
mod getter;
mod inputs;
mod items;
mod keys;
mod kinds;
mod kubernetes;
mod node;
mod origin;
mod patterns;
mod reference;
mod resolve;
mod secret_service;
mod sections;
mod settings;
mod stores;
mod structures;
mod typed;
mod typed_stores;
mod values;
mod yaml;

pub use access_rules::{AccessRule, AccessSubject, AccessVerb, ScopePattern};
pub use errors::{ConfigError, ConfigErrors};
pub use flags::is_switch;
pub use inputs::Inputs;
pub use origin::Origin;
pub use reference::reference;
pub use secret_service::{AuthenticationSettings, OidcSettings, SecretServiceSettings, SecretServiceStore};
pub use settings::{
    CertificateMode, CertificateSettings, Config, Effective, FailurePolicy, InvalidationAuthentication,
    InvalidationSettings, KubeClientSettings, Loaded, LogFormat, LogLevel, LogSettings, MirrorSettings,
    RegistrationSettings, ReinvocationPolicy, TracingSettings, WebhookSettings,
};
pub use stores::{
    AwsStoreSettings, AzureStoreSettings, CacheSettings, GcpStoreSettings, HttpStoreSettings, K8sStoreSettings,
    LocalStoreSettings, Scopes, StoreSettings, StoreType, StoresSettings, VaultAuth, VaultStoreSettings,
};

/// Reads the configuration.
///
/// Later layers win, key by key: defaults, files in order, environment, flags. Only the files are
/// read from outside; the environment and the flags come with `inputs`.
///
/// # Errors
///
/// Everything that is wrong, at once and in the order of the files: a file that cannot be read or is
/// no YAML, a key that is not known, a value that is not accepted, values that do not fit each other.
pub fn load(inputs: &Inputs) -> Result<Loaded, ConfigErrors> {
    let mut errors = Vec::new();
    let files = files::read(&inputs.files, &mut errors);
    resolve::resolve(&files, inputs, errors)
}
