//! What Flyte 1 deploys, with our program in the place of its own: the same command lines, configuration and names.

use std::path::Path;

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::harness::api::Answer;
use crate::harness::pod::{container, variable, variables};
use crate::harness::program::run_ok;
use crate::harness::service::lead_here;
use crate::harness::webhook::selector;
use crate::harness::{Namespace, Webhook, bed, request, task_pod};

/// The files of the ConfigMap that Flyte 1's Helm chart makes.
const CONFIG_MAP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/config/testdata/flyte1");
const FILES: [&str; 6] = ["admin.yaml", "cache.yaml", "copilot.yaml", "core.yaml", "logger.yaml", "storage.yaml"];

/// The name of the Service, the Secret and the registration that Flyte 1 has without being told.
const NAME: &str = "flyte-pod-webhook";

#[tokio::test]
async fn flyte_1s_manifests_work_as_they_are() {
    let namespace = bed().namespace("flyte").await;
    let mut webhook = Webhook::unconfigured(NAME, &namespace.name);
    for file in FILES {
        std::fs::copy(Path::new(CONFIG_MAP).join(file), webhook.config_dir().join(file)).unwrap();
    }
    // Several webhooks share this machine and this cluster; in a pod, nothing of this is needed.
    let site = json!({"webhook": {
        "certDir": webhook.cert_dir(), "listenPort": webhook.port, "metricsPort": webhook.metrics_port,
        "namespaceSelector": selector(&namespace.name),
    }});
    webhook.add_config("zz-site.yaml", &site);
    webhook.rename_program("flytepropeller");
    webhook.set_env("POD_NAME", "flyte-pod-webhook-5d7c9b8f6-x2x4z");
    lead_here(&namespace, NAME, 443, webhook.port).await;

    run_ok(webhook.command(&["webhook", "init-certs"])).await;
    mount_certificates(&namespace, &webhook).await;
    webhook.spawn();
    webhook.ready().await;
    webhook.called(&namespace).await;

    secrets_arrive_as_flyte_1_brings_them(&namespace).await;
    what_cannot_be_read_is_admitted_unchanged_with_a_warning(&namespace).await;
}

/// Puts the certificate's Secret where the kubelet would.
async fn mount_certificates(namespace: &Namespace, webhook: &Webhook) {
    let secret = namespace.api.get(&format!("{}/{NAME}", namespace.path("secrets"))).await.unwrap();
    let data = secret["data"].as_object().unwrap();
    assert_eq!(data.keys().collect::<Vec<_>>(), ["ca.crt", "tls.crt", "tls.key"]);
    assert!(!webhook.cert_dir().exists(), "without webhook.localCert nothing is written");
    std::fs::create_dir(webhook.cert_dir()).unwrap();
    for (file, content) in data {
        let content = BASE64.decode(content.as_str().unwrap().as_bytes()).unwrap();
        std::fs::write(webhook.cert_dir().join(file), content).unwrap();
    }
}

async fn secrets_arrive_as_flyte_1_brings_them(namespace: &Namespace) {
    let requests = [
        request(&[("group", "db"), ("key", "password"), ("mount_requirement", "ENV_VAR")]),
        request(&[("group", "Api"), ("key", "Token"), ("mount_requirement", "FILE")]),
    ];
    let mut pod = task_pod("served", &requests);
    pod["spec"]["containers"][0]["env"] = json!([{"name": "FIRST", "value": "1"}]);
    let (stored, warnings) = create(namespace, &pod).await;

    assert_eq!(warnings, Vec::<String>::new());
    let reference = json!({"secretKeyRef": {"name": "db", "key": "password", "optional": true}});
    assert_eq!(variable(&stored, "main", "_FSEC_DB_PASSWORD")["valueFrom"], reference);
    assert_eq!(variable(&stored, "main", "FLYTE_SECRETS_ENV_PREFIX")["value"], "_FSEC_");
    assert_eq!(variables(&stored, "main")[0], "FIRST", "Flyte 1 puts its variables behind the pod's own");
    assert_eq!(container(&stored, "main")["volumeMounts"][0]["mountPath"], "/etc/flyte/secrets/api");
    let items = json!([{"key": "Token", "path": "token"}]);
    assert_eq!(stored["spec"]["volumes"][0]["secret"]["items"], items);
}

async fn what_cannot_be_read_is_admitted_unchanged_with_a_warning(namespace: &Namespace) {
    let good = request(&[("group", "g"), ("key", "k"), ("mount_requirement", "ENV_VAR")]);
    let unchanged = task_pod("undecodable", &[good, "NOT BASE32".to_owned()]);
    let (stored, warnings) = create(namespace, &unchanged).await;

    assert_eq!(container(&stored, "main")["env"], Value::Null, "not even the request that can be read");
    assert_eq!(stored["spec"]["volumes"], Value::Null);
    assert_eq!(stored["metadata"]["annotations"], unchanged["metadata"]["annotations"]);
    assert!(warnings.iter().any(|warning| warning.contains("flyte.secrets/s1")), "{warnings:?}");
}

async fn create(namespace: &Namespace, pod: &Value) -> Answer {
    namespace.api.create_with_warnings(&namespace.path("pods"), pod).await.unwrap()
}
