//! Every row of `docs/differences.md` that concerns the pod: one test a row, named after it.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{Injected, injected, settings};
use flyte_secrets_core::annotations::encode_all;
use flyte_secrets_core::settings::InitContainerPlacement;
use flyte_secrets_core::{MountRequirement, Secret, Settings};
use serde_json::{Value, json};

/// A request written as `{"group": …, "mount": "FILE"}`.
fn request(fields: &Value) -> Secret {
    let text = |name: &str| fields[name].as_str().unwrap_or_default().to_owned();
    Secret {
        group: text("group"),
        group_version: text("version"),
        key: text("key"),
        mount_requirement: MountRequirement::from_name(fields["mount"].as_str().unwrap_or("ANY")).unwrap(),
        env_var: text("env_var"),
    }
}

/// A pod that asks for `requests`; `spec` is merged over one container named main.
fn pod(requests: &[Value], spec: Value) -> Value {
    let requests: Vec<Secret> = requests.iter().map(request).collect();
    let annotations: serde_json::Map<String, Value> =
        encode_all(&requests).unwrap().into_iter().map(|(name, value)| (name, value.into())).collect();
    let mut pod = json!({
        "metadata": {
            "namespace": "flytesnacks-development",
            "labels": {"organization": "flyte", "project": "p", "domain": "d"},
            "annotations": annotations
        },
        "spec": {"containers": [{"name": "main"}]}
    });
    if let Value::Object(members) = spec {
        pod["spec"].as_object_mut().unwrap().extend(members);
    }
    pod
}

struct Played {
    case: Value,
    settings: Settings,
    result: Injected,
}

/// Plays requests through the managers in `managers`; the store holds `value` for every key asked for.
fn play(managers: &[&str], requests: &[Value], spec: Value) -> Played {
    play_with(managers, requests, spec, |_| {})
}

fn play_with(managers: &[&str], requests: &[Value], spec: Value, change: impl Fn(&mut Settings)) -> Played {
    let store: serde_json::Map<String, Value> = requests
        .iter()
        .map(|request| {
            let key = request["key"].as_str().unwrap_or_default();
            let id = format!("u__org__flyte__domain__d__project__p__key__{key}");
            (id, json!({"string": request["value"].as_str().unwrap_or("value")}))
        })
        .collect();
    let case = json!({"config": {"secretManagerTypes": managers}, "store": store, "pod": pod(requests, spec)});
    let mut settings = settings(&case);
    change(&mut settings);
    let result = injected(&case, &settings, &case["pod"]).unwrap();
    Played { case, settings, result }
}

impl Played {
    fn spec(&self, pointer: &str) -> Value {
        self.result.pod["spec"].pointer(pointer).cloned().unwrap_or_default()
    }

    fn env(&self, pointer: &str) -> Vec<String> {
        let env = self.spec(&format!("{pointer}/env"));
        env.as_array().into_iter().flatten().map(|variable| variable["name"].as_str().unwrap().to_owned()).collect()
    }

    fn value(&self, name: &str) -> Option<String> {
        let env = self.spec("/containers/0/env");
        let variable = env.as_array()?.iter().find(|variable| variable["name"] == name)?.clone();
        Some(variable["value"].as_str().unwrap_or_default().to_owned())
    }

    fn names(&self, pointer: &str) -> Vec<String> {
        let list = self.spec(pointer);
        list.as_array().into_iter().flatten().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    }

    fn items(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let volumes = self.spec("/volumes");
        let volumes = volumes.as_array().unwrap();
        let items = volumes.iter().filter_map(|volume| volume["secret"]["items"].as_array()).flatten();
        items.map(|item| (text(&item["key"]), text(&item["path"]))).collect()
    }

    /// Passes again over what came out.
    fn again(&self) -> Value {
        injected(&self.case, &self.settings, &self.result.pod).unwrap().pod
    }

    fn declined_because(&self, words: &str) {
        assert_eq!(self.result.served_by, [None], "{:?}", self.result);
        assert!(self.result.declined.iter().any(|reason| reason.contains(words)), "{:?}", self.result.declined);
    }
}

