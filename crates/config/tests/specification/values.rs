//! What keys accept, and what settings come of them.

use std::time::Duration;

use flyte_secrets_config::{
    CertificateMode, Inputs, LogFormat, LogLevel, SecretServiceStore, StoreSettings, StoreType, load,
};
use flyte_secrets_core::settings::{
    CheckExists, InitContainerPlacement, InitContainerSecurityContext, KvVersion, OnCollision, OnManagerFailure,
    OnUnserved, SecretManagerType,
};

use crate::support::{errors_of, load_one, pairs, with_environment, with_flags};

#[test]
fn global_is_asked_first_and_again_where_it_is_named() {
    use SecretManagerType::{Aws, Embedded, Global, K8s};
    let cases: [(&str, &[SecretManagerType]); 5] = [
        ("{}", &[Global, Embedded]),
        ("{secretManagerType: k8S}", &[Global, K8s]),
        ("{secretManagerType: K8s, secretManagerTypes: []}", &[Global, K8s]),
        ("{secretManagerType: K8s, secretManagerTypes: [aws, Global]}", &[Global, Aws, Global]),
        ("{secretManagerTypes: 'AWS, K8s'}", &[Global, Aws, K8s]),
    ];
    for (webhook, expected) in cases {
        let loaded = load_one(&format!("webhook: {webhook}")).unwrap();
        assert_eq!(loaded.config.injection.managers, expected, "{webhook}");
    }
}

#[test]
fn every_choice_of_every_key_makes_a_setting() {
    let choices = [
        ("webhook.profile", "flyte1 flyte2"),
        ("webhook.secretManagerType", "Global K8s AWS GCP Azure Vault Embedded"),
        ("webhook.delivery", "SecretRef PodSpec"),
        ("webhook.accessPolicy.mode", "Enforce Audit Off"),
        ("webhook.invalidation.authentication", "None TokenReview"),
        ("webhook.embeddedSecretManagerConfig.scopes", "Parallel Sequential"),
        ("cache.type", "InMemoryFixedSize Redis"),
        ("webhook.onUnserved", "Refuse Admit"),
        ("webhook.onManagerFailure", "Refuse Next"),
        ("webhook.onCollision", "Warn Refuse"),
        ("webhook.initContainerPlacement", "AfterSidecars First Last"),
        ("webhook.vaultSecretManager.kvVersion", "1 2"),
        ("webhook.embeddedSecretManagerConfig.type", "AWS K8s Local"),
        ("secrets.type", "local"),
        ("logger.level", "0 1 2 3 4 5 6 panic fatal error warn warning info debug trace"),
        ("logger.formatter.type", "json text gcp"),
    ];
    for (key, values) in choices {
        for value in values.split(' ') {
            for spelled in [value.to_owned(), value.to_ascii_lowercase(), value.to_ascii_uppercase()] {
                let loaded = load(&with_flags(&[(key, &spelled)]));
                assert!(loaded.is_ok(), "{key}={spelled}: {loaded:?}");
            }
        }
    }
}

#[test]
fn choices_reach_the_settings() {
    let config = load_one(
        "webhook:
  onUnserved: admit
  onManagerFailure: next
  onCollision: refuse
  initContainerPlacement: last
  initContainerSecurityContext: restricted
  k8s: {checkExists: warn}
  vaultSecretManager: {kvVersion: 1}
  embeddedSecretManagerConfig: {type: local, localConfig: {file: /s.age, keyFile: /k}}
logger: {level: 3, formatter: {type: text}}",
    )
    .unwrap()
    .config;
    assert_eq!(config.injection.on_unserved, OnUnserved::Admit);
    assert_eq!(config.injection.on_manager_failure, OnManagerFailure::Next);
    assert_eq!(config.injection.on_collision, OnCollision::Refuse);
    assert_eq!(config.injection.init_container_placement, InitContainerPlacement::Last);
    assert_eq!(config.injection.init_container_security_context, InitContainerSecurityContext::Restricted);
    assert_eq!(config.injection.check_exists, CheckExists::Warn);
    assert_eq!(config.injection.vault.kv_version, KvVersion::V1);
    assert_eq!(config.stores.stores[0].store_type(), StoreType::Local);
    assert_eq!((config.log.level, config.log.format), (LogLevel::Warn, LogFormat::Text));
}

