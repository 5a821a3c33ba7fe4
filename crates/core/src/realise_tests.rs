use serde_json::json;

use super::*;

fn text(value: &SecretValue) -> &str {
    value.expose_text().unwrap()
}

/// Secrets hold `<secret>/<key>` for every key but `missing`.
fn realised(plan: &Plan) -> Realised {
    plan.realise(|SecretReference { name, key }| (key != "missing").then(|| SecretValue::text(format!("{name}/{key}"))))
}

fn variables(pod: &Value, wanted: impl Fn(&str) -> bool) -> Vec<(String, String, bool)> {
    let realised = realised(&Plan::of(pod, None, wanted).unwrap());
    realised.variables.into_iter().map(|one| (one.name, text(&one.value).to_owned(), one.from_secret)).collect()
}

fn files(pod: &Value) -> Vec<(String, String)> {
    let realised = realised(&Plan::of(pod, None, |_| true).unwrap());
    realised.files.iter().map(|(path, value)| (path.clone(), text(value).to_owned())).collect()
}

fn pod_with_env(env: Value) -> Value {
    json!({"spec": {"containers": [{"name": "task", "env": env}]}})
}

fn reference(name: &str, key: &str, optional: bool) -> Value {
    json!({"secretKeyRef": {"name": name, "key": key, "optional": optional}})
}

#[test]
fn variables_come_in_their_order_and_only_those_that_are_wanted() {
    let pod = pod_with_env(json!([
        {"name": "OWN", "value": "mine"},
        {"name": "OTHER", "valueFrom": reference("others", "k", false)},
        {"name": "S_A", "valueFrom": reference("g", "k", true)},
        {"name": "S_B", "value": "$(OWN)/$(S_A)/$(OTHER)/$(S_C)/$$(OWN)"},
        {"name": "S_C"},
    ]));
    let expected = [
        ("S_A", "g/k", true),
        // What comes later, and what nobody has looked for, is not there yet.
        ("S_B", "mine/g/k/$(OTHER)/$(S_C)/$(OWN)", false),
        ("S_C", "", false),
    ];
    let expected = expected.map(|(name, value, from_secret)| (name.to_owned(), value.to_owned(), from_secret));
    assert_eq!(variables(&pod, |name| name.starts_with("S_")), expected);
    let plan = Plan::of(&pod, None, |name| name.starts_with("S_")).unwrap();
    assert_eq!(plan.references().into_iter().collect::<Vec<_>>(), [("g", "k")]);
}

#[test]
fn what_is_missing_is_left_out_and_told() {
    let pod = pod_with_env(json!([
        {"name": "A", "valueFrom": reference("g", "missing", true)},
        {"name": "B", "valueFrom": reference("h", "missing", false)},
        {"name": "C", "value": "$(A)"},
    ]));
    let realised = realised(&Plan::of(&pod, None, |_| true).unwrap());
    assert_eq!(realised.variables.len(), 1);
    assert_eq!(text(&realised.variables[0].value), "$(A)");
    let told: Vec<(String, bool)> = realised.missing.iter().map(|one| (one.to_string(), one.optional)).collect();
    let sentence = |name, secret| {
        format!("the variable {name} has no value: there is no key \"missing\" of a Secret \"{secret}\"")
    };
    assert_eq!(told, [(sentence("A", "g"), true), (sentence("B", "h"), false)]);
}