#[test]
fn identical_requests_count_once() {
    let request = json!({"group": "g", "key": "k", "mount": "FILE"});
    let played = play(&["K8s"], &[request.clone(), request.clone()], Value::Null);
    assert_eq!(played.items(), [("k".to_owned(), "k".to_owned())]);
    let played = play(&["AWS"], &[request.clone(), request], Value::Null);
    assert_eq!(played.names("/initContainers"), ["aws-pull-secret-0"]);
}

#[test]
fn a_group_version_gives_second_names_right_behind_the_plain_ones() {
    let env = json!({"group": "g", "version": "v1", "key": "k", "mount": "ENV_VAR", "env_var": "E"});
    let played = play(&["K8s"], &[env], Value::Null);
    assert_eq!(played.env("/containers/0"), ["FLYTE_SECRETS_ENV_PREFIX", "E", "_UNION_G_K", "_UNION_G_V1_K"]);

    let file = json!({"group": "G", "version": "V1", "key": "K", "mount": "FILE"});
    let played = play(&["K8s"], &[file], Value::Null);
    let items = [("K", "k"), ("K", "v1/k")].map(|(key, path)| (key.to_owned(), path.to_owned()));
    assert_eq!(played.items(), items);
    assert_eq!(played.again(), played.result.pod);
}

#[test]
fn a_second_name_gives_way_to_any_other_request() {
    let versioned = json!({"group": "g", "version": "v", "key": "k", "mount": "ENV_VAR"});
    let other = json!({"group": "g", "key": "v_k", "mount": "ENV_VAR"});
    let played = play(&["K8s"], &[versioned, other], Value::Null);
    let env = played.spec("/containers/0/env");
    let taken: Vec<_> = env.as_array().unwrap().iter().filter(|one| one["name"] == "_UNION_G_V_K").collect();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0]["valueFrom"]["secretKeyRef"]["key"], "v_k");
    assert!(played.result.collisions.is_empty());

    let versioned = json!({"group": "g", "version": "v", "key": "k", "mount": "FILE"});
    let other = json!({"group": "g", "key": "v", "mount": "FILE"});
    let played = play(&["K8s"], &[versioned, other], Value::Null);
    let items = [("k", "k"), ("v", "v")].map(|(key, path)| (key.to_owned(), path.to_owned()));
    assert_eq!(played.items(), items, "a file and a folder cannot have one name");
}

#[test]
fn a_second_name_that_would_be_invalid_is_left_out() {
    let requests = [json!({"group": "g", "version": "ü", "key": "k", "mount": "ENV_VAR"})];
    let played = play(&["K8s"], &requests, Value::Null);
    assert_eq!(played.env("/containers/0"), ["FLYTE_SECRETS_ENV_PREFIX", "_UNION_G_K"]);
    for version in ["../x", "/x", "a\nb", "..x"] {
        let requests = [json!({"group": "g", "version": version, "key": "k", "mount": "FILE"})];
        assert_eq!(play(&["K8s"], &requests, Value::Null).items().len(), 1, "{version:?}");
    }
}

#[test]
fn two_versions_of_one_group_share_one_volume_named_by_the_first() {
    let requests = ["1", "2"].map(|version| json!({"group": "g", "version": version, "key": "k", "mount": "FILE"}));
    let played = play(&["K8s"], &requests, Value::Null);
    assert_eq!(played.names("/volumes"), ["m4ptc"]);
    assert_eq!(played.names("/containers/0/volumeMounts"), ["m4ptc"]);
    let paths: Vec<_> = played.items().into_iter().map(|(_, path)| path).collect();
    assert_eq!(paths, ["k", "1/k", "2/k"]);
    assert_eq!(played.again(), played.result.pod);
}

#[test]
fn a_volume_name_too_long_or_taken_is_replaced_by_a_stable_one() {
    let long = "g".repeat(60);
    let played = play(&["K8s"], &[json!({"group": long, "key": "k"})], Value::Null);
    let names = played.names("/volumes");
    assert!(names[0].starts_with("fs-") && names[0].len() == 35, "{names:?}");
    assert_eq!(played.names("/containers/0/volumeMounts"), names);
    assert_eq!(played.again(), played.result.pod);

    let taken = json!({"volumes": [{"name": "m4pq", "emptyDir": {}}]});
    let played = play(&["K8s"], &[json!({"group": "g", "key": "k"})], taken);
    let names = played.names("/volumes");
    assert!(names.len() == 2 && names[1].starts_with("fs-"), "{names:?}");
    assert_eq!(played.again(), played.result.pod);
}

