//! Alerts and dashboard, as Prometheus itself reads them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use http::Method;
use serde_json::{Value, json};

use crate::harness::plain_http::send_text;
use crate::harness::program::{self, run_ok};
use crate::harness::servers::Server;
use crate::harness::webhook::local_store;
use crate::harness::{Setup, Webhook, bed, eventually, request, task_pod};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn rules_file() -> PathBuf {
    root().join("charts/flyte-secrets/rules/flyte-secrets.yaml")
}

async fn promtool(arguments: &[&str]) -> String {
    run_ok(program::command(&program::of_prometheus("promtool"), arguments)).await
}

/// The queries of the dashboard, its variables replaced as Grafana does it.
fn dashboard_queries() -> Vec<String> {
    let file = std::fs::read(root().join("charts/flyte-secrets/dashboards/flyte-secrets.json")).unwrap();
    let dashboard: Value = serde_json::from_slice(&file).unwrap();
    let targets = dashboard["panels"].as_array().unwrap().iter().filter_map(|panel| panel["targets"].as_array());
    targets
        .flatten()
        .map(|target| {
            let query = target["expr"].as_str().unwrap();
            query.replace("${prefix}", "flyte:").replace("$namespace", ".*").replace("$__rate_interval", "10s")
        })
        .collect()
}

/// The names of metrics in a query.
fn metrics_of(query: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let names = query.split(|c| !word(c)).filter(|name| name.starts_with("flyte:") || name.starts_with("process_"));
    names.map(str::to_owned).collect()
}

async fn ask(prometheus: &Server, path: &str) -> Value {
    let (status, body) = send_text(&Method::GET, &prometheus.address, path, "", "").await;
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// What a query gives now: samples.
async fn samples(prometheus: &Server, query: &str) -> Vec<Value> {
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let answer = ask(prometheus, &format!("/api/v1/query?query={encoded}")).await;
    answer["data"]["result"].as_array().unwrap().clone()
}

#[tokio::test]
async fn the_alerts_are_rules_and_each_fires_when_it_should_and_only_then() {
    let rules = rules_file();
    promtool(&["check", "rules", rules.to_str().unwrap()]).await;
    let tests = root().join("tests/prometheus/rules_test.yaml");
    promtool(&["test", "rules", tests.to_str().unwrap()]).await;

    let rules = std::fs::read_to_string(rules).unwrap();
    let tests = std::fs::read_to_string(tests).unwrap();
    let runbook = std::fs::read_to_string(root().join("docs/runbook.md")).unwrap();
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in alerts {
        let fires = format!("- alertname: {alert}\n");
        let silent = format!("{{alertname: {alert}, ");
        assert!(tests.contains(&fires) && tests.contains(&silent), "{alert} has no test that it fires and does not");
        assert!(runbook.contains(&format!("\n## {alert}\n")), "docs/runbook.md says nothing about {alert}");
        let annotation = format!("runbook: docs/runbook.md#{}\n", alert.to_lowercase());
        assert!(rules.contains(&annotation), "{alert} does not name its section of the runbook");
    }
}

#[tokio::test]
async fn every_query_of_dashboard_and_alerts_is_about_metrics_that_are_there_and_gives_data() {
    let namespace = bed().namespace("dashboard").await;
    let setup = Setup::with(json!({
        "secretManagerTypes": ["Embedded", "K8s"], "embeddedSecretManagerConfig": local_store(), "delivery": "SecretRef",
    }));
    let webhook = Webhook::start(&namespace, setup).await;
    let prometheus = Server::prometheus(webhook.metrics_port, &rules_file()).await;
    let stored = "u__org__flyte__domain____project____key__k";
    webhook.import(&json!({stored: "planted-for-the-dashboard"})).await;
    // A series counts from its second sample on.
    for round in 0..3 {
        let found = task_pod(&format!("found-{round}"), &[request(&[("key", "k")])]);
        namespace.create_pod(&found).await.unwrap();
        let refused = task_pod(&format!("refused-{round}"), &[request(&[("group", "g")])]);
        namespace.create_pod(&refused).await.unwrap_err();
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }

    let (_, text) = webhook.plain("/metrics").await.unwrap();
    // The names that are known, and those that have samples, which a query has to give.
    let known: BTreeSet<String> = {
        let document = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
        document.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split('`').next()?.to_owned())).collect()
    };
    let number = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
    let told: BTreeSet<String> = text
        .lines()
        .filter(|line| !line.starts_with('#') && number(line).is_some_and(|value| !value.is_nan()))
        .filter_map(|line| Some(line.split(['{', ' ']).next()?.to_owned()))
        .collect();
    let family = |name: &str| {
        let part_of_a_histogram = ["_bucket", "_count", "_sum"].iter().find_map(|part| name.strip_suffix(part));
        part_of_a_histogram.unwrap_or(name).to_owned()
    };

    let mut with_data = 0;
    for query in dashboard_queries() {
        let metrics = metrics_of(&query);
        assert!(!metrics.is_empty(), "{query}");
        for metric in &metrics {
            assert!(known.contains(&family(metric)), "{metric} is no metric of ours: {query}");
        }
        if metrics.iter().all(|metric| told.contains(metric)) {
            with_data += 1;
            eventually(&query, 20, || async {
                if samples(&prometheus, &query).await.is_empty() { Err("no data".to_owned()) } else { Ok(()) }
            })
            .await;
        } else {
            // It must at least be one that Prometheus can read.
            samples(&prometheus, &query).await;
        }
    }
    assert!(with_data > 25, "only {with_data} queries gave data");

    let rules = ask(&prometheus, "/api/v1/rules").await;
    let rules = rules["data"]["groups"][0]["rules"].as_array().unwrap().clone();
    assert!(rules.len() > 10, "{rules:?}");
    for rule in &rules {
        assert_ne!(rule["health"], "err", "{rule}");
        for metric in metrics_of(rule["query"].as_str().unwrap()) {
            assert!(known.contains(&family(&metric)), "{metric} is no metric of ours: {rule}");
        }
    }
    let refused = samples(&prometheus, r#"sum(flyte:refusals_total{reason="unserved"})"#).await;
    assert_eq!(refused[0]["value"][1], "3");
}
