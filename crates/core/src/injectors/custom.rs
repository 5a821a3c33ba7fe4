//! Managers that are described in configuration (`webhook.customSecretManagers`): parts of a pod as templates, no code.
//!
//! [`CustomManager::compile`] reads a description, once at start-up, and says everything that is wrong with it. What comes
//! from a request then only fills texts; lists, members and their names are the administrator's.

mod compiler;
mod fields;
mod filters;
mod place;
mod script;
mod section;
mod template;
mod tree;

use serde_json::Value;

use super::protected::protected;
use super::{
    Answer, Context, Decline, ENV_PREFIX_VARIABLE, folder_variables, unknown_mount_requirement, variable_name,
};
use crate::expansion::escape_dollars;
use crate::injection::{Annotation, Described, EnvSource, EnvVar, Injection, SeenFile};
use crate::patch::SecurityContext;
use crate::secret::{MountRequirement, Secret};
use crate::settings::{InitContainerSecurityContext, SecretManagerType};

use compiler::Compiler;
pub use compiler::Problem;
pub(super) use fields::request_id;
use fields::{Field, Values};
use section::{EnvValue, Section};
pub use section::{Part, Sample};
use tree::{Tree, secret_names};

/// The longest name of a manager, in bytes.
const MAX_NAME: usize = 40;

/// A manager that is described in configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomManager {
    name: String,
    requires: Vec<Field>,
    any: MountRequirement,
    file: Option<Section>,
    variable: Option<Section>,
}

/// What a description comes to.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The manager; none where there are problems.
    pub manager: Option<CustomManager>,
    /// Everything that is wrong with the description, at once.
    pub problems: Vec<Problem>,
    /// All parts of pods that are right so far, filled for a request that is tried, to be checked against Kubernetes' own
    /// types.
    pub samples: Vec<Sample>,
    /// Whether members that those types do not know are taken.
    pub allows_unknown_fields: bool,
}

impl CustomManager {
    /// Whether a manager can have this name: letters, digits, `-`, `_` and `.`, a letter in front, at most 40, and none of
    /// the names of [`SecretManagerType::ALL`].
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        name.len() <= MAX_NAME
            && name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.bytes().all(is_plain)
            && !SecretManagerType::ALL.iter().any(|known| known.name().eq_ignore_ascii_case(name))
    }

    /// Reads a description: an object with `name`, `requires`, `any`, `file`, `envVar` and `allowUnknownFields`.
    #[must_use]
    pub fn compile(description: &Value) -> Compiled {
        let mut compiler = Compiler::new();
        let manager = read(&mut compiler, description);
        let Compiler { problems, samples, allows_unknown_fields, .. } = compiler;
        Compiled { manager: manager.filter(|_| problems.is_empty()), problems, samples, allows_unknown_fields }
    }

    /// The name, as it was written.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

fn read(compiler: &mut Compiler, description: &Value) -> Option<CustomManager> {
    let Value::Object(members) = description else {
        compiler.problem("must be a mapping with `name`, and `file` or `envVar`");
        return None;
    };
    let (mut name, mut any, mut sections) = (None, None, (None, None));
    // Templates are held against it, wherever it stands.
    for (member, value) in members.iter().filter(|(member, _)| member.eq_ignore_ascii_case("requires")) {
        compiler.required = compiler.at(member, |compiler| required(compiler, value));
    }
    for (member, value) in members {
        compiler.at(member, |compiler| match member.to_ascii_lowercase().as_str() {
            "name" => name = manager_name(compiler, value),
            "requires" => {}
            "any" => any = mount_requirement(compiler, value),
            "file" => sections.0 = Some(section::compile(compiler, value, true)),
            "envvar" => sections.1 = Some(section::compile(compiler, value, false)),
            "allowunknownfields" => match value {
                Value::Bool(allowed) => compiler.allows_unknown_fields = *allowed,
                _ => compiler.problem("must be true or false"),
            },
            _ => compiler.problem("unknown key; known here: name, requires, any, file, envVar, allowUnknownFields"),
        });
    }
    if !members.keys().any(|member| member.eq_ignore_ascii_case("name")) {
        compiler.problem("needs a `name`");
    }
    let (file, variable) = sections;
    if file.is_none() && variable.is_none() {
        compiler.problem("needs `file` or `envVar`: what a request for a file or a variable adds to the pod");
    }
    let any = any.unwrap_or(if file.is_some() { MountRequirement::FILE } else { MountRequirement::ENV_VAR });
    if (any == MountRequirement::FILE && file.is_none()) || (any == MountRequirement::ENV_VAR && variable.is_none()) {
        compiler.problem(format!("`any: {any}` without `{}`", if file.is_none() { "file" } else { "envVar" }));
    }
    Some(CustomManager { name: name?, requires: compiler.required.clone(), any, file, variable })
}

