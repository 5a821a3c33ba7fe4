//! `explain`: names, managers and reasons; never a value.

use serde_json::{Value, json};

use crate::program::{Program, Ran, SCOPE, file, managers, managers_with_values_in_pods, pod, variable};

fn explain(config: &str, pod: &Value, more: &[&str]) -> Ran {
    let program = Program::new();
    program.file("pod.json", pod.to_string()).file("config.yaml", config);
    program.file("values.yaml", format!("{SCOPE}api_key: the-value\n{SCOPE}down: {{error: unavailable}}\n"));
    let arguments = ["explain", "-f", "pod.json", "--config", "config.yaml", "--values", "values.yaml"];
    program.run(&[&arguments[..], more].concat())
}

/// The one pod as JSON, whatever the exit code.
fn explained(config: &str, pod: &Value, code: i32) -> Value {
    let ran = explain(config, pod, &["-o", "json"]);
    assert_eq!(ran.code, code, "{ran:?}");
    let mut all: Value = serde_json::from_slice(&ran.out).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 1);
    all[0].take()
}

#[test]
fn a_served_request_shows_managers_variables_and_files() {
    let mut request = variable("", "api_key");
    request.env_var = "API_KEY".to_owned();
    let pod = pod("p", &[request, file("user-info", "user_secret")]);
    let one = explained(&managers("Embedded, K8s"), &pod, 0);
    assert_eq!((&one["object"], &one["decision"]), (&json!("Pod flytesnacks-development/p"), &json!("patched")));
    let [first, second] = one["requests"].as_array().unwrap().as_slice() else { panic!("{one}") };
    assert_eq!(first["annotation"], "flyte.secrets/s0");
    assert_eq!(
        first["request"],
        "[key:\"api_key\" mount_requirement:ENV_VAR env_var:\"API_KEY\"]".trim_matches(['[', ']'])
    );
    assert_eq!(first["servedBy"], "Embedded");
    assert_eq!(first["managers"][0]["manager"], "Global");
    assert_eq!(first["managers"][0]["answer"], "declines");
    assert_eq!(first["managers"][0]["why"], "needs a group");
    let stored = format!("{SCOPE}api_key");
    assert_eq!(first["found"], json!({"store": "values", "scope": "project", "id": stored}));
    let delivery = first["delivery"].as_str().unwrap();
    let mirror = delivery.strip_prefix("SecretRef: a reference to the Secret ").unwrap();
    let mirror = mirror.strip_suffix(", a mirror that the webhook keeps").unwrap();
    assert!(mirror.starts_with("flyte-mirror-"), "{mirror}");
    let holds = format!("the value, key \"value\" of the Secret {mirror:?}");
    assert!(first["variables"].as_array().unwrap().contains(&json!({"name": "API_KEY", "holds": holds})));
    assert!(second.get("found").is_none(), "{second}");
    assert_eq!(second["servedBy"], "K8s");
    assert_eq!(second["files"][0]["name"], "/etc/flyte/secrets/user-info/user_secret");
    assert_eq!(second["files"][0]["holds"], "key \"user_secret\" of the Secret \"user-info\"");
    assert_eq!(second["delivery"], "a reference to a Kubernetes Secret");
}

#[test]
fn text_says_the_same_as_json() {
    let pod = pod("p", &[variable("", "api_key"), file("user-info", "user_secret")]);
    let text = explain(&managers_with_values_in_pods("Embedded, K8s"), &pod, &[]).done();
    let found = format!("    found     in the project's scope, as {SCOPE}api_key in values");
    for line in [
        "Pod flytesnacks-development/p: patched",
        "  flyte.secrets/s0  [key:\"api_key\" mount_requirement:ENV_VAR]",
        "    Global   declines: needs a group",
        "    Embedded serves it",
        &found,
        "    delivery  PodSpec: the value stands in the pod",
        "    variable  _UNION_API_KEY = the value",
        "    file      /etc/flyte/secrets/user-info/user_secret = key \"user_secret\" of the Secret \"user-info\"",
    ] {
        assert!(text.lines().any(|one| one == line), "{line}\n{text}");
    }
    assert!(!text.contains("the-value"));
}

#[test]
fn text_names_the_mirror_of_a_value() {
    let text = explain(&managers("Embedded"), &pod("p", &[variable("", "api_key")]), &[]).done();
    let line = |start: &str| text.lines().find_map(|line| line.trim_start().strip_prefix(start)).unwrap();
    let mirror = line("delivery  SecretRef: a reference to the Secret ").split(',').next().unwrap();
    let seen = line("variable  _UNION_API_KEY = ");
    assert_eq!(seen, format!("the value, key \"value\" of the Secret {mirror:?}"));
    assert!(!text.contains("the-value"));
}

