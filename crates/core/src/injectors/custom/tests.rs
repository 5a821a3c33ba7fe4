//! Descriptions that are refused, templates that are filled, and what no request can do.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::place::{Kind, Text};
use super::*;
use crate::outline::PodOutline;
use crate::settings::{Profile, Settings};

/// What is wrong with a manager that has this `file` section.
fn problems(file: Value) -> Vec<String> {
    let description = json!({"name": "Mine", "requires": ["group", "key"], "file": file});
    let problems = CustomManager::compile(&description).problems;
    problems.into_iter().map(|problem| format!("{}: {}", problem.path.join("."), problem.message)).collect()
}

fn script(script: &str) -> Value {
    json!({"initContainers": [{"name": "get-{{id}}", "image": "x", "command": ["sh", "-ec", script]}]})
}

#[test]
fn what_could_break_out_of_a_shell_script_is_refused() {
    let broken = [
        ("get {{key}}", "could break out"),
        ("get '{{key}}'", "could break out"),
        ("get \"{{key}}\"", "could break out"),
        ("get {{key|json}}", "{{key|json|sh}}"),
        ("get '{{key|sh}}'", "inside quotation marks"),
        ("get \"{{key|sh}}\"", "inside quotation marks"),
        ("get \"a\" \"b {{key|sh}}\"", "inside quotation marks"),
        ("get `echo {{key|sh}}`", "inside backquotes"),
        ("# {{key|sh}}\nget", "in a comment"),
        ("get \\{{key|sh}}", "behind a backslash"),
        ("get ${{key|sh}}", "behind a `$`"),
        ("get ${x:-{{key|sh}}}", "inside `${…}`"),
        ("get \"${x:-{{key|sh}}}\"", "inside `${…}`"),
        ("get $((1 + {{key|sh}}))", "inside `${…}`"),
        ("((x = {{key|sh}}))", "inside `${…}`"),
        ("eval {{key|sh}}", "behind a here-document"),
        ("sh -c {{key|sh}}", "behind a here-document"),
        ("x; /bin/bash -c {{key|sh}}", "behind a here-document"),
        ("cat <<END\n{{key|sh}}\nEND", "behind a here-document"),
        ("echo $'it\\'s' {{key|sh}}", "behind a here-document"),
        ("echo $(x)#' \n{{key|sh}}", "behind a here-document"),
        ("echo \"$(case x in a) echo \"{{key|sh}}\";; esac)\"", "could break out"),
    ];
    for (text, expected) in broken {
        let problems = problems(script(text));
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{text}: {problems:?}");
    }
}

#[test]
fn words_of_a_shell_script_are_taken_where_they_are_words() {
    let taken = [
        "get {{key|sh}}",
        "x={{key|sh}}; get \"$x\" # it's a comment",
        "get --key={{group|lower|sh}}/{{key|sh}} > /x",
        "x=$(get {{key|sh}})",
        "x=\"$(get {{key|sh}})\"",
        "get 'it is' \"quoted\" \\' {{key|sh}}",
        "get \"{{key|plain}}\" '{{key|url}}' `x {{id}}` # {{key|env}}",
        "if [ -n \"${x:-}\" ]; then get {{key|sh}}; fi",
    ];
    for text in taken {
        assert_eq!(problems(script(text)), [""; 0], "{text}");
    }
}

