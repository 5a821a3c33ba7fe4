//! Errors say where, what and what to do, all at once.

use flyte_secrets_config::{Inputs, load};
use serde_json::json;

use crate::support::{errors_of, load_files, load_one, load_with, pairs};

#[test]
fn an_unknown_key_names_its_place_and_the_nearest_known_one() {
    let cases = [
        ("webhook:\n  certDirr: /a", "1.yaml:2:3: webhook.certDirr: unknown key; did you mean webhook.certDir?"),
        (
            "webhook:\n  vaultSecretManager:\n    rol: x",
            "1.yaml:3:5: webhook.vaultSecretManager.rol: unknown key; did you mean webhook.vaultSecretManager.role?",
        ),
        ("secrets: {zzz: 1}", "1.yaml:1:11: secrets.zzz: unknown key, and none is like it"),
        (
            "secret: {kubernetes: {name_space: x}}",
            "1.yaml:1:23: secret.kubernetes.name_space: unknown key; did you mean secret.kubernetes.namespace?",
        ),
        (
            "webhook: {awsSecretManager: {resources: {limit: {}}}}",
            "1.yaml:1:42: webhook.awsSecretManager.resources.limit: unknown key; known here: limits, requests, claims",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(errors_of(load_one(text)), [expected]);
    }
}

#[test]
fn a_wrong_value_says_what_was_given_and_what_is_accepted() {
    let cases = [
        ("webhook:\n  listenPort: abc", "1.yaml:2:15: webhook.listenPort: expected a port from 1 to 65535, got `abc`"),
        ("webhook: 5", "1.yaml:1:10: webhook: expected a mapping, got `5`"),
        ("webhook: {certDir: [a]}", "1.yaml:1:20: webhook.certDir: expected a path, got a list"),
        ("webhook: {localCert: {}}", "1.yaml:1:22: webhook.localCert: expected true or false, got a mapping"),
        (
            "webhook: {onUnserved: Refused}",
            "1.yaml:1:23: webhook.onUnserved: expected one of Refuse, Admit, got `Refused`; did you mean Refuse?",
        ),
        ("webhook: {onUnserved: 'a\nb'}", "1.yaml:1:23: webhook.onUnserved: expected one of Refuse, Admit, got `a b`"),
        ("- webhook", "1.yaml:1:1: expected a mapping with sections such as `webhook:`, got a list"),
    ];
    for (text, expected) in cases {
        assert_eq!(errors_of(load_one(text)), [expected]);
    }
}

#[test]
fn a_key_given_twice_is_an_error_whatever_its_case() {
    assert_eq!(
        errors_of(load_one("webhook:\n  certDir: /a\n  certdir: /b")),
        ["1.yaml:3:3: webhook.certdir: given twice, the first time in line 2; case makes no difference"]
    );
    assert_eq!(
        errors_of(load_one("webhook: {}\nWebhook: {}")),
        ["1.yaml:2:1: Webhook: given twice, the first time in line 1; case makes no difference"]
    );
    assert_eq!(
        errors_of(load_one("webhook:\n  certDir: /a\n  certDir: /b")),
        ["1.yaml:3:3: key `certDir` is given twice in one mapping"]
    );
}

#[test]
fn text_that_is_no_yaml_is_an_error_with_its_place_and_without_its_content() {
    let errors = errors_of(load_one("storage: 'hunter2\nwebhook: {certDir: x}\n"));
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0], "1.yaml:1:10: not valid YAML: unclosed quote");
}

#[test]
fn a_second_document_is_an_error() {
    let errors = errors_of(load_one("webhook: {}\n---\nwebhook: {}\n"));
    assert_eq!(errors, ["1.yaml:3:1: a second YAML document starts here; write one document a file"]);
}

#[test]
fn empty_files_are_fine() {
    for text in ["", "# nothing\n", "---\n", "---\n...\n", "{}", "webhook:\n", "\u{feff}webhook: {}"] {
        assert!(load_one(text).is_ok(), "{text:?}");
    }
}

