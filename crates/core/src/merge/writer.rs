//! The one container that writes all Embedded files of a pod: its command and its variable.

use std::borrow::Cow;

use secrecy::{ExposeSecret, SecretString};

use crate::expansion::escape_dollars;
use crate::injection::{EnvSource, EnvVar, WriterLine};
use crate::injectors::{WRITER_VARIABLE, writer_command};
use crate::outline::SpecOutline;
use crate::patch::{PatchOperation, PatchValue};
use crate::paths::lower_name;

/// What the lines of all requests come to.
pub(super) struct Written {
    pub(super) command: Vec<String>,
    pub(super) variable: EnvVar,
}

impl Written {
    pub(super) fn new(lines: &[&WriterLine]) -> Self {
        let names: Vec<&str> = lines.iter().map(|line| &*line.name).collect();
        let mut second_names: Vec<(String, String)> = Vec::new();
        for line in lines {
            // A file that somebody asked for by that very name is theirs.
            let free =
                |other: &String| !names.contains(&&**other) && second_names.iter().all(|(_, taken)| taken != other);
            if let Some(other) = lower_name(&line.name).filter(free) {
                second_names.push((line.name.clone(), other));
            }
        }
        let mut content = String::with_capacity(lines.iter().map(|line| line.len()).sum());
        for line in lines {
            content.push_str(&escape_dollars(&line.name));
            content.push('=');
            content.push_str(line.content.expose_secret());
            content.push('\n');
        }
        Self {
            command: writer_command(&second_names),
            variable: EnvVar::new(WRITER_VARIABLE, EnvSource::Secret(SecretString::from(content))),
        }
    }

    /// Brings a writer of an earlier pass up to date, should a value have changed in between.
    pub(super) fn update(self, name: &str, spec: &SpecOutline<'_>, operations: &mut Vec<PatchOperation<'_>>) {
        let Some(index) = spec.init_containers.iter().position(|container| *container.name == *name) else { return };
        let container = &spec.init_containers[index];
        if container.command() != self.command {
            let path = format!("/spec/initContainers/{index}/command");
            operations.push(PatchOperation::replace(path, PatchValue::Texts(self.command)));
        }
        let variable = container.env.iter().position(|variable| &*variable.name == WRITER_VARIABLE);
        if let Some(at) = variable.filter(|&at| self.variable.source.value() != Some(&container.env[at].value)) {
            let path = format!("/spec/initContainers/{index}/env/{at}");
            operations.push(PatchOperation::replace(path, PatchValue::Env(Cow::Owned(self.variable))));
        }
    }
}
