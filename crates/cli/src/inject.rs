//! `inject`: documents in, documents out, pods with their secrets.

use std::collections::HashSet;
use std::time::SystemTime;

use anyhow::{Context, Result};
use flyte_secrets_core::mirror::VALUE_KEY;
use flyte_secrets_webhook::admission::{Admission, Decision, Refusal, Way};
use flyte_secrets_webhook::mirrors::WantedMirror;
use serde_json::{Value, json};

use crate::Failed;
use crate::args::{ConfigArgs, InjectArgs, InjectOutput};
use crate::diff;
use crate::documents::{Document, ObjectPlace, PodPlace, to_yaml};
use crate::offline::{Decided, Offline, SERVED_AT_ADMISSION, read_documents};
use crate::output::{Message, print, print_coloured};
use crate::setup::Surroundings;

/// Stands for a value that is not shown.
const HIDDEN: &str = "(hidden: --reveal shows it)";

/// A document on its way out.
struct Injected {
    document: Document,
    after: Value,
    /// The operations on all its pods.
    patch: Vec<Value>,
    /// What has changed.
    changed: Vec<ObjectPlace>,
    /// Secrets that the webhook would write for its pods.
    secrets: Vec<Value>,
}

pub(crate) async fn run(surroundings: &Surroundings, config: &ConfigArgs, args: &InjectArgs) -> Result<(), Failed> {
    let as_json = args.output == InjectOutput::Json;
    let offline = Offline::new(surroundings, config, &args.offline, as_json)?;
    let documents = read_documents(&args.offline.files)?;
    let mut injected = Vec::with_capacity(documents.len());
    let mut refused = false;
    let mut written = HashSet::new();
    for document in documents {
        let mut after = document.value.clone();
        let (mut operations, mut changed, mut secrets) = (Vec::new(), Vec::new(), Vec::new());
        for title in offline.served_at_admission(&document) {
            Message::Note { message: &format!("{title}: {SERVED_AT_ADMISSION}; it is left as it is") }.tell(as_json);
        }
        for Decided { place, before, admission } in offline.decide(&document).await? {
            let Some(admission) = admission else {
                not_labelled(&place, as_json);
                continue;
            };
            let mirrors =
                mirrors(&admission).filter(|mirror| written.insert((place.namespace.clone(), mirror.name.clone())));
            for mirror in mirrors {
                secrets.push(secret(mirror, &place.namespace, args.reveal)?);
            }
            match outcome(&place, &admission, as_json) {
                Ok(None) => {}
                Ok(Some(patch)) => {
                    let pod = after.pointer_mut(&place.pointer).context("the pod is gone from its document")?;
                    *pod = apply(before, &patch)?;
                    operations.extend(at(&place.pointer, patch));
                    // An object may hold several pods; they stand behind each other.
                    if changed.last().is_none_or(|last: &ObjectPlace| last.pointer != place.object.pointer) {
                        changed.push(place.object);
                    }
                }
                Err(refusal) => {
                    refused = true;
                    tell(&place, refusal, as_json);
                }
            }
        }
        injected.push(Injected { document, after, patch: operations, changed, secrets });
    }
    if refused {
        // All or nothing: half of an input is nobody's wish.
        return Err(Failed::Refused);
    }
    let text = render(&injected, args.output)?;
    Ok(if args.output == InjectOutput::Diff { print_coloured(&text) } else { print(&text) }?)
}

fn not_labelled(place: &PodPlace, as_json: bool) {
    let message = format!(
        "{} has no label inject-flyte-secrets: \"true\", so the API server would not send it to the webhook; it is \
         left as it is (--ignore-label goes on)",
        place.title
    );
    Message::Note { message: &message }.tell(as_json);
}

/// Tells the warnings; gives the patch, if there is one.
fn outcome<'a>(place: &PodPlace, admission: &'a Admission, as_json: bool) -> Result<Option<Value>, &'a Refusal> {
    for warning in &admission.warnings {
        Message::Warning { message: &format!("{}: {warning}", place.title) }.tell(as_json);
    }
    match &admission.decision {
        Decision::Unchanged | Decision::Unserved(_) => Ok(None),
        // Our own patch is JSON.
        Decision::Patched(patch) => Ok(serde_json::from_slice(&patch.0).ok()),
        Decision::Refused(refusal) => Err(refusal),
    }
}

