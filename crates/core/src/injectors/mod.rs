//! The injectors: one module a secret manager, each a pure function from a request and a pod's
//! outline to an [`Answer`]. None of them touches a pod.
//!
//! Global and Embedded need a value: they say what to look up ([`look_up`]) and get it as [`Found`].

mod aws;
mod azure;
mod custom;
mod embedded;
mod fetch;
mod gcp;
mod global;
mod k8s;
mod protected;
mod vault;

use secrecy::SecretString;

use crate::encoded_id::SecretId;
use crate::expansion::{escape_dollars, is_env_var_name};
use crate::injection::{EnvSource, EnvVar, Injection};
use crate::mirror::SecretReference;
use crate::outline::PodOutline;
use crate::paths::{SECRETS_DIR, check_part};
use crate::secret::Secret;
use crate::settings::{CheckExists, Delivery, SecretManagerType, Settings};
use crate::value::SecretValue;

pub use custom::{Compiled, CustomManager, Part, Problem, Sample};
pub use embedded::{MAX_WRITER_BYTES, WRITER_VARIABLE, is_our_writer, writer_command};
pub use global::GlobalLookUp;
pub use protected::protected;

/// Where a task finds its secret files (`FLYTE_SECRETS_DEFAULT_DIR`).
pub const DEFAULT_DIR_VARIABLE: &str = "FLYTE_SECRETS_DEFAULT_DIR";
/// What stands in front of the files' names (`FLYTE_SECRETS_FILE_PREFIX`).
pub const FILE_PREFIX_VARIABLE: &str = "FLYTE_SECRETS_FILE_PREFIX";
/// What stands in front of the variables' names (`FLYTE_SECRETS_ENV_PREFIX`).
pub const ENV_PREFIX_VARIABLE: &str = "FLYTE_SECRETS_ENV_PREFIX";

/// What an injector knows besides the request.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The configuration.
    pub settings: &'a Settings,
    /// The pod.
    pub pod: &'a PodOutline<'a>,
    /// The pod's namespace.
    pub namespace: &'a str,
}

/// Why a manager does not serve a request: a sentence without its subject, such as "needs a group".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decline(pub String);

impl<T: Into<String>> From<T> for Decline {
    fn from(reason: T) -> Self {
        Self(reason.into())
    }
}

/// What a manager must know before it can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookUp {
    /// Nothing.
    Nothing,
    /// A variable or a file of the webhook itself.
    Global(GlobalLookUp),
    /// A value of a store: this id, then the same name in the wider scopes.
    Store(SecretId),
    /// Whether this key of a Secret of the pod's namespace is there. Its value is not needed, and the request can be served
    /// without the answer.
    Existence(SecretReference),
}

/// A value that was looked up.
#[derive(Clone, Debug)]
pub struct Found {
    /// The value.
    pub value: SecretValue,
    /// The name of the image-pull Secret that belongs to it, if there is one.
    pub pull_secret: Option<String>,
    /// Where the pod finds the value in its own namespace; none: the value stands in the Pod (delivery `PodSpec`).
    /// One delivery for all values of a pod.
    pub reference: Option<SecretReference>,
}

/// A manager's word on one request; `Err` passes it on to the next manager.
pub type Answer = Result<Injection, Decline>;

/// What `manager` has to look up for a request.
///
/// # Errors
/// A request that this manager declines whatever the value may be.
pub fn look_up(manager: SecretManagerType, context: &Context<'_>, request: &Secret) -> Result<LookUp, Decline> {
    match manager {
        SecretManagerType::Global => global::look_up(context.settings, request).map(LookUp::Global),
        SecretManagerType::Embedded => embedded::look_up(context, request).map(LookUp::Store),
        SecretManagerType::K8s if context.settings.check_exists != CheckExists::Off => {
            k8s::reference(context, request).map(LookUp::Existence)
        }
        _ => Ok(LookUp::Nothing),
    }
}

/// Where Global looks for a group and a key, whoever asks.
#[must_use]
pub fn global_look_up(settings: &Settings, group: &str, key: &str) -> GlobalLookUp {
    global::place(settings, group, key)
}

