//! The Helm chart against a real API server; no pod runs here.

use std::path::{Path, PathBuf};

use serde_json::json;
use tokio::process::Command;

use crate::harness::identity::kubeconfig_of;
use crate::harness::pod::variable;
use crate::harness::program::{command, run, run_ok};
use crate::harness::{Namespace, Setup, Webhook, bed, eventually, request, task_pod};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// Kinds of others, which this cluster does not have.
const FOREIGN: [&str; 3] = ["cert-manager.io/", "monitoring.coreos.com/", "autoscaling.k8s.io/"];
/// The namespaces that the values files name.
const NAMED: [&str; 4] = ["flyte", "flyte-secrets-ca", "flytesnacks-development", "flytesnacks-production"];

const REGISTRATION: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/life-flyte-secrets";

#[tokio::test]
async fn a_strict_api_server_takes_every_object_and_pod_security_restricted_every_pod() {
    let namespace = bed().namespace("chart-restricted").await;
    let labels = json!({"metadata": {"labels": {
        "pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted",
    }}});
    let label = ["patch", "namespace", &namespace.name, "--type=merge", "--patch", &labels.to_string()];
    run_ok(kubectl(&label)).await;
    for name in NAMED {
        // Another test may have made it.
        run(kubectl(&["create", "namespace", name])).await;
    }
    let mut files = std::fs::read_dir(Path::new(ROOT).join("tests/charts/values")).unwrap();
    let mut documents = Vec::new();
    while let Some(Ok(file)) = files.next() {
        let values = file.path();
        let arguments = ["template", "chart", "--namespace", &namespace.name, "--values", values.to_str().unwrap()];
        let rendered = run_ok(helm(&arguments)).await;
        let known = |document: &&str| FOREIGN.iter().all(|group| !document.contains(&format!("apiVersion: {group}")));
        documents.extend(rendered.split("\n---\n").filter(known).map(str::to_owned));
    }
    let overlays = std::fs::read_dir(Path::new(ROOT).join("deploy/kustomize")).unwrap();
    for overlay in overlays.map(|overlay| overlay.unwrap().path()) {
        let built = run_ok(kubectl(&["kustomize", overlay.to_str().unwrap()])).await;
        documents.extend(built.split("\n---\n").map(str::to_owned));
    }
    assert!(documents.len() > 100, "{} objects", documents.len());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("objects.yaml");
    std::fs::write(&file, documents.join("\n---\n")).unwrap();

    let file = file.to_str().unwrap();
    // Nothing is stored, so one name may come several times. Pod Security warns of what makes pods that it would refuse.
    let strictly = ["create", "--dry-run=server", "--validate=strict", "--warnings-as-errors", "--filename", file];
    run_ok(kubectl(&strictly)).await;
}

#[tokio::test]
async fn an_upgrade_leaves_what_the_webhook_has_filled_and_an_uninstall_leaves_nothing() {
    let namespace = bed().namespace("chart-life").await;
    let here = ["--namespace", &namespace.name];
    run_ok(helm(&[&["install", "life"][..], &here].concat())).await;
    fill(&namespace).await;

    run_ok(helm(&[&["upgrade", "life"][..], &here, &["--set", "replicas=3,config.logger.level=debug"]].concat())).await;

    let Namespace { api, .. } = &namespace;
    let registration = api.get(REGISTRATION).await.unwrap();
    assert_eq!(registration["webhooks"][0]["name"], "flyte-pod-webhook.flyte.org");
    let secret = api.get(&format!("{}/life-flyte-secrets-ca", namespace.path("secrets"))).await.unwrap();
    assert_eq!(secret["data"]["authorities"], "eA==");
    let lease = api.get(&lease(&namespace)).await.unwrap();
    assert_eq!(lease["spec"]["holderIdentity"], "one-replica");

    run_ok(helm_alone(&[&["uninstall", "life", "--wait"][..], &here].concat())).await;

    let kinds = "all,configmaps,secrets,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,leases,\
                 networkpolicies,poddisruptionbudgets,mutatingwebhookconfigurations";
    let left = run_ok(kubectl(
        &[&["get", kinds, "--output=name", "--selector=app.kubernetes.io/instance=life"], &here[..]].concat(),
    ));
    assert_eq!(left.await, "");
}

fn lease(Namespace { name, .. }: &Namespace) -> String {
    format!("/apis/coordination.k8s.io/v1/namespaces/{name}/leases/life-flyte-secrets-leader")
}

