//! `inject`: documents in, documents out.

use serde_json::{Value, json};

use crate::program::{Program, Ran, SCOPE, file, managers, managers_with_values_in_pods, pod, variable};

const ARGUMENTS: [&str; 5] = ["inject", "--config", "config.yaml", "--values", "values.yaml"];

/// A program with one stored secret, `api_key`, whose value stands in the pod.
fn program() -> Program {
    let program = Program::new();
    program.file("config.yaml", managers_with_values_in_pods("Embedded, K8s"));
    program.file("values.yaml", format!("{SCOPE}api_key: the-value\n"));
    program
}

fn inject(program: &Program, more: &[&str], input: impl AsRef<[u8]>) -> Ran {
    program.run_with(&[&ARGUMENTS[..], &["-f", "-"], more].concat(), input.as_ref())
}

fn template(kind: &str, pointer: &[&str]) -> Value {
    let mut template = pod("unused", &[variable("", "api_key")]);
    let members = template.as_object_mut().unwrap();
    members.retain(|name, _| name == "metadata" || name == "spec");
    let mut object = template;
    for member in pointer.iter().rev() {
        object = json!({*member: object});
    }
    object["apiVersion"] = json!("v1");
    object["kind"] = json!(kind);
    object["metadata"] = json!({"name": "it", "namespace": "flytesnacks-development"});
    object
}

fn names(container: &Value) -> Vec<&str> {
    container["env"].as_array().into_iter().flatten().map(|variable| variable["name"].as_str().unwrap()).collect()
}

#[test]
fn pods_are_injected_in_every_kind_that_holds_them() {
    for (kind, pointer) in [
        ("Deployment", &["spec", "template"][..]),
        ("ReplicaSet", &["spec", "template"]),
        ("StatefulSet", &["spec", "template"]),
        ("DaemonSet", &["spec", "template"]),
        ("ReplicationController", &["spec", "template"]),
        ("Job", &["spec", "template"]),
        ("CronJob", &["spec", "jobTemplate", "spec", "template"]),
        ("PodTemplate", &["template"]),
    ] {
        let object = template(kind, pointer);
        let program = program();
        let after = inject(&program, &["-o", "json"], object.to_string()).json();
        let container = format!("/{}/spec/containers/0", pointer.join("/"));
        assert_eq!(names(after.pointer(&container).unwrap()), ["_UNION_API_KEY", "FLYTE_SECRETS_ENV_PREFIX"], "{kind}");
        // Everything else is as it was.
        let mut after = after;
        after.pointer_mut(&container).unwrap().as_object_mut().unwrap().remove("env");
        assert_eq!(after, object, "{kind}");
    }
}

#[test]
fn the_items_of_a_list_are_injected_one_by_one() {
    let config_map = json!({"kind": "ConfigMap", "data": {"a": "b"}});
    let items = [pod("one", &[variable("", "api_key")]), config_map.clone(), template("Job", &["spec", "template"])];
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    let after = inject(&program(), &["-o", "json"], list.to_string()).json();
    assert_eq!(names(&after["items"][0]["spec"]["containers"][0]).len(), 2);
    assert_eq!(after["items"][1], config_map);
    assert_eq!(names(&after["items"][2]["spec"]["template"]["spec"]["containers"][0]).len(), 2);
}

#[test]
fn documents_that_ask_for_nothing_pass_through_byte_for_byte() {
    let odd = "# a licence\n---\n# a comment\nkind: ConfigMap # and one more\ndata: {mode: 0644,  b: 1.50, c: 'x'}\n---\n\
               {\"kind\":  \"Secret\", \"big\": 123456789012345678901234567890}\n";
    assert_eq!(inject(&program(), &[], odd).done(), odd);
    let pod = serde_json::to_string(&pod("one", &[variable("", "api_key")])).unwrap();
    let among_others = inject(&program(), &[], format!("{odd}---\n{pod}\n---\n{odd}")).done();
    assert!(among_others.starts_with(odd) && among_others.ends_with(odd), "{among_others}");
    assert!(among_others.contains("\n---\napiVersion: v1\nkind: Pod\n"), "{among_others}");
}

#[test]
fn yaml_and_json_in_give_the_same_pod() {
    let pod = pod("one", &[variable("", "api_key"), file("group", "key")]);
    let from_json = inject(&program(), &["-o", "json"], pod.to_string()).json();
    let yaml = inject(&program(), &[], pod.to_string()).done();
    assert!(yaml.starts_with("apiVersion: v1\nkind: Pod\n"), "{yaml}");
    // Injecting its own output again changes nothing, and reads back as the same data.
    assert_eq!(inject(&program(), &[], &yaml).done(), yaml);
    assert_eq!(inject(&program(), &["-o", "json"], &yaml).json(), from_json);
}

