//! What the task of every golden pod sees, once the kubelet has done its part: the same whichever way values take.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::BTreeMap;

use common::{injected, settings};
use data_encoding::BASE64;
use flyte_secrets_core::Settings;
use flyte_secrets_core::annotations::requests;
use flyte_secrets_core::injectors::global_look_up;
use flyte_secrets_core::mirror::{Form, MirrorSource, SecretReference, mirror_name};
use flyte_secrets_core::realise::{Plan, Realised};
use flyte_secrets_core::settings::Delivery;
use flyte_secrets_core::value::SecretValue;
use serde_json::Value;

type Values = BTreeMap<String, Vec<u8>>;

/// What a container sees: variables and files.
fn seen(realised: &Realised) -> (Values, Values) {
    let bytes = |value: &SecretValue| value.expose_bytes().to_vec();
    let variables = realised.variables.iter().map(|one| (one.name.clone(), bytes(&one.value))).collect();
    (variables, realised.files.iter().map(|(path, value)| (path.clone(), bytes(value))).collect())
}

/// What the stores, variables and files of a case hold, by what is mirrored.
fn held(case: &Value, settings: &Settings) -> Vec<(MirrorSource, Vec<u8>)> {
    let stored = case["store"].as_object().into_iter().flatten().filter_map(|(id, held)| {
        let text = held["string"].as_str().map(|text| text.as_bytes().to_vec());
        let value = text.or_else(|| BASE64.decode(held["binary_base64"].as_str()?.as_bytes()).ok())?;
        Some((MirrorSource::Embedded { id: id.clone() }, value))
    });
    let annotations = case["pod"]["metadata"]["annotations"].as_object().into_iter().flatten();
    let asked = requests(annotations.map(|(name, value)| (name.as_str(), value.as_str().unwrap()))).unwrap_or_default();
    let own = asked.into_iter().filter_map(|request| {
        let (group, key) = (request.secret.group, request.secret.key);
        let place = global_look_up(settings, &group, &key);
        let variable = case["env"][&place.variable].as_str();
        let file = || case["files"][place.file.as_ref().ok()?.strip_prefix("/etc/secrets/")?].as_str();
        let value = variable.or_else(file)?.as_bytes().to_vec();
        Some((MirrorSource::Global { group, key }, value))
    });
    stored.chain(own).collect()
}

/// What the container that is `nth` in the pod sees.
fn realised(pod: &Value, container: &str, namespace: &str, held: &[(MirrorSource, Vec<u8>)]) -> Realised {
    Plan::of(pod, Some(container), |_| true).unwrap().realise(|SecretReference { name, key }| {
        let mirrored = held.iter().find(|(source, _)| {
            [Form::Env, Form::File].iter().any(|form| mirror_name(namespace, source, *form) == *name)
        });
        // What the user's own Secrets hold.
        Some(SecretValue::binary(mirrored.map_or_else(|| format!("{name}/{key}").into(), |(_, value)| value.clone())))
    })
}

#[test]
fn a_task_sees_the_same_whichever_way_values_take() {
    let document: Value = serde_json::from_str(include_str!("../testdata/public.json")).unwrap();
    let (mut compared, mut with_values) = (0, 0);
    for case in document["cases"].as_array().unwrap() {
        let mut settings = settings(case);
        let namespace = case["pod"]["metadata"]["namespace"].as_str().unwrap_or_default();
        let held = held(case, &settings);
        let mut pods = [Delivery::PodSpec, Delivery::SecretRef].map(|delivery| {
            settings.delivery = delivery;
            injected(case, &settings, &case["pod"])
        });
        let [Some(in_pod), Some(by_reference)] = &mut pods else { continue };
        // A value that is too large for one way, or has a NUL.
        if in_pod.served_by != by_reference.served_by {
            continue;
        }
        for container in case["pod"]["spec"]["containers"].as_array().unwrap() {
            let name = container["name"].as_str().unwrap();
            let [one, other] = [&in_pod.pod, &by_reference.pod].map(|pod| seen(&realised(pod, name, namespace, &held)));
            assert_eq!(one, other, "{}", case["name"]);
            let served = in_pod.served_by.iter().any(|manager| matches!(manager, Some("Embedded" | "Global")));
            if served {
                let all: Vec<&Vec<u8>> = one.0.values().chain(one.1.values()).collect();
                assert!(held.iter().any(|(_, value)| all.contains(&value)), "{}", case["name"]);
                with_values += 1;
            }
            compared += 1;
        }
    }
    assert!(compared > 80 && with_values > 20, "{compared} {with_values}");
}