#[test]
fn the_defaults_of_the_server_are_those_of_flyte() {
    let config = load(&Inputs::default()).unwrap().config;
    let webhook = config.webhook;
    assert_eq!(webhook.cert_dir.to_str(), Some("/etc/webhook/certs"));
    assert!(!webhook.local_cert);
    assert_eq!((webhook.listen_port, webhook.service_port, webhook.metrics_port), (9443, 443, 10254));
    assert_eq!(webhook.cache_invalidation_port, Some(9444));
    assert_eq!(
        (webhook.service_name.as_str(), webhook.secret_name.as_str()),
        ("flyte-pod-webhook", "flyte-pod-webhook")
    );
    assert_eq!(webhook.timeout, Duration::from_secs(30));
    assert_eq!(webhook.shutdown_delay, Duration::from_secs(10), "ours");
    assert_eq!((webhook.register, webhook.url, webhook.metrics_prefix.as_str()), (true, None, "flyte:"));
    assert_eq!((webhook.kube_client.qps, webhook.kube_client.burst), (100, 25));
    assert_eq!(webhook.kube_client.timeout, Duration::from_secs(30));
    assert_eq!((webhook.pod_namespace, webhook.pod_name), (None, None));
    assert_eq!((config.log.level, config.log.format), (LogLevel::Info, LogFormat::Json));
}

#[test]
fn settings_of_the_server_are_taken() {
    let config = load_one(
        "webhook:
  localCert: 'true'
  cacheInvalidationPort: 0
  url: https://laptop:9443/mutate
  disableCreateMutatingWebhookConfig: True
  kubeClientConfig: {qps: 0, burst: 0, timeout: 5s}
  embeddedSecretManagerConfig: {k8sConfig: {namespace: vault, kubeClientConfig: {burst: 7, qps: 0}}}",
    )
    .unwrap()
    .config;
    assert!(config.webhook.local_cert);
    assert!(!config.webhook.register);
    assert_eq!(config.webhook.cache_invalidation_port, None);
    assert_eq!(config.webhook.url.as_deref(), Some("https://laptop:9443/mutate"));
    assert_eq!((config.webhook.kube_client.qps, config.webhook.kube_client.burst), (5, 10));
    let [StoreSettings::K8s(k8s)] = &config.stores.stores[..] else { panic!("{:?}", config.stores) };
    assert_eq!((k8s.namespace.as_str(), k8s.kube_client.qps, k8s.kube_client.burst), ("vault", 5, 7));
    assert_eq!(k8s.kube_client.timeout, Duration::from_secs(5));
    assert_eq!(config.injection.protected.store_namespaces, ["vault"]);
}

#[test]
fn the_timeout_of_the_webhook_is_1_to_30_whole_seconds() {
    for (given, seconds) in [("1", 1), ("30", 30), ("30s", 30), ("\"7\"", 7), ("0.5m", 30)] {
        let loaded = load_one(&format!("webhook: {{webhookTimeout: {given}}}")).unwrap();
        assert_eq!(loaded.config.webhook.timeout, Duration::from_secs(seconds), "{given}");
    }
    for given in ["0", "31", "1m", "500ms", "1.5s", "-1", "1.5", "soon", "[1]", "30000000000"] {
        assert!(load_one(&format!("webhook: {{webhookTimeout: {given}}}")).is_err(), "{given}");
    }
}

#[test]
fn durations_have_a_unit_and_bare_numbers_are_nanoseconds_as_in_flyte() {
    for (given, milliseconds) in [("1m30s", 90_000), ("100ms", 100), ("5000000000", 5_000)] {
        let loaded = load_one(&format!("webhook: {{kubeClientConfig: {{timeout: {given}}}}}")).unwrap();
        assert_eq!(loaded.config.webhook.kube_client.timeout, Duration::from_millis(milliseconds), "{given}");
    }
    let errors = errors_of(load_one("webhook: {kubeClientConfig: {timeout: 30}}"));
    assert!(errors[0].contains("30 without a unit is 30 nanoseconds, as in Flyte; write 30s"), "{errors:?}");
}

#[test]
fn a_client_without_any_limit_of_time_is_not_offered() {
    let loaded = load_one("webhook: {kubeClientConfig: {timeout: 0s}}").unwrap();
    assert_eq!(loaded.config.webhook.kube_client.timeout, Duration::from_secs(30));
    assert_eq!(loaded.warnings.len(), 1);
}

