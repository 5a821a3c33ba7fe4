use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use http::{Method, Request, StatusCode, header};
use tokio::sync::Notify;

use super::support::{REVIEW, Routes, Script, post, series};
use crate::server::{ADMISSION_PATH, Limits};

#[tokio::test]
async fn a_review_is_answered_with_the_reviewers_bytes() {
    let answer = Routes::new(Script::Patch).review("").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
    assert_eq!(answer.json()["length"], REVIEW.len());
}

#[tokio::test]
async fn other_methods_are_refused_with_a_sentence() {
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        let request = Request::builder().method(&method).uri(ADMISSION_PATH).body(Body::empty()).unwrap();
        let answer = Routes::new(Script::Patch).send(request).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(answer.headers[header::ALLOW], "POST");
        assert!(answer.text.contains("POST"), "{}", answer.text);
    }
}

#[tokio::test]
async fn other_paths_are_not_there_and_the_answer_names_the_one_that_is() {
    for path in ["/", "/mutate", "/mutate--v1-pod/", "/metrics", "/healthz"] {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json").body(Body::empty()).unwrap();
        let answer = Routes::new(Script::Patch).send(request).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(answer.text.contains(ADMISSION_PATH), "{}", answer.text);
    }
}

#[tokio::test]
async fn only_json_is_read() {
    let table = [
        (Some("application/json"), StatusCode::OK),
        (Some("Application/JSON; charset=utf-8"), StatusCode::OK),
        (Some("application/vnd.kubernetes.protobuf"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (Some("application/jsonp"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (Some("text/plain"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (None, StatusCode::UNSUPPORTED_MEDIA_TYPE),
    ];
    for (content_type, expected) in table {
        let mut request = Request::post(ADMISSION_PATH);
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let answer = Routes::new(Script::Patch).send(request.body(Body::from(REVIEW)).unwrap()).await;
        assert_eq!(answer.status, expected, "{content_type:?}");
    }
}

#[tokio::test]
async fn a_review_beyond_the_limit_is_too_large_whether_or_not_it_says_so() {
    let routes = Routes::new(Script::Patch);
    let limit = Limits::default().body;
    let announced = post("").header(header::CONTENT_LENGTH, limit + 1).body(Body::empty()).unwrap();
    let chunks = futures::stream::iter((0..9).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 1 << 20]))));
    let unannounced = post("").body(Body::from_stream(chunks)).unwrap();
    for request in [announced, unannounced] {
        let answer = routes.send(request).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(answer.text.contains("8388608 bytes"), "{}", answer.text);
    }
    assert_eq!(series(&routes.metrics.text(), r#"flyte:requests_rejected_total{reason="too_large"}"#), Some(2.0));
}

#[tokio::test]
async fn a_review_of_just_the_limit_is_read() {
    let limit = Limits::default().body;
    let answer = Routes::new(Script::Patch).send(post("").body(Body::from(vec![b' '; limit])).unwrap()).await;
    assert_eq!(answer.json()["length"], limit);
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_given_up() {
    let limits = Limits { body_read: Duration::from_millis(50), ..Limits::default() };
    let routes = Routes::with(Script::Patch, limits, Duration::from_secs(10));
    let body = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    let answer = routes.send(post("").body(body).unwrap()).await;
    assert_eq!(answer.status, StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn a_reviewer_that_takes_too_long_is_answered_for_with_a_refusal_503() {
    let routes = Routes::new(Script::Sleep(Duration::from_secs(60)));
    let begun = Instant::now();
    let answer = routes.review("?timeout=400ms").await;
    assert!(begun.elapsed() < Duration::from_millis(400), "too late: {:?}", begun.elapsed());
    assert_eq!(answer.status, StatusCode::OK);
    let json = answer.json();
    assert_eq!(json["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(json["response"]["uid"], "u-1");
    assert_eq!(json["response"]["allowed"], false);
    assert_eq!(json["response"]["status"]["code"], 503);
    let text = routes.metrics.text();
    assert_eq!(series(&text, r#"flyte:admissions_total{outcome="refused_503",manager="none"}"#), Some(1.0));
}

#[tokio::test]
async fn a_refusal_answers_in_the_version_that_asked() {
    let routes = Routes::new(Script::Sleep(Duration::from_secs(60)));
    let body = REVIEW.replace("k8s.io/v1", "k8s.io/v1beta1");
    let answer = routes.send(post("?timeout=100ms").body(Body::from(body)).unwrap()).await;
    assert_eq!(answer.json()["apiVersion"], "admission.k8s.io/v1beta1");
}

#[tokio::test]
async fn too_late_for_bytes_without_a_uid_is_a_503_of_http() {
    let routes = Routes::new(Script::Sleep(Duration::from_secs(60)));
    let answer = routes.send(post("?timeout=100ms").body(Body::from("{}")).unwrap()).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.text.contains("in the time"), "{}", answer.text);
}

#[tokio::test]
async fn without_a_timeout_in_the_query_the_configured_one_counts() {
    let timeout = Duration::from_millis(200);
    let routes = Routes::with(Script::Sleep(Duration::from_secs(60)), Limits::default(), timeout);
    assert_eq!(routes.review("").await.json()["response"]["status"]["code"], 503);
}

#[tokio::test]
async fn reviews_beyond_the_bound_wait_and_are_turned_away_at_their_deadline() {
    let (begun, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let limits = Limits { bodies: 1, body: 1024, ..Limits::default() };
    let script = Script::Wait { begun: Arc::clone(&begun), leave: Arc::clone(&leave) };
    let routes = Arc::new(Routes::with(script, limits, Duration::from_secs(10)));
    let first = tokio::spawn({
        let routes = Arc::clone(&routes);
        async move { routes.review("").await }
    });
    begun.notified().await;

    let second = routes.review("?timeout=200ms").await;
    assert_eq!(second.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(series(&routes.metrics.text(), "flyte:admissions_in_flight"), Some(1.0));

    leave.notify_one();
    assert_eq!(first.await.unwrap().status, StatusCode::OK);
    leave.notify_one();
    assert_eq!(routes.review("").await.status, StatusCode::OK);
    assert_eq!(series(&routes.metrics.text(), "flyte:admissions_in_flight"), Some(0.0));
}

#[tokio::test]
async fn a_panic_refuses_one_pod_and_the_next_is_served() {
    let routes = Routes::new(Script::Panic);
    let answer = routes.review("").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["response"]["uid"], "u-1");
    assert_eq!(answer.json()["response"]["allowed"], false);
    assert_eq!(answer.json()["response"]["status"]["code"], 503);
    let next = routes.send(post("").body(Body::from(REVIEW.replace("u-1", "u-2"))).unwrap()).await;
    assert_eq!(next.json()["length"], REVIEW.len());
    let text = routes.metrics.text();
    assert_eq!(series(&text, "flyte:admission_panics_total"), Some(1.0));
    assert_eq!(series(&text, r#"flyte:admissions_total{outcome="error",manager="none"}"#), Some(1.0));
    assert_eq!(series(&text, "flyte:admissions_in_flight"), Some(0.0));
}
