//! The security contexts of the init containers that we add (`webhook.initContainerSecurityContext`).
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{Injected, injected, settings};
use flyte_secrets_core::settings::{Delivery, InitContainerSecurityContext as Form};
use serde_json::{Value, json};

/// All golden pods of the reference.
fn cases() -> Vec<Value> {
    let document: Value = serde_json::from_str(include_str!("../testdata/public.json")).unwrap();
    document["cases"].as_array().unwrap().clone()
}

fn play(case: &Value, form: Form, pod: &Value) -> Option<Injected> {
    let mut settings = settings(case);
    (settings.init_container_security_context, settings.delivery) = (form, Delivery::PodSpec);
    injected(case, &settings, pod)
}

fn init_containers(pod: &Value) -> Vec<&Value> {
    pod["spec"]["initContainers"].as_array().into_iter().flatten().collect()
}

/// Those that are not the pod's own.
fn ours<'p>(case: &Value, pod: &'p Value) -> Vec<&'p Value> {
    let own: Vec<_> = init_containers(&case["pod"]).iter().map(|container| &container["name"]).collect();
    init_containers(pod).into_iter().filter(|container| !own.contains(&&container["name"])).collect()
}

#[test]
fn restricted_is_what_the_pod_security_standard_asks_of_every_container_and_nothing_else_changes() {
    let mut fetchers = 0;
    let mut writers = 0;
    for case in cases() {
        let Some(mut with) = play(&case, Form::Restricted, &case["pod"]) else { continue };
        let without = play(&case, Form::None, &case["pod"]).unwrap();
        for container in ours(&case, &with.pod) {
            let mut expected = json!({
                "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]},
                "runAsNonRoot": true,
                "seccompProfile": {"type": "RuntimeDefault"},
            });
            if container["name"].as_str().unwrap().contains("-pull-secret-") {
                fetchers += 1;
            } else {
                writers += 1;
                expected["readOnlyRootFilesystem"] = true.into();
            }
            assert_eq!(container["securityContext"], expected, "{}", case["name"]);
        }
        for container in ours(&case, &without.pod) {
            assert_eq!(container.get("securityContext"), None, "{}", case["name"]);
        }
        let names: Vec<String> =
            ours(&case, &with.pod).iter().map(|container| container["name"].as_str().unwrap().to_owned()).collect();
        let containers = with.pod["spec"].get_mut("initContainers").and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            if names.iter().any(|name| container["name"] == **name) {
                container.as_object_mut().unwrap().remove("securityContext");
            }
        }
        assert_eq!(with.pod, without.pod, "{}", case["name"]);
    }
    assert!(fetchers > 10 && writers > 3, "the golden pods have {fetchers} fetchers and {writers} writers");
}

#[test]
fn a_second_pass_recognises_init_containers_of_either_form() {
    for case in cases() {
        for (first, second) in
            [(Form::Restricted, Form::Restricted), (Form::Restricted, Form::None), (Form::None, Form::Restricted)]
        {
            let Some(once) = play(&case, first, &case["pod"]) else { continue };
            let twice = play(&case, second, &once.pod).unwrap();
            assert_eq!(once.pod, twice.pod, "{}: {first:?}, then {second:?}", case["name"]);
        }
    }
}
