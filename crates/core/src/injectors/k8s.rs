//! K8s: references to a Kubernetes Secret of the pod's namespace; the kubelet brings the value.
//!
//! Source: `k8s_secrets.go` of Flyte. The request's group is the Secret, its key the Secret's key.

use std::borrow::Cow;

use super::global::{variable_of, with_version};
use super::{
    Answer, Context, Decline, ENV_PREFIX_VARIABLE, folder_variables, path_parts, required, unknown_mount_requirement,
    variable_name,
};
use crate::annotations::base32_name;
use crate::case;
use crate::encoded_id::SecretId;
use crate::expansion::escape_dollars;
use crate::injection::{EnvSource, EnvVar, Injection, Item, SeenFile, Volume, VolumeSource};
use crate::paths::{SECRETS_DIR, check_part, join};
use crate::secret::{MountRequirement, Secret};
use crate::secret_name;
use crate::settings::{Profile, ProtectedSecrets};

pub(super) fn inject(context: &Context<'_>, request: &Secret) -> Answer {
    required(&[("key", &request.key)])?;
    let group = group(context, request)?;
    decline_protected(&context.settings.protected, context.namespace, &group, request)?;
    match request.mount_requirement {
        MountRequirement::ANY | MountRequirement::FILE => as_file(&group, request),
        MountRequirement::ENV_VAR => as_variable(context, &group, request),
        _ => Err(unknown_mount_requirement(request)),
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

/// Declines Secrets that no task may have: the kubelet fetches them and nobody else checks.
fn decline_protected(
    protected: &ProtectedSecrets,
    namespace: &str,
    name: &str,
    request: &Secret,
) -> Result<(), Decline> {
    if protected.own.iter().any(|(own_namespace, own_name)| own_namespace == namespace && own_name == name) {
        return Err(Decline(format!("never hands out the Secret {name:?}: it holds this webhook's private key")));
    }
    if protected.store_namespaces.iter().any(|store| store == namespace) {
        let named_by_digest = name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        // The name made of a key is harmless, unless the key is the id of a stored secret.
        if (named_by_digest && !request.group.is_empty()) || SecretId::decode(&request.key).is_ok() {
            return Err(Decline(format!(
                "never hands out {name:?}: Secrets of that form in the namespace {namespace:?} belong to the Secret \
                 service; leave the group away and use the Embedded manager"
            )));
        }
    }
    let pattern = protected.deny.iter().find(|pattern| match pattern.split_once('/') {
        Some((namespaces, names)) => matches(namespaces, namespace) && matches(names, name),
        None => matches(pattern, name),
    });
    match pattern {
        Some(pattern) => Err(Decline(format!(
            "never hands out the Secret {name:?}: webhook.accessPolicy.denySecrets lists {pattern:?}"
        ))),
        None => Ok(()),
    }
}

/// Whether a text fits a pattern in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut last = None;
    for piece in pieces {
        if let Some(middle) = last.replace(piece) {
            let Some(at) = rest.find(middle) else { return false };
            rest = &rest[at + middle.len()..];
        }
    }
    last.map_or(rest.is_empty(), |end| rest.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text) in [("a", "a"), ("*", ""), ("a*", "abc"), ("*c", "abc"), ("a*b*c", "a1b2b3c"), ("a**", "a")]
        {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a", "ab"), ("a*c", "ab"), ("", "a"), ("ab*ba", "aba"), ("*a*", "b")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
