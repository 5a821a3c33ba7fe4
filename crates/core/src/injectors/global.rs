//! Global: variables and files of the webhook's own process.
//!
//! Source: `global_secrets.go` and `secretmanager/secrets.go` of Flyte.

use super::{
    Answer, Decline, ENV_PREFIX_VARIABLE, Found, check_reference_sizes, found_source, path_parts, required,
    unknown_mount_requirement, variable_name,
};
use crate::case;
use crate::expansion::is_env_var_name;
use crate::injection::{EnvSource, EnvVar, Injection};
use crate::paths;
use crate::secret::{MountRequirement, Secret};
use crate::settings::{Profile, Settings};

/// Where the webhook looks on itself: the variable first, then the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobalLookUp {
    /// The variable; set but empty counts as found.
    pub variable: String,
    /// The file, or why there can be none.
    pub file: Result<String, Decline>,
}

pub(super) fn look_up(settings: &Settings, request: &Secret) -> Result<GlobalLookUp, Decline> {
    let Secret { group, key, .. } = request;
    required(&[("group", group), ("key", key)])?;
    match request.mount_requirement {
        MountRequirement::ANY | MountRequirement::ENV_VAR => {}
        MountRequirement::FILE => {
            return Err(Decline::from("sets environment variables only; ask for mount_requirement ENV_VAR or ANY"));
        }
        _ => return Err(unknown_mount_requirement(request)),
    }
    Ok(place(settings, group, key))
}

/// Where a group and a key stand.
pub(super) fn place(settings: &Settings, group: &str, key: &str) -> GlobalLookUp {
    let prefix = &settings.global.env_prefix;
    GlobalLookUp {
        variable: format!("{prefix}{}_{}", case::upper(group), case::upper(key)),
        file: path_parts(&[("group", group), ("key", key)]).map(|()| {
            let below = paths::join(&[group, key]);
            settings.global.secrets_prefix.join(below.trim_start_matches('/')).to_string_lossy().into_owned()
        }),
    }
}

pub(super) fn inject(settings: &Settings, request: &Secret, found: &Found) -> Answer {
    let source = found_source(found, "found a value that is not UTF-8, which no variable can hold")?;
    let name = variable_of(settings, &request.group, &request.key)?;
    let mut env = vec![EnvVar::text(ENV_PREFIX_VARIABLE, settings.env_var_prefix.as_str())];
    env.extend(with_version(settings, &request.group, request, name, source));
    check_reference_sizes(&env, found)?;
    Ok(Injection { env, ..Injection::default() })
}

/// `UPPER(PREFIX+group+"_"+[version+"_"]+key)`.
fn variable(settings: &Settings, group: &str, version: &str, key: &str) -> String {
    let prefix = &settings.env_var_prefix;
    let separator = if version.is_empty() { "" } else { "_" };
    case::upper(&format!("{prefix}{group}_{version}{separator}{key}")).to_string()
}

/// The variable and, right behind it in the pod's list, the one under which flytekit looks for a
/// group version.
pub(super) fn with_version(
    settings: &Settings,
    group: &str,
    request: &Secret,
    name: String,
    source: EnvSource,
) -> Vec<EnvVar> {
    let plain = EnvVar::new(name, source.clone());
    let versioned = variable(settings, group, &request.group_version, &request.key);
    if request.group_version.is_empty() || !is_env_var_name(&versioned) {
        return vec![plain];
    }
    let versioned = EnvVar { name: versioned, source, yields: true };
    match settings.profile {
        Profile::Flyte1 => vec![plain, versioned],
        // Each variable goes to the front of the list, so the one behind is added first.
        Profile::Flyte2 => vec![versioned, plain],
    }
}

/// The variable of a request for group and key, as Global and K8s name it.
pub(super) fn variable_of(settings: &Settings, group: &str, key: &str) -> Result<String, Decline> {
    variable_name(variable(settings, group, "", key))
}
