//! `explain`: for each request what was decoded, what every manager answered and why, and what the
//! task will see. Names only, never a value.

use std::fmt::Write as _;

use anyhow::Result;
use flyte_secrets_core::SecretManagerType;
use flyte_secrets_core::injection::{Described, EnvSource, Fetch, Injection};
use flyte_secrets_core::text_format;
use flyte_secrets_webhook::admission::{Admission, Decision, Handled, Outcome, Way, Whence};
use serde::Serialize;

use crate::Failed;
use crate::args::{ConfigArgs, ExplainArgs, TextOutput};
use crate::offline::{Decided, Offline, SERVED_AT_ADMISSION, read_documents};
use crate::output::{print, print_json};
use crate::setup::Surroundings;

#[derive(Serialize)]
struct Explained {
    object: String,
    decision: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    requests: Vec<ExplainedRequest>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExplainedRequest {
    annotation: String,
    request: String,
    text: String,
    managers: Vec<ExplainedAttempt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    served_by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<ExplainedPlace>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<String>,
    variables: Vec<Seen>,
    files: Vec<Seen>,
}

#[derive(Serialize)]
struct ExplainedAttempt {
    manager: &'static str,
    answer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// Where the webhook has found the value.
#[derive(Serialize)]
struct ExplainedPlace {
    store: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

/// Something that the task will see, and what it holds.
#[derive(Serialize)]
struct Seen {
    name: String,
    holds: String,
}

pub(crate) async fn run(surroundings: &Surroundings, config: &ConfigArgs, args: &ExplainArgs) -> Result<(), Failed> {
    let as_json = args.output == TextOutput::Json;
    let offline = Offline::new(surroundings, config, &args.offline, as_json)?;
    let mut explained = Vec::new();
    for document in read_documents(&args.offline.files)? {
        explained.extend(offline.decide(&document).await?.into_iter().map(explain));
        let elsewhere = offline.served_at_admission(&document).into_iter();
        explained.extend(elsewhere.map(|title| undecided(title, "served at admission", SERVED_AT_ADMISSION)));
    }
    if explained.is_empty() {
        return Err(anyhow::anyhow!("there is no pod and no pod template in this input").into());
    }
    if as_json { print_json(&explained) } else { print(&explained.iter().map(text).collect::<String>()) }?;
    if explained.iter().any(|one| one.decision == "refused") { Err(Failed::Refused) } else { Ok(()) }
}

fn explain(decided: Decided) -> Explained {
    let object = decided.place.title;
    let Some(Admission { decision, handled, warnings, .. }) = decided.admission else {
        let message = "it has no label inject-flyte-secrets: \"true\", so the API server does not ask the webhook \
                       (--ignore-label goes on)";
        return undecided(object, "not asked", message);
    };
    let (decision, refusal) = match decision {
        Decision::Unchanged => ("unchanged", None),
        Decision::Patched(_) => ("patched", None),
        Decision::Refused(refusal) => ("refused", Some(refusal)),
        Decision::Unserved(refusal) => ("admitted unchanged", Some(refusal)),
    };
    Explained {
        object,
        decision,
        code: refusal.as_ref().map(|refusal| refusal.code.number()),
        message: refusal.map(|refusal| refusal.message),
        requests: handled.into_iter().map(request).collect(),
        warnings,
    }
}

/// About an object whose requests were not looked at, and why.
fn undecided(object: String, decision: &'static str, why: &str) -> Explained {
    let message = Some(why.to_owned());
    Explained { object, decision, code: None, message, requests: Vec::new(), warnings: Vec::new() }
}

fn request(Handled { request, attempts, served, whence, way, .. }: Handled) -> ExplainedRequest {
    let managers = attempts
        .into_iter()
        .map(|attempt| {
            let (answer, why) = match attempt.outcome {
                Outcome::Serves => ("serves it", None),
                Outcome::Declines(why) => ("declines", Some(why)),
                Outcome::Fails(why) => ("fails", Some(why)),
            };
            ExplainedAttempt { manager: attempt.manager.name(), answer, why }
        })
        .collect();
    let injection = served.as_ref().map(|(_, injection)| injection);
    ExplainedRequest {
        annotation: request.annotation,
        text: text_format::write(&request.secret),
        request: request.secret.to_string(),
        managers,
        served_by: served.as_ref().map(|(manager, _)| manager.name()),
        found: whence.map(place),
        delivery: served.as_ref().map(|(manager, injection)| delivery(*manager, injection, way.as_ref())),
        variables: injection.map(variables).unwrap_or_default(),
        files: injection.map(files).unwrap_or_default(),
    }
}

fn place(Whence { store, id, .. }: Whence) -> ExplainedPlace {
    let scope = id.as_ref().map(|id| match (id.project.is_empty(), id.domain.is_empty()) {
        (false, _) => "project",
        (true, false) => "domain",
        (true, true) => "organization",
    });
    ExplainedPlace { store, scope, id: id.map(|id| id.to_string()) }
}

/// How the value gets into the container.
fn delivery(manager: SecretManagerType, injection: &Injection, way: Option<&Way>) -> String {
    if let Some(described) = &injection.described {
        return format!("what webhook.customSecretManagers says of {manager}: {}", parts(injection, described));
    }
    match (way, &injection.fetch, injection.annotations.is_empty()) {
        (Some(Way::Stored(reference)), ..) => {
            format!("SecretRef: a reference to the stored Secret {} itself", reference.name)
        }
        (Some(Way::Mirror(mirror)), ..) => {
            format!("SecretRef: a reference to the Secret {}, a mirror that the webhook keeps", mirror.name)
        }
        (_, Some(Fetch::Own(_)), _) => "a fetch container, as the pod's own identity".to_owned(),
        (_, Some(Fetch::Line(_)), _) => "PodSpec: the value stands in the pod's writer container".to_owned(),
        (_, None, false) => "the Vault agent injector, by annotations".to_owned(),
        (Some(Way::PodSpec), None, true) => "PodSpec: the value stands in the pod".to_owned(),
        (None, None, true) => "a reference to a Kubernetes Secret".to_owned(),
    }
}

/// What a manager described in configuration adds, by name.
fn parts(injection: &Injection, described: &Described) -> String {
    let named = |what: &str, parts: &[serde_json::Value]| {
        let name = |part: &serde_json::Value| format!("{what} {}", part["name"].as_str().unwrap_or_default());
        parts.iter().map(name).collect::<Vec<_>>()
    };
    let mut all = named("volume", &described.volumes);
    all.extend(named("sidecar", &described.sidecars));
    all.extend(named("init container", &described.init_containers));
    all.extend(injection.annotations.iter().map(|annotation| format!("annotation {}", annotation.name)));
    if all.is_empty() { "variables".to_owned() } else { all.join(", ") }
}

fn variables(injection: &Injection) -> Vec<Seen> {
    let seen = |variable: &flyte_secrets_core::injection::EnvVar| Seen {
        name: variable.name.clone(),
        holds: match &variable.source {
            EnvSource::Text(text) => format!("{text:?}"),
            EnvSource::Secret(_) => "the value".to_owned(),
            EnvSource::SecretKeyRef { name, key, .. } => format!("the value, key {key:?} of the Secret {name:?}"),
            EnvSource::From(source) => source.to_string(),
        },
    };
    injection.variables().map(seen).collect()
}

fn files(injection: &Injection) -> Vec<Seen> {
    injection.files.iter().map(|file| Seen { name: file.path.clone(), holds: file.source.clone() }).collect()
}

fn text(explained: &Explained) -> String {
    let mut text = format!("{}: {}\n", explained.object, explained.decision);
    for request in &explained.requests {
        let _ = writeln!(text, "  {}  [{}]", request.annotation, request.request);
        for ExplainedAttempt { manager, answer, why } in &request.managers {
            let _ = match why {
                Some(why) => writeln!(text, "    {manager:<8} {answer}: {why}"),
                None => writeln!(text, "    {manager:<8} {answer}"),
            };
        }
        if let Some(ExplainedPlace { store, scope, id }) = &request.found {
            let _ = match (scope, id) {
                (Some(scope), Some(id)) => writeln!(text, "    found     in the {scope}'s scope, as {id} in {store}"),
                _ => writeln!(text, "    found     in {store}"),
            };
        }
        if let Some(delivery) = &request.delivery {
            let _ = writeln!(text, "    delivery  {delivery}");
        }
        for Seen { name, holds } in &request.variables {
            let _ = writeln!(text, "    variable  {name} = {holds}");
        }
        for Seen { name, holds } in &request.files {
            let _ = writeln!(text, "    file      {name} = {holds}");
        }
    }
    for warning in &explained.warnings {
        let _ = writeln!(text, "  warning: {warning}");
    }
    if let Some(message) = &explained.message {
        let code = explained.code.map(|code| format!("{code}: ")).unwrap_or_default();
        let _ = writeln!(text, "  {code}{message}");
    }
    text
}
