//! Managers described in configuration: what they add to pods, once, beside what other managers add.
#![allow(clippy::unwrap_used, missing_docs)]

use flyte_secrets_core::annotations::encode_all;
use flyte_secrets_core::injectors::{Context, CustomManager, inject};
use flyte_secrets_core::merge::{MergeError, Served, merge};
use flyte_secrets_core::outline::PodOutline;
use flyte_secrets_core::settings::{InitContainerSecurityContext, ProtectedSecrets};
use flyte_secrets_core::{MountRequirement, Profile, Secret, SecretManagerType, Settings};
use serde_json::{Value, json};

const MINE: SecretManagerType = SecretManagerType::Custom("Mine");

fn settings(description: Value) -> Settings {
    let compiled = CustomManager::compile(&description);
    assert_eq!(compiled.problems, [], "{description}");
    let custom = vec![compiled.manager.unwrap()];
    Settings { custom, managers: vec![MINE], ..Settings::defaults(Profile::Flyte2) }
}

/// One init container a request, a shared volume, a sidecar.
fn fetching() -> Settings {
    settings(json!({
        "name": "Mine", "requires": ["group", "key"],
        "file": {
            "path": "/etc/flyte/secrets/{{group|lower}}/{{key|lower}}",
            "volumes": [{"name": "mine", "emptyDir": {"medium": "Memory", "sizeLimit": "1024Ki"}}],
            "volumeMounts": [{"name": "mine", "mountPath": "/etc/flyte/secrets", "readOnly": true}],
            "sidecars": [{"name": "mine-proxy", "image": "proxy:1"}],
            "initContainers": [{
                "name": "mine-{{index}}-{{id}}", "image": "fetch:1", "command": ["fetch", "--key={{key}}"],
                "env": [{"name": "GROUP", "value": "{{group}}"}],
                "volumeMounts": [{"name": "mine", "mountPath": "/out"}],
            }],
        },
    }))
}

fn file(group: &str, key: &str) -> Secret {
    Secret { mount_requirement: MountRequirement::FILE, ..any(group, key) }
}

fn any(group: &str, key: &str) -> Secret {
    Secret { group: group.to_owned(), key: key.to_owned(), ..Secret::default() }
}

fn pod(requests: &[Secret], spec: Value) -> Value {
    let annotations: serde_json::Map<String, Value> =
        encode_all(requests).unwrap().into_iter().map(|(name, value)| (name, Value::from(value))).collect();
    json!({"metadata": {"name": "p", "namespace": "ns", "annotations": annotations}, "spec": spec})
}

fn task() -> Value {
    json!({"containers": [{"name": "main", "image": "task"}]})
}

/// One pass; the pod afterwards, and how many operations there were.
fn pass(settings: &Settings, pod: &Value, requests: &[Secret]) -> Result<(Value, usize), MergeError> {
    let bytes = serde_json::to_vec(pod).unwrap();
    let outline = PodOutline::parse(&bytes).unwrap();
    let context = Context { settings, pod: &outline, namespace: "ns" };
    let manager = |request: &Secret| if request.group.starts_with("arn") { SecretManagerType::Aws } else { MINE };
    let answers: Vec<_> =
        requests.iter().map(|request| inject(manager(request), &context, request, None).unwrap()).collect();
    let served: Vec<_> = requests
        .iter()
        .zip(&answers)
        .map(|(request, injection)| Served { request, manager: manager(request), injection })
        .collect();
    let merged = merge(settings, &outline, &served)?;
    let operations = serde_json::to_value(&merged.operations).unwrap();
    let patch: json_patch::Patch = serde_json::from_value(operations).unwrap();
    let mut after = pod.clone();
    json_patch::patch(&mut after, &patch).unwrap();
    Ok((after, merged.operations.len()))
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().map(|one| one["name"].as_str().unwrap()).collect()
}