#[test]
fn several_json_values_in_a_row_are_several_documents() {
    let ran = inject(&program(), &["-o", "json"], "{\"kind\": \"A\"} {\"kind\": \"B\"}\n{\"kind\": \"C\"}").done();
    let kinds: Vec<Value> =
        serde_json::Deserializer::from_str(&ran).into_iter::<Value>().map(|one| one.unwrap()["kind"].clone()).collect();
    assert_eq!(kinds, ["A", "B", "C"]);
    assert_eq!(inject(&program(), &[], "{\"kind\": \"A\"}{\"kind\": \"B\"}").done(), "kind: A\n---\nkind: B\n");
}

#[test]
fn a_patch_holds_every_document_in_its_order() {
    let list =
        json!({"kind": "List", "items": [pod("one", &[variable("", "api_key")]), pod("two", &[file("g", "k")])]});
    let out = inject(&program(), &["-o", "patch"], format!("kind: A\n---\n# nothing\n---\n{list}")).done();
    let patches: Vec<Value> = serde_json::Deserializer::from_str(&out).into_iter().collect::<Result<_, _>>().unwrap();
    assert_eq!((patches.len(), &patches[0]), (2, &json!([])));
    let mut patched = list.clone();
    let patch: json_patch::Patch = serde_json::from_value(patches[1].clone()).unwrap();
    json_patch::patch(&mut patched, &patch).unwrap();
    assert_eq!(patched, inject(&program(), &["-o", "json"], list.to_string()).json());
}

#[test]
fn a_diff_shows_each_changed_object_by_itself() {
    let list =
        json!({"kind": "List", "items": [pod("one", &[variable("", "api_key")]), pod("two", &[file("g", "k")])]});
    let diff = inject(&program(), &["-o", "diff"], format!("{list}\n---\nkind: ConfigMap\n")).done();
    let marks: Vec<&str> = diff.lines().filter(|line| line.starts_with("--- ") || line.starts_with("+++ ")).collect();
    assert_eq!(
        marks,
        [
            "--- Pod flytesnacks-development/one (as it was)",
            "+++ Pod flytesnacks-development/one (with its secrets)",
            "--- Pod flytesnacks-development/two (as it was)",
            "+++ Pod flytesnacks-development/two (with its secrets)",
        ]
    );
    assert!(diff.contains("\n+    - name: _UNION_API_KEY\n+      value: the-value\n"), "{diff}");
    assert!(!diff.contains("\n-") || diff.matches("\n-").count() == diff.matches("\n--- ").count(), "{diff}");
    assert!(!diff.contains('\u{1b}'), "no colour without a terminal");
    assert_eq!(inject(&program(), &["-o", "diff"], "kind: ConfigMap\n").done(), "");
}

/// The same secret, by the default delivery.
fn with_mirrors() -> Program {
    let program = program();
    program.file("config.yaml", managers("Embedded, K8s"));
    program
}

/// The name of the Secret to which the first variable from a Secret refers.
fn referred(pod: &Value) -> String {
    let variables = pod["spec"]["containers"][0]["env"].as_array().unwrap();
    let name = variables.iter().find_map(|variable| variable["valueFrom"]["secretKeyRef"]["name"].as_str());
    name.unwrap().to_owned()
}

#[test]
fn secrets_that_the_webhook_would_write_stand_beside_the_pods_and_hide_their_values() {
    let program = with_mirrors();
    let pods = format!("{}\n{}", pod("one", &[variable("", "api_key")]), pod("two", &[variable("", "api_key")]));
    let out = inject(&program, &["-o", "json"], &pods).done();
    let all: Vec<Value> = serde_json::Deserializer::from_str(&out).into_iter().collect::<Result<_, _>>().unwrap();
    // Both pods refer to one Secret, which is printed once.
    let kinds: Vec<_> = all.iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Pod", "Secret", "Pod"]);
    let name = referred(&all[0]);
    assert_eq!((&referred(&all[2]), &all[1]["metadata"]["name"]), (&name, &json!(name)));
    assert_eq!(all[1]["metadata"]["namespace"], "flytesnacks-development");
    assert_eq!(all[1]["stringData"], json!({"value": "(hidden: --reveal shows it)"}));
    assert!(all[1].get("data").is_none(), "{out}");

    let yaml = inject(&program, &[], &pods).done();
    assert_eq!(yaml.matches("\n---\napiVersion: v1\nkind: Secret\n").count(), 1, "{yaml}");
    let diff = inject(&program, &["-o", "diff"], &pods).done();
    let title = format!("\n+++ Secret flytesnacks-development/{name} (with its secrets)\n");
    assert_eq!(diff.matches(&title).count(), 1, "{diff}");
    // A patch changes what is there; a Secret beside the pod is not.
    let patch = inject(&program, &["-o", "patch"], &pods).done();
    assert!(patch.contains(&name) && !patch.contains("stringData"), "{patch}");
    for printed in [out, yaml, diff, patch] {
        assert!(!printed.contains("the-value") && !printed.contains("dGhlLXZhbHVl"), "{printed}");
    }
}

