//! The list of what is in the image.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::image;

/// Names and versions of all components.
fn components() -> BTreeMap<String, String> {
    let sbom: Value = serde_json::from_slice(&std::fs::read(image::folder().join("sbom.cdx.json")).unwrap()).unwrap();
    assert_eq!(sbom["bomFormat"], "CycloneDX");
    let text = |component: &Value, name: &str| component[name].as_str().unwrap_or_default().to_owned();
    let all = sbom["components"].as_array().unwrap().iter();
    all.map(|component| (text(component, "name"), text(component, "version"))).collect()
}

#[test]
fn the_sbom_names_the_crates_that_are_in_the_program() {
    let components = components();

    assert_eq!(components.get("flyte-secrets").map(String::as_str), Some(env!("CARGO_PKG_VERSION")));
    for name in ["rustls", "aws-lc-rs", "kube", "tokio", "aws-sdk-secretsmanager", "azure_identity"] {
        assert!(components.contains_key(name), "{name} of {}", components.len());
    }
}

#[test]
fn the_sbom_names_nothing_that_only_tests_use() {
    let components = components();

    for name in ["proptest", "prost-reflect", "flyte-secrets-e2e", "flyte-secrets-benches"] {
        assert!(!components.contains_key(name), "{name}");
    }
}
