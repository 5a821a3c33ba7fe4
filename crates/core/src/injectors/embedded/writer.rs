//! Embedded files in the Pod: one container that writes them all to a volume in memory, as in the reference.

use data_encoding::BASE64;
use secrecy::SecretString;

use super::VOLUME;
use crate::expansion::escape_dollars;
use crate::injection::{Fetch, Injection, SeenFile, Volume, VolumeSource, WriterLine};
use crate::injectors::{Context, Decline};
use crate::outline::ContainerOutline;
use crate::paths::SECRETS_DIR;
use crate::secret::Secret;
use crate::value::SecretValue;

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

/// Declines pods in which something stands in the writer's place.
pub(super) fn check(context: &Context<'_>) -> Result<(), Decline> {
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

pub(super) fn add(injection: &mut Injection, request: &Secret, path: String, value: &SecretValue) {
    let source = VolumeSource::Memory { name: VOLUME };
    injection.volume = Some(Volume { mount_path: SECRETS_DIR.to_owned(), source });
    injection.fetch = Some(Fetch::Line(WriterLine {
        name: request.key.clone(),
        content: SecretString::from(BASE64.encode(value.expose_bytes())),
    }));
    injection.files = vec![SeenFile { path, source: format!("the stored secret {:?}", request.key) }];
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
