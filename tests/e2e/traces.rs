//! Traces, as a collector gets them. The collector is one of our own at the protocol's edge: what it gets is searched as
//! it is, since OTLP's protobuf holds texts as they are.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use serde_json::json;
use tokio::net::TcpListener;

use crate::harness::webhook::{PLANTED, local_store};
use crate::harness::{Setup, Webhook, bed, eventually, request, task_pod};

/// What was sent, and the address.
async fn collector() -> (Arc<Mutex<Vec<u8>>>, String) {
    let got = Arc::new(Mutex::new(Vec::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let all = Arc::clone(&got);
    let take = post(move |body: Bytes| async move { all.lock().unwrap().extend_from_slice(&body) });
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/v1/traces", take)).await.unwrap() });
    (got, address)
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn a_trace_shows_the_way_of_a_pod_and_no_value() {
    let (got, address) = collector().await;
    let namespace = bed().namespace("traces").await;
    let mut setup = Setup::with(json!({
        "secretManagerTypes": ["Embedded"], "embeddedSecretManagerConfig": local_store(), "delivery": "SecretRef",
        "tracing": {"endpoint": address},
    }));
    setup.env.push(("OTEL_BSP_SCHEDULE_DELAY".to_owned(), "200".to_owned()));
    let webhook = Webhook::start(&namespace, setup).await;
    let stored = "u__org__flyte__domain__development__project__flytesnacks__key__k";
    webhook.import(&json!({stored: format!("{PLANTED}-in-a-trace")})).await;

    namespace.create_pod(&task_pod("traced", &[request(&[("key", "k")])])).await.unwrap();
    namespace.create_pod(&task_pod("refused", &[request(&[("key", "missing")])])).await.unwrap_err();

    eventually("the traces of both pods", 20, || async {
        let got = got.lock().unwrap();
        let expected = [
            "admission",
            "look_up",
            "store_call",
            "write",
            "kubernetes_request",
            "traced",
            "patched",
            "refused_400",
            "flyte-secrets",
            "not_found",
            "service.version",
        ];
        let missing: Vec<_> = expected.into_iter().filter(|text| !holds(&got, text)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} in {} bytes", got.len())) }
    })
    .await;
    let got = got.lock().unwrap();
    assert!(!holds(&got, PLANTED), "a value is in a trace");
    assert!(!holds(&got, "lease"), "what no admission waits for is no part of a trace");
}

#[tokio::test]
async fn a_collector_that_is_not_there_keeps_nobody_waiting_and_is_told_once() {
    let namespace = bed().namespace("no-collector").await;
    let mut setup = Setup::default();
    setup.env.push(("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), "http://127.0.0.1:1".to_owned()));
    setup.env.push(("OTEL_BSP_SCHEDULE_DELAY".to_owned(), "50".to_owned()));
    let mut webhook = Webhook::start(&namespace, setup).await;
    let pod = task_pod("t", &[request(&[("group", "g"), ("key", "k"), ("mount_requirement", "ENV_VAR")])]);
    namespace.create_pod(&pod).await.unwrap();
    let told = || webhook.logged().matches("traces are not taken by the collector").count();
    eventually("a word about the collector", 20, || async {
        if told() > 0 { Ok(()) } else { Err("none yet".to_owned()) }
    })
    .await;
    let begun = std::time::Instant::now();
    webhook.terminate();
    assert!(webhook.ended().await.success());
    assert!(begun.elapsed().as_secs() < 15, "{:?}", begun.elapsed());
    assert_eq!(webhook.logged().matches("traces are not taken by the collector").count(), 1);
}
