//! Which layer wins, and how layers merge.

use flyte_secrets_config::{Inputs, Origin, load};
use flyte_secrets_core::settings::{AccessMode, AccessSettings, Delivery, Profile, SecretManagerType, Settings};
use serde_json::json;

use crate::support::{errors_of, file_name_only, load_files, load_one, load_with, pairs, with_environment, with_flags};

/// The injectors' own defaults, with what only a configuration can know.
fn defaults(profile: Profile, namespaces: &[&str]) -> Settings {
    let mut settings = Settings::defaults(profile);
    settings.protected.store_namespaces = vec!["flyte".to_owned()];
    settings.delivery = Delivery::SecretRef;
    settings.access = AccessSettings {
        mode: AccessMode::Enforce,
        organizations: vec!["flyte".to_owned()],
        namespaces: namespaces.iter().map(|&name| name.to_owned()).collect(),
        ..AccessSettings::default()
    };
    settings
}

#[test]
fn nothing_given_is_the_defaults_of_flyte_2() {
    let loaded = load(&Inputs::default()).unwrap();
    let expected = defaults(Profile::Flyte2, &["{project}-{domain}", "flyte"]);
    assert_eq!(loaded.config.injection, expected);
    assert_eq!(loaded.warnings, [""; 0]);
    assert!(loaded.effective.iter().all(|row| row.origin == Origin::Default));
}

#[test]
fn the_profile_flyte1_has_its_own_defaults() {
    let expected = defaults(Profile::Flyte1, &["{project}-{domain}"]);
    let configured = load_one("webhook: {profile: Flyte1}").unwrap();
    assert_eq!(configured.config.injection, expected);
    let implied = load(&Inputs { implied_profile: Some(Profile::Flyte1), ..Inputs::default() }).unwrap();
    assert_eq!(implied.config.injection, expected);
}

#[test]
fn a_configured_profile_is_stronger_than_the_name_of_the_program() {
    let inputs = Inputs { implied_profile: Some(Profile::Flyte1), ..with_flags(&[("webhook.profile", "flyte2")]) };
    assert_eq!(load(&inputs).unwrap().config.injection.profile, Profile::Flyte2);
}

#[test]
fn flags_win_over_environment_over_later_files_over_earlier_ones_over_defaults() {
    let flags = &[("webhook.listenPort", "5")][..];
    let environment = &[("WEBHOOK_LISTENPORT", "4")][..];
    let files = &["webhook: {listenPort: 2}", "webhook: {listenPort: 3}"][..];
    let cases = [
        (&[][..], &[][..], &[][..], 9443),
        (&files[..1], &[], &[], 2),
        (files, &[], &[], 3),
        (files, environment, &[], 4),
        (files, environment, flags, 5),
    ];
    for (files, environment, flags, expected) in cases {
        let inputs = Inputs { environment: pairs(environment), flags: pairs(flags), ..Inputs::default() };
        assert_eq!(load_with(files, inputs).unwrap().config.webhook.listen_port, expected);
    }
}

#[test]
fn mappings_merge_over_files_and_lists_are_replaced() {
    let loaded = load_files(&[
        "webhook: {certDir: /a, secretManagerTypes: [AWS, GCP]}\nsecrets: {env-prefix: A_}",
        "webhook: {secretManagerTypes: [Azure]}\nsecrets: {secrets-prefix: /s}",
    ])
    .unwrap();
    assert_eq!(loaded.config.webhook.cert_dir.to_str(), Some("/a"));
    assert_eq!(loaded.config.injection.managers, [SecretManagerType::Global, SecretManagerType::Azure]);
    assert_eq!(loaded.config.injection.global.env_prefix, "A_");
    assert_eq!(loaded.config.injection.global.secrets_prefix.to_str(), Some("/s"));
}

#[test]
fn resources_merge_down_to_one_limit_and_come_out_as_texts() {
    let loaded = load_files(&[
        "webhook: {awsSecretManager: {resources: {limits: {cpu: 0.50}}}}",
        "WEBHOOK: {AWSsecretManager: {Resources: {LIMITS: {nvidia.com/gpu: 1, CPU: 1e1}}}}",
    ])
    .unwrap();
    assert_eq!(
        loaded.config.injection.aws.resources,
        json!({
            "limits": {"cpu": "1e1", "memory": "500Mi", "nvidia.com/gpu": "1"},
            "requests": {"cpu": "200m", "memory": "500Mi"},
        })
    );
}

#[test]
fn annotations_merge_and_keep_the_case_of_their_names() {
    let loaded = load_files(&[
        "webhook: {vaultSecretManager: {annotations: {a/Name: 1, a/name: x}}}",
        "webhook: {vaultSecretManager: {annotations: {a/name: true}}}",
    ])
    .unwrap();
    let annotations: Vec<_> = loaded.config.injection.vault.annotations.into_iter().collect();
    assert_eq!(annotations, pairs(&[("a/Name", "1"), ("a/name", "true")]));
}

