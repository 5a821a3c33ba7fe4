//! Runs a case (a JSON object in the form of the golden cases) through the core.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

use flyte_secrets_core::annotations::requests;
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::injectors::{Context, Found, LookUp, inject, look_up};
use flyte_secrets_core::merge::{Served, merge};
use flyte_secrets_core::mirror::{Form, MirrorSource, SecretReference, VALUE_KEY, mirror_name};
use flyte_secrets_core::outline::PodOutline;
use flyte_secrets_core::settings::{Delivery, KvVersion};
use flyte_secrets_core::value::SecretValue;
use flyte_secrets_core::{Profile, Secret, SecretManagerType, Settings, image_pull};
use serde_json::Value;

// Not every test that plays cases compares pods.
#[allow(dead_code)]
pub mod normalised;

/// What became of a pod.
#[derive(Debug, Default)]
pub struct Injected {
    pub pod: Value,
    /// Who serves each request; `None` where nobody does.
    pub served_by: Vec<Option<&'static str>>,
    /// Why managers declined, one line each.
    pub declined: Vec<String>,
    pub collisions: Vec<String>,
}

pub fn settings(case: &Value) -> Settings {
    let profile = if case["profile"] == "v1" { Profile::Flyte1 } else { Profile::Flyte2 };
    let mut settings = Settings::defaults(profile);
    let config = &case["config"];
    let manager = |name: &Value| *SecretManagerType::ALL.iter().find(|kind| kind.name() == name).unwrap();
    let named = config["secretManagerTypes"].as_array().cloned();
    let named = named.unwrap_or_else(|| config.get("secretManagerType").cloned().into_iter().collect());
    settings.managers = std::iter::once(SecretManagerType::Global).chain(named.iter().map(manager)).collect();
    if let Some(prefix) = config["secretEnvVarPrefix"].as_str() {
        prefix.clone_into(&mut settings.env_var_prefix);
    }
    if let Some(prefix) = case["secrets_config"]["env-prefix"].as_str() {
        prefix.clone_into(&mut settings.global.env_prefix);
    }
    if let Some(aws) = config.get("awsSecretManager") {
        settings.aws.image = aws["sidecarImage"].as_str().unwrap().to_owned();
        merge_members(&mut settings.aws.resources, &aws["resources"]);
    }
    let vault = &config["vaultSecretManager"];
    if vault["kvVersion"] == "1" {
        settings.vault.kv_version = KvVersion::V1;
    }
    if let Some(role) = vault["role"].as_str() {
        role.clone_into(&mut settings.vault.role);
    }
    for (name, value) in vault["annotations"].as_object().into_iter().flatten() {
        settings.vault.annotations.insert(name.clone(), value.as_str().unwrap().to_owned());
    }
    let embedded = &config["embeddedSecretManagerConfig"];
    settings.embedded.image_pull_secrets = embedded["imagePullSecrets"]["enabled"] == true;
    if let Some(writer) = embedded.get("fileMountInitContainer") {
        settings.embedded.writer.image = writer["image"].as_str().unwrap().to_owned();
        settings.embedded.writer_name = writer["containerName"].as_str().unwrap().to_owned();
        merge_members(&mut settings.embedded.writer.resources, &writer["resources"]);
    }
    settings
}

fn merge_members(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge_members(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// The mirror in the pod's namespace, where the delivery is by reference.
fn mirror(context: &Context<'_>, request: &Secret, source: &MirrorSource) -> Option<SecretReference> {
    let name = mirror_name(context.namespace, source, Form::of(request));
    (context.settings.delivery == Delivery::SecretRef).then(|| SecretReference { name, key: VALUE_KEY.to_owned() })
}

/// What the case says of variables, files and the store.
fn find(case: &Value, context: &Context<'_>, request: &Secret, wanted: LookUp) -> Option<Found> {
    match wanted {
        LookUp::Nothing | LookUp::Existence(_) => None,
        LookUp::Global(place) => {
            let variable = case["env"][&place.variable].as_str();
            let file = |path: String| case["files"][path.strip_prefix("/etc/secrets/")?].as_str().map(str::to_owned);
            let value = variable.map(str::to_owned).or_else(|| file(place.file.ok()?))?;
            let source = MirrorSource::Global { group: request.group.clone(), key: request.key.clone() };
            let reference = mirror(context, request, &source);
            Some(Found { value: SecretValue::text(value), pull_secret: None, reference })
        }
        LookUp::Store(id) => {
            let held = |id: SecretId| Some((id.clone(), case["store"].get(id.to_string())?));
            let (id, held) = id.scopes().into_iter().find_map(held)?;
            let value = match (held["string"].as_str(), held["binary_base64"].as_str()) {
                (Some(text), _) => SecretValue::text(text.to_owned()),
                (_, Some(bytes)) => SecretValue::binary(data_encoding::BASE64.decode(bytes.as_bytes()).unwrap()),
                _ => return None,
            };
            let name = image_pull::secret_name(&id);
            let there = |secret: &Value| {
                secret["metadata"]["name"] == *name && secret["metadata"]["namespace"] == case["webhook_namespace"]
            };
            let in_cluster = case["cluster"].as_array().is_some_and(|all| all.iter().any(there));
            Some(Found {
                value,
                pull_secret: (context.settings.embedded.image_pull_secrets && in_cluster).then_some(name),
                reference: mirror(context, request, &MirrorSource::Embedded { id: id.to_string() }),
            })
        }
    }
}

/// Plays a case; `None` where an annotation holds no request.
pub fn injected(case: &Value, settings: &Settings, pod: &Value) -> Option<Injected> {
    let bytes = serde_json::to_vec(pod).unwrap();
    let outline = PodOutline::parse(&bytes).unwrap();
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    let context = Context { settings, pod: &outline, namespace };
    let requests = requests(outline.metadata.annotations.iter()).ok()?;
    let mut distinct: Vec<&Secret> = Vec::new();
    for request in &requests {
        if !distinct.contains(&&request.secret) {
            distinct.push(&request.secret);
        }
    }
    let mut result = Injected { pod: pod.clone(), ..Injected::default() };
    let mut answers = Vec::new();
    for request in distinct {
        let mut server = None;
        for &manager in &settings.managers {
            let answer = look_up(manager, &context, request)
                .and_then(|wanted| inject(manager, &context, request, find(case, &context, request, wanted).as_ref()));
            match answer {
                Ok(injection) => {
                    answers.push((request, manager, injection));
                    server = Some(manager.name());
                    break;
                }
                Err(decline) => result.declined.push(format!("{manager}: {}", decline.0)),
            }
        }
        result.served_by.push(server);
    }
    if result.served_by.iter().all(Option::is_some) {
        let served: Vec<_> = answers
            .iter()
            .map(|(request, manager, injection)| Served { request, manager: *manager, injection })
            .collect();
        let merged = merge(settings, &outline, &served).unwrap();
        result.collisions = merged.collisions.iter().map(ToString::to_string).collect();
        let patch: json_patch::Patch =
            serde_json::from_value(serde_json::to_value(&merged.operations).unwrap()).unwrap();
        json_patch::patch(&mut result.pod, &patch).unwrap();
    }
    Some(result)
}