#[test]
fn their_values_are_shown_on_request() {
    let input = pod("one", &[variable("", "api_key")]).to_string();
    for output in ["yaml", "json", "diff"] {
        let printed = inject(&with_mirrors(), &["-o", output, "--reveal"], &input).done();
        // Base64 of `the-value`.
        assert!(printed.contains("dGhlLXZhbHVl") && !printed.contains("hidden"), "{printed}");
    }
    let patch = inject(&with_mirrors(), &["-o", "patch", "--reveal"], &input).done();
    assert!(!patch.contains("dGhlLXZhbHVl") && !patch.contains("the-value"), "{patch}");
}

#[test]
fn pods_of_two_namespaces_have_a_secret_each() {
    let mut other = pod("two", &[variable("", "api_key")]);
    other["metadata"]["namespace"] = json!("flyte");
    let input = format!("{}\n{other}", pod("one", &[variable("", "api_key")]));
    let out = inject(&with_mirrors(), &["-o", "json"], input).done();
    let all: Vec<Value> = serde_json::Deserializer::from_str(&out).into_iter().collect::<Result<_, _>>().unwrap();
    let secrets: Vec<_> = all.iter().filter(|one| one["kind"] == "Secret").collect();
    let namespaces: Vec<_> = secrets.iter().map(|one| one["metadata"]["namespace"].as_str().unwrap()).collect();
    assert_eq!(namespaces, ["flytesnacks-development", "flyte"]);
    assert_ne!(secrets[0]["metadata"]["name"], secrets[1]["metadata"]["name"]);
}

#[test]
fn a_pod_in_the_namespace_of_another_project_is_refused_by_default() {
    let mut pod = pod("p", &[variable("", "api_key")]);
    pod["metadata"]["namespace"] = json!("evil");
    let program = with_mirrors();
    program.file("config.yaml", managers("Embedded"));
    let told = inject(&program, &[], pod.to_string()).refused();
    let allowed_by = "to allow it, set webhook.accessPolicy.namespaces: [";
    assert!(told.contains("rule namespace of the access policy") && told.contains(allowed_by), "{told}");
    for mode in ["Off", "Audit"] {
        let ran = inject(&program, &[&*format!("--webhook.accessPolicy.mode={mode}")], pod.to_string());
        assert_eq!((ran.code, ran.err.contains("access policy")), (0, mode == "Audit"), "{ran:?}");
    }
}

#[test]
fn a_pod_without_the_label_is_left_alone_and_told() {
    let mut pod = pod("one", &[variable("", "api_key")]);
    pod["metadata"]["labels"]["inject-flyte-secrets"] = json!("false");
    let ran = inject(&program(), &["-o", "json"], pod.to_string());
    let note: Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!((&note["level"], ran.json()), (&json!("note"), pod.clone()));
    assert!(note["message"].as_str().unwrap().contains("--ignore-label"), "{note}");
    let after = inject(&program(), &["-o", "json", "--ignore-label"], pod.to_string()).json();
    assert_eq!(names(&after["spec"]["containers"][0]).len(), 2);
}

#[test]
fn one_refused_pod_among_many_leaves_nothing_on_standard_output() {
    let program = program();
    program.file("config.yaml", managers("Embedded"));
    let (good, bad) = (pod("good", &[variable("", "api_key")]), pod("bad", &[variable("", "missing")]));
    for output in ["yaml", "json", "patch", "diff"] {
        let told = inject(&program, &["-o", output], format!("{good}\n---\n{bad}\n---\n{good}")).refused();
        assert!(told.contains("Pod flytesnacks-development/bad") && !told.contains("/good"), "{told}");
        let refusal = serde_json::from_str::<Value>(told.trim_end());
        assert_eq!(refusal.is_ok(), output == "json", "{told}");
    }
}

#[test]
fn a_refusal_as_json_has_the_members_of_the_webhooks_answer() {
    let program = program();
    program.file("config.yaml", managers("Embedded"));
    let told = inject(&program, &["-o", "json"], pod("bad", &[variable("", "missing")]).to_string()).refused();
    let refusal: Value = serde_json::from_str(told.trim_end()).unwrap();
    assert_eq!(refusal["level"], "refusal");
    assert_eq!(refusal["object"], "Pod flytesnacks-development/bad");
    assert_eq!((&refusal["code"], &refusal["reason"]), (&json!(400), &json!("BadRequest")));
    assert!(refusal["message"].as_str().unwrap().starts_with("none of the secret managers injected secret"));
}