fn manager_name(compiler: &mut Compiler, value: &Value) -> Option<String> {
    let name = value.as_str().filter(|name| CustomManager::is_name(name));
    if name.is_none() {
        let built_in = SecretManagerType::ALL.map(SecretManagerType::name).join(", ");
        compiler.problem(format!(
            "must be a name of at most {MAX_NAME} letters, digits, '-', '_' and '.', with a letter in front, and none of \
             {built_in}"
        ));
    }
    name.map(str::to_owned)
}

fn required(compiler: &mut Compiler, value: &Value) -> Vec<Field> {
    let known = Field::OF_A_REQUEST.map(Field::name).join(", ");
    let Value::Array(items) = value else {
        compiler.problem(format!("must be a list of {known}"));
        return Vec::new();
    };
    let mut fields = Vec::new();
    for (index, item) in items.iter().enumerate() {
        match Field::OF_A_REQUEST.into_iter().find(|field| item == field.name()) {
            Some(field) => fields.push(field),
            None => compiler
                .at(index, |compiler| compiler.problem(format!("names no field of a request: there are {known}"))),
        }
    }
    fields
}

fn mount_requirement(compiler: &mut Compiler, value: &Value) -> Option<MountRequirement> {
    let known = value.as_str().and_then(MountRequirement::from_name).filter(|one| *one != MountRequirement::ANY);
    if known.is_none() {
        compiler.problem("must be FILE or ENV_VAR: what a request that does not care gets");
    }
    known
}

pub(super) fn inject(name: &str, context: &Context<'_>, request: &Secret) -> Answer {
    let manager = context.settings.custom.iter().find(|manager| manager.name == name);
    let manager = manager.ok_or("is not described in webhook.customSecretManagers")?;
    manager.inject(context, request)
}

impl CustomManager {
    fn inject(&self, context: &Context<'_>, request: &Secret) -> Answer {
        self.check_required(request)?;
        let asked =
            if request.mount_requirement == MountRequirement::ANY { self.any } else { request.mount_requirement };
        let (section, is_file) = match asked {
            MountRequirement::FILE => (&self.file, true),
            MountRequirement::ENV_VAR => (&self.variable, false),
            _ => return Err(unknown_mount_requirement(request)),
        };
        let section = section.as_ref().ok_or_else(|| {
            let other = if is_file { MountRequirement::ENV_VAR } else { MountRequirement::FILE };
            Decline(format!("does not serve {asked}; ask for mount_requirement {other} or ANY"))
        })?;
        let Context { settings, pod, namespace } = *context;
        let values = Values { request, prefix: &settings.env_var_prefix, namespace, pod: Some(pod) };
        let mut injection = section.fill(&values)?;
        if is_file {
            section.name_file(&values, &mut injection, &self.name)?;
        } else {
            injection.env.push(EnvVar::text(ENV_PREFIX_VARIABLE, settings.env_var_prefix.as_str()));
        }
        check_secrets(context, request, &injection)?;
        if settings.init_container_security_context == InitContainerSecurityContext::Restricted {
            restrict(&mut injection);
        }
        Ok(injection)
    }

