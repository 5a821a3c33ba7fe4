//! Vault: annotations that HashiCorp's agent injector reads; it brings the files.
//!
//! Source: `vault_secret_manager.go` and `utils.go` of Flyte; the annotations are those of
//! <https://developer.hashicorp.com/vault/docs/platform/k8s/injector/annotations>.

use super::custom::request_id;
use super::{Answer, Decline, files_only, folder_variables, path_parts, required};
use crate::injection::{Annotation, Injection, SeenFile};
use crate::paths::{SECRETS_DIR, join};
use crate::secret::Secret;
use crate::settings::{KvVersion, Settings};

const PREFIX: &str = "vault.hashicorp.com/";

pub(super) fn inject(settings: &Settings, request: &Secret) -> Answer {
    let Secret { group, key, .. } = request;
    required(&[("group", group), ("key", key)])?;
    files_only(request)?;
    path_parts(&[("group", group), ("key", key)])?;

    // The reference draws a random one.
    let id = request_id(request);
    let file = format!("{group}/{key}");
    // The first value of a name counts, so the highest precedence comes first.
    let mut annotations: Vec<Annotation> = settings
        .vault
        .annotations
        .iter()
        .map(|(name, value)| Annotation { name: name.clone(), value: value.clone() })
        .collect();
    let mut add = |name: &str, value: &str| {
        annotations.push(Annotation { name: format!("{PREFIX}{name}"), value: value.to_owned() });
    };
    add("agent-inject", "true");
    add("secret-volume-path", SECRETS_DIR);
    add("role", &settings.vault.role);
    add("agent-pre-populate-only", "true");
    add(&format!("agent-inject-secret-{id}"), group);
    add(&format!("agent-inject-file-{id}"), &file);
    if let Some(data) = data_path(settings, &request.group_version) {
        add(&format!("agent-inject-template-{id}"), &template(group, key, data)?);
    }
    let source = format!("the Vault secret {group:?}, key {key:?}, version {:?}", request.group_version);
    Ok(Injection {
        env: folder_variables().to_vec(),
        annotations,
        files: vec![SeenFile { path: join(&[SECRETS_DIR, &file]), source }],
        ..Injection::default()
    })
}

/// Where the KV engine of that version keeps its keys; the database engine has no template.
fn data_path(settings: &Settings, group_version: &str) -> Option<&'static str> {
    match (group_version, settings.vault.kv_version) {
        ("db", _) => None,
        ("kv1", _) => Some(".Data"),
        ("kv2", _) => Some(".Data.data"),
        (_, KvVersion::V1) => Some(".Data"),
        (_, KvVersion::V2) => Some(".Data.data"),
    }
}

/// A consul-template that prints one key of one path.
fn template(group: &str, key: &str, data: &str) -> Result<String, Decline> {
    for (field, text) in [("group", group), ("key", key)] {
        if let Some(odd) = text.chars().find(|c| matches!(c, '"' | '\\' | '`' | '{' | '}' | '\n' | '\r')) {
            return Err(Decline(format!("cannot put the {field} {text:?} into a template: it holds {odd:?}")));
        }
    }
    let value = if is_identifier(key) { format!("{data}.{key}") } else { format!("index {data} \"{key}\"") };
    Ok(format!("{{{{- with secret \"{group}\" -}}}}{{{{ {value} }}}}{{{{- end -}}}}"))
}

/// Whether Go's templates read the key as one field: letters, digits and `_`, no digit first.
fn is_identifier(key: &str) -> bool {
    let letter = |c: char| c == '_' || (c.is_alphabetic() && !c.is_numeric());
    key.starts_with(letter) && key.chars().all(|c| letter(c) || c.is_ascii_digit())
}
