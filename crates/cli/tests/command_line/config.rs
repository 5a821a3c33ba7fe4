//! `config`: what counts, where it comes from, and everything that is wrong with it.

use serde_json::{Value, json};

use crate::program::Program;

fn setting(shown: &Value, key: &str) -> Value {
    shown.as_array().unwrap().iter().find(|one| one["key"] == key).cloned().unwrap()
}

#[test]
fn every_setting_is_shown_with_its_origin() {
    let program = Program::new().with("WEBHOOK_LISTENPORT", "8443").with("WEBHOOK.SECRETNAME", "certs");
    program.file("one.yaml", "webhook:\n  certDir: /one\n  serviceName: one\n");
    program.file("two.yaml", "webhook:\n  serviceName: two\nadmin: {endpoint: ignored}\n");
    let arguments = ["config", "show", "-o", "json", "--config", "*.yaml", "--webhook.metricsPort", "1234"];
    let shown = program.run(&arguments).json();
    for (key, value, origin) in [
        ("webhook.certDir", "\"/one\"", json!({"from": "file", "path": "one.yaml", "line": 2, "column": 12})),
        ("webhook.serviceName", "\"two\"", json!({"from": "file", "path": "two.yaml", "line": 2, "column": 16})),
        ("webhook.listenPort", "8443", json!({"from": "environment", "variable": "WEBHOOK_LISTENPORT"})),
        ("webhook.secretName", "\"certs\"", json!({"from": "environment", "variable": "WEBHOOK.SECRETNAME"})),
        ("webhook.metricsPort", "1234", json!({"from": "flag", "flag": "webhook.metricsPort"})),
        ("webhook.localCert", "false", json!({"from": "default"})),
    ] {
        let one = setting(&shown, key);
        assert_eq!(
            (one["value"].as_str().unwrap().trim_matches('"'), &one["origin"]),
            (value.trim_matches('"'), &origin)
        );
    }
    let text = program.run(&["config", "show", "--config", "*.yaml"]).done();
    let line = text.lines().find(|line| line.starts_with("webhook.serviceName: ")).unwrap();
    assert!(line.contains("two") && line.ends_with("# two.yaml:2:16"), "{line}");
}

#[test]
fn flags_count_before_and_behind_the_command() {
    let program = Program::new();
    for arguments in [
        &["--webhook.certDir=/x", "config", "show"][..],
        &["config", "--webhook.certDir=/x", "show"],
        &["config", "show", "--webhook.certDir=/x"],
        &["config", "show", "--webhook.certDir", "/x"],
        &["--webhook.localCert", "config", "show", "--WEBHOOK.CERTDIR=/x"],
    ] {
        let shown = program.run(&[arguments, &["-o", "json"]].concat()).json();
        assert_eq!(setting(&shown, "webhook.certDir")["value"].as_str().unwrap().trim_matches('"'), "/x");
    }
}

#[test]
fn all_errors_are_told_at_once() {
    let program = Program::new();
    program.file("a.yaml", "webhook:\n  certdirr: /x\n  listenPort: many\nother: {x: y}\n");
    program.file("b.yaml", "webhook: [\n");
    let arguments = ["config", "check", "--config", "a.yaml", "--config", "b.yaml", "--webhook.localCert=perhaps"];
    let told = program.run(&arguments).failed();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 4, "{told}");
    assert!(lines[0].starts_with("error: a.yaml:2:3: webhook.certdirr: ") && lines[0].contains("webhook.certDir?"));
    assert!(lines[1].starts_with("error: a.yaml:3:15: webhook.listenPort: "), "{told}");
    assert!(lines[2].starts_with("error: b.yaml:"), "{told}");
    assert!(lines[3].starts_with("error: flag --webhook.localCert: "), "{told}");
    // As JSON the errors are the result, and stand on standard output.
    let ran = program.run(&[&arguments[..], &["-o", "json"]].concat());
    let errors: Value = serde_json::from_slice(&ran.out).unwrap();
    assert_eq!((ran.code, errors["errors"].as_array().unwrap().len()), (1, 4), "{errors}");
    assert_eq!(errors["errors"][0]["key"], "webhook.certdirr");
}

#[test]
fn more_errors_than_anybody_reads_are_counted() {
    let program = Program::new();
    let keys: String = (0..150).map(|number| format!("  unknown{number}: x\n")).collect();
    program.file("a.yaml", format!("webhook:\n{keys}"));
    let told = program.run(&["config", "check", "--config", "a.yaml"]).failed();
    assert_eq!(told.lines().count(), 101);
    assert!(told.ends_with("error: and 50 more errors in the configuration\n"), "{told}");
}

#[test]
fn a_correct_configuration_is_said_to_be_so() {
    let program = Program::new();
    program.file("a.yaml", "webhook: {secretManagerTypes: [K8s]}\n");
    assert_eq!(program.run(&["config", "check", "--config", "a.yaml"]).done(), "the configuration is correct\n");
    let ran = program.run(&["config", "check", "--config", "a.yaml", "-o", "json"]);
    assert_eq!(ran.json(), json!({"errors": [], "warnings": []}));
}

#[test]
fn every_command_that_reads_it_says_what_is_wrong_with_the_configuration() {
    let program = Program::new();
    program.file("a.yaml", "webhook: {nonsense: 1}\n").file("pod.yaml", "kind: Pod\n");
    for command in [
        &["webhook"][..],
        &["init-certs"],
        &["inject", "-f", "pod.yaml"],
        &["explain", "-f", "pod.yaml"],
        &["secret", "list"],
        &["config", "show"],
        &["dev", "--once"],
    ] {
        let told = program.run(&[command, &["--config", "a.yaml"]].concat()).failed();
        assert!(told.starts_with("error: a.yaml:1:11: webhook.nonsense: unknown key"), "{told}");
    }
    let told = program.run(&["config", "show", "--config", "missing.yaml"]).failed();
    assert!(told.contains("missing.yaml"), "{told}");
}

#[test]
fn the_reference_is_the_one_in_the_documentation() {
    let ran = Program::new().run(&["config", "reference"]).done();
    assert_eq!(ran, include_str!("../../../../docs/configuration.md"));
}