#[test]
fn volumes_of_the_pod_are_never_touched() {
    let mine = json!({"name": "mine", "secret": {"secretName": "g", "items": [{"key": "x", "path": "x"}]}});
    let played = play(&["K8s"], &[json!({"group": "g", "key": "k"})], json!({"volumes": [mine]}));
    assert_eq!(played.spec("/volumes/0"), mine);
    assert_eq!(played.names("/volumes"), ["mine", "m4pq"]);
}

#[test]
fn embedded_declines_where_the_pod_has_a_container_or_volume_of_the_writers_name() {
    let file = [json!({"key": "k", "mount": "FILE"})];
    play(&["Embedded"], &file, json!({"initContainers": [{"name": "init-embedded-secret"}]}))
        .declined_because("init container of its own named \"init-embedded-secret\"");
    play(&["Embedded"], &file, json!({"volumes": [{"name": "embedded-secret-vol"}]}))
        .declined_because("volume of its own named \"embedded-secret-vol\"");
}

#[test]
fn every_variable_of_our_name_gives_way_to_ours() {
    let env = json!([{"name": "_UNION_G_K", "value": "1"}, {"name": "B"}, {"name": "_UNION_G_K", "value": "2"}]);
    let spec = json!({"containers": [{"name": "main", "env": env}]});
    let played = play(&["K8s"], &[json!({"group": "g", "key": "k", "mount": "ENV_VAR"})], spec);
    assert_eq!(played.env("/containers/0"), ["FLYTE_SECRETS_ENV_PREFIX", "_UNION_G_K", "B"]);
}

#[test]
fn a_part_of_a_path_that_leaves_its_place_is_declined() {
    for part in ["a/../b", "..", "/a", "a\nb", "a\u{7f}"] {
        for manager in ["K8s", "AWS", "Vault"] {
            for field in ["group", "key"] {
                let mut request = json!({"group": "g", "key": "k", "mount": "FILE"});
                request[field] = part.into();
                play(&[manager], &[request], Value::Null).declined_because("makes a file path of the");
            }
        }
        let gcp = json!({"group": "g", "version": part});
        play(&["GCP"], &[gcp], Value::Null).declined_because("makes a file path of the group version");
        let azure = json!({"group": "https://v.vault.azure.net/secrets/x", "version": part});
        play(&["Azure"], &[azure], Value::Null).declined_because("makes a file path of the group version");
    }
    // An environment variable makes no path.
    let env = json!({"group": "a/../b", "key": "k", "mount": "ENV_VAR"});
    assert_eq!(play(&["K8s"], &[env], Value::Null).result.served_by, [Some("K8s")]);
}

#[test]
fn a_variable_name_that_kubernetes_would_refuse_is_declined() {
    for env_var in ["A=B", "ß", "a\tb"] {
        let request = json!({"group": "g", "key": "k", "mount": "ENV_VAR", "env_var": env_var});
        play(&["K8s"], std::slice::from_ref(&request), Value::Null).declined_because("which Kubernetes refuses");
        play(&["Embedded"], &[request], Value::Null).declined_because("which Kubernetes refuses");
    }
    play(&["K8s"], &[json!({"group": "straße", "key": "k", "mount": "ENV_VAR"})], Value::Null)
        .declined_because("_UNION_STRAßE_K");
}

#[test]
fn two_requests_for_one_variable_are_told() {
    let requests = ["a", "A"].map(|key| json!({"key": key, "mount": "ENV_VAR", "value": key}));
    let played = play(&["Embedded"], &requests, Value::Null);
    assert_eq!(played.value("_UNION_A").unwrap(), "A", "the later one wins");
    assert_eq!(played.result.collisions.len(), 1);
    assert!(played.result.collisions[0].contains("both set the variable _UNION_A"), "{:?}", played.result.collisions);

    let own = json!({"group": "g", "key": "k", "mount": "ENV_VAR", "env_var": "FLYTE_SECRETS_ENV_PREFIX"});
    let played = play(&["K8s"], &[own], Value::Null);
    assert_eq!(played.result.collisions.len(), 1);
}