#[tokio::test]
async fn the_rights_that_the_chart_gives_are_enough() {
    let (namespace, store) = (bed().namespace("chart-rights").await, bed().namespace("chart-store").await);
    let id = "u__org__flyte__domain____project____key__k";
    // Named by the hex MD5 of the id.
    let stored = json!({"metadata": {"name": "ab876e2e7db96bf3ea3d5fbd02918d8e"}, "stringData": {id: "planted"}});
    store.api.create(&store.path("secrets"), &stored).await.unwrap();
    let embedded = json!({"secretManagerTypes": ["Embedded"], "embeddedSecretManagerConfig": {
        "type": "K8s", "k8sConfig": {"namespace": store.name},
    }});
    let values = json!({"replicas": 0, "config": {"webhook": embedded}});
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("values.json");
    std::fs::write(&file, values.to_string()).unwrap();
    let file = file.to_str().unwrap();
    run_ok(helm(&["install", "rights", "--namespace", &namespace.name, "--values", file])).await;

    let mut section = embedded;
    section["delivery"] = json!("SecretRef");
    let kubeconfig = Some(kubeconfig_of(&namespace, "rights-flyte-secrets").await);
    let setup = Setup { kubeconfig, ..Setup::with(section) };
    let mut webhook = Webhook::configure("rights-flyte-secrets", &namespace.name, setup);
    webhook.init_certs().await;
    webhook.spawn();
    webhook.ready().await;
    webhook.called(&namespace).await;
    let request = request(&[("key", "k"), ("mount_requirement", "ENV_VAR"), ("env_var", "WANTED")]);
    let pod = namespace.create_pod(&task_pod("served", &[request])).await.unwrap();

    let reference = &variable(&pod, "main", "WANTED")["valueFrom"]["secretKeyRef"];
    let mirror = reference["name"].as_str().unwrap();
    namespace.api.get(&format!("{}/{mirror}", namespace.path("secrets"))).await.unwrap();
    let log = webhook.log.clone();
    let read = || async { std::fs::read_to_string(&log).map_err(|error| error.to_string()) };
    let log = eventually("a leader", 20, || async {
        read().await.and_then(|log| if log.contains("this replica leads") { Ok(log) } else { Err(log) })
    });
    let log = log.await.to_lowercase();
    assert!(!log.contains("forbidden") && !log.contains("missing="), "{log}");
}

/// Writes what the webhook writes into the objects that the chart makes: the registration by server-side apply, the Secret of
/// the CA and the Lease as a whole.
async fn fill(namespace: &Namespace) {
    let Namespace { name, api } = namespace;
    let webhook = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "life-flyte-secrets"},
        "webhooks": [{
            "name": "flyte-pod-webhook.flyte.org", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {"service": {"name": "life-flyte-secrets", "namespace": name, "path": "/mutate--v1-pod"}},
            "rules": [{"operations": ["CREATE"], "apiGroups": ["*"], "apiVersions": ["v1"], "resources": ["pods"]}],
            // Other tests run in this cluster.
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
            "objectSelector": {"matchLabels": {"inject-flyte-secrets": "true"}},
        }],
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("webhook.json");
    std::fs::write(&file, webhook.to_string()).unwrap();
    let file = file.to_str().unwrap();
    run_ok(kubectl(&["apply", "--server-side", "--field-manager=flyte-secrets", "--filename", file])).await;

    let path = format!("{}/life-flyte-secrets-ca", namespace.path("secrets"));
    let mut secret = api.get(&path).await.unwrap();
    secret["data"] = json!({"authorities": "eA=="});
    api.replace(&path, &secret).await.unwrap();

    let mut held = api.get(&lease(namespace)).await.unwrap();
    held["spec"] = json!({"holderIdentity": "one-replica"});
    api.replace(&lease(namespace), &held).await.unwrap();
}

/// Helm with this chart behind the first two arguments.
fn helm(arguments: &[&str]) -> Command {
    let chart = format!("{ROOT}/charts/flyte-secrets");
    let (names, flags) = arguments.split_at(2);
    helm_alone(&[names, &[&chart], flags].concat())
}

fn helm_alone(arguments: &[&str]) -> Command {
    let program = std::env::var_os("FLYTE_SECRETS_HELM").expect("FLYTE_SECRETS_HELM: run the tests by `make e2e`");
    of_admin(Path::new(&program), arguments)
}

fn kubectl(arguments: &[&str]) -> Command {
    let cache = PathBuf::from(std::env::var_os("KTB_CACHE").expect("KTB_CACHE: run the tests by `make e2e`"));
    of_admin(&cache.join("bin/kubebox"), &[&["kubectl"], arguments].concat())
}

fn of_admin(program: &Path, arguments: &[&str]) -> Command {
    let mut command = command(program, arguments);
    let home = bed().kubeconfig.parent().unwrap();
    command.env("KUBECONFIG", &bed().kubeconfig).env("HOME", home);
    command
}
