//! Puts the layers together: defaults, files, environment, flags. Pure.

use flyte_secrets_core::Profile;

use crate::environment::{self, variable};
use crate::errors::{ConfigError, ConfigErrors};
use crate::expand::expand;
use crate::files::File;
use crate::flags;
use crate::inputs::Inputs;
use crate::keys::{KEYS, Key};
use crate::kinds::{self, Kind};
use crate::origin::{Origin, Source};
use crate::sections::{self, Assignment, Read};
use crate::settings::{Effective, Loaded};
use crate::typed::{self, Resolved, Values};
use crate::values::{self, Value};

/// Resolves the configuration from files that were read; `errors` are those of reading.
pub(crate) fn resolve(files: &[File], inputs: &Inputs, errors: Vec<ConfigError>) -> Result<Loaded, ConfigErrors> {
    let mut read = Read { errors, ..Read::default() };
    for file in files {
        sections::read_file(file, &mut read);
    }
    environment::read(&inputs.environment, &mut read);
    flags::read(&inputs.flags, &mut read);

    let Read { assignments, mut errors, mut warnings } = read;
    let profile = profile(&assignments, inputs.implied_profile);
    let mut values = layered(profile, inputs.implied_profile, assignments);
    settle(profile, &inputs.environment, &mut values, &mut warnings);
    let described = typed::described(&values);
    errors.retain(|error| {
        let missing = error.missing_manager.as_ref();
        missing.is_none_or(|name| !described.iter().any(|known| known.eq_ignore_ascii_case(name)))
    });
    typed::check(&values, &inputs.environment, &mut errors);
    if !errors.is_empty() {
        let names: Vec<&str> = files.iter().map(|file| &*file.name).collect();
        return Err(ConfigErrors::new(errors, &names));
    }
    let config = typed::config(&values, &inputs.environment, &mut warnings);
    Ok(Loaded { config, effective: effective(&values), warnings })
}

fn profile(assignments: &[Assignment], implied: Option<Profile>) -> Profile {
    let given = assignments.iter().rev().find(|assignment| assignment.key.path == "webhook.profile");
    match given.map(|assignment| &assignment.value) {
        Some(Value::Text(name)) if name == "flyte1" => Profile::Flyte1,
        Some(_) => Profile::Flyte2,
        None => implied.unwrap_or_default(),
    }
}

fn layered(profile: Profile, implied: Option<Profile>, assignments: Vec<Assignment>) -> Values {
    let mut values = Values::new();
    for key in KEYS {
        values.insert(key.path, Resolved { key, value: default(key, profile), origin: Origin::Default });
    }
    if let (Some(implied), Some(resolved)) = (implied, values.get_mut("webhook.profile")) {
        let name = if implied == Profile::Flyte1 { "flyte1" } else { "flyte2" };
        (resolved.value, resolved.origin) = (Some(Value::Text(name.to_owned())), Origin::ProgramName);
    }
    for Assignment { key, value, origin } in assignments {
        let Some(resolved) = values.get_mut(key.path) else { continue };
        match (&mut resolved.value, value) {
            (Some(Value::Members(members)), Value::Members(over)) => {
                values::merge(members, over, key.kind.is_case_sensitive());
            }
            (_, value) => resolved.value = Some(value),
        }
        resolved.origin = origin;
    }
    values
}

fn default(key: &'static Key, profile: Profile) -> Option<Value> {
    let mut errors = Vec::new();
    kinds::read_text(key, key.default_text(profile)?, &Source::Default, &mut errors)
}

/// What no single value can know: variables in paths, keys that a profile fixes, keys that other keys
/// make pointless.
fn settle(profile: Profile, environment: &[(String, String)], values: &mut Values, warnings: &mut Vec<String>) {
    for resolved in values.values_mut().filter(|resolved| matches!(resolved.key.kind, Kind::Path)) {
        let Some(Value::Text(path)) = &mut resolved.value else { continue };
        let (expanded, missing) = expand(path, |name| variable(environment, name));
        for name in missing {
            let (key, origin) = (resolved.key.path, &resolved.origin);
            warnings.push(format!("{origin}: {key}: the variable {name} is not set; nothing stands in its place"));
        }
        *path = expanded;
    }
    let given = |values: &Values, path: &str| {
        values.get(path).map(|resolved| resolved.origin.clone()).filter(|origin| *origin != Origin::Default)
    };
    if let (Profile::Flyte1, Some(origin)) = (profile, given(values, "webhook.secretEnvVarPrefix"))
        && let Some(resolved) = values.get_mut("webhook.secretEnvVarPrefix")
    {
        let fixed = default(resolved.key, profile);
        if resolved.value != fixed {
            warnings.push(format!(
                "{origin}: webhook.secretEnvVarPrefix is ignored: tasks of Flyte 1 look for _FSEC_; \
                 to change it, set webhook.profile to flyte2"
            ));
        }
        (resolved.value, resolved.origin) = (fixed, Origin::Default);
    }
    let listed = matches!(values.get("webhook.secretManagerTypes"), Some(Resolved { value: Some(Value::List(list)), .. }) if !list.is_empty());
    match given(values, "webhook.secretManagerType") {
        Some(origin) if listed => warnings
            .push(format!("{origin}: webhook.secretManagerType has no effect: webhook.secretManagerTypes is set")),
        Some(origin) if profile == Profile::Flyte2 => warnings.push(format!(
            "{origin}: webhook.secretManagerType is deprecated; write webhook.secretManagerTypes, a list"
        )),
        _ => {}
    }
}

/// One row a key, or a member of it, for `config show`.
fn effective(values: &Values) -> Vec<Effective> {
    let mut rows = Vec::new();
    for key in KEYS.iter().filter(|key| !matches!(key.kind, Kind::Ignored)) {
        let Some(resolved) = values.get(key.path) else { continue };
        match &resolved.value {
            Some(Value::Members(members)) if !members.is_empty() => {
                rows.extend(members.iter().map(|member| Effective {
                    key: format!("{}.{}", key.path, member.path.join(".")),
                    value: member.value.to_string(),
                    origin: member.origin.clone(),
                }));
            }
            value => rows.push(Effective {
                key: key.path.to_owned(),
                value: value.as_ref().map_or_else(|| "null".to_owned(), |value| value.to_json().to_string()),
                origin: resolved.origin.clone(),
            }),
        }
    }
    rows
}
