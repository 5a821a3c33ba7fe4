//! Delivery by reference: what Global and Embedded add to a pod when the value stands in a Secret of its namespace.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{Injected, injected, settings};
use flyte_secrets_core::annotations::encode_all;
use flyte_secrets_core::mirror::{Form, MirrorSource, mirror_name};
use flyte_secrets_core::settings::Delivery;
use flyte_secrets_core::{MountRequirement, Secret};
use serde_json::{Value, json};

const NAMESPACE: &str = "p-d";
const GLOBAL: &str = "Global";
const EMBEDDED: &str = "Embedded";

fn request(group: &str, version: &str, key: &str, mount: MountRequirement, env_var: &str) -> Secret {
    let text = str::to_owned;
    Secret {
        group: text(group),
        group_version: text(version),
        key: text(key),
        mount_requirement: mount,
        env_var: text(env_var),
    }
}

fn file(key: &str) -> Secret {
    request("", "", key, MountRequirement::FILE, "")
}

fn id(key: &str) -> String {
    format!("u__org__flyte__domain__d__project__p__key__{key}")
}

/// The mirror of what Embedded finds for a key.
fn mirror(key: &str, form: Form) -> String {
    mirror_name(NAMESPACE, &MirrorSource::Embedded { id: id(key) }, form)
}

/// A case in which the store and the webhook's own variables hold a value for every request.
fn case(profile: &str, requests: &[Secret], spec: &Value) -> Value {
    let annotations: serde_json::Map<String, Value> =
        encode_all(requests).unwrap().into_iter().map(|(name, value)| (name, value.into())).collect();
    let labels = json!({"organization": "flyte", "project": "p", "domain": "d"});
    let mut pod = json!({
        "metadata": {"namespace": NAMESPACE, "labels": labels, "annotations": annotations},
        "spec": {"containers": [{"name": "main"}]}
    });
    pod["spec"].as_object_mut().unwrap().extend(spec.as_object().cloned().unwrap_or_default());
    let store: serde_json::Map<String, Value> =
        requests.iter().map(|request| (id(&request.key), json!({"string": "planted"}))).collect();
    json!({"profile": profile, "config": {"secretManagerTypes": [EMBEDDED]}, "store": store, "pod": pod})
}

fn play_case(case: &Value, delivery: Delivery) -> Injected {
    let mut settings = settings(case);
    settings.delivery = delivery;
    injected(case, &settings, &case["pod"]).unwrap()
}

fn play(requests: &[Secret], spec: &Value) -> Injected {
    play_case(&case("v2", requests, spec), Delivery::SecretRef)
}

/// What a second pass makes of the pod.
fn again(case: &Value, pod: &Value, delivery: Delivery) -> Injected {
    let mut case = case.clone();
    case["pod"] = pod.clone();
    play_case(&case, delivery)
}

fn declined_because(case: &Value, words: &str) {
    let played = play_case(case, Delivery::SecretRef);
    assert_eq!(played.served_by, [None], "{played:?}");
    assert!(played.declined.iter().any(|reason| reason.contains(words)), "{:?}", played.declined);
}

fn sources(pod: &Value) -> &Value {
    &pod["spec"]["volumes"][0]["projected"]["sources"]
}

/// Serves one request by reference; the pod's container, volumes and init containers, without what is empty.
fn fragment(manager: &str, profile: &str, request: &Secret) -> Value {
    let mut case = case(profile, std::slice::from_ref(request), &Value::Null);
    if manager == GLOBAL {
        case["env"] = json!({"FLYTE_SECRET_G_K": "planted"});
    }
    let played = play_case(&case, Delivery::SecretRef);
    assert_eq!(played.served_by, [Some(manager)], "{:?}", played.declined);
    assert!(!played.pod.to_string().contains("planted"), "{}", played.pod);
    let mut fragment = played.pod["spec"]["containers"][0].clone();
    fragment.as_object_mut().unwrap().remove("name");
    for member in ["volumes", "initContainers"] {
        if let Some(value) = played.pod["spec"].get(member) {
            fragment[member] = value.clone();
        }
    }
    fragment
}