#[test]
fn a_script_is_found_wherever_a_shell_reads_it() {
    let commands = [
        json!({"command": ["/bin/bash", "-euo", "pipefail", "-c", "{{key}}"]}),
        json!({"command": ["sh", "-ec"], "args": ["{{key}}"]}),
        json!({"command": ["sh"], "args": ["-ceuo", "pipefail", "{{key}}"]}),
        json!({"command": ["busybox", "sh", "-c", "{{key}}"]}),
        json!({"command": ["env", "A=b", "ash", "-c", "{{key}}"]}),
        json!({"args": ["-c", "{{key}}"]}),
        json!({"command": ["python3.12", "-c", "print('{{key|json}}')"]}),
        json!({"command": ["perl", "-e", "{{key|sh}}"]}),
        json!({"command": ["{{key}}"]}),
    ];
    for command in commands {
        let mut container = json!({"name": "get-{{id}}", "image": "x"});
        container.as_object_mut().unwrap().extend(command.as_object().unwrap().clone());
        let problems = problems(json!({"initContainers": [container]}));
        assert_eq!(problems.len(), 1, "{command}: {problems:?}");
    }
    let arguments = json!({"name": "get-{{id}}", "image": "x", "command": ["sh", "-c", "get \"$1\"", "x", "{{key}}"]});
    assert_eq!(problems(json!({"initContainers": [arguments]})), [""; 0]);
}