#[test]
fn wrong_values_are_refused() {
    let cases = [
        ("webhook.listenPort", "0"),
        ("webhook.listenPort", "65536"),
        ("webhook.listenPort", "-1"),
        ("webhook.listenPort", "9443.0"),
        ("webhook.cacheInvalidationPort", "70000"),
        ("webhook.localCert", "yes"),
        ("webhook.serviceName", ""),
        ("webhook.serviceName", "Not_A_Name"),
        ("webhook.url", "http://plain"),
        ("webhook.kubeClientConfig.qps", "1.5"),
        ("webhook.kubeClientConfig.timeout", "2h"),
        ("webhook.profile", "flyte3"),
        ("webhook.secretManagerTypes", "K8s,Confidant"),
        ("webhook.secretManagerTypes", "K8s,,AWS"),
        ("webhook.awsSecretManager.sidecarImage", ""),
        ("webhook.awsSecretManager.resources", "{limits: {cpu: lots}}"),
        ("webhook.awsSecretManager.resources", "{limit: {cpu: 1}}"),
        ("webhook.awsSecretManager.resources", "[1]"),
        ("webhook.vaultSecretManager.kvVersion", "3"),
        ("webhook.vaultSecretManager.annotations", "{a b: c}"),
        ("webhook.vaultSecretManager.annotations", "{a: [c]}"),
        ("webhook.accessPolicy.denySecrets", "A/b/c"),
        ("webhook.accessPolicy.mode", "On"),
        ("webhook.accessPolicy.organizations", "a b"),
        ("webhook.accessPolicy.namespaces", "{project}-{team}"),
        ("webhook.accessPolicy.namespaces", "Flyte"),
        ("webhook.accessPolicy.trustedCreators", "a,,b"),
        ("webhook.mirrorRetention", "0"),
        ("webhook.mirrorRetention", "500ms"),
        ("webhook.mirrorGrace", "9000h"),
        ("webhook.invalidation.perMinute", "0"),
        ("webhook.invalidation.allowedServiceAccounts", "flyte"),
        ("webhook.embeddedSecretManagerConfig.types", "K8s,Consul"),
        ("webhook.embeddedSecretManagerConfig.concurrentCalls", "0"),
        ("webhook.embeddedSecretManagerConfig.callTimeout", "0s"),
        ("webhook.embeddedSecretManagerConfig.awsConfig.endpoint", "localhost:1"),
        ("webhook.embeddedSecretManagerConfig.vaultConfig.field", ""),
        ("cache.inMemoryFixedSize.size", "-1"),
        ("cache.inMemoryFixedSize.size", "2Ti"),
        ("cache.inMemoryFixedSize.defaultExpiration", "soon"),
        ("webhook.namespaceSelector", "{matchLabel: {a: b}}"),
        ("webhook.namespaceSelector", "{matchLabels: {a: 'b c'}}"),
        ("webhook.namespaceSelector", "{matchExpressions: [{key: a, operator: In}]}"),
        ("webhook.namespaceSelector", "{matchExpressions: [{key: a, operator: Exists, values: [b]}]}"),
        ("webhook.namespaceSelector", "{matchExpressions: [{key: a, operator: Like, values: [b]}]}"),
        ("webhook.namespaceSelector", "{matchExpressions: [{operator: Exists}]}"),
        ("webhook.namespaceSelector", "{matchExpressions: {key: a}}"),
        ("webhook.namespaceSelector", "{matchLabels: {a: b}"),
        ("webhook.registration.failurePolicy", "Warn"),
        ("webhook.registration.refresh", "0s"),
        ("webhook.registration.adoptedCaRetention", "9000h"),
        ("webhook.registration.matchConditions", "{a: b}"),
        ("webhook.registration.matchConditions", "[{expression: 'true'}]"),
        ("webhook.registration.matchConditions", "[{name: a b, expression: 'true'}]"),
        ("webhook.registration.matchConditions", "[{name: flyte-secrets-x, expression: 'true'}]"),
        ("webhook.registration.matchConditions", "[{name: a, expression: ''}]"),
        ("webhook.registration.matchConditions", "[{name: a}]"),
        ("webhook.registration.matchConditions", "[{name: a, expression: b}, {name: a, expression: c}]"),
        ("webhook.certificates.certManagerCertificate", "webhook"),
        ("webhook.certificates.certManagerCertificate", "flyte/webhook"),
        ("webhook.certificates.mode", "cert-manager"),
        ("secrets.env-prefix", ""),
        ("secrets.type", "remote"),
        ("logger.level", "7"),
    ];
    for (key, value) in cases {
        let errors = errors_of(load(&with_flags(&[(key, value)])));
        assert_eq!(errors.len(), 1, "{key}={value}: {errors:?}");
        assert!(errors[0].starts_with(&format!("flag --{key}: {key}")), "{errors:?}");
    }
}