#[test]
fn two_requests_for_one_file_or_folder_are_told() {
    let requests = ["K", "k"].map(|key| json!({"group": "g", "key": key, "mount": "FILE"}));
    assert!(play(&["AWS"], &requests, Value::Null).result.collisions[0].contains("both write the file"));
    let requests = ["G", "g"].map(|group| json!({"group": group, "key": "k", "mount": "FILE"}));
    let collisions = play(&["K8s"], &requests, Value::Null).result.collisions;
    assert!(
        collisions.iter().any(|collision| collision.contains("two volumes at /etc/flyte/secrets/g")),
        "{collisions:?}"
    );
}

#[test]
fn a_dollar_arrives_as_a_dollar() {
    let requests = [json!({"key": "k", "value": "a$b$(C)$$"})];
    assert_eq!(play(&["Embedded"], &requests, Value::Null).value("_UNION_K").unwrap(), "a$$b$$(C)$$$$");
    let requests = [json!({"group": "g$(A)", "key": "k", "env_var": "F"})];
    assert_eq!(play(&["K8s"], &requests, Value::Null).value("F").unwrap(), "/etc/flyte/secrets/g$$(a)/k");
    let aws = play(&["AWS"], &requests, Value::Null);
    assert_eq!(aws.spec("/initContainers/0/env/2/value"), "g$$(A):k");
    let gcp = play(&["GCP"], &[json!({"group": "$(id)", "version": "1"})], Value::Null);
    let script = gcp.spec("/initContainers/0/command/2");
    assert!(script.as_str().unwrap().contains("--secret='$$(id)' "), "{script}");
}

#[test]
fn fetch_containers_run_before_the_tasks_own_init_containers() {
    let inits = json!([{"name": "sidecar", "restartPolicy": "Always"}, {"name": "prep"}]);
    let requests = ["a", "b"].map(|key| json!({"group": "g", "key": key, "mount": "FILE"}));
    for (placement, expected) in [
        (InitContainerPlacement::AfterSidecars, ["sidecar", "aws-pull-secret-2", "aws-pull-secret-3", "prep"]),
        (InitContainerPlacement::First, ["aws-pull-secret-2", "aws-pull-secret-3", "sidecar", "prep"]),
        (InitContainerPlacement::Last, ["sidecar", "prep", "aws-pull-secret-2", "aws-pull-secret-3"]),
    ] {
        let change = |settings: &mut Settings| settings.init_container_placement = placement;
        let played = play_with(&["AWS"], &requests, json!({"initContainers": inits}), change);
        assert_eq!(played.names("/initContainers"), expected);
        assert_eq!(played.again(), played.result.pod);
    }
}

#[test]
fn a_fetch_containers_number_is_the_next_free_one() {
    let inits = json!([{"name": "aws-pull-secret-1"}, {"name": "aws-pull-secret-3"}]);
    let requests = ["a", "b", "c"].map(|key| json!({"group": "g", "key": key, "mount": "FILE"}));
    let last = |settings: &mut Settings| settings.init_container_placement = InitContainerPlacement::Last;
    let played = play_with(&["AWS"], &requests, json!({"initContainers": inits}), last);
    let numbers = ["aws-pull-secret-2", "aws-pull-secret-4", "aws-pull-secret-5"];
    assert_eq!(played.names("/initContainers")[2..], numbers);
    assert_eq!(played.again(), played.result.pod);
}

#[test]
fn a_fetch_containers_own_variables_are_never_replaced() {
    let requests = [
        json!({"group": "g", "key": "k", "mount": "FILE"}),
        json!({"group": "s", "key": "k", "mount": "ENV_VAR", "env_var": "SECRET_ARN"}),
    ];
    let played = play(&["AWS", "K8s"], &requests, Value::Null);
    let env = played.spec("/initContainers/0/env");
    let arns: Vec<_> = env.as_array().unwrap().iter().filter(|variable| variable["name"] == "SECRET_ARN").collect();
    assert_eq!(arns, [&json!({"name": "SECRET_ARN", "value": "g:k"})]);
    assert!(played.env("/containers/0").contains(&"SECRET_ARN".to_owned()));
}

