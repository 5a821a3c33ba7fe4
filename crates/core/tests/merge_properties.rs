//! What holds for every pod and every list of requests: nothing but ours is changed, and only once.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeSet;

use flyte_secrets_core::annotations::{encode_all, requests};
use flyte_secrets_core::injectors::{Context, Found, LookUp, inject, look_up};
use flyte_secrets_core::merge::{MergeError, Served, merge};
use flyte_secrets_core::mirror::{Form, MirrorSource, SecretReference, VALUE_KEY, is_mirror_name, mirror_name};
use flyte_secrets_core::outline::PodOutline;
use flyte_secrets_core::settings::{Delivery, InitContainerPlacement};
use flyte_secrets_core::value::SecretValue;
use flyte_secrets_core::{MountRequirement, Profile, Secret, SecretManagerType, Settings};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

const PLANTED: &str = "planted-5e$cret";
const PLANTED_BASE64: &str = "cGxhbnRlZC01ZSRjcmV0";

/// What one pass comes to.
struct Pass {
    pod: Value,
    operations: Vec<Value>,
    /// Names of the variables that are ours.
    variables: BTreeSet<String>,
    /// All that `Debug` shows.
    shown: String,
    /// Whether requests are at odds with each other.
    collides: bool,
}

/// One pass over a pod.
fn pass(settings: &Settings, pod: &Value) -> Result<Pass, MergeError> {
    let mut pass = play(settings, pod)?;
    let patch: json_patch::Patch = serde_json::from_value(pass.operations.clone().into()).unwrap();
    json_patch::patch(&mut pass.pod, &patch).unwrap();
    Ok(pass)
}

/// A pass whose patch is still to be applied. Requests that nobody serves are left out.
fn play(settings: &Settings, pod: &Value) -> Result<Pass, MergeError> {
    let bytes = serde_json::to_vec(pod).unwrap();
    let outline = PodOutline::parse(&bytes).unwrap();
    let context = Context { settings, pod: &outline, namespace: "ns" };
    let mut secrets: Vec<Secret> = Vec::new();
    for request in requests(outline.metadata.annotations.iter()).unwrap() {
        if !secrets.contains(&request.secret) {
            secrets.push(request.secret);
        }
    }
    let found = |request: &Secret, wanted| {
        let source = match wanted {
            LookUp::Nothing | LookUp::Existence(_) => return None,
            LookUp::Global(_) => MirrorSource::Global { group: request.group.clone(), key: request.key.clone() },
            LookUp::Store(id) => MirrorSource::Embedded { id: id.to_string() },
        };
        let mirror =
            || SecretReference { name: mirror_name("ns", &source, Form::of(request)), key: VALUE_KEY.to_owned() };
        Some(Found {
            value: SecretValue::text(PLANTED.to_owned()),
            pull_secret: Some("img-pull-1".to_owned()),
            reference: (settings.delivery == Delivery::SecretRef).then(mirror),
        })
    };
    let answer = |manager, request| {
        look_up(manager, &context, request)
            .and_then(|wanted| inject(manager, &context, request, found(request, wanted).as_ref()))
    };
    let serve = |request| {
        settings.managers.iter().find_map(|&manager| {
            let injection = answer(manager, request).ok()?;
            Some((request, manager, injection))
        })
    };
    let answers: Vec<_> = secrets.iter().filter_map(serve).collect();
    let served: Vec<_> =
        answers.iter().map(|(request, manager, injection)| Served { request, manager: *manager, injection }).collect();
    let merged = merge(settings, &outline, &served)?;

    let operations = serde_json::to_value(&merged.operations).unwrap();
    let variables = served.iter().flat_map(|one| one.injection.variables().cloned());
    Ok(Pass {
        pod: pod.clone(),
        operations: operations.as_array().unwrap().clone(),
        variables: variables.map(|variable| variable.name).collect(),
        shown: format!("{served:?} {merged:?}"),
        collides: !merged.collisions.is_empty(),
    })
}

// Pods.

/// A member that no Kubernetes of today knows.
fn unknown() -> impl Strategy<Value = Value> {
    select(vec![json!(null), json!(1.5), json!("1000m"), json!([]), json!({"a": [{"b": null}]}), json!("ü\n")])
}

