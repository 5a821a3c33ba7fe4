//! `annotations`: requests to annotations and back.

use anyhow::{Context, Result, bail};
use flyte_secrets_core::annotations::{LABEL, LABEL_VALUE, PREFIX, decode, encode};
use flyte_secrets_core::{MountRequirement, Secret};
use serde::Serialize;

use crate::args::{AnnotationsCommand, DecodeArgs, EncodeArgs, TextOutput};
use crate::documents::{pods, parse, read_input};
use crate::output::{print, print_json};

pub(crate) fn run(command: &AnnotationsCommand) -> Result<()> {
    match command {
        AnnotationsCommand::Encode(args) => write(args),
        AnnotationsCommand::Decode(args) => read(args),
    }
}

/// Prints what belongs into the metadata of a pod, as YAML.
fn write(args: &EncodeArgs) -> Result<()> {
    let EncodeArgs { group, group_version, key, mount_requirement, env_var, index } = args.clone();
    let mount_requirement = MountRequirement::from_name(&mount_requirement).context("ANY, ENV_VAR or FILE")?;
    let secret = Secret { group, group_version, key, mount_requirement, env_var };
    if secret == Secret::default() {
        bail!("an empty request asks for nothing: give at least --key or --group");
    }
    let value = encode(&secret)?;
    print(&format!("labels:\n  {LABEL}: \"{LABEL_VALUE}\"\nannotations:\n  {PREFIX}{index}: {value}\n"))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Decoded {
    #[serde(skip_serializing_if = "Option::is_none")]
    annotation: Option<String>,
    group: String,
    group_version: String,
    key: String,
    mount_requirement: String,
    env_var: String,
}

fn read(args: &DecodeArgs) -> Result<()> {
    let mut values: Vec<(Option<String>, String)> = args.values.iter().map(|value| (None, value.clone())).collect();
    if let Some(path) = &args.file {
        for document in parse(path, &read_input(path)?)? {
            for place in pods(&document.value, "default") {
                let pod = document.value.pointer(&place.pointer).context("the pod is gone from its document")?;
                let annotations = pod["metadata"]["annotations"].as_object().into_iter().flatten();
                let requests = annotations.filter(|(name, _)| name.starts_with(PREFIX));
                values.extend(requests.map(|(name, value)| {
                    (Some(name.clone()), value.as_str().unwrap_or_default().to_owned())
                }));
            }
        }
    }
    let mut decoded = Vec::new();
    for (annotation, value) in values {
        let secret = decode(&value).with_context(|| annotation.clone().unwrap_or_else(|| value.clone()))?;
        decoded.push((annotation, secret));
    }
    if args.output == TextOutput::Json {
        return print_json(&decoded.into_iter().map(as_data).collect::<Vec<_>>());
    }
    let line = |(annotation, secret): (Option<String>, Secret)| match annotation {
        Some(annotation) => format!("{annotation}: {secret}\n"),
        None => format!("{secret}\n"),
    };
    print(&decoded.into_iter().map(line).collect::<String>())
}

fn as_data((annotation, secret): (Option<String>, Secret)) -> Decoded {
    let Secret { group, group_version, key, mount_requirement, env_var } = secret;
    Decoded { annotation, group, group_version, key, mount_requirement: mount_requirement.to_string(), env_var }
}
