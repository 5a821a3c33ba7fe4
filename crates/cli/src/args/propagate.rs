//! The arguments of `propagate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use flyte_secrets_core::{MountRequirement, Secret};

const EXAMPLES: &str = "\
Examples:
  flyte-secrets propagate -f job.yaml --secret user-info/user_secret,mount=FILE
  flyte-secrets propagate -f spark.yaml --from pod.yaml -o diff
  flyte-secrets propagate -f crew.yaml --from pod.yaml --path 'spec.members[].template'
  flyte-secrets propagate --list-kinds

A path forks at [] (each element of a list) and at * (each member of an object); [name=value] is the element with that
member, which is made where it is missing. Which kinds are known, and what inject does with them: docs/propagate.md.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PropagateArgs {
    /// Objects whose controllers make pods, in YAML or JSON; '-' reads standard input
    #[arg(short, long = "filename", value_name = "FILE", required_unless_present = "list_kinds")]
    pub(crate) files: Vec<PathBuf>,
    /// Take the requests of a pod or another object, and its labels organization, project and domain
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    /// A request; may be given again. All that was requested before is replaced
    #[arg(long = "secret", value_name = "GROUP/KEY[,version=…][,mount=ENV_VAR|FILE|ANY][,env=NAME]", value_parser = secret)]
    pub(crate) secrets: Vec<Secret>,
    /// A label for the pods; may be given again
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) labels: Vec<(String, String)>,
    /// An annotation for the pods; may be given again
    #[arg(long = "annotation", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) annotations: Vec<(String, String)>,
    /// Where a kind that is not known has a pod template, or a known one has another; may be given again
    #[arg(long = "path", value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    /// The same for an object that holds only labels and annotations for pods; it is made where it is missing
    #[arg(long = "metadata-path", value_name = "PATH")]
    pub(crate) metadata_paths: Vec<String>,
    /// Leave objects of custom kinds that are not known as they are
    #[arg(long)]
    pub(crate) ignore_unknown: bool,
    /// The namespace of objects that name none, for messages
    #[arg(short, long, default_value = "default")]
    pub(crate) namespace: String,
    /// Print the known kinds, and where their pods get labels and annotations
    #[arg(long, conflicts_with_all = ["files", "from", "secrets", "labels", "annotations", "paths", "metadata_paths"])]
    pub(crate) list_kinds: bool,
    /// What to print
    #[arg(short, long, value_enum, default_value_t = PropagateOutput::Yaml)]
    pub(crate) output: PropagateOutput,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PropagateOutput {
    /// All documents, pod templates with their requests
    Yaml,
    /// The same as JSON; messages as JSON lines on standard error
    Json,
    /// One JSON patch (RFC 6902) a document, [] where nothing changes
    Patch,
    /// What changes in each object
    Diff,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// A group may hold slashes (a path of Vault) and colons (an ARN), a key seldom does; so the last slash divides them.
fn secret(text: &str) -> Result<Secret, String> {
    let mut parts = text.split(',');
    let names = parts.next().unwrap_or_default();
    let (group, key) = names.rsplit_once('/').unwrap_or(("", names));
    let mut secret = Secret { group: group.to_owned(), key: key.to_owned(), ..Secret::default() };
    if secret == Secret::default() {
        return Err("write GROUP/KEY, or one of them: GROUP/ or KEY".to_owned());
    }
    for part in parts {
        match part.split_once('=') {
            Some(("version", version)) => version.clone_into(&mut secret.group_version),
            Some(("env", name)) => name.clone_into(&mut secret.env_var),
            Some(("mount", name)) => {
                let known = MountRequirement::from_name(name);
                secret.mount_requirement = known.ok_or_else(|| format!("mount={name}: ENV_VAR, FILE or ANY"))?;
            }
            _ => return Err(format!("{part:?} is none of version=…, mount=… and env=…")),
        }
    }
    Ok(secret)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_group_and_key_with_options() {
        for (text, expected) in [
            ("g/k", ["g", "", "k", "ANY", ""]),
            ("k", ["", "", "k", "ANY", ""]),
            ("secret/data/team/k,version=kv2", ["secret/data/team", "kv2", "k", "ANY", ""]),
            (
                "arn:aws:secretsmanager:eu-west-1:1:secret/,mount=FILE",
                ["arn:aws:secretsmanager:eu-west-1:1:secret", "", "", "FILE", ""],
            ),
            ("g/k,env=TOKEN,mount=ENV_VAR,version=3", ["g", "3", "k", "ENV_VAR", "TOKEN"]),
        ] {
            let Secret { group, group_version, key, mount_requirement, env_var } = secret(text).unwrap();
            assert_eq!([group, group_version, key, mount_requirement.to_string(), env_var], expected, "{text}");
        }
        for text in ["", "/", ",mount=FILE", "g/k,mount=BOTH", "g/k,more=1", "g/k,"] {
            assert!(secret(text).is_err(), "{text}");
        }
    }
}
