//! `doctor` in the webhook's own pod, and on the machine of whoever installs it.

use std::path::Path;

use serde_json::Value;

use super::RELEASE;
use crate::harness::program::{command, run};
use crate::harness::{Namespace, bed};
use crate::support::kubectl::kubectl;

/// What the webhook's own rights let it see.
const INSIDE: [&str; 4] = ["registration.as-configured", "stores.answer", "names.own", "mirrors.counted"];
/// What an admin sees besides. The store is out of reach on a laptop, and not here.
const OUTSIDE: [&str; 4] = ["certificates.trusted", "admission.works", "replicas.ready", "rivals.none"];
/// The one warning of the default values: Flyte 2 may run the tasks of all projects in its own namespace.
const EXPECTED: &str = "policy.gap";

pub(super) async fn finds_one_warning(home: &Namespace, tasks: &Namespace) {
    let (inside, outside) = tokio::join!(in_the_pod(home), by_the_admin(home, tasks));
    for (place, report) in [("in the pod", &inside), ("by the admin", &outside)] {
        let findings = report["findings"].as_array().unwrap().iter();
        let faults: Vec<_> =
            findings.filter(|finding| finding["level"] != "ok" && finding["level"] != "info").collect();
        assert!(faults.len() == 1 && faults[0]["id"] == EXPECTED, "{place}: {faults:#?}");
        assert_eq!(faults[0]["level"], "warning");
        for id in INSIDE {
            has(report, id, place);
        }
    }
    for id in OUTSIDE {
        has(&outside, id, "by the admin");
    }
}

fn has(report: &Value, id: &str, place: &str) {
    let mut findings = report["findings"].as_array().unwrap().iter();
    assert!(findings.any(|finding| finding["id"] == id), "{place}, no {id}: {report:#}");
}

async fn in_the_pod(home: &Namespace) -> Value {
    let deployment = format!("deployment/{RELEASE}");
    let doctor = ["flyte-secrets", "doctor", "-o", "json", "--config", "/etc/flyte/config/*.yaml"];
    let exec = ["exec", "--namespace", &home.name, &deployment, "--"];
    let printed = kubectl(&[&exec[..], &doctor].concat()).await.unwrap_or_else(|failure| failure);
    parsed(&printed)
}

/// With a kubeconfig, and the configuration that the webhook runs with.
async fn by_the_admin(home: &Namespace, tasks: &Namespace) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("values.yaml");
    let config = home.api.get(&format!("{}/{RELEASE}", home.path("configmaps"))).await.unwrap();
    std::fs::write(&file, config["data"]["zz-flyte-secrets.yaml"].as_str().unwrap()).unwrap();
    let program = std::env::var_os("FLYTE_SECRETS_RELEASE").expect("FLYTE_SECRETS_RELEASE: run `make cluster`");
    let mut doctor = command(Path::new(&program), &["doctor", "-o", "json", "--config", file.to_str().unwrap()]);
    doctor.args(["--namespace", &home.name, "--service-account", RELEASE, "--test-namespace", &tasks.name]);
    doctor.env("KUBECONFIG", &bed().kubeconfig);
    let output = run(doctor).await;
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(!text.contains("planted"), "a value is shown: {text}");
    parsed(&text)
}

/// The report, among what else is printed.
fn parsed(text: &str) -> Value {
    let report = text.find('{').zip(text.rfind('}')).and_then(|(begin, end)| text.get(begin..=end));
    serde_json::from_str(report.unwrap_or_default()).unwrap_or_else(|error| panic!("{error}: {text}"))
}
