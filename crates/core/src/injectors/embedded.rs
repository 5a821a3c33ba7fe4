//! Embedded: a value that the webhook itself reads from a store.
//!
//! Source: `embedded_secret_manager.go` of Flyte 2. The place of the value is the pod's organization,
//! domain and project; the delivery here is `PodSpec`, as in the reference.

use data_encoding::BASE64;
use secrecy::SecretString;

use super::{
    Answer, Context, Decline, ENV_PREFIX_VARIABLE, Found, folder_variables, required, unknown_mount_requirement,
    variable_name,
};
use crate::case;
use crate::encoded_id::SecretId;
use crate::expansion::escape_dollars;
use crate::injection::{EnvSource, EnvVar, Fetch, Injection, SeenFile, Volume, VolumeSource, WriterLine};
use crate::outline::ContainerOutline;
use crate::paths::{SECRETS_DIR, check_part, join};
use crate::secret::{MountRequirement, Secret};
use crate::settings::Settings;

/// The longest name of a file on Linux, in bytes.
const MAX_FILE_NAME: usize = 255;
/// The volume that the writer fills.
const VOLUME: &str = "embedded-secret-vol";
/// The writer's variable: one `name=base64` line a secret.
pub const WRITER_VARIABLE: &str = "SECRETS";
/// The largest content of [`WRITER_VARIABLE`]: Linux takes 128 KiB for one `NAME=value` string, NUL included.
pub const MAX_WRITER_BYTES: usize = 128 * 1024 - WRITER_VARIABLE.len() - "=\0".len();

/// Writes each line of `$SECRETS` to a file of its name; then each pair of arguments is a file and a
/// second name for it. Nothing in it is expanded by the kubelet.
const WRITER_SCRIPT: &str = "cd /etc/flyte/secrets\n\
    printf '%s' \"$SECRETS\" | while IFS= read -r line; do\n\
    \x20 printf '%s' \"${line#*=}\" | base64 -d > \"./${line%%=*}\"\n\
    done\n\
    while [ $# -gt 0 ]; do\n\
    \x20 cp \"./$1\" \"./$2\"\n\
    \x20 shift 2\n\
    done\n";

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
        MountRequirement::FILE => check_file(context, request)?,
        _ => return Err(unknown_mount_requirement(request)),
    }
    Ok(id)
}

pub(super) fn inject(settings: &Settings, request: &Secret, found: &Found) -> Answer {
    let mut injection = match request.mount_requirement {
        MountRequirement::FILE => as_file(request, found)?,
        _ => as_variable(settings, request, found)?,
    };
    injection.pull_secret.clone_from(&found.pull_secret);
    Ok(injection)
}

fn as_variable(settings: &Settings, request: &Secret, found: &Found) -> Answer {
    let value = found
        .value
        .expose_text()
        .ok_or("found a binary value that is not UTF-8, which no variable can hold; ask for mount_requirement FILE")?;
    let source = EnvSource::Secret(SecretString::from(escape_dollars(value).into_owned()));
    let prefix = EnvVar::text(ENV_PREFIX_VARIABLE, settings.env_var_prefix.as_str());
    let env = vec![prefix, EnvVar::new(variable(settings, request)?, source)];
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

fn as_file(request: &Secret, found: &Found) -> Answer {
    let path = join(&[SECRETS_DIR, &request.key]);
    let mut env = Vec::new();
    if !request.env_var.is_empty() {
        env.push(EnvVar::text(variable_name(request.env_var.clone())?, escape_dollars(&path)));
    }
    Ok(Injection {
        env,
        volume: Some(Volume { mount_path: SECRETS_DIR.to_owned(), source: VolumeSource::Memory { name: VOLUME } }),
        fetch: Some(Fetch::Line(WriterLine {
            name: request.key.clone(),
            content: SecretString::from(BASE64.encode(found.value.expose_bytes())),
            first: folder_variables().to_vec(),
        })),
        files: vec![SeenFile { path, source: format!("the stored secret {:?}", request.key) }],
        ..Injection::default()
    })
}

/// Declines files that the writer could not write, and pods in which something stands in its place.
fn check_file(context: &Context<'_>, request: &Secret) -> Result<(), Decline> {
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
    let spec = &context.pod.spec;
    let name = &context.settings.embedded.writer_name;
    let writer = spec.init_containers.iter().find(|container| *container.name == **name);
    if writer.is_some_and(|writer| !is_our_writer(writer)) {
        return Err(Decline(format!("cannot write files: the pod has an init container of its own named {name:?}")));
    }
    if writer.is_none() && spec.volumes.iter().any(|volume| &*volume.name == VOLUME) {
        return Err(Decline(format!("cannot write files: the pod has a volume of its own named {VOLUME:?}")));
    }
    Ok(())
}

/// The writer's command; `second_names` are pairs of a file and its other name.
#[must_use]
pub fn writer_command(second_names: &[(String, String)]) -> Vec<String> {
    let mut command = vec!["sh".to_owned(), "-ec".to_owned(), WRITER_SCRIPT.to_owned()];
    if !second_names.is_empty() {
        command.push("sh".to_owned()); // $0
    }
    for (file, other) in second_names {
        command.extend([escape_dollars(file).into_owned(), escape_dollars(other).into_owned()]);
    }
    command
}

/// Whether a container of an earlier pass is our writer.
#[must_use]
pub fn is_our_writer(container: &ContainerOutline<'_>) -> bool {
    container.command().get(..3).is_some_and(|command| command == ["sh", "-ec", WRITER_SCRIPT])
        && container.env_value(WRITER_VARIABLE).is_some()
}
