use axum::body::Body;
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::support::{Routes, Script};
use crate::metrics::Metrics;
use crate::server::{CERTIFICATE, DRAINING, REGISTRATION, Readiness, status_router};

async fn get(readiness: &Readiness, metrics: &Metrics, path: &str) -> (StatusCode, http::HeaderMap, String) {
    let router = status_router(readiness.clone(), metrics.clone());
    let answer = router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let (head, body) = answer.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (head.status, head.headers, String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn ready_says_each_condition_that_is_not_met_on_a_line_of_its_own() {
    let (readiness, metrics) = (Readiness::new(), Metrics::new(""));
    readiness.unmet(REGISTRATION, "the API server has not answered yet");
    readiness.unmet(CERTIFICATE, "no certificate has been read");
    let (status, _, text) = get(&readiness, &metrics, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let lines: Vec<&str> = text.lines().collect();
    let expected = ["certificate: no certificate has been read", "registration: the API server has not answered yet"];
    assert_eq!(lines, expected);

    readiness.met(CERTIFICATE);
    assert_eq!(get(&readiness, &metrics, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    readiness.met(REGISTRATION);
    assert_eq!(get(&readiness, &metrics, "/readyz").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_fault_after_the_start_is_told_and_takes_no_replica_out_of_service() {
    let (readiness, metrics) = (Readiness::new(), Metrics::new(""));
    readiness.unmet(REGISTRATION, "not yet");
    readiness.complete();
    assert_eq!(get(&readiness, &metrics, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    readiness.met(REGISTRATION);
    readiness.unmet(REGISTRATION, "the API server is away");
    readiness.unmet(CERTIFICATE, "expired");
    let (status, _, text) = get(&readiness, &metrics, "/readyz").await;
    assert_eq!(status, StatusCode::OK);
    let told = "ready\nsince the start: certificate: expired\nsince the start: registration: the API server is away\n";
    assert_eq!(text, told);
    readiness.unmet(DRAINING, "going");
    let (status, _, text) = get(&readiness, &metrics, "/readyz").await;
    assert_eq!((status, &*text), (StatusCode::SERVICE_UNAVAILABLE, "draining: going\n"));
}

#[tokio::test]
async fn a_condition_that_is_met_before_the_others_are_named_does_not_count_as_the_start() {
    let (readiness, metrics) = (Readiness::new(), Metrics::new(""));
    readiness.unmet(CERTIFICATE, "none");
    readiness.met(CERTIFICATE);
    readiness.unmet(REGISTRATION, "not yet");
    readiness.complete();
    assert_eq!(get(&readiness, &metrics, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn alive_does_not_depend_on_being_ready() {
    let readiness = Readiness::new();
    readiness.unmet(CERTIFICATE, "none");
    assert_eq!(get(&readiness, &Metrics::new(""), "/healthz").await.0, StatusCode::OK);
}

#[tokio::test]
async fn metrics_are_openmetrics_text_of_what_happened() {
    let routes = Routes::new(Script::Patch);
    routes.review("").await;
    let (status, headers, text) = get(&Readiness::new(), &routes.metrics, "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers[header::CONTENT_TYPE], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(text.contains(r#"flyte:admissions_total{outcome="patched",manager="K8s"} 1"#), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn reviews_are_not_taken_without_tls() {
    let (status, _, text) = get(&Readiness::new(), &Metrics::new(""), "/mutate--v1-pod").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(text.contains("/metrics"));
}