#[test]
fn what_is_wrong_with_a_description_is_told_with_its_place() {
    let container = |more: Value| {
        let mut container = json!({"name": "get-{{id}}", "image": "x"});
        container.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"initContainers": [container]})
    };
    let cases = [
        (json!({"volume": []}), "volume: unknown key"),
        (json!({"volumes": [{"name": "a"}]}), "volumes.0: a volume has a `name` and exactly one source"),
        (json!({"volumes": [{"name": "A_b", "emptyDir": {}}]}), "volumes.0.name: \"A_b\" cannot name a volume"),
        (
            json!({"volumes": [{"name": "v", "csi": {"driver": "{{grop}}"}}]}),
            "volumes.0.csi.driver: `{{grop}}` names no field",
        ),
        (json!({"volumes": [{"name": "v", "csi": {"driver": "{{group|upper|shh}}"}}]}), "`shh` in"),
        (
            json!({"volumes": [{"name": "v-{{id}}", "csi": {"driver": "{{group|sh|lower}}"}}]}),
            "cannot stand behind `sh`",
        ),
        (json!({"volumes": [{"name": "v", "csi": {"driver": "{{group"}}]}), "without its `}}`"),
        (json!({"volumes": [{"name": "v", "csi": {"driver": "{{group}}"}}]}), "volumes.0.csi: depends on {{group}}"),
        (json!({"volumes": [{"name": "v-{{id}}", "csi": {"{{key}}": "x"}}]}), "a template in the name of a member"),
        (json!({"volumes": [{"name": "v", "emptyDir": null}]}), "volumes.0.emptyDir: nothing stands here"),
        (
            json!({"volumes": [{"name": "v-{{id}}", "hostPath": {"path": "/{{key}}"}}]}),
            "nothing from a request may stand here",
        ),
        (json!({"volumes": [{"name": "aws-secret-vol", "emptyDir": {}}]}), "a name of another manager's"),
        (json!({"volumes": [{"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}]}), "\"v\" is there twice"),
        (json!({"volumeMounts": [{"name": "v", "mountPath": "/a"}]}), "volumeMounts.0: mounts the volume \"v\""),
        (
            json!({"volumeMounts": [{"name": "v", "mountPath": "a"}]}),
            "volumeMounts.0.mountPath: \"a\" is no absolute path",
        ),
        (
            container(json!({"volumeMounts": [{"name": "v", "mountPath": "/a"}]})),
            "initContainers.0: mounts the volume \"v\"",
        ),
        (container(json!({"image": "x:{{group}}"})), "image: nothing from a request may stand here"),
        (container(json!({"restartPolicy": "Always"})), "a container that keeps running belongs to `sidecars`"),
        (container(json!({"livenessProbe": {}})), "Kubernetes takes this in `sidecars` only"),
        (container(json!({"env": [{"name": "A", "value": "${{key}}"}]})), "a `$` right in front of a placeholder"),
        (json!({"initContainers": [{"name": "get-{{id}}"}]}), "initContainers.0: needs `image`"),
        (json!({"initContainers": [{"name": "get", "image": "x", "args": ["{{key}}"]}]}), "args: depends on {{key}}"),
        (json!({"sidecars": [{"name": "s", "image": "x", "restartPolicy": "Never"}]}), "is `Always` for a sidecar"),
        (json!({"annotations": {"a/{{key|plain}}/b": "x"}}), "cannot name an annotation"),
        (json!({"annotations": {"flyte.secrets/s9": "x"}}), "is an annotation of requests"),
        (json!({"annotations": {"a": "{{key}}"}}), "annotations.a: depends on {{key}}"),
        (json!({"annotations": {"a-{{id}}": "{\"k\": \"{{key}}\"}"}}), "the text has a grammar"),
        (json!({"annotations": {"a-{{id}}": "k: \"{{key|json}}\""}}), "has quotation marks of its own"),
        (json!({"annotations": {"a-{{id}}": "https://x/{{key}}"}}), "could change the structure of the URL"),
        (json!({"annotations": {"a": 5}}), "must be a text"),
        (json!({"env": [{"name": "A", "value": "{{key}}"}]}), "every request of a pod would set this variable"),
        (json!({"env": [{"name": "A"}]}), "env.0: needs `name`, and `value` or `valueFrom`"),
        (json!({"path": "{{key}}"}), "path: "),
    ];
    for (file, expected) in cases {
        let problems = problems(file.clone());
        assert!(problems.iter().any(|problem| format!("file.{problem}").contains(expected)), "{file}: {problems:?}");
    }
    let cases = [
        (json!({"name": "Vault", "file": {}}), "name: must be a name"),
        (json!({"name": "a b", "file": {}}), "name: must be a name"),
        (json!({"name": "A"}), ": needs `file` or `envVar`"),
        (json!({"name": "A", "file": {}, "any": "ENV_VAR"}), ": `any: ENV_VAR` without `envVar`"),
        (json!({"name": "A", "file": {}, "any": "ANY"}), "any: must be FILE or ENV_VAR"),
        (json!({"name": "A", "file": {}, "requires": ["group", "version"]}), "requires.1: names no field"),
        (json!({"name": "A", "file": {"annotations": {"a-{{id}}": "{{key}}"}}}), "add `key` to `requires`"),
        (json!({"name": "A", "file": {}, "once": true}), "once: unknown key"),
        (json!([]), ": must be a mapping"),
    ];
    for (description, expected) in cases {
        let problems = CustomManager::compile(&description).problems;
        let problems: Vec<_> = problems.iter().map(|one| format!("{}: {}", one.path.join("."), one.message)).collect();
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{description}: {problems:?}");
    }
}

fn request(group: &str, key: &str) -> Secret {
    Secret { group: group.to_owned(), key: key.to_owned(), ..Secret::default() }
}

fn fill(template: &str, kind: Kind, expanded: bool, request: &Secret) -> Result<String, String> {
    let text = Text::new(template, kind, expanded).unwrap();
    text.fill(&compiler::sample(request)).map_err(|decline| decline.0)
}

#[test]
fn forms_of_a_text() {
    let request = Secret { env_var: "MY".to_owned(), group_version: "3".to_owned(), ..request("My/Group", "it's $1") };
    let cases = [
        ("{{key|lower}}", "it's $1"),
        ("{{ group | upper }}", "MY/GROUP"),
        ("{{group|env}}", "MY_GROUP"),
        ("v-{{group|dns}}", "v-my-group-4cd9c9d1"),
        ("{{key|sh}}", r"'it'\''s $1'"),
        ("{{key|json}}", r#""it's $1""#),
        ("{{key|json|sh}}", r#"'"it'\''s $1"'"#),
        ("{{group|url}}", "My%2FGroup"),
        ("{{group|path}}", "My/Group"),
        (
            "{{groupVersion}} {{envVar}} {{variable}} {{index}} {{namespace}}",
            "3 MY _UNION_MY/GROUP_3_IT'S $1 0 namespace",
        ),
        ("{{\"{{\"}} with {{group|json}} }}", "{{ with \"My/Group\" }}"),
    ];
    for (template, expected) in cases {
        let filled = fill(template, Kind::Text, false, &request).unwrap();
        if template.contains("dns") {
            assert!(filled.starts_with("v-my-group-") && filled.len() == "v-my-group-".len() + 8, "{filled}");
        } else {
            assert_eq!(filled, expected, "{template}");
        }
    }
    assert_eq!(fill("{{envVar}}", Kind::Text, false, &super::tests::request("g", "k")).unwrap(), "_UNION_G_K");
    assert_eq!(fill("{{id}}", Kind::Text, false, &request).unwrap().len(), 16);
}

#[test]
fn values_that_do_not_fit_their_place_are_declined_with_the_reason() {
    let cases = [
        ("{{key}}", Kind::Text, "a\nb", "holds a control character"),
        ("/x/{{key}}", Kind::MountPath, "../etc", "has a '..' segment"),
        ("/x/{{key}}", Kind::MountPath, "a:b", "holds a ':'"),
        ("{{key|path}}", Kind::Text, "/etc", "is an absolute path"),
        ("{{key|plain}}", Kind::Text, "a/b", "may only hold"),
        ("{{key|plain}}", Kind::Text, "-a", "may only hold"),
        ("{{key|plain}}", Kind::Text, "", "may only hold"),
        ("{{key|url}}", Kind::Text, "..", "would resolve away"),
        ("{{key}}", Kind::Argument, "--help", "taken for an option"),
        ("get {{key|sh}}", Kind::Script, "--help", "taken for an option"),
        ("get {{key|sh}}", Kind::Script, "- x", "taken for an option"),
        ("{{key|sh}}", Kind::Script, "a\0b", "NUL"),
        ("v-{{key}}", Kind::Label, "A", "cannot name a volume"),
        ("{{key}}", Kind::Variable, "a=b", "cannot name a variable"),
        ("example.com/{{key}}", Kind::Annotation, "a/b", "cannot name an annotation"),
    ];
    for (template, kind, key, expected) in cases {
        let declined = fill(template, kind, false, &request("g", key)).unwrap_err();
        assert!(declined.contains(expected), "{template} {key:?}: {declined}");
    }
}

#[test]
fn the_kubelet_expands_what_the_administrator_wrote_and_nothing_else() {
    let request = request("g", "a$(B)$");
    for (template, expected) in [
        ("{{key}}", "a$$(B)$$"),
        ("$(HOME)/{{key}}", "$(HOME)/a$$(B)$$"),
        ("x=$(get {{key|sh}})", "x=$$(get 'a$$(B)$$')"),
        ("$x $$y $$(z) {{key|plain}}", "$x $$y $$(z) k"),
    ] {
        let request = if template.contains("plain") { super::tests::request("g", "k") } else { request.clone() };
        assert_eq!(fill(template, Kind::Text, true, &request).unwrap(), expected, "{template}");
    }
}

/// What a template with every kind of place makes of requests.
fn everywhere() -> CustomManager {
    let description = json!({
        "name": "Everywhere", "requires": ["group", "key"],
        "file": {
            "volumes": [
                {"name": "v-{{group|dns}}-{{id}}", "csi": {"driver": "d", "volumeAttributes": {"a": "{{group}}", "b": "{{key|json}}"}}},
            ],
            "volumeMounts": [{"name": "v-{{group|dns}}-{{id}}", "mountPath": "/m/{{id}}", "subPath": "{{groupVersion|dns}}"}],
            "initContainers": [{
                "name": "c-{{id}}", "image": "x", "command": ["sh", "-ec"],
                "args": ["set -- {{group|sh}} {{key|sh}}; x=\"$(printf %s {{key|json|sh}})\"; printf '%s\\0' $# \"$1\" \"$2\" \"$x\""],
                "env": [{"name": "A", "value": "{{group}}"}],
            }],
            "annotations": {"a/{{id}}": "- {name: {{group|json}}, key: {{key|json}}}\n", "u/{{id}}": "https://x/{{group|url}}?{{key|url}}"},
            "env": [{"name": "{{key|env}}", "value": "{{group}}"}],
        },
    });
    let compiled = CustomManager::compile(&description);
    assert_eq!(compiled.problems, []);
    compiled.manager.unwrap()
}

/// Texts that are hostile to shells, to YAML, to URLs, to the kubelet.
fn hostile() -> impl Strategy<Value = String> {
    let odd = [
        "'", "\"", "\\", "$(id)", "${x}", "`", "\n", ";", "#", "{{key}}", "}}", "..", "/", "%2f", "--", "*", "~", "ü",
        " ", "<<E", "!",
    ];
    prop_oneof![
        proptest::collection::vec(
            prop_oneof![proptest::sample::select(odd.to_vec()).prop_map(str::to_owned), "[a-zA-Z0-9]{1,3}"],
            1..8
        )
        .prop_map(|parts| parts.concat()),
        "\\PC{1,12}",
    ]
}

/// The shape of a value: everything but texts.
fn shape(value: &Value) -> Value {
    match value {
        Value::String(_) => json!("…"),
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), shape(value))).collect(),
        other => other.clone(),
    }
}

/// What the kubelet makes of a container's texts (`k8s.io/kubernetes/third_party/forked/golang/expansion`), without variables.
fn expanded(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(end) = rest.strip_prefix('(').and_then(|inside| inside.find(')')) {
            // A variable that is not there stays as it is written.
            out.push_str(&format!("$({})", &rest[1..=end]));
            rest = &rest[end + 2..];
        } else {
            out.push('$');
        }
    }
    out + rest
}

fn inject_with(manager: &CustomManager, secret: &Secret) -> Answer {
    let settings = Settings { custom: vec![manager.clone()], ..Settings::defaults(Profile::Flyte2) };
    let pod = PodOutline::default();
    inject("Everywhere", &Context { settings: &settings, pod: &pod, namespace: "ns" }, secret)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn requests_fill_texts_and_change_no_structure(group in hostile(), key in hostile(), version in hostile()) {
        let manager = everywhere();
        let usual = inject_with(&manager, &request("group", "key")).unwrap();
        let asked = Secret { group_version: version, ..request(&group, &key) };
        // What does not fit somewhere is declined as a whole.
        let Ok(injection) = inject_with(&manager, &asked) else { return Ok(()) };
        let (ours, usual) = (injection.described.unwrap(), usual.described.unwrap());
        for (part, usual) in ours.parts().zip(usual.parts()) {
            prop_assert_eq!(shape(part), shape(usual));
        }
        prop_assert_eq!(ours.parts().count(), usual.parts().count());
        let attributes = &ours.volumes[0]["csi"]["volumeAttributes"];
        prop_assert_eq!(&attributes["a"], &json!(group));
        prop_assert_eq!(serde_json::from_str::<String>(attributes["b"].as_str().unwrap()).unwrap(), key.clone());
        let container = &ours.init_containers[0];
        prop_assert_eq!(expanded(container["env"][0]["value"].as_str().unwrap()), group.clone());
        let url = &injection.annotations.iter().find(|one| one.name.starts_with("u/")).unwrap().value;
        prop_assert_eq!(url.matches(['/', '?', '#']).count(), 4, "{}", url);
        let flow = &injection.annotations.iter().find(|one| one.name.starts_with("a/")).unwrap().value;
        prop_assert_eq!(flow, &format!("- {{name: {}, key: {}}}\n", json!(group), json!(key)));
        // A real shell reads the same words.
        let script = expanded(container["args"][0].as_str().unwrap());
        let ran = Command::new("sh").args(["-ec", &script]).output().unwrap();
        prop_assert!(ran.status.success(), "{}: {:?}", script, ran);
        let expected = format!("2\0{group}\0{key}\0{}\0", json!(key));
        prop_assert_eq!(String::from_utf8(ran.stdout).unwrap(), expected);
    }
}