/// What `manager` adds to the pod for a request. `found` is what [`look_up`] asked for.
///
/// # Errors
/// A request that this manager does not serve, with the reason.
pub fn inject(manager: SecretManagerType, context: &Context<'_>, request: &Secret, found: Option<&Found>) -> Answer {
    let needed = || {
        let found = found.ok_or("has no value for it")?;
        // Never a silent way back to values in the Pod.
        if context.settings.delivery == Delivery::SecretRef && found.reference.is_none() {
            return Err(Decline::from(
                "has a value and no Secret to refer to, which webhook.delivery: SecretRef needs",
            ));
        }
        Ok(found)
    };
    match manager {
        SecretManagerType::Global => global::inject(context.settings, request, needed()?),
        SecretManagerType::K8s => k8s::inject(context, request),
        SecretManagerType::Aws => aws::inject(context.settings, request),
        SecretManagerType::Gcp => gcp::inject(context.settings, request),
        SecretManagerType::Azure => azure::inject(context.settings, request),
        SecretManagerType::Vault => vault::inject(context.settings, request),
        SecretManagerType::Embedded => embedded::inject(context, request, needed()?),
        SecretManagerType::Custom(name) => custom::inject(name, context, request),
    }
}

/// The most that Linux takes for one `NAME=value` string of a process, NUL included (`MAX_ARG_STRLEN`, pages of 4 KiB).
const MAX_VARIABLE_BYTES: usize = 128 * 1024;

/// Where a variable gets the found value from: the Secret that holds it, or the Pod itself. `not_text` declines what is
/// not UTF-8.
fn found_source(found: &Found, not_text: &str) -> Result<EnvSource, Decline> {
    let value = found.value.expose_text().ok_or_else(|| Decline::from(not_text))?;
    match &found.reference {
        None => Ok(EnvSource::Secret(SecretString::from(escape_dollars(value).into_owned()))),
        // The container would not start, and the runtime's error would show the value in the pod's status.
        Some(_) if value.contains('\0') => {
            Err(Decline::from("found a value with a NUL character, which no variable can hold"))
        }
        Some(SecretReference { name, key }) => {
            Ok(EnvSource::SecretKeyRef { name: name.clone(), key: key.clone(), optional: false })
        }
    }
}

/// Declines a value that is too long for a variable. In the Pod it is left to the API server, as in the reference.
fn check_reference_sizes(env: &[EnvVar], found: &Found) -> Result<(), Decline> {
    let references = env.iter().filter(|variable| matches!(variable.source, EnvSource::SecretKeyRef { .. }));
    let longest = references.map(|variable| variable.name.len()).max().unwrap_or_default();
    if found.reference.is_some() && longest + found.value.expose_bytes().len() + "=\0".len() > MAX_VARIABLE_BYTES {
        return Err(Decline::from(
            "found a value of over 128 KiB, which no variable can hold; store a smaller one, or bring it as a file",
        ));
    }
    Ok(())
}

/// `FLYTE_SECRETS_DEFAULT_DIR` and `FLYTE_SECRETS_FILE_PREFIX`, in the order they are added.
fn folder_variables() -> [EnvVar; 2] {
    [EnvVar::text(DEFAULT_DIR_VARIABLE, SECRETS_DIR), EnvVar::text(FILE_PREFIX_VARIABLE, "")]
}

/// Declines a name that Kubernetes would refuse as a variable's.
fn variable_name(name: String) -> Result<String, Decline> {
    if is_env_var_name(&name) {
        return Ok(name);
    }
    Err(Decline(format!(
        "would have to set a variable named {name:?}, which Kubernetes refuses (printable ASCII without '=' only)"
    )))
}

/// Declines parts of a request that must not become part of a path.
fn path_parts(parts: &[(&str, &str)]) -> Result<(), Decline> {
    for (field, part) in parts {
        check_part(part)
            .map_err(|error| Decline(format!("makes a file path of the {field} {part:?}, which {error}")))?;
    }
    Ok(())
}

/// Declines where a field is empty.
fn required(fields: &[(&str, &str)]) -> Result<(), Decline> {
    match fields.iter().find(|(_, value)| value.is_empty()) {
        Some((field, _)) => Err(Decline(format!("needs a {field}"))),
        None => Ok(()),
    }
}

/// Declines a mount requirement that is neither of the known ones.
fn unknown_mount_requirement(request: &Secret) -> Decline {
    Decline(format!("does not know the mount requirement {}", request.mount_requirement))
}

/// Declines environment variables, for managers that only bring files.
fn files_only(request: &Secret) -> Result<(), Decline> {
    use crate::secret::MountRequirement as Mount;
    match request.mount_requirement {
        Mount::ANY | Mount::FILE => Ok(()),
        Mount::ENV_VAR => Err(Decline::from("brings secrets as files only; ask for mount_requirement FILE or ANY")),
        _ => Err(unknown_mount_requirement(request)),
    }
}