#[test]
fn a_namespace_selector_merges_by_member() {
    let loaded = load_files(&[
        "webhook: {namespaceSelector: {matchLabels: {a: x, b: y}}}",
        "webhook: {namespaceSelector: {matchlabels: {b: 1}, matchExpressions: [{key: c, operator: exists}]}}",
    ])
    .unwrap();
    let expected =
        json!({"matchLabels": {"a": "x", "b": "1"}, "matchExpressions": [{"key": "c", "operator": "Exists"}]});
    assert_eq!(loaded.config.webhook.namespace_selector, Some(expected));
}

#[test]
fn match_conditions_keep_their_order_and_one_of_the_same_name_is_replaced() {
    let loaded = load_files(&[
        "webhook: {registration: {matchConditions: [{name: b, expression: x}, {name: a, expression: 'y == 1'}]}}",
        "webhook: {registration: {matchConditions: [{name: b, expression: true}, {name: B, expression: z}]}}",
    ])
    .unwrap();
    let expected = pairs(&[("b", "true"), ("a", "y == 1"), ("B", "z")]);
    assert_eq!(loaded.config.webhook.registration.match_conditions, expected);
    for text in ["", "webhook: {registration: {matchConditions: }}", "webhook: {registration: {matchConditions: []}}"] {
        assert_eq!(load_one(text).unwrap().config.webhook.registration.match_conditions, [], "{text}");
    }
}

#[test]
fn cas_of_others_that_are_kept_for_less_than_a_rolling_update_are_warned_of() {
    let warnings = |text: &str| load_one(text).unwrap().warnings.len();
    assert_eq!(warnings("webhook: {registration: {adoptedCaRetention: 599s}}"), 1);
    assert_eq!(warnings("webhook: {registration: {adoptedCaRetention: 10m}}"), 0);
}

#[test]
fn an_empty_namespace_selector_is_none() {
    for text in ["", "webhook: {namespaceSelector: }", "webhook: {namespaceSelector: {}}"] {
        assert_eq!(load_one(text).unwrap().config.webhook.namespace_selector, None, "{text}");
    }
}

#[test]
fn a_key_without_a_value_is_as_if_it_were_not_there() {
    let loaded =
        load_files(&["webhook: {certDir: /a, listenPort: 1}", "webhook:\n  certDir:\n  listenPort: ~\nsecrets:"]);
    let webhook = loaded.unwrap().config.webhook;
    assert_eq!((webhook.cert_dir.to_str(), webhook.listen_port), (Some("/a"), 1));
}

#[test]
fn keys_are_matched_without_regard_to_case() {
    let loaded = load_one("WebHook:\n  CERTDIR: /a\n  Metrics-Prefix: m").unwrap();
    assert_eq!(loaded.config.webhook.cert_dir.to_str(), Some("/a"));
    assert_eq!(loaded.config.webhook.metrics_prefix, "m");
}

#[test]
fn a_key_may_be_written_with_dots() {
    let loaded = load_one("webhook.listenPort: 1\nwebhook: {embeddedSecretManagerConfig.type: AWS}").unwrap();
    assert_eq!(loaded.config.webhook.listen_port, 1);
    assert_eq!(loaded.config.stores.stores[0].store_type(), flyte_secrets_config::StoreType::Aws);
}

#[test]
fn aliases_and_merge_keys_of_yaml_work() {
    let loaded = load_one(
        "x-common: &common {sidecarImage: img:1}\nwebhook:\n  awsSecretManager: *common\n  gcpSecretManager:\n    <<: *common\n",
    )
    .unwrap();
    assert_eq!(loaded.config.injection.aws.image, "img:1");
    assert_eq!(loaded.config.injection.gcp.image, "img:1");
}

#[test]
fn variables_are_taken_with_dots_or_underscores() {
    let cases = [("WEBHOOK.CERTDIR", "/a"), ("WEBHOOK_CERTDIR", "/a")];
    for (name, value) in cases {
        let loaded = load(&with_environment(&[(name, value), ("WEBHOOK_NOPE", "1"), ("certDir", "/b")])).unwrap();
        assert_eq!(loaded.config.webhook.cert_dir.to_str(), Some("/a"), "{name}");
    }
    let loaded = load(&with_environment(&[("WEBHOOK_METRICS_PREFIX", "m"), ("WEBHOOK_LISTENPORT", "")])).unwrap();
    assert_eq!(loaded.config.webhook.metrics_prefix, "m");
    assert_eq!(loaded.config.webhook.listen_port, 9443);
}

#[test]
fn the_links_of_a_kubernetes_service_are_no_ports_of_ours() {
    assert!(load(&with_environment(&[("SECRET_SERVER_PORT", "tcp://10.0.0.1:80")])).is_ok());
}

