//! `annotations`: requests to annotations and back.

use serde_json::{Value, json};

use crate::program::{Program, file, pod, variable};

/// The annotation's value that `encode` prints.
fn encoded(arguments: &[&str]) -> String {
    let yaml = Program::new().run(&[&["annotations", "encode"], arguments].concat()).done();
    let value = yaml.lines().last().unwrap().split(": ").nth(1).unwrap();
    value.to_owned()
}

fn decoded(value: &str) -> Value {
    Program::new().run(&["annotations", "decode", "-o", "json", value]).json()[0].clone()
}

#[test]
fn encode_prints_the_label_and_the_annotation_of_a_pod() {
    let ran = Program::new().run(&["annotations", "encode", "--key", "my_key", "--index", "3"]);
    let expected =
        "labels:\n  inject-flyte-secrets: \"true\"\nannotations:\n  flyte.secrets/s3: nnsxsoraejwxsx2lmv3secq\n";
    assert_eq!(ran.done(), expected);
}

#[test]
fn what_is_encoded_is_decoded_again() {
    for (group, version, key, requirement, variable) in [
        ("", "", "my_key", "ANY", ""),
        (";':/\\", "", "", "ENV_VAR", ""),
        ("a group", "v 2", "k\"e\"y\n", "FILE", "NAME"),
        ("größe", "😀", "\t", "ANY", "$(X)"),
    ] {
        let arguments = [
            ("--group", group),
            ("--group-version", version),
            ("--key", key),
            ("--mount-requirement", requirement),
            ("--env-var", variable),
        ];
        let value = encoded(&arguments.map(|(name, value)| [name, value]).concat());
        let expected = json!({
            "group": group, "groupVersion": version, "key": key, "mountRequirement": requirement, "envVar": variable
        });
        assert_eq!(decoded(&value), expected);
    }
}

#[test]
fn decode_prints_requests_for_people() {
    let program = Program::new();
    let ran = program.run(&["annotations", "decode", "nnsxsoraejwxsx2lmv3secq", "m4zg54lqhiqceozhhixvyxbcbi"]);
    assert_eq!(ran.done(), "key:\"my_key\"\ngroup:\";':/\\\\\"\n");
    program.file("pod.json", pod("p", &[variable("g", "k"), file("", "f")]).to_string());
    let ran = program.run(&["annotations", "decode", "-f", "pod.json"]);
    let expected = "flyte.secrets/s0: group:\"g\" key:\"k\" mount_requirement:ENV_VAR\n\
                    flyte.secrets/s1: key:\"f\" mount_requirement:FILE\n";
    assert_eq!(ran.done(), expected);
}

#[test]
fn requests_of_several_pods_stand_below_their_pod_in_their_order() {
    let program = Program::new();
    let many: Vec<_> = (0..11).map(|number| variable("", &format!("k{number}"))).collect();
    let list =
        json!({"kind": "List", "items": [pod("one", &many), pod("two", &[variable("", "k")]), pod("none", &[])]});
    program.file("list.json", list.to_string());
    let text = program.run(&["annotations", "decode", "-f", "list.json"]).done();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 14, "{text}");
    assert_eq!((lines[0], lines[12]), ("Pod flytesnacks-development/one", "Pod flytesnacks-development/two"));
    assert!(lines[2].starts_with("flyte.secrets/s1: ") && lines[11].starts_with("flyte.secrets/s10: "), "{text}");
    let all = program.run(&["annotations", "decode", "-f", "list.json", "-o", "json"]).json();
    assert_eq!((&all[11]["object"], &all[11]["key"]), (&json!("Pod flytesnacks-development/two"), &json!("k")));
}

#[test]
fn a_decode_error_names_annotation_line_column_and_field() {
    for (value, parts) in [
        ("nnsxsorame======", &["not base32", "'='"][..]),
        ("NNSXSORAEJ", &["not base32", "'N'"]),
        // key: "a" and, on the next line, key: b
        ("nnsxsoraejqsectlmv3tuidc", &["line 2, column 1", "field key", "given twice"]),
        // group: "a" and foo: "x"
        ("m4zg54lqhiqceyjcbjtg52z1earhqiq", &["line 2, column 1", "foo"]),
    ] {
        let program = Program::new();
        let of_value = program.run(&["annotations", "decode", value]).failed();
        let mut pod = pod("p", &[]);
        pod["metadata"]["annotations"] = json!({"flyte.secrets/s7": value});
        program.file("pod.json", pod.to_string());
        let of_pod = program.run(&["annotations", "decode", "-f", "pod.json"]).failed();
        assert!(of_pod.starts_with("error: Pod flytesnacks-development/p: annotation flyte.secrets/s7: "), "{of_pod}");
        for part in parts {
            assert_eq!(of_value.matches(part).count(), 1, "{part}: {of_value}");
            assert_eq!(of_pod.matches(part).count(), 1, "{part}: {of_pod}");
        }
    }
}

#[test]
fn a_request_for_nothing_is_not_encoded() {
    let told = Program::new().run(&["annotations", "encode"]).failed();
    assert!(told.contains("--key or --group"), "{told}");
    let told = Program::new().run(&["annotations", "encode", "--key", "k", "--mount-requirement", "SOMEHOW"]);
    assert!(told.code == 2 && told.err.contains("ENV_VAR"), "{told:?}");
}