#[test]
fn what_has_one_name_is_added_once_and_what_carries_an_id_once_a_request() {
    let requests = [file("g", "A"), file("g", "B")];
    let (after, _) = pass(&fetching(), &pod(&requests, task()), &requests).unwrap();
    assert_eq!(names(&after["spec"]["volumes"]), ["mine"]);
    let containers = names(&after["spec"]["initContainers"]);
    assert_eq!(containers[0], "mine-proxy");
    assert!(containers[1].starts_with("mine-0-") && containers[2].starts_with("mine-1-"), "{containers:?}");
    assert_eq!(after["spec"]["initContainers"][0]["restartPolicy"], "Always");
    let main = &after["spec"]["containers"][0];
    assert_eq!(names(&main["volumeMounts"]), ["mine"]);
    assert_eq!(names(&main["env"]), ["FLYTE_SECRETS_FILE_PREFIX", "FLYTE_SECRETS_DEFAULT_DIR"]);
    // Its own containers get what the description says and nothing else.
    assert_eq!(names(&after["spec"]["initContainers"][1]["env"]), ["GROUP"]);
}

#[test]
fn a_second_pass_changes_nothing_even_behind_an_api_server() {
    let requests = [file("g", "A"), file("arn:x", "k"), file("g", "$(B)")];
    let settings = fetching();
    let mine = json!({"containers": [{"name": "main", "volumeMounts": [{"name": "own", "mountPath": "/own"}]}],
        "initContainers": [{"name": "own"}, {"name": "own-2"}], "volumes": [{"name": "own", "emptyDir": {}}]});
    for spec in [task(), mine] {
        let (mut after, first) = pass(&settings, &pod(&requests, spec), &requests).unwrap();
        assert!(first > 0);
        // What an API server fills in, and another webhook adds.
        for container in after["spec"]["initContainers"].as_array_mut().unwrap() {
            container["terminationMessagePath"] = json!("/dev/termination-log");
            if container["volumeMounts"].is_array() {
                let token = json!({"name": "token", "mountPath": "/var/run/secrets"});
                container["volumeMounts"].as_array_mut().unwrap().push(token);
            }
        }
        for volume in after["spec"]["volumes"].as_array_mut().unwrap() {
            if volume["name"] == "mine" {
                volume["emptyDir"]["sizeLimit"] = json!("1Mi");
            }
        }
        assert_eq!(pass(&settings, &after, &requests).unwrap(), (after.clone(), 0));
        // A container that comes in between is served.
        let late = json!({"name": "late"});
        after["spec"]["containers"].as_array_mut().unwrap().push(late);
        let (again, operations) = pass(&settings, &after, &requests).unwrap();
        assert!(operations > 0);
        let main = names(&again["spec"]["containers"][1]["volumeMounts"]);
        assert!(main.contains(&"mine") && main.contains(&"aws-secret-vol"), "{main:?}");
        assert_eq!(again["spec"]["initContainers"], after["spec"]["initContainers"]);
    }
}

#[test]
fn containers_stand_where_the_placement_says_sidecars_first() {
    let requests = [file("g", "A"), file("arn:x", "k")];
    let spec = json!({"containers": [{"name": "main"}], "initContainers": [
        {"name": "mesh", "restartPolicy": "Always"}, {"name": "own"}]});
    let (after, _) = pass(&fetching(), &pod(&requests, spec), &requests).unwrap();
    let containers = names(&after["spec"]["initContainers"]);
    assert_eq!(containers[..2], ["mesh", "mine-proxy"]);
    assert!(containers[2].starts_with("aws-pull-secret-") && containers[3].starts_with("mine-0-"), "{containers:?}");
    assert_eq!(containers[4], "own");
}

#[test]
fn a_name_that_the_pod_uses_for_something_else_refuses_it() {
    let requests = [file("g", "A")];
    let cases = [
        (json!({"containers": [{"name": "main"}], "volumes": [{"name": "mine", "hostPath": {"path": "/"}}]}), "volume"),
        (json!({"containers": [{"name": "mine-proxy"}]}), "container"),
        (
            json!({"containers": [{"name": "main"}], "initContainers": [{"name": "mine-proxy", "command": ["x"]}]}),
            "container",
        ),
    ];
    for (spec, what) in cases {
        let error = pass(&fetching(), &pod(&requests, spec), &requests).unwrap_err();
        assert!(matches!(&error, MergeError::NameTaken { what: taken, .. } if *taken == what), "{error}");
    }
}

#[test]
fn requests_that_need_one_part_to_be_two_refuse_the_pod() {
    // Cases of letters fall together in the name and not in the content.
    let settings = settings(json!({
        "name": "Mine", "requires": ["group"],
        "file": {"volumes": [{"name": "v-{{group|lower}}", "csi": {"driver": "{{group}}"}}]},
    }));
    let requests = [file("a", ""), file("A", "")];
    let error = pass(&settings, &pod(&requests, task()), &requests).unwrap_err();
    assert_eq!(error, MergeError::AtOdds { what: "volume", name: "v-a".to_owned() });
}

