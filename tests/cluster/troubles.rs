//! What people do to a webhook by mistake, and how it comes through: nothing fails, and a metric and an Event tell of it.

use std::collections::BTreeSet;
use std::time::Duration;

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::harness::certs::Authority;
use crate::harness::eventually;
use crate::support::installed::{Installed, LABELS, RELEASE};
use crate::support::kubectl::kubectl;
use crate::support::load::Report;
use crate::support::tasks::called;
use crate::support::workload::{pods, rolled_out};

/// Of a load, when all is well again.
const QUIET: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_comes_through_what_people_do_to_it_and_tells_of_it() {
    let installed = Installed::new().await;
    a_deleted_secret_comes_back(&installed).await;
    a_bundle_that_was_edited_by_hand_is_repaired(&installed).await;
    two_replicas_that_start_at_once_on_an_empty_cluster_agree_on_one_ca(&installed).await;
    installed.removed().await;
}

async fn a_deleted_secret_comes_back(installed: &Installed) {
    let load = installed.load();
    let before = installed.home.api.get(&installed.ca_secret()).await.unwrap();
    installed.home.api.delete(&installed.ca_secret()).await.unwrap();
    let after = eventually("the Secret", 60, || async {
        installed.home.api.get(&installed.ca_secret()).await.map_err(|failure| failure.message)
    })
    .await;
    assert_ne!(after["metadata"]["uid"], before["metadata"]["uid"]);
    let files = |secret: &Value| secret["data"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert!(files(&after).is_superset(&files(&before)), "the same CA");
    told(installed, "certificate_secret_restorations_total", "CertificateSecretRestored").await;
    tokio::time::sleep(QUIET).await;
    fine(&load.stop().await);
}

/// Where the bundle trusts nobody of ours, admissions fail until it is put right: that is what was asked for. A stranger's CA
/// stays beside ours for a while, as replicas that we know nothing of may need it.
async fn a_bundle_that_was_edited_by_hand_is_repaired(installed: &Installed) {
    let stranger = Authority::new("somebody else").pem;
    for bundle in ["garbage", stranger.as_str()] {
        let ours = installed.bundle().await.unwrap();
        let before: f64 = installed.samples("registration_repairs_total", "").await.unwrap().iter().sum();
        edit(BASE64.encode(bundle.as_bytes())).await;
        eventually("a bundle with a CA of ours", 30, || async {
            let now = installed.bundle().await?;
            if now.is_disjoint(&ours) { Err(format!("{now:?}")) } else { Ok(()) }
        })
        .await;
        eventually("a repair that is counted", 30, || async {
            let now: f64 = installed.samples("registration_repairs_total", "").await?.iter().sum();
            if now > before { Ok(()) } else { Err(now.to_string()) }
        })
        .await;
        called(&installed.tasks).await;
        let load = installed.load();
        tokio::time::sleep(QUIET).await;
        fine(&load.stop().await);
    }
    told(installed, "registration_repairs_total", "RegistrationRepaired").await;
}

/// As people do it, with `kubectl edit`.
async fn edit(bundle: String) {
    let patch = json!([{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle}]).to_string();
    let what = ["patch", "mutatingwebhookconfiguration", RELEASE, "--type=json", "--patch", &patch];
    kubectl(&what).await.unwrap();
}

async fn two_replicas_that_start_at_once_on_an_empty_cluster_agree_on_one_ca(installed: &Installed) {
    let old = installed.bundle().await.unwrap();
    scaled(installed, 0).await;
    installed.home.api.delete(&installed.ca_secret()).await.unwrap();
    installed.home.api.delete(&Installed::registration()).await.unwrap();
    scaled(installed, 2).await;

    called(&installed.tasks).await;
    let bundle = installed.bundle().await.unwrap();
    assert_eq!(bundle.len(), 1, "one CA: {bundle:?}");
    assert!(bundle.is_disjoint(&old));
    let secret = installed.home.api.get(&installed.ca_secret()).await.unwrap();
    let secret = secret["data"].as_object().unwrap();
    let files: Vec<_> = secret.keys().filter(|name| name.ends_with(".crt")).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let stored = BASE64.decode(secret[files[0]].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(bundle.first().unwrap(), String::from_utf8(stored).unwrap().trim());
    // Neither would become ready if the registered bundle did not trust what it serves.
    let expiries = installed.samples("certificate_expiry_timestamp_seconds", "certificate=\"ca\"").await.unwrap();
    assert!(expiries[0] > 0.0 && expiries[0].to_bits() == expiries[1].to_bits(), "the same CA signs: {expiries:?}");
    let load = installed.load();
    tokio::time::sleep(QUIET).await;
    fine(&load.stop().await);
}

async fn scaled(installed: &Installed, replicas: usize) {
    let (deployment, count) = (format!("deployment/{RELEASE}"), format!("--replicas={replicas}"));
    kubectl(&["scale", &deployment, &count, "--namespace", &installed.home.name]).await.unwrap();
    if replicas > 0 {
        return rolled_out(&installed.home, RELEASE).await;
    }
    eventually("the end of the replicas", 60, || async {
        let left = kubectl(&["get", "pods", "--selector", LABELS, "--namespace", &installed.home.name]).await?;
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
    assert!(pods(&installed.home, LABELS).await.is_empty());
}

/// Waits until a counter and an Event at one of the replicas tell of it.
async fn told(installed: &Installed, metric: &str, reason: &str) {
    eventually(metric, 30, || async {
        let counted = installed.samples(metric, "").await?;
        if counted.iter().sum::<f64>() > 0.0 { Ok(()) } else { Err(format!("{counted:?}")) }
    })
    .await;
    let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", installed.home.name);
    let events = eventually(reason, 30, || async {
        let list = installed.home.api.get(&path).await.map_err(|failure| failure.message)?;
        let all = list["items"].as_array().unwrap();
        let ours: Vec<_> = all.iter().filter(|event| event["reason"] == reason).cloned().collect();
        if ours.is_empty() { Err(list.to_string()) } else { Ok(ours) }
    })
    .await;
    for event in events {
        assert!(
            event["regarding"]["kind"] == "Pod" && event["reportingController"] == "flyte.org/flyte-secrets",
            "{event}"
        );
    }
}

fn fine(report: &Report) {
    assert!(report.served > 50, "{report:?}");
    assert_eq!((report.failed.len(), report.unanswered.len(), report.late), (0, 0, 0), "{report:?}");
}
