//! Whatever is given, the answer is a configuration or errors.

use flyte_secrets_config::{Inputs, load};
use proptest::prelude::*;

use crate::support::{load_one, load_with, pairs};

/// Lines made of what our files are made of, so that many get far.
fn yaml_like() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "webhook",
        "secrets",
        "secret",
        "logger",
        "cache",
        "accessPolicy",
        "namespaces",
        "certDir",
        "resources",
        "limits",
        "cpu",
        "namespaceSelector",
        "matchLabels",
        "matchExpressions",
        "awsSecretManager",
        "secretManagerTypes",
        "annotations",
        "vaultSecretManager",
        "kubeClientConfig",
        "timeout",
        "é",
        "<<",
        "&a",
        "*a",
        "-",
        "?",
    ]);
    let value = prop::sample::select(vec![
        "",
        " 1",
        " x",
        " [1, K8s]",
        " [{project}]",
        " '{project}-{domain}'",
        " {a: b}",
        " {limits: {cpu: 1}}",
        " 'q'",
        " |\n    t",
        " *a",
        " &a {x: 1}",
        " ~",
        " 1e999",
        " .nan",
        " !!int 3",
        " [",
        " 30s",
        " $HOME",
    ]);
    let line =
        (0..4_usize, key, value).prop_map(|(indent, key, value)| format!("{}{key}:{value}\n", "  ".repeat(indent)));
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_text_loads_or_is_refused(text in "\\PC{0,200}") {
        let _ = load_one(&text);
    }

    #[test]
    fn any_lines_load_or_are_refused(text in yaml_like()) {
        let _ = load_one(&text);
    }

    #[test]
    fn any_flag_and_variable_loads_or_is_refused(
        text in "[\\[\\]{}:, a-zA-Z0-9'\"&*|>$-]{0,40}",
        key in prop::sample::select(vec![
            "webhook.certDir", "webhook.namespaceSelector", "webhook.awsSecretManager", "webhook.secretManagerTypes",
            "webhook.webhookTimeout", "webhook.vaultSecretManager.annotations", "logger.level", "webhook",
            "webhook.accessPolicy.namespaces", "webhook.invalidation", "cache.inMemoryFixedSize.size", "cache",
            "webhook.embeddedSecretManagerConfig.vaultConfig.address",
        ]),
    ) {
        let variable = key.to_uppercase();
        let inputs = Inputs {
            flags: pairs(&[(key, &text)]),
            environment: pairs(&[(&variable, &text)]),
            ..Inputs::default()
        };
        let _ = load(&inputs);
    }

    #[test]
    fn a_flag_and_a_file_mean_the_same(port in 1_u16..=65_535, name in "[a-z]{1,10}") {
        let file = load_one(&format!("webhook: {{servicePort: {port}, serviceName: x{name}}}"));
        let flags = pairs(&[("webhook.servicePort", &port.to_string()), ("webhook.serviceName", &format!("x{name}"))]);
        let flags = load_with(&[], Inputs { flags, ..Inputs::default() });
        prop_assert_eq!(file.unwrap().config, flags.unwrap().config);
    }
}