#[test]
fn words_of_a_script_are_quoted_as_soon_as_they_hold_anything_unusual() {
    let gcp = play(&["GCP"], &[json!({"group": "a b;rm", "version": "1"})], Value::Null);
    assert_eq!(
        gcp.spec("/initContainers/0/command/2"),
        "gcloud secrets versions access 'a b;rm/versions/1' --out-file='/etc/flyte/secrets/a b;rm/1' || gcloud secrets \
         versions access 1 --secret='a b;rm' --out-file='/etc/flyte/secrets/a b;rm/1'; chmod +rX \
         '/etc/flyte/secrets/a b;rm' '/etc/flyte/secrets/a b;rm/1'"
    );
    let azure = play(&["Azure"], &[json!({"group": "https://v/secrets/`x`"})], Value::Null);
    let script = azure.spec("/initContainers/0/command/2").as_str().unwrap().to_owned();
    assert!(script.contains("--id 'https://v/secrets/`x`/' "), "{script}");
    assert!(script.ends_with("> '/etc/flyte/secrets/`x`'"), "{script}");
}

#[test]
fn vault_templates_take_any_key_and_refuse_what_would_break_out() {
    let template = |request: Value| {
        let played = play(&["Vault"], &[request], Value::Null);
        let annotations = played.result.pod["metadata"]["annotations"].as_object().unwrap().clone();
        annotations.into_iter().find(|(name, _)| name.contains("template")).map(|(_, template)| template)
    };
    assert_eq!(
        template(json!({"group": "secret/a", "key": "my-key"})).unwrap(),
        "{{- with secret \"secret/a\" -}}{{ index .Data.data \"my-key\" }}{{- end -}}"
    );
    assert_eq!(
        template(json!({"group": "secret/a", "version": "kv1", "key": "1a"})).unwrap(),
        "{{- with secret \"secret/a\" -}}{{ index .Data \"1a\" }}{{- end -}}"
    );
    assert_eq!(
        template(json!({"group": "secret/a", "key": "k²"})).unwrap(),
        "{{- with secret \"secret/a\" -}}{{ index .Data.data \"k²\" }}{{- end -}}"
    );
    assert_eq!(template(json!({"group": "database/creds/a", "version": "db", "key": "a\"b"})), None);
    for odd in ["a\"", "a\\", "a`", "a{", "}a"] {
        for field in ["group", "key"] {
            let mut request = json!({"group": "g", "key": "k"});
            request[field] = odd.into();
            play(&["Vault"], &[request], Value::Null).declined_because("into a template");
        }
    }
}

#[test]
fn embedded_files_keep_their_case_and_have_a_lower_case_name_too() {
    let requests = [
        json!({"key": "My_Key", "mount": "FILE", "env_var": "A_FILE"}),
        json!({"key": "b$", "mount": "FILE", "env_var": "B_FILE"}),
    ];
    let played = play(&["Embedded"], &requests, Value::Null);
    assert_eq!(played.value("A_FILE").unwrap(), "/etc/flyte/secrets/My_Key");
    assert_eq!(played.value("B_FILE").unwrap(), "/etc/flyte/secrets/b$$");
    let command = played.spec("/initContainers/0/command");
    assert_eq!(command.as_array().unwrap()[3..], ["sh", "My_Key", "my_key"]);
    assert_eq!(played.again(), played.result.pod);

    let requests = ["A", "a"].map(|key| json!({"key": key, "mount": "FILE"}));
    let command = play(&["Embedded"], &requests, Value::Null).spec("/initContainers/0/command");
    assert_eq!(command.as_array().unwrap().len(), 3, "the second name of A is another request's");
}

#[test]
fn embedded_file_names_are_one_path_component_without_an_equals_sign() {
    for key in ["a/b", "..", ".", "/a", "a=b", "a\nb", &"k".repeat(256)] {
        play(&["Embedded"], &[json!({"key": key, "mount": "FILE"})], Value::Null)
            .declined_because("makes a file name of the key");
    }
}