#[test]
fn a_value_that_stands_in_the_pod_is_told() {
    let config = managers_with_values_in_pods("Embedded");
    let one = explained(&config, &pod("p", &[variable("", "api_key")]), 0);
    let request = &one["requests"][0];
    assert_eq!(request["delivery"], "PodSpec: the value stands in the pod");
    assert_eq!(request["found"]["scope"], "project");
    assert!(
        request["variables"].as_array().unwrap().contains(&json!({"name": "_UNION_API_KEY", "holds": "the value"}))
    );
}

#[test]
fn only_trusted_creators_are_served_where_some_are_named() {
    let config = managers("Embedded") + "  accessPolicy: {trustedCreators: [\"flyte\"]}\n";
    let pod = pod("p", &[variable("", "api_key")]);
    for (creator, code) in [(&["--as", "flyte"][..], 0), (&["--as", "mallory"], 3), (&[], 3)] {
        let ran = explain(&config, &pod, creator);
        let text = String::from_utf8(ran.out.clone()).unwrap();
        assert_eq!((ran.code, text.contains("rule creator of the access policy")), (code, code == 3), "{ran:?}");
    }
}

#[test]
fn a_refused_pod_shows_every_managers_reason() {
    let one = explained(&managers("Embedded"), &pod("p", &[variable("", "missing")]), 3);
    assert_eq!((&one["decision"], &one["code"]), (&json!("refused"), &json!(400)));
    let managers = one["requests"][0]["managers"].as_array().unwrap();
    assert_eq!(managers.len(), 2);
    assert!(managers.iter().all(|manager| manager["answer"] == "declines" && manager["why"].is_string()));
    assert!(one["requests"][0].get("servedBy").is_none());
    assert!(one["message"].as_str().unwrap().contains("Embedded: "), "{one}");
    let text = explain(&crate::program::managers("Embedded"), &pod("p", &[variable("", "missing")]), &[]);
    assert!(text.code == 3 && String::from_utf8(text.out).unwrap().contains("  400: none of the secret managers"));
}

#[test]
fn a_store_that_is_down_fails_the_request_for_now() {
    let one = explained(&managers("Embedded, K8s"), &pod("p", &[variable("", "down")]), 3);
    assert_eq!((&one["decision"], &one["code"]), (&json!("refused"), &json!(503)));
    let managers = one["requests"][0]["managers"].as_array().unwrap();
    let answers: Vec<_> = managers.iter().map(|manager| (&manager["manager"], &manager["answer"])).collect();
    assert_eq!(answers, [(&json!("Global"), &json!("declines")), (&json!("Embedded"), &json!("fails"))]);
}

#[test]
fn flyte_1_admits_what_nobody_serves() {
    let config = "webhook: {profile: flyte1, secretManagerType: K8s}\n";
    let one = explained(config, &pod("p", &[variable("", "no-group")]), 0);
    assert_eq!(one["decision"], "admitted unchanged");
    assert!(one["message"].as_str().unwrap().starts_with("none of the secret managers"), "{one}");
}

#[test]
fn an_annotation_that_cannot_be_read_is_told() {
    let mut pod = pod("p", &[]);
    pod["metadata"]["annotations"] = json!({"flyte.secrets/s0": "!"});
    let one = explained(&managers("K8s"), &pod, 3);
    assert!(one["message"].as_str().unwrap().contains("annotation flyte.secrets/s0"), "{one}");
}

#[test]
fn a_pod_that_asks_for_nothing_stays_as_it_is() {
    let one = explained(&managers("K8s"), &pod("p", &[]), 0);
    assert_eq!((&one["decision"], &one["requests"]), (&json!("unchanged"), &json!([])));
}

#[test]
fn a_pod_without_the_label_is_not_asked_about() {
    let mut pod = pod("p", &[variable("g", "k")]);
    pod["metadata"]["labels"] = json!({});
    let one = explained(&managers("K8s"), &pod, 0);
    assert_eq!(one["decision"], "not asked");
    assert!(one["message"].as_str().unwrap().contains("inject-flyte-secrets"), "{one}");
    let ran = explain(&managers("K8s"), &pod, &["-o", "json", "--ignore-label"]);
    assert_eq!(ran.json()[0]["requests"][0]["servedBy"], "K8s");
}

#[test]
fn two_requests_for_one_variable_are_warned_of() {
    let mut other = variable("other", "key");
    other.env_var = "_UNION_G_KEY".to_owned();
    let one = explained(&managers("K8s"), &pod("p", &[variable("g", "key"), other]), 0);
    assert!(one["warnings"][0].as_str().unwrap().contains("_UNION_G_KEY"), "{one}");
}

#[test]
fn an_input_without_pods_is_an_error() {
    let told = explain("", &json!({"kind": "ConfigMap"}), &[]).failed();
    assert!(told.contains("no pod"), "{told}");
}

#[test]
fn without_a_cluster_nobody_looks_whether_secrets_are_there_and_that_is_said() {
    let pod = pod("p", &[variable("user-info", "user_secret")]);
    let config = "webhook: {secretManagerTypes: [K8s], k8s: {checkExists: Refuse}}";
    let ran = explain(config, &pod, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("webhook.k8s.checkExists: there is no cluster here"), "{ran:?}");
}