#[test]
fn lists_and_mappings_are_given_in_one_line() {
    let inputs = Inputs {
        environment: pairs(&[("WEBHOOK_SECRETMANAGERTYPES", "embedded, k8s")]),
        flags: pairs(&[
            ("webhook.namespaceSelector", "{matchLabels: {flyte: yes}}"),
            ("webhook.vaultSecretManager.annotations", r#"{"a/b": "c"}"#),
            ("webhook.gcpSecretManager", "{sidecarImage: img}"),
            ("webhook.accessPolicy.denySecrets", "db-*,kube-system/*"),
        ]),
        ..Inputs::default()
    };
    let config = load(&inputs).unwrap().config;
    let managers = [SecretManagerType::Global, SecretManagerType::Embedded, SecretManagerType::K8s];
    assert_eq!(config.injection.managers, managers);
    assert_eq!(config.webhook.namespace_selector, Some(json!({"matchLabels": {"flyte": "yes"}})));
    assert_eq!(config.injection.vault.annotations.get("a/b").map(String::as_str), Some("c"));
    assert_eq!(config.injection.gcp.image, "img");
    assert_eq!(config.injection.protected.deny, ["db-*", "kube-system/*"]);
}

#[test]
fn flags_of_other_components_are_ignored_with_a_warning() {
    let loaded = load(&with_flags(&[("admin.endpoint", "x"), ("logger.mute", "true")])).unwrap();
    assert_eq!(loaded.warnings, ["flag --admin.endpoint belongs to no section of ours and is ignored"]);
}

#[test]
fn sections_of_other_components_are_ignored() {
    let text = "storage: {type: s3}\ncache: {x: [1, {y: .nan}]}\n5: true\nlogger: {mute: false, level: 5}\n";
    assert_eq!(load_one(text).unwrap().warnings, [""; 0]);
}

#[test]
fn a_section_that_looks_like_ours_gives_a_warning() {
    let warnings = load_one("webhok: {certDir: /a}").unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    assert_eq!(
        file_name_only(&warnings[0]),
        "1.yaml:1:1: section `webhok` is not ours and ignored; did you mean `webhook`?"
    );
}

#[test]
fn every_value_knows_where_it_came_from() {
    let inputs = Inputs {
        environment: pairs(&[("WEBHOOK_SERVICENAME", "svc")]),
        flags: pairs(&[("webhook.serviceport", "1")]),
        implied_profile: Some(Profile::Flyte1),
        ..Inputs::default()
    };
    let loaded = load_with(&["webhook:\n  certDir: /a\n  awsSecretManager: {resources: {limits: {cpu: 2}}}\n"], inputs);
    let effective = loaded.unwrap().effective;
    let cases = [
        ("webhook.profile", r#""flyte1""#, "program name"),
        ("webhook.certDir", r#""/a""#, "1.yaml:2:12"),
        ("webhook.awsSecretManager.resources.limits.cpu", r#""2""#, "1.yaml:3:48"),
        ("webhook.awsSecretManager.resources.limits.memory", r#""500Mi""#, "default"),
        ("webhook.serviceName", r#""svc""#, "environment WEBHOOK_SERVICENAME"),
        ("webhook.servicePort", "1", "flag --webhook.serviceport"),
        ("webhook.localCert", "false", "default"),
        ("webhook.webhookTimeout", r#""30s""#, "default"),
        ("webhook.secretManagerTypes", "[]", "default"),
        ("webhook.namespaceSelector", "{}", "default"),
        ("secret.kubernetes.qps", "null", "default"),
    ];
    for (key, value, origin) in cases {
        let row = effective.iter().find(|row| row.key == key).expect(key);
        let found = row.origin.to_string();
        assert_eq!((row.value.as_str(), file_name_only(&found)), (value, origin), "{key}");
    }
}

#[test]
fn the_files_of_a_glob_are_read_in_the_order_of_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("b.yaml", "webhook: {listenPort: 2}");
    write("a.yaml", "webhook: {listenPort: 1}");
    write("c.txt", "webhook: {listenPort: 3}");
    std::fs::create_dir(folder.path().join("d.yaml")).unwrap();
    let glob = folder.path().join("*.yaml").to_str().unwrap().to_owned();
    let loaded = load(&Inputs { files: vec![glob], ..Inputs::default() }).unwrap();
    assert_eq!(loaded.config.webhook.listen_port, 2);
}

#[test]
fn files_that_cannot_be_read_are_all_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("large.yaml"), vec![b'#'; (1 << 20) + 1]).unwrap();
    std::fs::write(path("latin.yaml"), b"a: \xe9").unwrap();
    let files = vec![path("none.yaml"), path("*.json"), path("large.yaml"), path("latin.yaml"), path("")];
    let errors = errors_of(load(&Inputs { files, ..Inputs::default() }));
    assert_eq!(errors.len(), 5, "{errors:?}");
    assert!(errors[0].ends_with("*.json: no file matches this glob"), "{errors:?}");
    assert!(errors[1].starts_with("none.yaml: cannot be read: No such file"), "{errors:?}");
    assert_eq!(errors[2], "large.yaml: larger than 1024 KiB, which is no configuration");
    assert_eq!(errors[3], "latin.yaml: not UTF-8 at byte 3");
}

#[test]
fn more_files_than_are_read_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for index in 0..129 {
        std::fs::write(folder.path().join(format!("{index:03}.yaml")), "").unwrap();
    }
    let glob = folder.path().join("*").to_str().unwrap().to_owned();
    let errors = errors_of(load(&Inputs { files: vec![glob], ..Inputs::default() }));
    assert_eq!(errors, ["128.yaml: the 129th file; at most 128 are read"]);
}