#[test]
fn an_empty_prefix_of_variables_is_an_error_that_says_why() {
    let errors = errors_of(load_one("secrets: {env-prefix: ''}"));
    let expected = "1.yaml:1:23: secrets.env-prefix: must not be empty: every variable of the webhook's process could be asked for";
    assert_eq!(errors, [expected]);
}

#[test]
fn two_servers_cannot_share_a_port() {
    let errors = errors_of(load_one("webhook: {listenPort: 9444}"));
    assert_eq!(errors, ["1.yaml:1:23: webhook.listenPort: the same port as webhook.cacheInvalidationPort"]);
    assert!(load_one("webhook: {listenPort: 9444, cacheInvalidationPort: 0}").is_ok());
}

#[test]
fn variables_in_paths_are_replaced() {
    let inputs = Inputs {
        environment: pairs(&[("HOME", "/home/me")]),
        flags: pairs(&[("webhook.certDir", "${HOME}/$NOPE/certs")]),
        ..Inputs::default()
    };
    let loaded = load(&inputs).unwrap();
    assert_eq!(loaded.config.webhook.cert_dir.to_str(), Some("/home/me//certs"));
    let expected = "flag --webhook.certDir: webhook.certDir: the variable NOPE is not set; nothing stands in its place";
    assert_eq!(loaded.warnings, [expected]);
}

#[test]
fn our_own_secrets_are_protected_in_the_namespace_of_the_webhook() {
    let own = |environment: &[(&str, &str)], name: &str| {
        let flags = pairs(&[("webhook.secretName", name)]);
        let inputs = Inputs { flags, ..with_environment(environment) };
        load(&inputs).unwrap().config.injection.protected.own
    };
    let system = &[("POD_NAMESPACE", "system")];
    let cas = ("system", "flyte-pod-webhook-ca");
    assert_eq!(own(system, "certs"), pairs(&[("system", "certs"), ("system", "flyte-pod-webhook-secret"), cas]));
    assert_eq!(own(system, "flyte-pod-webhook-secret"), pairs(&[("system", "flyte-pod-webhook-secret"), cas]));
    assert_eq!(own(&[], "certs"), []);
}

#[test]
fn the_secret_of_the_cas_is_protected_in_its_own_namespace() {
    let yaml = "webhook: {serviceName: hook, certificates: {caSecretNamespace: vault}}";
    let config = load_one(yaml).unwrap().config;
    assert_eq!(config.injection.protected.own, pairs(&[("vault", "hook-ca")]));
    assert_eq!(config.webhook.certificates.ca_secret_namespace.as_deref(), Some("vault"));
    assert_eq!(config.webhook.certificates.ca_secret_name, "hook-ca");
}

#[test]
fn the_mode_of_certificates_is_left_open_or_one_of_three() {
    let mode = |mode: &str| {
        load_one(&format!("webhook: {{certificates: {{mode: {mode}}}}}")).unwrap().config.webhook.certificates.mode
    };
    assert_eq!(mode("''"), None);
    assert_eq!(mode("files"), Some(CertificateMode::Files));
    assert_eq!(mode("Auto"), Some(CertificateMode::Auto));
    assert_eq!(mode("cert-manager, certManagerCertificate: a/b"), Some(CertificateMode::CertManager));
    let errors = errors_of(load_one("webhook: {certificates: {mode: autom}}"));
    assert!(errors[0].contains("did you mean auto?"), "{errors:?}");
}

#[test]
fn lives_of_certificates_that_leave_no_time_for_a_change_are_refused() {
    let load = |times: &str| load_one(&format!("webhook: {{certificates: {{{times}}}}}"));
    let short = load("caLifetime: 40s, leafLifetime: 6s, caOverlap: 3s, clockSkew: 1s").unwrap();
    assert!(short.warnings[0].contains("caOverlap: shorter than 1m"), "{:?}", short.warnings);
    assert_eq!(short.config.webhook.certificates.ca_lifetime, Duration::from_secs(40));
    for (times, part) in [
        ("caLifetime: 35s, leafLifetime: 6s, caOverlap: 3s, clockSkew: 1s", "at least 36s"),
        ("leafLifetime: 19m", "leafLifetime: shorter than four times webhook.certificates.clockSkew"),
        ("caOverlap: 0s", "caOverlap: expected a duration"),
    ] {
        let errors = errors_of(load(times));
        assert!(errors[0].contains(part), "{errors:?}");
    }
}

#[test]
fn the_pod_of_the_webhook_is_known_from_the_environment() {
    let webhook =
        load(&with_environment(&[("POD_NAMESPACE", "flyte"), ("POD_NAME", "webhook-0")])).unwrap().config.webhook;
    assert_eq!(webhook.pod_namespace.as_deref(), Some("flyte"));
    assert_eq!(webhook.pod_name.as_deref(), Some("webhook-0"));
}

