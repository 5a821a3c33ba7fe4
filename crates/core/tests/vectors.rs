//! Every golden pod: what Flyte's own code makes of it, and where ours departs on purpose.
//!
//! `testdata/public.json` was made by running the reference's functions; its notes say how to read it.
//! Admission `denied` or `unchanged` here means that a request is served by nobody.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;

use flyte_secrets_core::annotations::requests;
use flyte_secrets_core::injectors::{Context, Found, LookUp, inject, look_up};
use flyte_secrets_core::merge::{Served, merge};
use flyte_secrets_core::outline::PodOutline;
use flyte_secrets_core::settings::{InitContainerPlacement, KvVersion};
use flyte_secrets_core::value::SecretValue;
use flyte_secrets_core::{Profile, Secret, SecretManagerType, Settings, image_pull};
use serde_json::{Value, json};

fn cases() -> Vec<Value> {
    let document: Value = serde_json::from_str(include_str!("../testdata/public.json")).unwrap();
    document["cases"].as_array().unwrap().clone()
}

fn settings(case: &Value) -> Settings {
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

/// Asks the managers in their order, with what the case says of variables, files and the store.
fn serve(case: &Value, context: &Context<'_>, request: &Secret) -> Option<(SecretManagerType, Served<'static>)> {
    context.settings.managers.iter().find_map(|&manager| {
        let found = match look_up(manager, context, request).ok()? {
            LookUp::Nothing => None,
            LookUp::Global(place) => {
                let variable = case["env"][&place.variable].as_str();
                let file = place.file.ok().and_then(|path| {
                    case["files"][path.strip_prefix("/etc/secrets/").unwrap()].as_str().map(str::to_owned)
                });
                let value = variable.map(str::to_owned).or(file)?;
                Some(Found { value: SecretValue::text(value), pull_secret: None })
            }
            LookUp::Store(id) => {
                let (id, held) =
                    id.scopes().into_iter().find_map(|id| Some((id.clone(), case["store"].get(id.to_string())?)))?;
                let value = match (held.get("string"), held.get("binary_base64")) {
                    (Some(text), _) => SecretValue::text(text.as_str()?.to_owned()),
                    (_, Some(bytes)) => {
                        SecretValue::binary(data_encoding::BASE64.decode(bytes.as_str()?.as_bytes()).unwrap())
                    }
                    _ => return None,
                };
                let name = image_pull::secret_name(&id);
                let there = |secret: &&Value| {
                    secret["metadata"]["name"] == *name && secret["metadata"]["namespace"] == case["webhook_namespace"]
                };
                let cluster = case["cluster"].as_array();
                let wanted = context.settings.embedded.image_pull_secrets;
                let pull_secret = cluster.filter(|_| wanted).and_then(|all| all.iter().find(there)).map(|_| name);
                Some(Found { value, pull_secret })
            }
        };
        let injection = inject(manager, context, request, found.as_ref()).ok()?;
        let request = Box::leak(Box::new(request.clone()));
        Some((manager, Served { request, manager, injection }))
    })
}

/// The pod after our patch; `None` where a request is undecodable or served by nobody.
fn injected(case: &Value, settings: &Settings, pod: &Value) -> Option<(Value, Vec<&'static str>)> {
    let bytes = serde_json::to_vec(pod).unwrap();
    let outline = PodOutline::parse(&bytes).unwrap();
    let context = Context { settings, pod: &outline, namespace: "flytesnacks-development" };
    let mut seen = Vec::new();
    let mut served = Vec::new();
    let mut managers = Vec::new();
    for request in requests(outline.metadata.annotations.iter()).ok()? {
        if !seen.contains(&request.secret) {
            let (manager, one) = serve(case, &context, &request.secret)?;
            managers.push(manager.name());
            served.push(one);
        }
        seen.push(request.secret);
    }
    let merged = merge(settings, &outline, &served).unwrap();
    let patch: json_patch::Patch = serde_json::from_value(serde_json::to_value(&merged.operations).unwrap()).unwrap();
    let mut after = pod.clone();
    json_patch::patch(&mut after, &patch).unwrap();
    Some((after, managers))
}

/// Leaves out what two equal pods may differ in.
fn normalised(mut pod: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.retain(|name, value| {
                    strip(value);
                    let empty_list = value.as_array().is_some_and(Vec::is_empty);
                    let empty_map = value.as_object().is_some_and(serde_json::Map::is_empty);
                    !(empty_list
                        || (name == "creationTimestamp" && value.is_null())
                        || (empty_map && ["status", "resources", "annotations"].contains(&name.as_str()))
                        || (name == "value" && *value == ""))
                });
            }
            Value::Array(elements) => elements.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut pod);
    // The script of the container that writes files is ours.
    for container in pod["spec"]["initContainers"].as_array_mut().into_iter().flatten() {
        if container["env"].as_array().is_some_and(|env| env.iter().any(|variable| variable["name"] == "SECRETS")) {
            container["command"] = json!(["<script>"]);
        }
    }
    // The ids of Vault's annotations are free.
    if let Some(annotations) = pod["metadata"]["annotations"].as_object_mut() {
        let stem = |name: &str| {
            ["secret", "file", "template"]
                .map(|kind| format!("vault.hashicorp.com/agent-inject-{kind}-"))
                .into_iter()
                .find(|stem| name.starts_with(stem))
        };
        let renamed: BTreeMap<String, Value> = std::mem::take(annotations)
            .into_iter()
            .map(|(name, value)| match stem(&name) {
                Some(stem) => (format!("{stem}{value}"), value),
                None => (name, value),
            })
            .collect();
        *annotations = renamed.into_iter().collect();
    }
    pod
}

#[test]
fn pods_come_out_as_from_the_reference() {
    let mut wrong = Vec::new();
    for case in cases().iter().filter(|case| case.get("departs").is_none()) {
        let name = case["name"].as_str().unwrap();
        let mut settings = settings(case);
        settings.init_container_placement = InitContainerPlacement::Last;
        let result = injected(case, &settings, &case["pod"]);
        let expected = case["expect"]["pod"].clone();
        match (case["expect"]["admission"].as_str().unwrap(), result) {
            ("patched", Some((pod, managers))) => {
                let (pod, expected) = (normalised(pod), normalised(expected));
                if pod != expected {
                    wrong.push(format!("{name}:\n ours     {pod}\n expected {expected}"));
                }
                if json!(managers) != case["expect"]["served_by"] && case["expect"].get("served_by").is_some() {
                    wrong.push(format!("{name}: served by {managers:?}"));
                }
            }
            ("unchanged", Some((pod, _))) if pod == case["pod"] => {}
            ("unchanged" | "denied", None) => {}
            (admission, result) => wrong.push(format!("{name}: {admission}, ours {result:?}")),
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_second_pass_over_our_own_output_changes_nothing() {
    for case in cases() {
        for placement in [InitContainerPlacement::AfterSidecars, InitContainerPlacement::Last] {
            let mut settings = settings(&case);
            settings.init_container_placement = placement;
            if let Some((once, _)) = injected(&case, &settings, &case["pod"]) {
                let (twice, _) = injected(&case, &settings, &once).unwrap();
                assert_eq!(once, twice, "{}", case["name"]);
            }
        }
    }
}