fn tell(place: &PodPlace, refusal: &Refusal, as_json: bool) {
    let (code, reason) = (refusal.code.number(), refusal.code.reason());
    Message::Refusal { object: &place.title, code, reason, message: &refusal.message }.tell(as_json);
}

/// The mirrors that the pod would refer to.
fn mirrors(admission: &Admission) -> impl Iterator<Item = &WantedMirror> {
    admission.handled.iter().filter_map(|one| match one.way.as_ref()? {
        Way::Mirror(mirror) => Some(mirror),
        Way::Stored(_) | Way::PodSpec => None,
    })
}

/// A mirror as the webhook would write it, its value only on request.
fn secret(mirror: &WantedMirror, namespace: &str, reveal: bool) -> Result<Value> {
    let mut secret = serde_json::to_value(mirror.manifest(namespace, SystemTime::now()))?;
    if !reveal && let Some(members) = secret.as_object_mut() {
        members.remove("data");
        members.insert("stringData".to_owned(), json!({VALUE_KEY: HIDDEN}));
    }
    Ok(secret)
}

pub(crate) fn apply(mut pod: Value, patch: &Value) -> Result<Value> {
    let patch: json_patch::Patch = serde_json::from_value(patch.clone())?;
    json_patch::patch(&mut pod, &patch).context("the patch does not fit the pod it was made for")?;
    Ok(pod)
}

/// A pod's patch as operations on its document.
fn at(pointer: &str, patch: Value) -> impl Iterator<Item = Value> {
    let operations = if let Value::Array(operations) = patch { operations } else { Vec::new() };
    operations.into_iter().map(move |mut operation| {
        for member in ["path", "from"] {
            if let Some(path) = operation.get_mut(member) {
                *path = format!("{pointer}{}", path.as_str().unwrap_or_default()).into();
            }
        }
        operation
    })
}

fn render(injected: &[Injected], output: InjectOutput) -> Result<String> {
    let mut text = String::new();
    for one in injected {
        match output {
            InjectOutput::Yaml => {
                if !text.is_empty() {
                    text.push_str("---\n");
                }
                text.push_str(&as_yaml(one)?);
                if !text.ends_with('\n') {
                    text.push('\n');
                }
                for secret in &one.secrets {
                    text.push_str("---\n");
                    text.push_str(&to_yaml(secret)?);
                }
            }
            // Comments alone are no JSON and take no patch.
            _ if one.document.value.is_null() => {}
            InjectOutput::Json => {
                for value in std::iter::once(&one.after).chain(&one.secrets) {
                    text.push_str(&format!("{}\n", serde_json::to_string_pretty(value)?));
                }
            }
            InjectOutput::Patch => text.push_str(&format!("{}\n", serde_json::to_string_pretty(&one.patch)?)),
            InjectOutput::Diff => {
                for ObjectPlace { title, pointer, .. } in &one.changed {
                    let yaml =
                        |document: &Value| document.pointer(pointer).map(to_yaml).unwrap_or_else(|| Ok(String::new()));
                    text.push_str(&diff::unified(title, &yaml(&one.document.value)?, &yaml(&one.after)?));
                }
                for secret in &one.secrets {
                    let metadata = &secret["metadata"];
                    let name = |member: &str| metadata[member].as_str().unwrap_or_default();
                    let title = format!("Secret {}/{}", name("namespace"), name("name"));
                    text.push_str(&diff::unified(&title, "", &to_yaml(secret)?));
                }
            }
        }
    }
    Ok(text)
}

/// As it was written, where nothing has changed.
fn as_yaml(Injected { document, after, patch, .. }: &Injected) -> Result<String> {
    match &document.text {
        Some(text) if patch.is_empty() => Ok(text.clone()),
        _ => to_yaml(after),
    }
}