#[test]
fn a_store_that_is_down_is_answered_with_503_as_by_the_webhook() {
    let program = program();
    program.file("values.yaml", format!("{SCOPE}api_key: {{error: unavailable}}\n"));
    let told = inject(&program, &["-o", "json"], pod("p", &[variable("", "api_key")]).to_string()).refused();
    let refusal: Value = serde_json::from_str(told.trim_end()).unwrap();
    assert_eq!((&refusal["code"], &refusal["reason"]), (&json!(503), &json!("ServiceUnavailable")));
}

#[test]
fn several_files_are_several_documents() {
    let program = program();
    program.file("a.yaml", "kind: A\n").file("b.json", "{\"kind\": \"B\"}").file("c.yaml", "kind: C");
    let ran = program.run(&[&ARGUMENTS[..], &["-f", "a.yaml", "-f", "b.json", "--filename=c.yaml"]].concat());
    assert_eq!(ran.done(), "kind: A\n---\nkind: B\n---\nkind: C\n");
}

#[test]
fn errors_name_the_file_and_the_line() {
    let program = program();
    program.file("broken.yaml", "kind: A\n---\nkind: B\nx:\n  y: [\n");
    program.file("indent.yaml", "kind: A\n b: 1\n").file("double.yaml", "kind: A\n---\n\nkind: B\nkind: C\n");
    program.file("latin1.yaml", b"kind: A\nb: \xe9\n").file("empty.yaml", "# nothing\n---\n");
    for (name, beginning) in [
        ("broken.yaml", "error: broken.yaml:5:"),
        ("indent.yaml", "error: indent.yaml:2:"),
        ("double.yaml", "error: double.yaml:5:"),
        ("latin1.yaml", "error: latin1.yaml:2: not UTF-8"),
        ("empty.yaml", "error: there is no document in empty.yaml"),
        ("missing.yaml", "error: cannot open missing.yaml"),
        (".", "error: . is a folder"),
    ] {
        let told = program.run(&[&ARGUMENTS[..], &["-f", name]].concat()).failed();
        assert!(told.starts_with(beginning), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn a_member_of_another_type_is_named_without_what_it_holds() {
    let mut pod = pod("p", &[variable("", "api_key")]);
    pod["spec"]["containers"][0]["env"] = json!([{"name": "A", "value": "x"}, {"name": 5}]);
    let told = inject(&program(), &[], pod.to_string()).failed();
    assert_eq!(
        told,
        "error: Pod flytesnacks-development/p: spec.containers[0].env[1].name of the pod must be a string\n"
    );
}

#[test]
fn numbers_are_read_as_kubectl_reads_them() {
    let numbers = "[0644, 0o17, 0x1F, 1e3, 1.50, 9007199254740993, 18446744073709551615, -0, 1_000, 0.1]";
    let yaml = format!("kind: A\nn: {numbers}\nb: [yes, off, True]\ns: [2020-01-01, '1e3', 1:30]\n");
    let ours = inject(&program(), &["-o", "json"], yaml).json();
    let expected = "[420,15,31,1000,1.5,9007199254740993,18446744073709551615,0,1000,0.1]";
    assert_eq!(ours["n"].to_string(), expected);
    assert_eq!(ours["b"], json!([true, false, true]));
    assert_eq!(ours["s"], json!(["2020-01-01", "1e3", "1:30"]));
}

#[test]
fn texts_that_look_like_something_else_stay_texts() {
    let texts = [
        "true",
        "yes",
        "No",
        "on",
        "y",
        "null",
        "~",
        "",
        "1e3",
        "0644",
        "0x1F",
        "1_000",
        "1.",
        ".5",
        ".inf",
        "1:30",
        "2020-01-01",
        "=",
        "<<",
        "-",
        "?",
        "---",
        "...",
        "a: b",
        "a #b",
        "# a",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "`a",
        "{a",
        "[a",
        "'",
        "\"",
        "\\",
        " a",
        "a ",
        "\n",
        "a\n",
        "a\n\n",
        "\na",
        "a\n b\n",
        "  a\nb",
        "\ta\nb",
        "\t",
        "a\r\nb",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "😀",
    ];
    let before = json!({"kind": "A", "texts": texts.to_vec()});
    let yaml = inject(&program(), &[], before.to_string()).done();
    assert_eq!(inject(&program(), &["-o", "json"], yaml).json(), before);
}

#[test]
fn a_long_text_stays_on_its_line() {
    let yaml = inject(&program(), &[], json!({"kind": "A", "text": "a word ".repeat(100)}).to_string()).done();
    assert_eq!(yaml.lines().count(), 2, "{yaml}");
}
