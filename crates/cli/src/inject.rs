//! `inject`: documents in, documents out, pods with their secrets.

use anyhow::{Context, Result};
use flyte_secrets_webhook::admission::{Admission, Decision, Refusal};
use serde_json::Value;

use crate::Failed;
use crate::args::{ConfigArgs, InjectArgs, InjectOutput};
use crate::diff;
use crate::documents::{Document, PodPlace, to_yaml};
use crate::offline::{Decided, Offline, read_documents};
use crate::output::{Message, print};
use crate::setup::Surroundings;

/// A document on its way out.
struct Injected {
    document: Document,
    after: Value,
    /// The patch of each pod, for the whole document.
    patches: Vec<(String, Value)>,
}

pub(crate) async fn run(surroundings: &Surroundings, config: &ConfigArgs, args: &InjectArgs) -> Result<(), Failed> {
    let as_json = args.output == InjectOutput::Json;
    let offline = Offline::new(surroundings, config, &args.offline, as_json)?;
    let documents = read_documents(&args.offline.files)?;
    let mut injected = Vec::with_capacity(documents.len());
    let mut refused = false;
    for document in documents {
        let mut after = document.value.clone();
        let mut patches = Vec::new();
        for Decided { place, before, admission } in offline.decide(&document).await? {
            let Some(admission) = admission else {
                not_labelled(&place, as_json);
                continue;
            };
            match outcome(&place, &admission, as_json) {
                Ok(None) => {}
                Ok(Some(patch)) => {
                    let pod = after.pointer_mut(&place.pointer).context("the pod is gone from its document")?;
                    *pod = apply(before, &patch)?;
                    patches.push((place.title, at(&place.pointer, patch)));
                }
                Err(refusal) => {
                    refused = true;
                    tell(&place, refusal, as_json);
                }
            }
        }
        injected.push(Injected { document, after, patches });
    }
    if refused {
        // All or nothing: half of an input is nobody's wish.
        return Err(Failed::Refused);
    }
    Ok(print(&render(&injected, args.output)?)?)
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

fn apply(mut pod: Value, patch: &Value) -> Result<Value> {
    let patch: json_patch::Patch = serde_json::from_value(patch.clone())?;
    json_patch::patch(&mut pod, &patch).context("the patch does not fit the pod it was made for")?;
    Ok(pod)
}

/// A patch for the document instead of its pod.
fn at(pointer: &str, mut patch: Value) -> Value {
    for operation in patch.as_array_mut().into_iter().flatten() {
        let path = format!("{pointer}{}", operation["path"].as_str().unwrap_or_default());
        operation["path"] = path.into();
    }
    patch
}

fn render(injected: &[Injected], output: InjectOutput) -> Result<String> {
    let mut text = String::new();
    for (index, Injected { document, after, patches }) in injected.iter().enumerate() {
        match output {
            InjectOutput::Json => text.push_str(&format!("{}\n", serde_json::to_string_pretty(after)?)),
            InjectOutput::Yaml => {
                if index > 0 {
                    text.push_str("---\n");
                }
                let is_json = document.text.trim_start().starts_with(['{', '[']);
                let own = if patches.is_empty() && !is_json { document.text.clone() } else { to_yaml(after)? };
                text.push_str(&own);
                if !text.ends_with('\n') {
                    text.push('\n');
                }
            }
            InjectOutput::Patch => {
                for (_, patch) in patches {
                    text.push_str(&format!("{}\n", serde_json::to_string_pretty(patch)?));
                }
            }
            InjectOutput::Diff => {
                if let Some((title, _)) = patches.first() {
                    text.push_str(&diff::unified(title, &to_yaml(&document.value)?, &to_yaml(after)?));
                }
            }
        }
    }
    Ok(text)
}
