//! `annotations`: requests to annotations and back.

use anyhow::{Context, Result, bail};
use flyte_secrets_core::annotations::{LABEL, LABEL_VALUE, PREFIX, Request, decode, encode, requests};
use flyte_secrets_core::{MountRequirement, Secret};
use serde::Serialize;
use serde_json::Value;

use crate::args::{AnnotationsCommand, DecodeArgs, EncodeArgs, TextOutput};
use crate::documents::{PodPlace, parse, pods, read_input};
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

/// A request, and where it comes from unless it was given as an argument.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Decoded {
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotation: Option<String>,
    group: String,
    group_version: String,
    key: String,
    mount_requirement: String,
    env_var: String,
    #[serde(skip)]
    text: String,
}

impl Decoded {
    fn new(origin: Option<(String, String)>, secret: Secret) -> Self {
        let (object, annotation) = origin.unzip();
        let text = secret.to_string();
        let Secret { group, group_version, key, mount_requirement, env_var } = secret;
        let mount_requirement = mount_requirement.to_string();
        Self { object, annotation, group, group_version, key, mount_requirement, env_var, text }
    }
}

fn read(args: &DecodeArgs) -> Result<()> {
    let mut decoded = Vec::new();
    for value in &args.values {
        decoded.push(Decoded::new(None, decode(value).with_context(|| value.clone())?));
    }
    if let Some(path) = &args.file {
        for document in parse(path, &read_input(path)?)? {
            for place in pods(&document.value, "default") {
                decoded.extend(of_pod(&document.value, &place)?);
            }
        }
    }
    if args.output == TextOutput::Json {
        return print_json(&decoded);
    }
    print(&as_text(&decoded))
}

/// The requests of a pod, in the order in which they are served.
fn of_pod(document: &Value, place: &PodPlace) -> Result<Vec<Decoded>> {
    let annotations = document.pointer(&place.pointer).and_then(|pod| pod["metadata"]["annotations"].as_object());
    let mut texts = Vec::new();
    for (name, value) in annotations.into_iter().flatten().filter(|(name, _)| name.starts_with(PREFIX)) {
        let value = value.as_str().with_context(|| format!("{}: annotation {name}: not a string", place.title))?;
        texts.push((name.as_str(), value));
    }
    let requests = requests(texts.into_iter()).with_context(|| place.title.clone())?;
    let decoded = |request: Request| Decoded::new(Some((place.title.clone(), request.annotation)), request.secret);
    Ok(requests.into_iter().map(decoded).collect())
}

/// One request a line; where there are several pods, below the title of theirs.
fn as_text(decoded: &[Decoded]) -> String {
    let first = decoded.first().and_then(|one| one.object.as_ref());
    let several = decoded.iter().any(|one| one.object.as_ref() != first);
    let (mut text, mut last) = (String::new(), None);
    for Decoded { object, annotation, text: request, .. } in decoded {
        if several && last != Some(object) {
            text.push_str(&format!("{}\n", object.as_deref().unwrap_or_default()));
            last = Some(object);
        }
        match annotation {
            Some(annotation) => text.push_str(&format!("{annotation}: {request}\n")),
            None => text.push_str(&format!("{request}\n")),
        }
    }
    text
}
