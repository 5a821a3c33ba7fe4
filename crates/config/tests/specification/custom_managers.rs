//! Managers described in configuration: read with their lines, refused at the start, kept by name.

use flyte_secrets_config::{Inputs, load};
use flyte_secrets_core::SecretManagerType;
use serde_json::Value;

use crate::support::{errors_of, file_name_only, load_files, load_one};

/// The path of a file from the root of the tree.
fn in_tree(path: &str) -> String {
    format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"))
}

/// A file with the managers of `yaml`, an indented list, and the first one's name listed.
fn described(yaml: &str) -> String {
    format!("webhook:\n  secretManagerTypes: [Mine]\n  customSecretManagers:\n{yaml}")
}

#[test]
fn the_examples_load_without_a_warning() {
    let mut count = 0;
    for entry in std::fs::read_dir(in_tree("examples/custom-managers")).unwrap() {
        let file = entry.unwrap().path().display().to_string();
        let loaded =
            load(&Inputs { files: vec![file], ..Inputs::default() }).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(loaded.warnings, [""; 0]);
        let managers = &loaded.config.injection.managers;
        for manager in &loaded.config.injection.custom {
            assert!(managers.iter().any(|listed| listed.name() == manager.name()), "{managers:?}");
        }
        count += 1;
    }
    assert!(count >= 4);
}

#[test]
fn the_documented_description_loads_and_every_field_and_form_is_documented() {
    let document = std::fs::read_to_string(in_tree("docs/custom-managers.md")).unwrap();
    let example = document.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let loaded = load_one(example).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(loaded.config.injection.managers[1..], [SecretManagerType::Custom("Mine"), SecretManagerType::K8s]);
    for (wrong, template) in [("names no field: there are ", "{{no}}"), ("is no form: there are ", "{{key|no}}")] {
        let yaml = format!("    - {{name: Mine, requires: [key], file: {{annotations: {{a: '{template}'}}}}}}\n");
        let errors = errors_of(load_one(&described(&yaml)));
        let names = errors[0].split(wrong).nth(1).unwrap();
        for name in names.split(", ") {
            let row = if wrong.contains("field") { format!("`{{{{{name}}}}}`") } else { format!("`{name}`") };
            assert!(document.lines().any(|line| line.starts_with('|') && line.contains(&row)), "{row}");
        }
    }
}

#[test]
fn the_names_of_described_managers_are_matched_as_the_others_are_wherever_they_are_described() {
    let one = "webhook: {secretManagerTypes: [mINE, k8s]}";
    let two = "webhook: {customSecretManagers: [{name: Mine, file: {}}]}";
    for files in [[one, two], [two, one]] {
        let loaded = load_files(&files).unwrap_or_else(|errors| panic!("{errors}"));
        let managers = &loaded.config.injection.managers;
        assert_eq!(managers[1..], [SecretManagerType::Custom("Mine"), SecretManagerType::K8s]);
    }
    let single = "webhook: {profile: flyte1, secretManagerType: mine, customSecretManagers: [{name: Mine, file: {}}]}";
    assert_eq!(load_one(single).unwrap().config.injection.managers[1..], [SecretManagerType::Custom("Mine")]);
}

#[test]
fn a_manager_of_a_later_file_replaces_that_of_the_same_name() {
    let one = "webhook: {secretManagerTypes: [A], customSecretManagers: [{name: A, file: {}}, {name: B, file: {}}]}";
    let two = "webhook: {customSecretManagers: [{name: a, requires: [key], file: {}}]}";
    let loaded = load_files(&[one, two]).unwrap();
    let effective = loaded.effective.iter().filter(|one| one.key.contains("customSecretManagers"));
    let rows: Vec<_> =
        effective.map(|one| (one.key.as_str(), serde_json::from_str::<Value>(&one.value).unwrap())).collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].1["requires"][0], "key");
    assert_eq!(loaded.config.injection.managers[1], SecretManagerType::Custom("a"));
    let unlisted =
        "1.yaml:1:80: webhook.customSecretManagers.B: no request comes to it; add B to webhook.secretManagerTypes";
    assert_eq!(loaded.warnings.iter().map(|line| file_name_only(line)).collect::<Vec<_>>(), [unlisted]);
}

#[test]
fn what_is_wrong_is_told_with_its_line_all_at_once() {
    let yaml = "    - name: Mine
      requires: [group]
      file:
        volumes:
          - name: mine
            csi: {driver: d, readonly: true}
          - name: other
            csi: {readOnly: true}
        initContainers:
          - name: get-{{id}}
            image: x
            command: [sh, -c, 'get \"{{group}}\"']
          - name: have-{{id}}
            image: x
            securityContext: {runAsUser: abc}
        annotations:
          a-{{id}}: '{{grup}}'
";
    let errors = errors_of(load_one(&described(yaml)));
    let expected = [
        "1.yaml:9:40: webhook.customSecretManagers.Mine.file.volumes.0.csi.readonly: Kubernetes has no such field here",
        "1.yaml:11:18: webhook.customSecretManagers.Mine.file.volumes.1.csi: needs `driver`",
        "1.yaml:15:31: webhook.customSecretManagers.Mine.file.initContainers.0.command.2: {{group}} in a shell script could break \
         out of its string",
        "1.yaml:18:42: webhook.customSecretManagers.Mine.file.initContainers.1.securityContext.runAsUser: Kubernetes takes something \
         else here: invalid type: string \"abc\", expected i64",
        "1.yaml:20:21: webhook.customSecretManagers.Mine.file.annotations.a-{{id}}: `{{grup}}` names no field",
    ];
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    for (error, expected) in errors.iter().zip(expected) {
        assert!(error.starts_with(expected), "{error}");
    }
    let allowed = "    - {name: Mine, allowUnknownFields: true, file: {volumes: [{name: v, emptyDir: {newer: 1}}]}}\n";
    assert!(load_one(&described(allowed)).is_ok());
}

#[test]
fn managers_that_do_not_fit_together_are_errors() {
    let cases = [
        (
            "    - {name: Mine, file: {}}\n    - {name: mine, file: {}}\n",
            "1.yaml:5:7: webhook.customSecretManagers: a second manager named \"mine\"; case makes no difference",
        ),
        (
            "    - {name: Other, file: {}}\n",
            "1.yaml:2:24: webhook.secretManagerTypes: expected one of Global, K8s, AWS, GCP, Azure, Vault, Embedded, got `Mine`; \
             other managers are described in webhook.customSecretManagers",
        ),
        (
            "    - {name: Mine, name2: x, file: {}}\n",
            "1.yaml:4:27: webhook.customSecretManagers.Mine.name2: unknown key; known here: name, requires, any, file, envVar, \
             allowUnknownFields",
        ),
        (
            "    a: b\n",
            "1.yaml:4:5: webhook.customSecretManagers: expected a list of managers: `name`, and `file` or `envVar`, got a mapping",
        ),
    ];
    for (yaml, expected) in cases {
        let errors = errors_of(load_one(&described(yaml)));
        assert!(errors.contains(&expected.to_owned()), "{errors:#?}");
    }
}

#[test]
fn a_description_in_a_flag_or_a_variable_is_yaml_on_one_line() {
    let loaded = load(&Inputs {
        flags: vec![
            ("webhook.secretManagerTypes".to_owned(), "Mine".to_owned()),
            ("webhook.customSecretManagers".to_owned(), "[{name: Mine, file: {}}]".to_owned()),
        ],
        ..Inputs::default()
    })
    .unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(loaded.config.injection.managers[1], SecretManagerType::Custom("Mine"));
}