fn env() -> impl Strategy<Value = Value> {
    let names = ["A", "B", "PATH", "_UNION_G_K", "_FSEC_G_K", "FLYTE_SECRETS_DEFAULT_DIR", "FLYTE_SECRETS_ENV_PREFIX"];
    let source = select(vec![
        json!({}),
        json!({"value": ""}),
        json!({"value": "1", "future": {}}),
        json!({"valueFrom": {"futureRef": {"x": 1}}}),
        json!({"valueFrom": {"secretKeyRef": {"name": "g", "key": "k", "optional": true}}}),
    ]);
    let variable = (select(names.to_vec()), source).prop_map(|(name, mut variable)| {
        variable["name"] = name.into();
        variable
    });
    prop::collection::vec(variable, 0..5).prop_map(Value::from)
}

fn mounts() -> impl Strategy<Value = Value> {
    let names = vec!["data", "m4pq", "aws-secret-vol", "embedded-secret-vol"];
    subsequence(names, 0..=4).prop_map(|names| {
        let mount = |name| json!({"name": name, "mountPath": format!("/m/{name}"), "future": 1});
        names.into_iter().map(mount).collect()
    })
}

fn container(name: String) -> impl Strategy<Value = Value> {
    (prop::option::of(env()), prop::option::of(mounts()), unknown(), any::<bool>()).prop_map(
        move |(env, mounts, unknown, sidecar)| {
            let mut container =
                json!({"name": name, "image": "i", "future": unknown, "resources": {"limits": {"cpu": "1000m"}}});
            for (member, value) in [("env", env), ("volumeMounts", mounts)] {
                if let Some(value) = value {
                    container[member] = value;
                }
            }
            if sidecar {
                container["restartPolicy"] = "Always".into();
            }
            container
        },
    )
}

fn containers(prefix: &'static str, most: usize) -> impl Strategy<Value = Value> {
    (0..=most).prop_flat_map(move |count| {
        (0..count).map(|number| container(format!("{prefix}{number}"))).collect::<Vec<_>>().prop_map(Value::from)
    })
}

fn volumes() -> impl Strategy<Value = Value> {
    let all = vec![
        json!({"name": "data", "futureSource": {"x": null}}),
        json!({"name": "mine", "secret": {"secretName": "g", "items": [{"key": "k", "path": "k", "mode": 256}]}}),
        json!({"name": "m4pq", "emptyDir": {}}),
        json!({"name": "aws-secret-vol", "emptyDir": {"medium": "Memory"}}),
    ];
    (subsequence(all, 0..=4), prop::option::of(embedded_volume())).prop_map(|(mut volumes, embedded)| {
        volumes.extend(embedded);
        volumes.into()
    })
}