    fn check_required(&self, request: &Secret) -> Result<(), Decline> {
        let is_empty = |field: &&Field| match field {
            Field::Group => request.group.is_empty(),
            Field::Key => request.key.is_empty(),
            Field::GroupVersion => request.group_version.is_empty(),
            Field::EnvVar => request.env_var.is_empty(),
            _ => false,
        };
        match self.requires.iter().find(is_empty) {
            None => Ok(()),
            Some(Field::GroupVersion) => Err(Decline::from("needs a group version")),
            Some(Field::EnvVar) => Err(Decline::from("needs an env_var")),
            Some(field) => Err(Decline(format!("needs a {}", field.name()))),
        }
    }
}

impl Section {
    fn fill(&self, values: &Values<'_>) -> Result<Injection, Decline> {
        let all = |trees: &[Tree]| trees.iter().map(|tree| tree.fill(values)).collect::<Result<Vec<_>, _>>();
        let mut env = Vec::with_capacity(self.env.len());
        for (name, value) in &self.env {
            let source = match value {
                EnvValue::Text(text) => EnvSource::Text(text.fill(values)?),
                EnvValue::From(tree) => EnvSource::From(tree.fill(values)?),
            };
            env.push(EnvVar::new(name.fill(values)?, source));
        }
        // Two templates of a name that come to the same, {{variable}} and {{envVar}} say, are one variable.
        env.dedup();
        let mut annotations = Vec::with_capacity(self.annotations.len());
        for (name, value) in &self.annotations {
            annotations.push(Annotation { name: name.fill(values)?, value: value.fill(values)? });
        }
        let described = Described {
            volumes: all(&self.volumes)?,
            mounts: all(&self.mounts)?,
            sidecars: all(&self.sidecars)?,
            init_containers: all(&self.init_containers)?,
        };
        Ok(Injection { env, annotations, described: Some(Box::new(described)), ..Injection::default() })
    }

    /// Tells the task where its file is.
    fn name_file(&self, values: &Values<'_>, injection: &mut Injection, manager: &str) -> Result<(), Decline> {
        injection.env.extend(folder_variables());
        let Some(path) = &self.path else { return Ok(()) };
        let path = path.fill(values)?;
        let request = values.request;
        if !request.env_var.is_empty() {
            let name = variable_name(request.env_var.clone())?;
            injection.env.push(EnvVar::text(name, escape_dollars(&path)));
        }
        let Secret { group, group_version, key, .. } = request;
        let source = format!("the {manager} secret {group:?}, key {key:?}, version {group_version:?}");
        injection.files.push(SeenFile { path, source });
        Ok(())
    }
}

/// Declines what would bring a Secret that no task may have.
fn check_secrets(context: &Context<'_>, request: &Secret, injection: &Injection) -> Result<(), Decline> {
    let parts = injection.described.iter().flat_map(|described| described.parts());
    let sources = injection.env.iter().filter_map(|variable| match &variable.source {
        EnvSource::From(source) => Some(source),
        _ => None,
    });
    for name in parts.chain(sources).flat_map(secret_names) {
        // As the group, so that the name counts as one that was asked for.
        let named = Secret { group: name.to_owned(), ..request.clone() };
        if let Some(reason) = protected(&context.settings.protected, context.namespace, name, &named) {
            return Err(Decline(reason));
        }
    }
    Ok(())
}

/// Gives containers that say nothing about it the security context that all of ours have.
fn restrict(injection: &mut Injection) {
    let Some(described) = &mut injection.described else { return };
    for container in described.sidecars.iter_mut().chain(&mut described.init_containers) {
        if let Value::Object(members) = container {
            let restricted = || serde_json::to_value(SecurityContext::restricted(false)).unwrap_or_default();
            members.entry("securityContext").or_insert_with(restricted);
        }
    }
}

#[cfg(test)]
#[path = "custom/tests.rs"]
mod tests;