#[test]
fn files_are_those_of_every_volume_below_the_folder_of_the_secrets() {
    let pod = json!({"spec": {
        "containers": [{"name": "task", "volumeMounts": [
            {"name": "inner", "mountPath": "/etc/flyte/secrets/group"},
            {"name": "outer", "mountPath": "/etc/flyte/secrets"},
            {"name": "own", "mountPath": "/data"},
            {"name": "no-such-volume", "mountPath": "/etc/flyte/secrets/x"},
            {"name": "beside", "mountPath": "/etc/flyte/secrets-of-others"},
        ]}],
        "volumes": [
            {"name": "outer", "projected": {"sources": [
                {"secret": {"name": "m1", "items": [{"key": "value", "path": "Key"}, {"key": "value", "path": "key"}]}},
                {"secret": {"name": "m2", "items": [{"key": "value", "path": "group/key"}]}},
                {"configMap": {"name": "c"}},
            ]}},
            {"name": "inner", "secret": {"secretName": "group", "optional": true, "items": [
                {"key": "KEY", "path": "key"}, {"key": "KEY", "path": "v1/key"}, {"key": "missing", "path": "m"},
            ]}},
            {"name": "own", "secret": {"secretName": "group", "items": [{"key": "a", "path": "a"}]}},
            {"name": "beside", "secret": {"secretName": "group", "items": [{"key": "a", "path": "a"}]}},
        ],
    }});
    let expected =
        [("Key", "m1/value"), ("group/key", "group/KEY"), ("group/v1/key", "group/KEY"), ("key", "m1/value")];
    assert_eq!(files(&pod), expected.map(|(path, value)| (path.to_owned(), value.to_owned())));
}

#[test]
fn no_path_leaves_the_folder() {
    let pod = json!({"spec": {
        "containers": [{"name": "task", "volumeMounts": [{"name": "v", "mountPath": "/etc/flyte/secrets/g"}]}],
        "volumes": [{"name": "v", "secret": {"secretName": "s", "items": [
            {"key": "a", "path": "../../../../root/a"}, {"key": "b", "path": "../b"}, {"key": "c", "path": ".."},
        ]}}],
    }});
    assert_eq!(files(&pod), [("b".to_owned(), "s/b".to_owned())]);
}

#[test]
fn what_a_writer_writes_is_read_from_its_lines() {
    let line = |name: &str, value: &str| format!("{name}={}\n", BASE64.encode(value.as_bytes()));
    let lines = line("Key", "one") + &line("a$$b", "two") + &line("key", "three") + &line("UP", "=\n=");
    let mount = |read_only| json!([{"name": "v", "mountPath": "/etc/flyte/secrets", "readOnly": read_only}]);
    let pod = json!({"spec": {
        "containers": [{"name": "task", "volumeMounts": mount(true)}],
        "initContainers": [
            {"name": "writer", "env": [{"name": "SECRETS", "value": lines}], "volumeMounts": mount(false)},
            {"name": "reader", "volumeMounts": mount(true)},
            {"name": "aws-pull-secret-0", "volumeMounts": mount(false)},
        ],
        "volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}],
    }});
    // The lower-case name of one is the name of another, who keeps it.
    let expected = [("Key", "one"), ("UP", "=\n="), ("a$b", "two"), ("key", "three"), ("up", "=\n=")];
    assert_eq!(files(&pod), expected.map(|(path, value)| (path.to_owned(), value.to_owned())));
    let plan = Plan::of(&pod, None, |_| true).unwrap();
    assert_eq!(plan.unfilled().iter().collect::<Vec<_>>(), ["aws-pull-secret-0"]);
}

#[test]
fn a_container_is_found_by_its_name_and_one_that_is_not_there_is_named() {
    let env = |value: &str| json!([{"name": "WHO", "value": value}]);
    let pod = json!({"spec": {
        "containers": [{"name": "task", "env": env("task")}, {"name": "side", "env": env("side")}],
        "initContainers": [{"name": "init", "env": env("init")}],
    }});
    for (container, expected) in [(None, "task"), (Some("side"), "side"), (Some("init"), "init")] {
        let plan = Plan::of(&pod, container, |_| true).unwrap();
        assert_eq!(text(&realised(&plan).variables[0].value), expected);
    }
    let error = Plan::of(&pod, Some("x"), |_| true).unwrap_err();
    assert_eq!(error.to_string(), "the pod has no container \"x\"; it has task, side, init");
    assert!(Plan::of(&json!({"spec": {}}), None, |_| true).is_err());
}

#[test]
fn nothing_prints_a_value() {
    let pod = pod_with_env(json!([{"name": "A", "value": "hunter2"}]));
    let plan = Plan::of(&pod, None, |_| true).unwrap();
    let realised = realised(&plan);
    assert!(!format!("{plan:?}{realised:?}").contains("hunter2"));
}
