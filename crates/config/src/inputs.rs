//! What the configuration is made from.

use flyte_secrets_core::Profile;

/// What the configuration is made from, as the command line found it.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// Paths or globs of YAML files, in order; later ones win. The files of one glob are taken in the
    /// order of their names. At most 128 files of at most 1 MiB each.
    pub files: Vec<String>,
    /// Flags as key and value, without the leading `--`: `("webhook.certDir", "/certs")`.
    pub flags: Vec<(String, String)>,
    /// The environment of the process. Variables that name no key are ignored.
    pub environment: Vec<(String, String)>,
    /// The profile that the program's name implies (a program called `flytepropeller` is Flyte 1);
    /// `webhook.profile` is stronger.
    pub implied_profile: Option<Profile>,
}