#[test]
fn what_nests_too_deep_or_grows_too_large_is_refused() {
    let links = |count: usize, open: &str, close: &str| -> String {
        let link = |index: usize| format!("a{index}: &a{index} {open}*a{}{close}\n", index - 1);
        "a0: &a0 [x]\n".to_owned() + &(1..count).map(link).collect::<String>()
    };
    let ten_each =
        (1..10).map(|level| format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(", ")));
    let cases = [
        ("aliases that multiply", "a0: &a0 [x, x, x]\n".to_owned() + &ten_each.collect::<String>()),
        ("a chain of aliases", links(90, "[", "]")),
        ("a chain of nested aliases", links(90, &"[".repeat(20), &"]".repeat(20))),
        ("a chain of aliases as a key", links(90, "{? ", " : 1}")),
        ("a nested chain as a key", links(90, &"[".repeat(20), &"]".repeat(20)) + "? *a89\n: 1\n"),
        ("lists", "[".repeat(10_000)),
        ("closed lists", "[".repeat(34) + &"]".repeat(34)),
        ("keys", "? ".repeat(10_000)),
        ("mappings", (0..200).map(|depth| format!("{}b:\n", " ".repeat(depth))).collect()),
        ("anchors", (0..200).map(|index| format!("a{index}: &a{index} 1\n")).collect()),
        ("scalars", format!("a: [{}]", "x,".repeat(200_000))),
    ];
    for (name, text) in cases {
        let errors = errors_of(load_one(&text));
        assert_eq!(errors.len(), 1, "{name}: {errors:?}");
        assert!(errors[0].len() < 250, "{name}: {errors:?}");
    }
}

#[test]
fn thirty_two_levels_are_not_too_deep() {
    let lists = |depth: usize| format!("a: {}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(load_one(&lists(31)).is_ok());
    assert!(load_one(&lists(32)).is_err());
}

#[test]
fn all_errors_come_at_once_in_the_order_of_files_and_lines() {
    let inputs = Inputs {
        environment: pairs(&[("WEBHOOK_LOCALCERT", "perhaps")]),
        flags: pairs(&[("webhook.certDirr", "/a"), ("webhook.listenPort", "x")]),
        ..Inputs::default()
    };
    let files = [
        "webhook:\n  servicePort: 0\n  secretManagerTypes: [K8s, Consul]\n  nope: 1\n",
        "a: [",
        "webhook:\n  listenPort: -1\n",
    ];
    let errors = errors_of(load_with(&files, inputs));
    let starts = [
        "1.yaml:2:16: webhook.servicePort: ",
        "1.yaml:3:29: webhook.secretManagerTypes: expected one of Global, K8s, AWS, GCP, Azure, Vault, Embedded, got `Consul`",
        "1.yaml:4:3: webhook.nope: unknown key",
        "2.yaml:1:4: not valid YAML: ",
        "3.yaml:2:15: webhook.listenPort: ",
        "environment WEBHOOK_LOCALCERT: webhook.localCert: expected true or false, got `perhaps`",
        "flag --webhook.certDirr: webhook.certDirr: unknown key; did you mean webhook.certDir?",
        "flag --webhook.listenPort: webhook.listenPort: expected a port from 1 to 65535, got `x`",
    ];
    assert_eq!(errors.len(), starts.len(), "{errors:#?}");
    for (error, start) in errors.iter().zip(starts) {
        assert!(error.starts_with(start), "{error}");
    }
}

#[test]
fn an_error_shows_only_the_start_of_a_long_value() {
    let errors = errors_of(load_one(&format!("webhook: {{localCert: {}}}", "x".repeat(500))));
    assert!(errors[0].len() < 200 && errors[0].ends_with("x…`"), "{errors:?}");
}

#[test]
fn very_many_errors_are_cut() {
    let text: String = (0..150).map(|index| format!("  zz{index}: 1\n")).collect();
    let errors = load_files(&[&format!("webhook:\n{text}")]).unwrap_err();
    assert_eq!(errors.errors().len(), 100);
    assert!(errors.to_string().ends_with("\n… and 50 more"));
}

#[test]
fn errors_have_a_form_for_machines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.yaml").to_str().unwrap().to_owned();
    std::fs::write(&path, "webhook: {localCert: 7}").unwrap();
    let inputs = Inputs {
        files: vec![path.clone()],
        environment: pairs(&[("WEBHOOK_LISTENPORT", "x")]),
        flags: pairs(&[("webhook.delivery", "x")]),
        ..Inputs::default()
    };
    let errors = load(&inputs).unwrap_err();
    assert_eq!(
        serde_json::to_value(&errors).unwrap(),
        json!([
            {"from": "file", "path": path, "line": 1, "column": 22, "key": "webhook.localCert",
             "message": "expected true or false, got `7`"},
            {"from": "environment", "variable": "WEBHOOK_LISTENPORT", "key": "webhook.listenPort",
             "message": "expected a port from 1 to 65535, got `x`"},
            {"from": "flag", "flag": "webhook.delivery", "key": "webhook.delivery",
             "message": "expected one of SecretRef, PodSpec, got `x`"},
        ])
    );
}
