//! The overlay for a cluster that has Flyte 2, whose own webhook cannot be taken out of it.

use std::path::Path;

use serde_json::{Value, json};

use crate::flyte1::manifests;
use crate::harness::program::{command, run};
use crate::harness::{Namespace, bed, eventually};
use crate::support::image;
use crate::support::kubectl::{apply, delete, kubectl};
use crate::support::tasks::{called, flytekit_reads_secrets};
use crate::support::workload::rolled_out;

const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
/// Flyte 2's Service, Secret and registration.
const FLYTES: &str = "flyte-pod-webhook";
const OURS: &str = "flyte-secrets";
/// The one line of Flyte 2's configuration, as it stands in flyte-values.yaml.
const LINE: &str =
    "namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: DoesNotExist}]}";

/// What Flyte 2 registers at every start; nobody answers at its Service, so a pod that went there would be refused.
fn flytes_registration(namespace_selector: &Value) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": FLYTES},
        "webhooks": [{
            "name": "flyte-pod-webhook.flyte.org",
            "clientConfig": {"service": {"name": FLYTES, "namespace": "flyte", "path": "/mutate--v1-pod", "port": 443}},
            "rules": [{"operations": ["CREATE"], "apiGroups": ["*"], "apiVersions": ["v1"], "resources": ["pods"]}],
            "objectSelector": {"matchLabels": {"inject-flyte-secrets": "true"}},
            "namespaceSelector": namespace_selector,
            "failurePolicy": "Fail", "sideEffects": "NoneOnDryRun", "admissionReviewVersions": ["v1", "v1beta1"],
        }],
    })
}

/// As Flyte 2 does at every start: its Secret is made anew, and its registration written over.
async fn flyte_2_starts(flyte: &Namespace, namespace_selector: &Value) {
    let path = format!("{}/{FLYTES}", flyte.path("secrets"));
    let _ = flyte.api.delete(&path).await;
    let pair = json!({"ca.crt": "of flyte", "tls.crt": "of flyte", "tls.key": "of flyte"});
    flyte.api.create(&flyte.path("secrets"), &json!({"metadata": {"name": FLYTES}, "stringData": pair})).await.unwrap();
    apply(&flytes_registration(namespace_selector).to_string()).await;
}

/// What must not change by somebody else's doing.
async fn versions(flyte: &Namespace, name: &str, secret: &str) -> [Value; 2] {
    let registration = flyte.api.get(&format!("{CONFIGURATIONS}/{name}")).await.unwrap();
    let secret = flyte.api.get(&format!("{}/{secret}", flyte.path("secrets"))).await.unwrap();
    [registration, secret].map(|object| object["metadata"]["resourceVersion"].clone())
}

#[tokio::test]
async fn beside_flyte_2_neither_disturbs_the_other_and_doctor_misses_the_line_of_its_configuration() {
    let values = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kustomize/flyte2-beside/flyte-values.yaml");
    assert!(std::fs::read_to_string(values).unwrap().contains(LINE), "the line that is documented is the one tested");
    let selector = json!({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "DoesNotExist"}]});
    image::on_the_node().await;
    let flyte = bed().namespace_named("flyte").await;
    flyte_2_starts(&flyte, &selector).await;
    let flytes = versions(&flyte, FLYTES, FLYTES).await;

    let manifests = manifests("flyte2-beside").await;
    apply(&manifests).await;
    rolled_out(&flyte, OURS).await;
    called(&flyte).await;
    flytekit_reads_secrets(&flyte).await;
    assert_eq!(versions(&flyte, FLYTES, FLYTES).await, flytes, "nothing of Flyte's was written");

    let ours = versions(&flyte, OURS, "flyte-secrets-ca").await;
    flyte_2_starts(&flyte, &selector).await;
    called(&flyte).await;
    assert_eq!(versions(&flyte, OURS, "flyte-secrets-ca").await, ours, "nothing of ours was written");
    assert_eq!(rivals(&flyte).await, ["rivals.elsewhere"], "with the line Flyte's webhook gets none of our pods");

    flyte_2_starts(&flyte, &json!({})).await;
    eventually("a finding", 20, || async {
        let found = rivals(&flyte).await;
        if found == ["rivals.active"] { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;

    kubectl(&["delete", "mutatingwebhookconfiguration", FLYTES]).await.unwrap();
    delete(&manifests).await;
    kubectl(&["delete", "namespace", "flyte", "--timeout=60s"]).await.unwrap();
}

/// What `doctor` finds of other webhooks, as the cluster's admin and with the configuration of the pods.
async fn rivals(flyte: &Namespace) -> Vec<String> {
    let map = flyte.api.get(&format!("{}/{OURS}", flyte.path("configmaps"))).await.unwrap();
    let folder = tempfile::TempDir::with_prefix("fs-doctor-").unwrap();
    let file = folder.path().join("config.yaml");
    let config = map["data"].as_object().unwrap().values().next().unwrap();
    std::fs::write(&file, config.as_str().unwrap()).unwrap();
    let program =
        std::env::var_os("FLYTE_SECRETS_RELEASE").expect("FLYTE_SECRETS_RELEASE is not set: run `make cluster`");
    let arguments = ["doctor", "-o", "json", "--config", file.to_str().unwrap()];
    let mut command = command(Path::new(&program), &arguments);
    command.env("KUBECONFIG", &bed().kubeconfig).env("POD_NAMESPACE", &flyte.name);
    let output = run(command).await;
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("no JSON: {}", String::from_utf8_lossy(&output.stderr)));
    let findings = report["findings"].as_array().unwrap().iter().filter(|finding| finding["check"] == "rivals");
    findings.map(|finding| finding["id"].as_str().unwrap().to_owned()).collect()
}
