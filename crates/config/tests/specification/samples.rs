//! Whole configurations as Flyte installations have them, and the reference.

use std::path::PathBuf;
use std::time::Duration;

use flyte_secrets_config::{Inputs, LogLevel, StoreSettings, load, reference};
use flyte_secrets_core::settings::{KvVersion, Profile, SecretManagerType};
use serde_json::json;

use crate::support::pairs;

fn in_crate(path: &str) -> String {
    format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_files_of_a_flyte_1_installation_load() {
    let loaded = load(&Inputs {
        files: vec![in_crate("testdata/flyte1/*.yaml")],
        environment: pairs(&[("POD_NAMESPACE", "flyte")]),
        implied_profile: Some(Profile::Flyte1),
        ..Inputs::default()
    })
    .unwrap_or_else(|errors| panic!("{errors}"));
    let config = loaded.config;
    assert_eq!(loaded.warnings, [""; 0]);
    assert_eq!(config.injection.managers, [SecretManagerType::Global, SecretManagerType::Vault]);
    assert_eq!(config.injection.env_var_prefix, "_FSEC_");
    assert_eq!(config.injection.vault.kv_version, KvVersion::V1);
    assert_eq!(config.injection.vault.role, "flyte-tasks");
    let annotations: Vec<_> = config.injection.vault.annotations.into_iter().collect();
    let expected = [("example.com/Team", "Data"), ("vault.hashicorp.com/tls-skip-verify", "true")];
    assert_eq!(annotations, pairs(&expected));
    assert_eq!(config.injection.aws.resources["limits"], json!({"cpu": "1", "memory": "500Mi"}));
    assert!(config.webhook.local_cert);
    assert_eq!(config.log.level, LogLevel::Debug);
}

#[test]
fn the_file_of_a_flyte_2_installation_loads() {
    let loaded = load(&Inputs {
        files: vec![in_crate("testdata/flyte2/config.yaml")],
        environment: pairs(&[("HOME", "/home/me")]),
        ..Inputs::default()
    })
    .unwrap_or_else(|errors| panic!("{errors}"));
    let config = loaded.config;
    assert_eq!(loaded.warnings, [""; 0]);
    let managers = [SecretManagerType::Global, SecretManagerType::Embedded, SecretManagerType::K8s];
    assert_eq!(config.injection.managers, managers);
    assert_eq!(config.webhook.cert_dir, PathBuf::from("/home/me/certs"));
    assert_eq!(config.webhook.timeout, Duration::from_secs(10));
    assert_eq!(
        config.webhook.namespace_selector,
        Some(json!({"matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", "flyte"]}
        ]}))
    );
    let [StoreSettings::Gcp(gcp)] = &config.stores.stores[..] else { panic!("{:?}", config.stores) };
    assert_eq!((gcp.project.as_str(), &gcp.endpoint, gcp.anonymous), ("my-project", &None, false));
    assert_eq!(config.injection.protected.store_namespaces, ["flyte", "flyte-secrets"]);
    assert!(config.injection.embedded.image_pull_secrets);
    assert_eq!(
        config.injection.embedded.writer.resources,
        json!({"limits": {"cpu": "100m", "memory": "100Mi"}, "requests": {"cpu": "100m", "memory": "64Mi"}})
    );
}

#[test]
fn the_reference_is_the_one_in_the_documentation() {
    let path = in_crate("../../docs/configuration.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, reference()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(written == reference(), "docs/configuration.md is old: UPDATE_DOCS=1 cargo test -p flyte-secrets-config");
}
