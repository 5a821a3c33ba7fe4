//! What the server logs, and what it never does. A test program of its own: the subscriber and the panic hook belong to
//! the whole process. Tests tell their lines apart by the uid of the review.

#![allow(clippy::unwrap_used)]

#[path = "common/log.rs"]
mod log;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use flyte_secrets_webhook::admission::RefusalReason;
use flyte_secrets_webhook::metrics::Metrics;
use flyte_secrets_webhook::server::{
    ADMISSION_PATH, Details, Outcome, Owner, Reviewed, Reviewer, ServerSettings, admission_router,
};
use futures::future::BoxFuture;
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use log::{capture, whole_log};

/// Stands in for a secret.
const PLANTED: &str = "hunter2-planted-value";

enum Script {
    Answer(Outcome),
    Panic,
    Never,
}

impl Reviewer for Script {
    fn review<'a>(&'a self, body: &'a [u8], _: Instant) -> BoxFuture<'a, Reviewed> {
        Box::pin(async move {
            let review: Value = serde_json::from_slice(body).unwrap();
            match self {
                Self::Answer(outcome) => Reviewed {
                    body: b"{}".to_vec(),
                    status: StatusCode::OK,
                    outcome: *outcome,
                    managers: vec!["K8s", "Embedded"],
                    namespace: "flyte".into(),
                    pod: "pod-1".into(),
                    uid: review["request"]["uid"].as_str().unwrap().into(),
                    dry_run: true,
                    warnings: 0,
                    breach: None,
                    reason: Some("because".into()),
                    details: details(),
                },
                Self::Panic => panic!("the value is {PLANTED}"),
                Self::Never => std::future::pending().await,
            }
        })
    }
}

fn details() -> Details {
    let text = str::to_owned;
    Details {
        generate_name: text("pod-"),
        owner: Some(Owner { api_version: text("batch/v1"), kind: text("Job"), name: text("job-1"), uid: text("o-1") }),
        creator: text("system:serviceaccount:flyte:flytepropeller"),
        requests: text("s0: key:\"k\""),
        stores: vec![text("AWS"), text("K8s")],
        look_up: Duration::from_millis(2),
        write: Duration::from_micros(30),
        refusal: Some(RefusalReason::Unserved),
    }
}

/// The lines about the review `uid`.
fn lines(uid: &str) -> Vec<Value> {
    let lines = whole_log().lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>();
    lines.into_iter().filter(|line| line["fields"]["uid"] == uid).collect()
}

/// Sends one review whose pod holds the planted value; gives everything that came back.
async fn review(script: Script, uid: &str) -> String {
    capture();
    let metrics = Metrics::new("flyte:");
    let router = admission_router(&ServerSettings::default(), Arc::new(script), metrics.clone());
    let body = format!(
        r#"{{"apiVersion":"admission.k8s.io/v1","request":{{"uid":"{uid}","namespace":"flyte","name":"pod-1","dryRun":true,"object":"{PLANTED}"}}}}"#
    );
    let request = Request::post(format!("{ADMISSION_PATH}?timeout=200ms"));
    let request = request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body)).unwrap();
    let (head, body) = router.oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    format!("{head:?}\n{}\n{}", String::from_utf8_lossy(&body), metrics.text())
}

#[tokio::test]
async fn one_line_is_logged_a_review_and_its_level_follows_the_outcome() {
    let table = [
        (Outcome::Patched, "INFO"),
        (Outcome::Unchanged, "DEBUG"),
        (Outcome::Refused400, "WARN"),
        (Outcome::Refused503, "WARN"),
        (Outcome::AdmittedUnserved, "WARN"),
        (Outcome::Malformed, "WARN"),
        (Outcome::Error, "WARN"),
    ];
    for (outcome, level) in table {
        let uid = format!("level-{}", outcome.name());
        review(Script::Answer(outcome), &uid).await;
        let lines = lines(&uid);
        let [line] = lines.as_slice() else { panic!("not one line: {lines:?}") };
        assert_eq!((line["level"].as_str(), line["target"].as_str()), (Some(level), Some("admission")));
        let fields = &line["fields"];
        assert_eq!(fields["outcome"], outcome.name());
        assert_eq!(fields["namespace"], "flyte");
        assert_eq!(fields["pod"], "pod-1");
        assert_eq!(fields["managers"], "K8s,Embedded");
        assert_eq!(fields["dry_run"], true);
        assert_eq!(fields["reason"], "because");
        assert!(fields["duration_us"].is_u64());
        assert_eq!((&fields["look_up_us"], &fields["write_us"]), (&2000.into(), &30.into()));
        let texts = [
            ("generate_name", "pod-"),
            ("owner", "Job/job-1"),
            ("creator", "system:serviceaccount:flyte:flytepropeller"),
            ("requests", "s0: key:\"k\""),
            ("stores", "AWS,K8s"),
            ("refusal", "unserved"),
        ];
        for (name, expected) in texts {
            assert_eq!(fields[name], expected, "{name}");
        }
    }
}

#[tokio::test]
async fn a_refusal_in_the_reviewers_place_is_logged_with_the_pods_name() {
    review(Script::Never, "never").await;
    let lines = lines("never");
    let [line] = lines.as_slice() else { panic!("not one line: {lines:?}") };
    assert_eq!(line["level"], "WARN");
    let fields = &line["fields"];
    let names = (&fields["namespace"], &fields["pod"], &fields["outcome"], &fields["dry_run"]);
    assert_eq!(names, (&"flyte".into(), &"pod-1".into(), &"refused_503".into(), &true.into()));
}

#[tokio::test]
async fn a_panic_is_logged_by_its_place_and_its_message_is_nowhere() {
    let answer = review(Script::Panic, "panic").await;
    let log = whole_log();
    let place = log.lines().find(|line| line.contains("\"place\":")).unwrap();
    assert!(place.contains("tests/server_logs.rs:"), "{place}");
    assert_eq!(lines("panic")[0]["fields"]["outcome"], "error");
    assert!(answer.contains("admission_panics_total 1"), "{answer}");
    assert!(!log.contains(PLANTED) && !answer.contains(PLANTED), "{log}{answer}");
}

#[tokio::test]
async fn what_stands_in_a_pod_is_not_logged() {
    for outcome in Outcome::ALL {
        review(Script::Answer(outcome), "body").await;
    }
    assert_eq!(lines("body").len(), Outcome::ALL.len());
    assert!(!whole_log().contains(PLANTED));
}