#[test]
fn the_prefix_of_flyte_1_is_fixed() {
    let loaded = load_one("webhook: {profile: flyte1, secretEnvVarPrefix: X_}").unwrap();
    assert_eq!(loaded.config.injection.env_var_prefix, "_FSEC_");
    assert_eq!(loaded.warnings.len(), 1);
    assert!(loaded.warnings[0].contains("webhook.secretEnvVarPrefix is ignored"), "{:?}", loaded.warnings);
    let same = load_one("webhook: {profile: flyte1, secretEnvVarPrefix: _FSEC_}").unwrap();
    assert_eq!(same.warnings, [""; 0]);
    let flyte2 = load_one("webhook: {secretEnvVarPrefix: X_}").unwrap();
    assert_eq!(flyte2.config.injection.env_var_prefix, "X_");
}

#[test]
fn the_single_manager_is_deprecated_in_flyte_2_only() {
    let warnings = |text: &str| load_one(text).unwrap().warnings.join("\n");
    assert!(warnings("webhook: {secretManagerType: K8s}").contains("deprecated"));
    assert_eq!(warnings("webhook: {profile: flyte1, secretManagerType: AWS}"), "");
    assert!(warnings("webhook: {secretManagerType: K8s, secretManagerTypes: [AWS]}").contains("has no effect"));
}

#[test]
fn the_image_builder_is_another_part_of_flyte() {
    let text = "webhook: {imageBuilderConfig: {enabled: true, anything: [1, {2: 3}]}}";
    let defaults = load(&Inputs::default()).unwrap();
    assert_eq!(load_one(text).unwrap(), defaults);
    assert_eq!(load(&with_flags(&[("webhook.imageBuilderConfig.enabled", "true")])).unwrap(), defaults);
}

#[test]
fn looking_for_secrets_that_are_not_there_is_of_no_use_where_everything_is_admitted() {
    for (yaml, warned) in [
        ("webhook: {profile: flyte1, k8s: {checkExists: Refuse}}", true),
        ("webhook: {profile: flyte1, onUnserved: Refuse, k8s: {checkExists: Refuse}}", false),
        ("webhook: {profile: flyte1, k8s: {checkExists: Warn}}", false),
        ("webhook: {k8s: {checkExists: Refuse}}", false),
    ] {
        let warnings = load_one(yaml).unwrap().warnings;
        assert_eq!(
            warnings.iter().any(|text| text.contains("add `webhook.onUnserved: Refuse`")),
            warned,
            "{warnings:?}"
        );
    }
}

#[test]
fn the_defaults_of_the_secret_service_are_those_of_flyte() {
    let service = load(&Inputs::default()).unwrap().config.secret_service;
    assert_eq!((service.host.as_str(), service.port, service.metrics_port), ("0.0.0.0", 8093, 8094));
    assert_eq!((service.store, service.namespace.as_str()), (SecretServiceStore::K8s, "flyte"));
    assert_eq!(service.webhook_url.as_deref(), Some("http://localhost:9444"));
    assert_eq!((service.cert_dir, service.webhook_token_file, service.cluster_name.as_str()), (None, None, ""));
    assert_eq!(
        (service.kube_client.timeout, service.shutdown_delay),
        (Duration::from_secs(30), Duration::from_secs(5))
    );
}

#[test]
fn settings_of_the_secret_service_are_taken_and_its_ports_differ() {
    let loaded = load_one(
        "secret:
  store: Local
  webhookURL: ''
  server: {host: 127.0.0.1, port: 1, metricsPort: 2, certDir: /certs}
  kubernetes: {timeout: 5s, clusterName: here}
webhook: {embeddedSecretManagerConfig: {k8sConfig: {namespace: vault}}}",
    );
    let service = loaded.unwrap().config.secret_service;
    assert_eq!((service.store, service.namespace.as_str()), (SecretServiceStore::Local, "vault"));
    assert_eq!((service.webhook_url, service.cert_dir), (None, Some("/certs".into())));
    assert_eq!((service.host.as_str(), service.port, service.metrics_port), ("127.0.0.1", 1, 2));
    assert_eq!((service.kube_client.timeout, service.cluster_name.as_str()), (Duration::from_secs(5), "here"));
    let error = load_one("secret: {server: {port: 8094}}").unwrap_err().to_string();
    assert!(error.contains("secret.server.metricsPort: the same port as secret.server.port"), "{error}");
}
