//! Embedded: a value that the webhook itself reads from a store.
//!
//! Source: `embedded_secret_manager.go` of Flyte 2. The place of the value is the pod's organization,
//! domain and project.

mod projected;
mod writer;

use super::{
    Answer, Context, Decline, ENV_PREFIX_VARIABLE, Found, check_reference_sizes, folder_variables, found_source,
    required, unknown_mount_requirement, variable_name,
};
use crate::case;
use crate::encoded_id::SecretId;
use crate::expansion::escape_dollars;
use crate::injection::{EnvVar, Injection};
use crate::paths::{MAX_FILE_NAME, SECRETS_DIR, check_part, join};
use crate::secret::{MountRequirement, Secret};
use crate::settings::{Delivery, Settings};

pub use writer::{MAX_WRITER_BYTES, WRITER_VARIABLE, is_our_writer, writer_command};

/// The volume with the files, whatever the delivery.
const VOLUME: &str = "embedded-secret-vol";

pub(super) fn look_up(context: &Context<'_>, request: &Secret) -> Result<SecretId, Decline> {
    required(&[("key", &request.key)])?;
    let label = |name: &str| match context.pod.metadata.labels.get(name) {
        Some(value) if !value.is_empty() => Ok(value.to_owned()),
        _ => Err(Decline(format!("needs the pod's label {name:?}"))),
    };
    let id = SecretId {
        org: label("organization")?,
        project: label("project")?,
        domain: label("domain")?,
        name: request.key.clone(),
    };
    id.check_components().map_err(|error| Decline(error.to_string()))?;
    match request.mount_requirement {
        MountRequirement::ANY | MountRequirement::ENV_VAR => {
            variable(context.settings, request)?;
        }
        MountRequirement::FILE => {
            check_file(request)?;
            match context.settings.delivery {
                Delivery::SecretRef => projected::check(context, request)?,
                Delivery::PodSpec => writer::check(context)?,
            }
        }
        _ => return Err(unknown_mount_requirement(request)),
    }
    Ok(id)
}

pub(super) fn inject(context: &Context<'_>, request: &Secret, found: &Found) -> Answer {
    let mut injection = match request.mount_requirement {
        MountRequirement::FILE => as_file(context, request, found)?,
        _ => as_variable(context.settings, request, found)?,
    };
    injection.pull_secret.clone_from(&found.pull_secret);
    Ok(injection)
}

fn as_variable(settings: &Settings, request: &Secret, found: &Found) -> Answer {
    let source = found_source(
        found,
        "found a binary value that is not UTF-8, which no variable can hold; ask for mount_requirement FILE",
    )?;
    let prefix = EnvVar::text(ENV_PREFIX_VARIABLE, settings.env_var_prefix.as_str());
    let env = vec![prefix, EnvVar::new(variable(settings, request)?, source)];
    check_reference_sizes(&env, found)?;
    Ok(Injection { env, ..Injection::default() })
}

/// `env_var`, or `PREFIX+UPPER(key)`; unlike K8s and Global the reference keeps the prefix's case.
fn variable(settings: &Settings, request: &Secret) -> Result<String, Decline> {
    variable_name(if request.env_var.is_empty() {
        format!("{}{}", settings.env_var_prefix, case::upper(&request.key))
    } else {
        request.env_var.clone()
    })
}

fn as_file(context: &Context<'_>, request: &Secret, found: &Found) -> Answer {
    check_file(request)?;
    let path = join(&[SECRETS_DIR, &request.key]);
    let mut injection = Injection { with_first_file: folder_variables().to_vec(), ..Injection::default() };
    if !request.env_var.is_empty() {
        injection.env.push(EnvVar::text(variable_name(request.env_var.clone())?, escape_dollars(&path)));
    }
    match &found.reference {
        Some(reference) => {
            projected::check(context, request)?;
            projected::add(&mut injection, request, path, reference);
        }
        None => {
            writer::check(context)?;
            writer::add(&mut injection, request, path, &found.value);
        }
    }
    Ok(injection)
}

/// Declines names that no file of the folder can have.
fn check_file(request: &Secret) -> Result<(), Decline> {
    let key = &request.key;
    check_part(key).map_err(|error| Decline(format!("makes a file name of the key {key:?}, which {error}")))?;
    if key.len() > MAX_FILE_NAME {
        return Err(Decline(format!("makes a file name of the key, which is longer than {MAX_FILE_NAME} bytes")));
    }
    if key.contains(['/', '=']) || key == "." {
        return Err(Decline(format!(
            "makes a file name of the key {key:?}, which must be one path component without '='"
        )));
    }
    if !request.env_var.is_empty() {
        variable_name(request.env_var.clone())?;
    }
    Ok(())
}
