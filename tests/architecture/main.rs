//! The rooms of the house: which crate may know which.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What each crate may depend on, of our own crates.
const ARROWS: &[(&str, &[&str])] = &[
    ("flyte-secrets-core", &[]),
    ("flyte-secrets-config", &["flyte-secrets-core"]),
    ("flyte-secrets-stores", &["flyte-secrets-core"]),
    ("flyte-secrets-webhook", &["flyte-secrets-core", "flyte-secrets-config", "flyte-secrets-stores"]),
    ("flyte-secrets-service", &["flyte-secrets-core", "flyte-secrets-config", "flyte-secrets-stores"]),
    ("flyte-secrets-sdk", &["flyte-secrets-core", "flyte-secrets-stores"]),
    (
        "flyte-secrets",
        &[
            "flyte-secrets-core",
            "flyte-secrets-config",
            "flyte-secrets-stores",
            "flyte-secrets-webhook",
            "flyte-secrets-service",
            "flyte-secrets-sdk",
        ],
    ),
    ("flyte-secrets-connector-example", &["flyte-secrets-core", "flyte-secrets-stores", "flyte-secrets-sdk"]),
    ("flyte-secrets-benches", &[]),
    ("flyte-secrets-e2e", &["flyte-secrets-core", "flyte-secrets-sdk"]),
];

/// Crates that do I/O, hold a runtime or talk to Kubernetes: none of them may reach `core`.
const NOT_IN_CORE: &[&str] = &["tokio", "axum", "hyper", "kube", "k8s-openapi", "rustls", "tracing", "reqwest"];

struct Package {
    manifest: PathBuf,
    /// Name and kind: `None` for an ordinary dependency, else `dev` or `build`.
    dependencies: BTreeSet<(String, Option<String>)>,
}

fn workspace() -> BTreeMap<String, Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline", "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().iter().map(package).collect()
}

fn package(package: &Value) -> (String, Package) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let dependencies = package["dependencies"].as_array().unwrap();
    let dependencies = dependencies.iter().map(|d| (text(&d["name"]), d["kind"].as_str().map(str::to_owned))).collect();
    (text(&package["name"]), Package { manifest: text(&package["manifest_path"]).into(), dependencies })
}

#[test]
fn crates_know_only_the_crates_below_them() {
    let packages = workspace();
    let allowed: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    for (name, package) in &packages {
        let below = allowed.get(name.as_str()).unwrap_or_else(|| panic!("{name} is new: give it a row in ARROWS"));
        for (dependency, kind) in &package.dependencies {
            if packages.contains_key(dependency) && kind.is_none() {
                assert!(below.contains(&dependency.as_str()), "{name} may not depend on {dependency}");
            }
        }
    }
}

#[test]
fn core_holds_no_runtime_and_no_client() {
    let core = &workspace()["flyte-secrets-core"];
    for (dependency, kind) in &core.dependencies {
        assert!(
            kind.is_some() || !NOT_IN_CORE.contains(&dependency.as_str()),
            "flyte-secrets-core depends on {dependency}"
        );
    }
}

#[test]
fn every_crate_takes_the_lints_and_the_versions_of_the_workspace() {
    for (name, package) in workspace() {
        let manifest = std::fs::read_to_string(&package.manifest).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{name}: [lints] workspace = true is missing");
        for line in manifest.lines().skip_while(|line| !line.ends_with("dependencies]")) {
            assert!(
                !line.contains("version = \"") && !line.contains(" = \""),
                "{name}: versions are set in the root: {line}"
            );
        }
    }
}