/// Volumes in the place of the one with the Embedded files: somebody else's, and what an earlier pass may have left.
fn embedded_volume() -> impl Strategy<Value = Value> {
    let mirror = mirror_name("ns", &MirrorSource::Embedded { id: String::new() }, Form::File);
    let ours = |path: &str| json!({"secret": {"name": mirror, "items": [{"key": "value", "path": path}]}});
    let source = select(vec![
        json!({"emptyDir": {}}),
        json!({"projected": {"sources": [{"secret": {"name": "mine", "items": [{"key": "k", "path": "k"}]}}]}}),
        json!({"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}, ours("k")]}}),
        json!({"projected": {"sources": [ours("left")], "defaultMode": 420}}),
        json!({"projected": {"sources": [ours("k")]}}),
    ]);
    source.prop_map(|mut volume| {
        volume["name"] = "embedded-secret-vol".into();
        volume
    })
}

fn secret() -> impl Strategy<Value = Secret> {
    let name = || select(vec!["", "g", "G", "k", "a.b", "$(X)", "p/q", "..", "ß", "it's"]).prop_map(str::to_owned);
    let version = || select(vec!["", "", "", "1", "kv1", "db", "a/b"]).prop_map(str::to_owned);
    let env_var =
        || select(vec!["", "", "", "MY", "A", "FLYTE_SECRETS_DEFAULT_DIR", "x=y", "SECRETS"]).prop_map(str::to_owned);
    (name(), version(), name(), 0..4_i32, env_var()).prop_map(|(group, group_version, key, mount, env_var)| Secret {
        group,
        group_version,
        key,
        mount_requirement: MountRequirement::from_number(mount % 3),
        env_var,
    })
}

fn pod() -> impl Strategy<Value = Value> {
    let annotations = select(vec![json!({}), json!({"vault.hashicorp.com/role": "mine"}), json!({"a/b~c": "ü"})]);
    let lists = (containers("c", 3), prop::option::of(containers("i", 3)), prop::option::of(volumes()));
    let pull = prop::option::of(Just(json!([{"name": "z", "future": 1}, {"name": "a"}])));
    (prop::collection::vec(secret(), 0..6), annotations, lists, pull, unknown()).prop_map(
        |(secrets, mut annotations, (containers, inits, volumes), pull, unknown)| {
            for (name, value) in encode_all(&secrets).unwrap() {
                annotations[name] = value.into();
            }
            let labels = json!({"organization": "flyte", "project": "p", "domain": "d"});
            let mut spec = json!({"containers": containers, "future": unknown});
            for (member, value) in [("initContainers", inits), ("volumes", volumes), ("imagePullSecrets", pull)] {
                if let Some(value) = value {
                    spec[member] = value;
                }
            }
            json!({
                "metadata": {"labels": labels, "annotations": annotations, "creationTimestamp": null, "future": unknown},
                "spec": spec,
                "status": {},
                "future": unknown
            })
        },
    )
}

fn any_settings() -> impl Strategy<Value = Settings> {
    use InitContainerPlacement::{AfterSidecars, First, Last};
    let managers = Just(SecretManagerType::ALL[1..].to_vec()).prop_shuffle();
    let profile = select(vec![Profile::Flyte1, Profile::Flyte2]);
    let delivery = select(vec![Delivery::PodSpec, Delivery::SecretRef]);
    // Every second time Embedded comes before the others, which would leave little to it.
    let managers = (managers, any::<bool>()).prop_map(|(mut managers, embedded_first)| {
        managers.sort_by_key(|manager| embedded_first && *manager != SecretManagerType::Embedded);
        managers
    });
    (profile, managers, 1..=6_usize, any::<bool>(), select(vec![AfterSidecars, First, Last]), delivery).prop_map(
        |(profile, managers, count, global, placement, delivery)| {
            let mut settings = Settings::defaults(profile);
            settings.delivery = delivery;
            settings.managers = managers[..count].to_vec();
            if global {
                settings.managers.insert(0, SecretManagerType::Global);
            }
            settings.init_container_placement = placement;
            settings
        },
    )
}

// What is ours.

fn is_fetch_container(container: &Value) -> bool {
    let name = container["name"].as_str().unwrap();
    name == "init-embedded-secret"
        || ["aws", "gcp", "azure"].iter().any(|kind| name.starts_with(&format!("{kind}-pull-secret-")))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// What stays of the variables when ours are taken away.
fn others(env: &Value, ours: &BTreeSet<String>) -> Vec<Value> {
    list(env).iter().filter(|variable| !ours.contains(variable["name"].as_str().unwrap())).cloned().collect()
}

fn without(value: &Value, members: &[&str]) -> Value {
    let mut value = value.clone();
    value.as_object_mut().unwrap().retain(|name, _| !members.contains(&name.as_str()));
    value
}

fn assert_container_is_kept(before: &Value, after: &Value, ours: &BTreeSet<String>) {
    let added = ["env", "volumeMounts"];
    assert_eq!(without(before, &added), without(after, &added));
    assert_eq!(others(&before["env"], ours), others(&after["env"], ours));
    assert!(list(&after["volumeMounts"]).starts_with(list(&before["volumeMounts"])));
}

/// The volumes that were there, without what has come into the one with the Embedded files of an earlier pass.
fn volumes_as_before(before: &Value, after: &Value) -> Vec<Value> {
    let mut volumes = list(&after["volumes"])[..list(&before["volumes"]).len()].to_vec();
    for (volume, before) in volumes.iter_mut().zip(list(&before["volumes"])) {
        if is_volume_of_references(before) {
            volume["projected"]["sources"] = before["projected"]["sources"].clone();
        }
    }
    volumes
}

/// Whether an earlier pass of ours can have made this volume.
fn is_volume_of_references(volume: &Value) -> bool {
    let is_ours = |source: &Value| source["secret"]["name"].as_str().is_some_and(is_mirror_name);
    let sources = list(&volume["projected"]["sources"]);
    volume["name"] == "embedded-secret-vol" && !sources.is_empty() && sources.iter().all(is_ours)
}

/// Path and Secret of all files of projected volumes of ours.
fn files_by_reference(pod: &Value) -> Vec<(String, String)> {
    let ours = list(&pod["spec"]["volumes"]).iter().filter(|volume| is_volume_of_references(volume));
    let sources = ours.flat_map(|volume| list(&volume["projected"]["sources"]));
    let files = sources.flat_map(|source| {
        let name = source["secret"]["name"].as_str().unwrap();
        assert_ne!(source["secret"]["optional"], true);
        let items = list(&source["secret"]["items"]);
        assert!(!items.is_empty(), "all keys of {name}");
        items.iter().map(move |item| (item["path"].as_str().unwrap().to_owned(), name.to_owned()))
    });
    files.collect()
}

/// What Kubernetes checks of a pod's volumes and variables, as far as we have a hand in it.
fn assert_is_valid(before: &Value, after: &Value, collides: bool) {
    let files = files_by_reference(after);
    let paths: BTreeSet<&str> = files.iter().map(|(path, _)| &**path).collect();
    assert_eq!(paths.len(), files.len(), "a path twice: {files:?}");
    for path in paths {
        assert!(!path.is_empty() && !path.contains('/') && !path.starts_with("..") && path.len() <= 255, "{path:?}");
    }
    let volumes = list(&after["spec"]["volumes"]);
    let names: BTreeSet<&str> = volumes.iter().map(|volume| volume["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), volumes.len(), "a volume twice");
    let mounts = |pod: &Value| -> Vec<Value> {
        let containers = list(&pod["spec"]["containers"]).iter().chain(list(&pod["spec"]["initContainers"]));
        containers.map(|container| container["volumeMounts"].clone()).collect()
    };
    let there: Vec<Value> = mounts(before).iter().flat_map(|mounts| list(mounts).to_vec()).collect();
    for of_container in mounts(after) {
        let ours: Vec<&Value> = list(&of_container).iter().filter(|mount| !there.contains(mount)).collect();
        let at: BTreeSet<&str> = ours.iter().map(|mount| mount["mountPath"].as_str().unwrap()).collect();
        assert!(collides || at.len() == ours.len(), "two mounts at one path: {ours:?}");
        assert!(ours.iter().all(|mount| names.contains(mount["name"].as_str().unwrap())), "no volume for {ours:?}");
    }
}

fn assert_only_ours_is_new(before: &Value, after: &Value, ours: &BTreeSet<String>) {
    assert_eq!(without(before, &["metadata", "spec"]), without(after, &["metadata", "spec"]));
    assert_eq!(without(&before["metadata"], &["annotations"]), without(&after["metadata"], &["annotations"]));
    let lists = ["volumes", "containers", "initContainers", "imagePullSecrets"];
    assert_eq!(without(&before["spec"], &lists), without(&after["spec"], &lists));

    let mut annotations = after["metadata"]["annotations"].as_object().unwrap().clone();
    annotations.retain(|name, _| {
        before["metadata"]["annotations"].get(name).is_some() || !name.starts_with("vault.hashicorp.com/")
    });
    assert_eq!(Value::from(annotations), before["metadata"]["annotations"]);

    let (before, after) = (&before["spec"], &after["spec"]);
    assert_eq!(list(&before["volumes"]), volumes_as_before(before, after));
    let mut pulls = list(&after["imagePullSecrets"]).to_vec();
    pulls.retain(|reference| *reference != json!({"name": "img-pull-1"}));
    let mut pulls_before = list(&before["imagePullSecrets"]).to_vec();
    pulls.sort_by_key(ToString::to_string);
    pulls_before.sort_by_key(ToString::to_string);
    assert_eq!(pulls, pulls_before);

    assert_eq!(list(&before["containers"]).len(), list(&after["containers"]).len());
    let inits: Vec<_> =
        list(&after["initContainers"]).iter().filter(|container| !is_fetch_container(container)).collect();
    assert_eq!(list(&before["initContainers"]).len(), inits.len());
    let pairs = list(&before["containers"]).iter().zip(list(&after["containers"]));
    for (before, after) in pairs.chain(list(&before["initContainers"]).iter().zip(inits)) {
        assert_container_is_kept(before, after, ours);
    }
}

/// What another webhook may do between two passes; the pointers of what it added and we have to serve.
fn meddle(pod: &mut Value, containers: bool) -> Vec<String> {
    let spec = &mut pod["spec"];
    let mut push = |member: &str, front: bool, value: Value| {
        if !spec[member].is_array() {
            spec[member] = json!([]);
        }
        let list = spec[member].as_array_mut().unwrap();
        let at = if front { 0 } else { list.len() };
        list.insert(at, value);
        format!("/spec/{member}/{at}/")
    };
    push("volumes", true, json!({"name": "theirs", "emptyDir": {}}));
    let added = if containers {
        vec![
            push("containers", false, json!({"name": "theirs", "image": "t", "env": [{"name": "T"}]})),
            push("initContainers", true, json!({"name": "theirs-init", "image": "t"})),
        ]
    } else {
        Vec::new()
    };
    for member in ["containers", "initContainers"] {
        for container in spec[member].as_array_mut().into_iter().flatten() {
            if let Some(env) = container["env"].as_array_mut() {
                env.insert(0, json!({"name": "THEIRS_FIRST", "value": "1"}));
                env.push(json!({"name": "THEIRS_LAST", "value": "2"}));
            }
        }
    }
    added
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn only_ours_is_new_and_everything_else_is_as_it_was(settings in any_settings(), pod in pod()) {
        if let Ok(once) = pass(&settings, &pod) {
            assert_only_ours_is_new(&pod, &once.pod, &once.variables);
        }
    }

    #[test]
    fn no_operation_leaves_the_lists_that_injection_is_about(settings in any_settings(), pod in pod()) {
        if let Ok(once) = pass(&settings, &pod) {
            for operation in &once.operations {
                let path = operation["path"].as_str().unwrap();
                let lists = ["/metadata/annotations", "/spec/volumes", "/spec/containers", "/spec/initContainers", "/spec/imagePullSecrets"];
                let inside = |list: &str| path.strip_prefix(list).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
                prop_assert!(lists.into_iter().any(inside), "{path}");
            }
        }
    }

    #[test]
    fn a_second_pass_has_nothing_to_do(settings in any_settings(), pod in pod()) {
        if let Ok(once) = pass(&settings, &pod) {
            let again = pass(&settings, &once.pod).unwrap();
            prop_assert_eq!(again.operations, Vec::<Value>::new());
        }
    }

    #[test]
    fn variables_and_volumes_of_another_webhook_give_a_second_pass_nothing_to_do(settings in any_settings(), pod in pod()) {
        if let Ok(mut once) = pass(&settings, &pod) {
            meddle(&mut once.pod, false);
            let again = pass(&settings, &once.pod).unwrap();
            prop_assert_eq!(again.operations, Vec::<Value>::new());
        }
    }

    #[test]
    fn containers_of_another_webhook_are_served_and_nothing_else_changes(settings in any_settings(), pod in pod()) {
        if let Ok(mut once) = pass(&settings, &pod) {
            let added = meddle(&mut once.pod, true);
            let again = pass(&settings, &once.pod).unwrap();
            for operation in &again.operations {
                let path = operation["path"].as_str().unwrap();
                prop_assert!(added.iter().any(|theirs| path.starts_with(theirs)), "{path} is none of {added:?}");
            }
            let third = pass(&settings, &again.pod).unwrap();
            prop_assert_eq!(third.operations, Vec::<Value>::new());
        }
    }

    #[test]
    fn what_comes_out_is_a_valid_pod(settings in any_settings(), pod in pod()) {
        if let Ok(once) = pass(&settings, &pod) {
            assert_is_valid(&pod, &once.pod, once.collides);
        }
    }

    #[test]
    fn no_value_is_in_the_patch_of_a_delivery_by_reference(settings in any_settings(), pod in pod()) {
        let settings = Settings { delivery: Delivery::SecretRef, ..settings };
        if let Ok(once) = pass(&settings, &pod) {
            let patch = Value::from(once.operations).to_string();
            let doubled = PLANTED.replace('$', "$$");
            for form in [PLANTED, &doubled, PLANTED_BASE64] {
                prop_assert!(!patch.contains(form), "{patch}");
            }
        }
    }

    #[test]
    fn a_volume_of_an_earlier_pass_keeps_its_files_and_gets_those_of_now(settings in any_settings(), pod in pod()) {
        let settings = Settings { delivery: Delivery::SecretRef, ..settings };
        if let Ok(once) = pass(&settings, &pod) {
            let after: BTreeSet<String> = files_by_reference(&once.pod).into_iter().map(|(path, _)| path).collect();
            prop_assert!(files_by_reference(&pod).iter().all(|(path, _)| after.contains(path)), "{after:?}");
        }
    }

    #[test]
    fn a_value_is_never_shown(settings in any_settings(), pod in pod()) {
        let shown = match pass(&settings, &pod) {
            Ok(once) => once.shown,
            Err(error) => format!("{error} {error:?}"),
        };
        let doubled = PLANTED.replace('$', "$$");
        for form in [PLANTED, &doubled, PLANTED_BASE64] {
            prop_assert!(!shown.contains(form), "{shown}");
        }
    }

    #[test]
    fn json_of_any_form_makes_no_panic(settings in any_settings(), members in members()) {
        let bytes = serde_json::to_vec(&members).unwrap();
        if PodOutline::parse(&bytes).is_ok_and(|outline| requests(outline.metadata.annotations.iter()).is_ok()) {
            let _ = play(&settings, &members);
        }
    }
}

/// JSON with the names of a pod's members in all places.
fn members() -> impl Strategy<Value = Value> {
    let names = [
        "metadata",
        "spec",
        "annotations",
        "labels",
        "containers",
        "initContainers",
        "volumes",
        "env",
        "name",
        "value",
        "valueFrom",
        "volumeMounts",
        "command",
        "secret",
        "items",
        "imagePullSecrets",
        "flyte.secrets/s0",
    ];
    let request = encode_all(&[Secret { group: "g".into(), key: "k".into(), ..Secret::default() }]).unwrap();
    let leaf = select(vec![json!(null), json!(7), json!(""), json!("m4pq"), json!("g"), request[0].1.clone().into()]);
    let any = leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((select(names.to_vec()), inner), 0..5).prop_map(|members| {
                Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }),
        ]
    });
    (any.clone(), any.clone(), any).prop_map(move |(containers, volumes, member)| {
        let list = |value: Value| if value.is_array() { value } else { json!([value]) };
        json!({
            "metadata": {"annotations": {"flyte.secrets/s0": request[0].1}},
            "spec": {"containers": list(containers), "volumes": list(volumes), "x": member}
        })
    })
}

#[test]
fn where_no_volume_can_be_named_nothing_is_patched() {
    use sha2::{Digest, Sha256};
    let stable = format!("fs-{}", &data_encoding::HEXLOWER.encode(&Sha256::digest("g"))[..32]);
    let secrets = ["k", "g"].map(|group| Secret { group: group.into(), key: "k".into(), ..Secret::default() });
    let annotations: serde_json::Map<String, Value> =
        encode_all(&secrets).unwrap().into_iter().map(|(name, value)| (name, value.into())).collect();
    let volumes = json!([{"name": "m4pq", "emptyDir": {}}, {"name": stable, "emptyDir": {}}]);
    let pod =
        json!({"metadata": {"annotations": annotations}, "spec": {"containers": [{"name": "c"}], "volumes": volumes}});
    let mut settings = Settings::defaults(Profile::Flyte2);
    settings.managers = vec![SecretManagerType::K8s];
    let error = pass(&settings, &pod).err().unwrap();
    assert_eq!(error, MergeError::VolumeNameTaken("m4pq".to_owned(), stable, "g".to_owned()));
}

#[test]
fn what_no_pod_can_hold_is_refused_before_it_is_written() {
    let secret = |number| Secret {
        group: "g".into(),
        key: format!("key{number}"),
        mount_requirement: MountRequirement::ENV_VAR,
        ..Secret::default()
    };
    let secrets: Vec<Secret> = (0..1000).map(secret).collect();
    let annotations: serde_json::Map<String, Value> =
        encode_all(&secrets).unwrap().into_iter().map(|(name, value)| (name, value.into())).collect();
    let mut settings = Settings::defaults(Profile::Flyte2);
    settings.managers = vec![SecretManagerType::K8s];

    let containers: Vec<Value> = (0..1000).map(|number| json!({"name": format!("c{number}")})).collect();
    let pod = json!({"metadata": {"annotations": annotations}, "spec": {"containers": containers}});
    assert!(matches!(pass(&settings, &pod), Err(MergeError::TooLarge { containers: 1000, .. })));

    let long: Vec<Secret> = (0..12)
        .map(|number| Secret {
            key: format!("{number}{}", "k".repeat(150_000)),
            mount_requirement: MountRequirement::FILE,
            ..secret(0)
        })
        .collect();
    let annotations_of_long: serde_json::Map<String, Value> =
        encode_all(&long).unwrap().into_iter().map(|(name, value)| (name, value.into())).collect();
    let pod = json!({"metadata": {"annotations": annotations_of_long}, "spec": {"containers": [{"name": "c"}]}});
    assert!(matches!(pass(&settings, &pod), Err(MergeError::TooLarge { containers: 1, .. })), "keys of a volume count");

    let env: Vec<Value> = (0..20_000).map(|_| json!({"name": "_UNION_G_KEY1"})).collect();
    let pod = json!({"metadata": {"annotations": annotations}, "spec": {"containers": [{"name": "c", "env": env}]}});
    assert!(matches!(pass(&settings, &pod), Err(MergeError::TooManyOperations(21_001))));
}