#[test]
fn every_manager_form_profile_env_var_and_version() {
    use MountRequirement as Mount;
    let global = mirror_name(NAMESPACE, &MirrorSource::Global { group: "g".into(), key: "k".into() }, Form::Env);
    let (embedded, in_file) = (mirror("k", Form::Env), mirror("k", Form::File));
    let key_ref = |name: &str, secret: &str| json!({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": "value"}}});
    let text = |name: &str, value: &str| json!({"name": name, "value": value});
    let env = |variables: &[Value]| json!({"env": variables});
    let files = |variables: &[Value]| {
        json!({
            "env": variables,
            "volumeMounts": [{"name": "embedded-secret-vol", "mountPath": "/etc/flyte/secrets", "readOnly": true}],
            "volumes": [{"name": "embedded-secret-vol", "projected": {"sources": [
                {"secret": {"name": in_file, "items": [{"key": "value", "path": "k"}]}}
            ]}}]
        })
    };
    let directory = || text("FLYTE_SECRETS_DEFAULT_DIR", "/etc/flyte/secrets");
    let no_prefix = || json!({"name": "FLYTE_SECRETS_FILE_PREFIX"});
    let (union, fsec) = (|| text("FLYTE_SECRETS_ENV_PREFIX", "_UNION_"), || text("FLYTE_SECRETS_ENV_PREFIX", "_FSEC_"));
    let path = |name: &str| text(name, "/etc/flyte/secrets/k");

    // Flyte 2 puts each variable in front of those before, Flyte 1 behind.
    for (manager, mount, profile, version, env_var, expected) in [
        (GLOBAL, Mount::ANY, "v2", "", "", env(&[key_ref("_UNION_G_K", &global), union()])),
        (GLOBAL, Mount::ENV_VAR, "v2", "", "", env(&[key_ref("_UNION_G_K", &global), union()])),
        (GLOBAL, Mount::ENV_VAR, "v2", "", "E", env(&[key_ref("_UNION_G_K", &global), union()])),
        (
            GLOBAL,
            Mount::ENV_VAR,
            "v2",
            "7",
            "",
            env(&[key_ref("_UNION_G_K", &global), key_ref("_UNION_G_7_K", &global), union()]),
        ),
        (GLOBAL, Mount::ANY, "v1", "", "", env(&[fsec(), key_ref("_FSEC_G_K", &global)])),
        (
            GLOBAL,
            Mount::ENV_VAR,
            "v1",
            "7",
            "",
            env(&[fsec(), key_ref("_FSEC_G_K", &global), key_ref("_FSEC_G_7_K", &global)]),
        ),
        (EMBEDDED, Mount::ANY, "v2", "", "", env(&[key_ref("_UNION_K", &embedded), union()])),
        (EMBEDDED, Mount::ENV_VAR, "v2", "7", "", env(&[key_ref("_UNION_K", &embedded), union()])),
        (EMBEDDED, Mount::ENV_VAR, "v2", "", "E", env(&[key_ref("E", &embedded), union()])),
        (EMBEDDED, Mount::ENV_VAR, "v1", "", "", env(&[fsec(), key_ref("_FSEC_K", &embedded)])),
        (EMBEDDED, Mount::ENV_VAR, "v1", "", "E", env(&[fsec(), key_ref("E", &embedded)])),
        (EMBEDDED, Mount::FILE, "v2", "", "", files(&[no_prefix(), directory()])),
        (EMBEDDED, Mount::FILE, "v2", "7", "E", files(&[path("E"), no_prefix(), directory()])),
        (EMBEDDED, Mount::FILE, "v1", "", "", files(&[directory(), no_prefix()])),
        (EMBEDDED, Mount::FILE, "v1", "", "E", files(&[directory(), no_prefix(), path("E")])),
    ] {
        let request = request("g", version, "k", mount, env_var);
        assert_eq!(fragment(manager, profile, &request), expected, "{manager} {profile} [{request}]");
    }
}

#[test]
fn variables_are_those_of_the_delivery_in_the_pod_in_name_and_order() {
    let names = |pod: &Value| -> Vec<String> {
        let env = pod["spec"]["containers"][0]["env"].as_array().unwrap();
        env.iter().map(|variable| variable["name"].as_str().unwrap().to_owned()).collect()
    };
    let requests = [
        request("", "", "b", MountRequirement::FILE, "B_FILE"),
        request("g", "1", "a", MountRequirement::ENV_VAR, ""),
        request("", "", "c", MountRequirement::FILE, "C_FILE"),
        request("g", "", "d", MountRequirement::ANY, "MINE"),
    ];
    for profile in ["v1", "v2"] {
        let case = case(profile, &requests, &Value::Null);
        let [in_pod, by_reference] =
            [Delivery::PodSpec, Delivery::SecretRef].map(|delivery| play_case(&case, delivery).pod);
        assert_eq!(names(&in_pod), names(&by_reference), "{profile}");
        assert!(!by_reference.to_string().contains("planted"));
    }
}

#[test]
fn all_files_of_a_pod_share_one_volume_with_one_source_a_secret() {
    let played = play(&[file("My_Key"), file("b"), file("C")], &Value::Null);
    let items =
        |paths: &[&str]| -> Vec<Value> { paths.iter().map(|path| json!({"key": "value", "path": path})).collect() };
    let source =
        |key: &str, paths: &[&str]| json!({"secret": {"name": mirror(key, Form::File), "items": items(paths)}});
    assert_eq!(
        *sources(&played.pod),
        json!([source("My_Key", &["My_Key", "my_key"]), source("b", &["b"]), source("C", &["C", "c"])])
    );
    assert_eq!(played.pod["spec"]["volumes"].as_array().unwrap().len(), 1);
    assert_eq!(played.pod["spec"]["containers"][0]["volumeMounts"].as_array().unwrap().len(), 1);
    assert!(played.pod["spec"].get("initContainers").is_none(), "nothing has to be written");
}

#[test]
fn a_lower_case_name_gives_way_to_whoever_asked_for_it_and_to_earlier_ones() {
    let paths = |keys: &[&str]| -> Vec<(String, String)> {
        let requests: Vec<Secret> = keys.iter().map(|key| file(key)).collect();
        let pod = play(&requests, &Value::Null).pod;
        let of_source = |source: &Value| {
            let name = source["secret"]["name"].as_str().unwrap().to_owned();
            let items = source["secret"]["items"].as_array().unwrap().clone();
            items.into_iter().map(move |item| (item["path"].as_str().unwrap().to_owned(), name.clone()))
        };
        sources(&pod).as_array().unwrap().iter().flat_map(of_source).collect()
    };
    let at = |path: &str, key: &str| (path.to_owned(), mirror(key, Form::File));
    assert_eq!(paths(&["A", "a"]), [at("A", "A"), at("a", "a")]);
    assert_eq!(paths(&["aB", "Ab"]), [at("aB", "aB"), at("ab", "aB"), at("Ab", "Ab")]);
    // Three bytes in lower case, two in upper case: 255 bytes are the most that a file's name can have.
    let long = "Ⱥ".repeat(127);
    assert_eq!(paths(&[&long]), [at(&long, &long)]);
}

#[test]
fn a_file_asked_for_twice_is_in_the_volume_once() {
    let twice = [file("k"), request("g", "", "k", MountRequirement::FILE, "E")];
    let played = play(&twice, &Value::Null);
    assert_eq!(sources(&played.pod)[0]["secret"]["items"], json!([{"key": "value", "path": "k"}]));
    assert!(played.collisions.is_empty());
}

#[test]
fn a_second_pass_adds_the_files_that_are_missing_and_nothing_else() {
    let both = case("v2", &[file("a"), file("b")], &Value::Null);
    let mut pod = play_case(&both, Delivery::SecretRef).pod;
    let complete = sources(&pod).clone();
    pod["spec"]["volumes"][0]["projected"]["sources"].as_array_mut().unwrap().remove(0);
    pod["spec"]["volumes"][0]["projected"]["defaultMode"] = 420.into();
    let after = again(&both, &pod, Delivery::SecretRef).pod;
    assert_eq!(*sources(&after), complete);
    pod["spec"]["volumes"][0]["projected"]["sources"] = complete;
    assert_eq!(after, pod);
}

#[test]
fn a_second_pass_refers_to_the_secret_of_now() {
    let mut case = case("v2", &[file("k")], &Value::Null);
    let first = play_case(&case, Delivery::SecretRef).pod;
    let wider = "u__org__flyte__domain__d__project____key__k";
    case["store"] = json!({wider: {"string": "planted"}});
    let after = again(&case, &first, Delivery::SecretRef).pod;
    let name = mirror_name(NAMESPACE, &MirrorSource::Embedded { id: wider.to_owned() }, Form::File);
    assert_eq!(*sources(&after), json!([{"secret": {"name": name, "items": [{"key": "value", "path": "k"}]}}]));
}

#[test]
fn a_volume_of_the_pods_own_in_the_place_of_ours_is_declined() {
    let mine = json!({"secret": {"name": "mine", "items": [{"key": "a", "path": "a"}]}});
    let ours = json!({"secret": {"name": mirror("k", Form::File), "items": [{"key": "value", "path": "k"}]}});
    let all_keys = json!({"secret": {"name": mirror("k", Form::File)}});
    for source in [
        json!({"emptyDir": {}}),
        json!({"projected": {"sources": []}}),
        json!({"projected": {"sources": [mine]}}),
        json!({"projected": {"sources": [ours, mine]}}),
        json!({"projected": {"sources": [ours, {"configMap": {"name": "c"}}]}}),
        json!({"projected": {"sources": [all_keys]}}),
    ] {
        let mut volume = source;
        volume["name"] = "embedded-secret-vol".into();
        let case = case("v2", &[file("k")], &json!({"volumes": [volume]}));
        declined_because(&case, "a volume of its own named \"embedded-secret-vol\"");
    }
}

#[test]
fn files_of_an_earlier_pass_in_the_other_delivery_are_declined() {
    let mut case = case("v2", &[file("k")], &Value::Null);
    let in_pod = play_case(&case, Delivery::PodSpec).pod;
    let by_reference = play_case(&case, Delivery::SecretRef).pod;
    assert_eq!(again(&case, &by_reference, Delivery::PodSpec).served_by, [None]);
    case["pod"] = in_pod;
    declined_because(&case, "an earlier pass has put those of this pod into its spec");
}

#[test]
fn names_that_kubernetes_keeps_for_itself_in_a_volume_are_declined() {
    for key in ["..data", "..2026"] {
        declined_because(&case("v2", &[file(key)], &Value::Null), "begins with '..'");
    }
    for key in ["a/b", "..", ".", "/a", "a=b", "a\nb", &"k".repeat(256)] {
        declined_because(&case("v2", &[file(key)], &Value::Null), "makes a file name of the key");
    }
}

#[test]
fn a_value_that_no_variable_can_hold_is_declined() {
    let declined = |value: &str, words: &str| {
        let mut case = case("v2", &[request("", "", "k", MountRequirement::ENV_VAR, "")], &Value::Null);
        case["store"][id("k")] = json!({"binary_base64": value});
        declined_because(&case, words);
    };
    let encoded = |bytes: &[u8]| data_encoding::BASE64.encode(bytes);
    declined(&encoded(b"\xff"), "not UTF-8, which no variable can hold; ask for mount_requirement FILE");
    declined(&encoded(b"a\0b"), "a NUL character");
    declined(&encoded(&[b'x'; 128 * 1024 - "_UNION_K=".len()]), "over 128 KiB");

    let mut largest = case("v2", &[request("", "", "k", MountRequirement::ENV_VAR, "")], &Value::Null);
    largest["store"][id("k")] = json!({"string": "x".repeat(128 * 1024 - "_UNION_K=\0".len())});
    assert_eq!(play_case(&largest, Delivery::SecretRef).served_by, [Some(EMBEDDED)]);
    let mut global = case("v2", &[request("g", "", "k", MountRequirement::ENV_VAR, "")], &Value::Null);
    global["env"] = json!({"FLYTE_SECRET_G_K": "a\u{0}b"});
    global["store"] = json!({});
    declined_because(&global, "a NUL character");
}

#[test]
fn a_file_holds_any_bytes_of_any_length() {
    let mut case = case("v2", &[file("k")], &Value::Null);
    case["store"][id("k")] = json!({"binary_base64": data_encoding::BASE64.encode(&vec![0xff; 900 * 1024])});
    assert_eq!(play_case(&case, Delivery::SecretRef).served_by, [Some(EMBEDDED)]);
}

#[test]
fn without_a_secret_to_refer_to_the_value_does_not_go_into_the_pod() {
    use flyte_secrets_core::injectors::{Context, Found, inject};
    use flyte_secrets_core::outline::PodOutline;
    use flyte_secrets_core::value::SecretValue;
    use flyte_secrets_core::{SecretManagerType, Settings};

    let settings =
        Settings { delivery: Delivery::SecretRef, ..Settings::defaults(flyte_secrets_core::Profile::Flyte2) };
    let pod = PodOutline::default();
    let context = Context { settings: &settings, pod: &pod, namespace: NAMESPACE };
    let found = Found { value: SecretValue::text("planted".to_owned()), pull_secret: None, reference: None };
    for manager in [SecretManagerType::Global, SecretManagerType::Embedded] {
        let request = request("g", "", "k", MountRequirement::ENV_VAR, "");
        let decline = inject(manager, &context, &request, Some(&found)).unwrap_err();
        assert!(decline.0.contains("no Secret to refer to"), "{decline:?}");
    }
}

#[test]
fn the_k8s_manager_hands_out_neither_mirrors_nor_image_pull_secrets() {
    let declined = |group: &str| {
        let mut case = case("v2", &[request(group, "", "value", MountRequirement::ENV_VAR, "")], &Value::Null);
        case["config"]["secretManagerTypes"] = json!(["K8s"]);
        play_case(&case, Delivery::SecretRef).declined
    };
    for (group, words) in
        [(&*mirror("k", Form::Env), "it is a mirror"), ("img-pull-0123456789abcdef", "pulling images")]
    {
        let reasons = declined(group);
        assert!(reasons.iter().any(|reason| reason.contains(words)), "{reasons:?}");
    }
    for group in ["flyte-mirror-of-mine", "img-pull-mine"] {
        assert!(declined(group).iter().all(|reason| !reason.starts_with("K8s")), "{group}");
    }
}
