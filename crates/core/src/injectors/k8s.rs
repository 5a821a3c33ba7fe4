//! K8s: references to a Kubernetes Secret of the pod's namespace; the kubelet brings the value.
//!
//! Source: `k8s_secrets.go` of Flyte. The request's group is the Secret, its key the Secret's key.

use std::borrow::Cow;

use super::global::{variable_of, with_version};
use super::protected::protected;
use super::{
    Answer, Context, Decline, ENV_PREFIX_VARIABLE, folder_variables, path_parts, required, unknown_mount_requirement,
    variable_name,
};
use crate::annotations::base32_name;
use crate::case;
use crate::expansion::escape_dollars;
use crate::injection::{EnvSource, EnvVar, Injection, Item, SeenFile, Volume, VolumeSource};
use crate::mirror::SecretReference;
use crate::paths::{SECRETS_DIR, check_part, join};
use crate::secret::{MountRequirement, Secret};
use crate::secret_name;
use crate::settings::Profile;

pub(super) fn inject(context: &Context<'_>, request: &Secret) -> Answer {
    let group = allowed(context, request)?;
    match request.mount_requirement {
        MountRequirement::ANY | MountRequirement::FILE => as_file(&group, request),
        MountRequirement::ENV_VAR => as_variable(context, &group, request),
        _ => Err(unknown_mount_requirement(request)),
    }
}

/// The key that a request is about.
pub(super) fn reference(context: &Context<'_>, request: &Secret) -> Result<SecretReference, Decline> {
    let name = allowed(context, request)?.into_owned();
    Ok(SecretReference { name, key: request.key.clone() })
}

/// The Secret that a request is about, if tasks may have it.
fn allowed<'s>(context: &Context<'_>, request: &'s Secret) -> Result<Cow<'s, str>, Decline> {
    required(&[("key", &request.key)])?;
    let group = group(context, request)?;
    match protected(&context.settings.protected, context.namespace, &group, request) {
        Some(reason) => Err(Decline(reason)),
        None => Ok(group),
    }
}

/// Flyte 2 names the Secret after the key where no group is given, as its Secret service does.
fn group<'s>(context: &Context<'_>, request: &'s Secret) -> Result<Cow<'s, str>, Decline> {
    match (request.group.is_empty(), context.settings.profile) {
        (false, _) => Ok(Cow::Borrowed(&request.group)),
        (true, Profile::Flyte1) => Err(Decline::from("needs a group")),
        (true, Profile::Flyte2) => Ok(Cow::Owned(secret_name::kubernetes_secret_name(&request.key))),
    }
}

fn as_variable(context: &Context<'_>, group: &str, request: &Secret) -> Answer {
    let settings = context.settings;
    let source = EnvSource::SecretKeyRef { name: group.to_owned(), key: request.key.clone(), optional: true };
    let mut env = with_version(settings, group, request, variable_of(settings, group, &request.key)?, source.clone());
    if !request.env_var.is_empty() {
        env.push(EnvVar::new(variable_name(request.env_var.clone())?, source));
    }
    env.push(EnvVar::text(ENV_PREFIX_VARIABLE, settings.env_var_prefix.as_str()));
    Ok(Injection { env, ..Injection::default() })
}

fn as_file(group: &str, request: &Secret) -> Answer {
    let Secret { group_version, key, env_var, .. } = request;
    path_parts(&[("group", group), ("key", key)])?;
    let (folder, file) = (case::lower(group), case::lower(key));
    let path = join(&[SECRETS_DIR, &folder, &file]);

    let mut env = folder_variables().to_vec();
    if !env_var.is_empty() {
        env.push(EnvVar::text(variable_name(env_var.clone())?, escape_dollars(&path)));
    }
    let mut items = vec![Item { key: key.clone(), path: file.to_string(), yields: false }];
    // flytekit's get(group, key, group_version) looks below a folder of the version.
    if !group_version.is_empty() && !group_version.starts_with("..") && check_part(group_version).is_ok() {
        let path = format!("{}/{file}", case::lower(group_version));
        items.push(Item { key: key.clone(), path, yields: true });
    }
    Ok(Injection {
        env,
        volume: Some(Volume {
            mount_path: join(&[SECRETS_DIR, &folder]),
            source: VolumeSource::Secret {
                secret_name: group.to_owned(),
                preferred_name: base32_name(&format!("{group}_{group_version}")),
                items,
            },
        }),
        files: vec![SeenFile { path, source: format!("key {key:?} of the Secret {group:?}") }],
        ..Injection::default()
    })
}