fn reason(settings: &Settings, request: &Secret) -> String {
    let outline = PodOutline::default();
    let context = Context { settings, pod: &outline, namespace: "ns" };
    inject(MINE, &context, request, None).err().map(|decline| decline.0).unwrap_or_default()
}

#[test]
fn what_is_asked_for_decides_about_the_section() {
    let both = json!({"name": "Mine", "requires": ["key"], "any": "ENV_VAR", "file": {},
        "envVar": {"env": [{"name": "{{envVar}}", "value": "op://x/{{key|plain}}"}, {"name": "{{variable}}", "value": "op://x/{{key|plain}}"}]}});
    let outline = PodOutline::default();
    let settings = settings(both);
    let context = Context { settings: &settings, pod: &outline, namespace: "ns" };
    let variables = |request: &Secret| {
        let injection = inject(MINE, &context, request, None).unwrap();
        injection.env.iter().map(|variable| variable.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(variables(&any("", "k")), ["_UNION_K", "FLYTE_SECRETS_ENV_PREFIX"]);
    let named = Secret { env_var: "MY".to_owned(), ..any("g", "k") };
    assert_eq!(variables(&named), ["MY", "_UNION_G_K", "FLYTE_SECRETS_ENV_PREFIX"]);
    assert_eq!(variables(&file("", "k")), ["FLYTE_SECRETS_DEFAULT_DIR", "FLYTE_SECRETS_FILE_PREFIX"]);
    assert_eq!(reason(&settings, &any("g", "")), "needs a key");
    let odd = Secret { mount_requirement: MountRequirement::from_number(7), ..any("g", "k") };
    assert_eq!(reason(&settings, &odd), "does not know the mount requirement 7");
    let variable = Secret { mount_requirement: MountRequirement::ENV_VAR, ..any("g", "k") };
    assert_eq!(reason(&fetching(), &variable), "does not serve ENV_VAR; ask for mount_requirement FILE or ANY");
}

#[test]
fn secrets_that_no_task_may_have_are_not_handed_out_by_templates() {
    let references = [
        json!({"volumes": [{"name": "v-{{id}}", "secret": {"secretName": "{{group}}"}}]}),
        json!({"volumes": [{"name": "v-{{id}}", "projected": {"sources": [{"secret": {"name": "{{group}}"}}]}}]}),
        json!({"volumes": [{"name": "v-{{id}}", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "{{group}}"}}}]}),
        json!({"env": [{"name": "{{variable}}", "valueFrom": {"secretKeyRef": {"name": "{{group}}", "key": "k"}}}]}),
        json!({"initContainers": [{"name": "c-{{id}}", "image": "x", "envFrom": [{"secretRef": {"name": "{{group}}"}}]}]}),
        json!({"sidecars": [{"name": "c-{{id}}", "image": "x", "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "{{group}}", "key": "k"}}}]}]}),
    ];
    for file_section in references {
        let protected = ProtectedSecrets {
            own: vec![("ns".to_owned(), "flyte-pod-webhook".to_owned())],
            store_namespaces: vec!["ns".to_owned()],
            deny: vec!["secret-*".to_owned()],
        };
        let settings =
            Settings { protected, ..settings(json!({"name": "Mine", "requires": ["group"], "file": file_section})) };
        for group in ["flyte-pod-webhook", "secret-1", "0123456789abcdef0123456789abcdef"] {
            let reason = reason(&settings, &file(group, "k"));
            assert!(reason.starts_with("never hands out"), "{file_section} {group}: {reason}");
        }
        assert_eq!(reason(&settings, &file("fine", "k")), "");
    }
}

#[test]
fn the_restricted_security_context_is_for_these_containers_too() {
    let requests = [file("g", "A")];
    let restricted =
        Settings { init_container_security_context: InitContainerSecurityContext::Restricted, ..fetching() };
    let (after, _) = pass(&restricted, &pod(&requests, task()), &requests).unwrap();
    for container in after["spec"]["initContainers"].as_array().unwrap() {
        assert_eq!(container["securityContext"]["runAsNonRoot"], true, "{container}");
    }
    assert_eq!(pass(&restricted, &after, &requests).unwrap().1, 0);
}
