//! Flyte 1's manifests with only the image changed, under Flyte 1's own rights.

use crate::harness::webhook::PLANTED;
use crate::harness::{Namespace, bed, eventually};
use crate::support::image;
use crate::support::kubectl::{apply, kubectl};
use crate::support::tasks::{called, flytekit_reads_secrets};
use crate::support::workload::{log, page, pods, rolled_out};

/// Where Flyte 1 lives.
const NAMESPACE: &str = "flyte";
const NAME: &str = "flyte-pod-webhook";

#[tokio::test]
async fn the_job_and_the_deployment_of_flyte_1_work_with_our_image() {
    works("flyte1").await;
}

#[tokio::test]
async fn the_init_container_of_flyte_1s_chart_works_with_our_image() {
    works("flyte1-init-container").await;
}

/// With the one right more that this overlay brings: the Lease.
#[tokio::test]
async fn flyte_1s_deployment_without_a_job_makes_its_certificates_itself() {
    works("flyte1-no-job").await;
}

async fn works(overlay: &str) {
    image::on_the_node().await;
    let flyte = bed().namespace_named(NAMESPACE).await;
    apply(&manifests(overlay).await).await;
    rolled_out(&flyte, NAME).await;
    let tasks = bed().namespace("flyte1-tasks").await;
    called(&tasks).await;

    flytekit_reads_secrets(&tasks).await;
    missing_rights_are_said_and_nothing_fails(&flyte).await;
    removed(&flyte).await;
}

/// An overlay of this tree, with the image that is on the node.
pub(crate) async fn manifests(overlay: &str) -> String {
    let folder = format!("{}/../deploy/kustomize/{overlay}", env!("CARGO_MANIFEST_DIR"));
    let built = kubectl(&["kustomize", &folder]).await.unwrap();
    let ours = format!("image: flyte-secrets:{}", env!("CARGO_PKG_VERSION"));
    assert!(built.contains(&ours) && !built.contains("image: cr.flyte.org"), "{built}");
    built.replace(&ours, &format!("image: {}", image::NAME))
}

/// Mirrors cannot be collected with these rights: that is a warning.
async fn missing_rights_are_said_and_nothing_fails(flyte: &Namespace) {
    let mut pages = Vec::new();
    for pod in pods(flyte, &format!("app={NAME}")).await {
        assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 0);
        let log = log(flyte, &pod).await;
        let words = log.to_lowercase();
        assert!(words.contains("warn") && words.contains("list"), "it says which verb is missing: {log}");
        assert!(!words.contains("error"), "{log}");
        assert!(!log.contains(PLANTED), "a value is in the log: {log}");
        pages.push(page(&pod, "/metrics").await);
    }
    assert!(pages.iter().any(|page| page.contains("mirror_collection 0.0\n")), "a metric says so too: {pages:?}");
}

/// Everything, so that the next test finds an empty cluster.
async fn removed(flyte: &Namespace) {
    for object in [
        format!("mutatingwebhookconfiguration/{NAME}"),
        format!("clusterrole/{NAMESPACE}-{NAME}"),
        format!("clusterrolebinding/{NAMESPACE}-{NAME}"),
        format!("namespace/{NAMESPACE}"),
    ] {
        kubectl(&["delete", &object, "--wait=false"]).await.unwrap();
    }
    eventually("the end of the namespace", 60, || async {
        match flyte.api.get(&format!("/api/v1/namespaces/{NAMESPACE}")).await {
            Err(failure) if failure.code == 404 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}