#[test]
fn the_writer_of_an_earlier_pass_gets_the_value_of_now() {
    let mut played = play(&["Embedded"], &[json!({"key": "K", "mount": "FILE", "value": "old"})], Value::Null);
    played.case["store"]["u__org__flyte__domain__d__project__p__key__K"]["string"] = "new".into();
    let again = played.again();
    let inits = again["spec"]["initContainers"].as_array().unwrap();
    assert_eq!(inits.len(), 1);
    let secrets = inits[0]["env"].as_array().unwrap().iter().find(|variable| variable["name"] == "SECRETS").unwrap();
    assert_eq!(secrets["value"], "K=bmV3\n");
}

#[test]
fn embedded_declines_components_that_would_make_ids_collide() {
    for (label, value) in [("organization", "a__b"), ("domain", "a_"), ("project", "p__key__a")] {
        let mut case = play(&["Embedded"], &[json!({"key": "k"})], Value::Null).case;
        case["pod"]["metadata"]["labels"][label] = value.into();
        let ours = injected(&case, &settings(&case), &case["pod"]).unwrap();
        assert_eq!(ours.served_by, [None], "{label}={value}");
    }
}

#[test]
fn protected_kubernetes_secrets_are_declined() {
    let protect = |settings: &mut Settings| {
        settings.protected.own = vec![("flytesnacks-development".to_owned(), "flyte-pod-webhook".to_owned())];
        settings.protected.store_namespaces = vec!["flytesnacks-development".to_owned()];
        settings.protected.deny = vec!["*-admin".to_owned(), "kube-*/x".to_owned()];
    };
    let id = "u__org__flyte__domain__d__project__other__key__k";
    for request in [
        json!({"group": "flyte-pod-webhook", "key": "tls.key"}),
        json!({"group": "d41d8cd98f00b204e9800998ecf8427e", "key": "k"}),
        json!({"key": id}),
        json!({"group": "db-admin", "key": "k"}),
    ] {
        play_with(&["K8s"], &[request], Value::Null, protect).declined_because("never hands out");
    }
    for request in [json!({"group": "g", "key": "k"}), json!({"key": "k"}), json!({"group": "x", "key": "k"})] {
        assert_eq!(play_with(&["K8s"], &[request], Value::Null, protect).result.served_by, [Some("K8s")]);
    }
}

#[test]
fn a_container_that_came_in_between_two_passes_is_served() {
    let requests = [json!({"group": "g", "key": "k", "mount": "FILE"})];
    let mut played = play(&["AWS"], &requests, json!({"initContainers": [{"name": "prep"}]}));
    let fetcher = played.spec("/initContainers/0");
    played.result.pod["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "late"}));
    played.result.pod["spec"]["initContainers"].as_array_mut().unwrap().insert(0, json!({"name": "first"}));
    let again = played.again();
    assert_eq!(again["spec"]["containers"][1]["env"], again["spec"]["containers"][0]["env"]);
    assert_eq!(again["spec"]["containers"][1]["volumeMounts"], again["spec"]["containers"][0]["volumeMounts"]);
    let inits = again["spec"]["initContainers"].as_array().unwrap();
    assert_eq!(inits.len(), 3, "no second fetch container");
    assert_eq!(inits[1], fetcher);
    assert!(inits[0]["volumeMounts"].is_array());
}

#[test]
fn fields_that_nobody_knows_and_odd_quantities_survive() {
    let spec = json!({
        "containers": [{"name": "main", "fieldOf2030": {"x": [1, null]}, "env": [{"name": "A", "valueFrom": {"newRef": {}}}],
                        "resources": {"limits": {"cpu": "1000m"}}}],
        "volumes": [{"name": "v", "newSource": {"y": 1}}],
        "futureMember": "1e3"
    });
    let played = play(&["K8s"], &[json!({"group": "g", "key": "k"})], spec.clone());
    assert_eq!(played.spec("/containers/0/fieldOf2030"), spec["containers"][0]["fieldOf2030"]);
    assert_eq!(played.spec("/containers/0/resources"), spec["containers"][0]["resources"]);
    assert_eq!(played.spec("/containers/0/env/2"), spec["containers"][0]["env"][0]);
    assert_eq!(played.spec("/volumes/0"), spec["volumes"][0]);
    assert_eq!(played.spec("/futureMember"), "1e3");
}
