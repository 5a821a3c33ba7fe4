use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use futures::stream::{self, StreamExt};
use http::{Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{Full, StreamBody};
use hyper::body::{Bytes, Frame};
use serde_json::{Value, json};
use tower::service_fn;

use super::*;
use crate::test_log::log_of;

/// What the fake API server answers to one request.
enum Answer {
    /// All at once, and then it closes the connection.
    Whole(u16, String),
    /// These lines, each after a second, and then silence.
    Open(Vec<Value>),
    /// These lines, each after a second, and then the end.
    Ended(Vec<Value>),
    Never,
}

fn list(version: &str) -> Answer {
    Answer::Whole(
        200,
        json!({"kind": "PartialObjectMetadataList", "metadata": {"resourceVersion": version}}).to_string(),
    )
}

fn refused(code: u16, reason: &str) -> Answer {
    let says = format!("{reason} says the server");
    Answer::Whole(
        code,
        json!({"kind": "Status", "code": code, "reason": reason, "message": says, "status": "Failure"}).to_string(),
    )
}

fn event(kind: &str, name: &str, version: &str) -> Value {
    let applied = json!({"data": {"key": "planted-in-an-annotation"}}).to_string();
    let metadata = json!({
        "name": name,
        "resourceVersion": version,
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied},
        "managedFields": [{"manager": "planted-among-managed-fields"}],
    });
    json!({"type": kind, "object": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}})
}

fn bookmark(version: &str) -> Value {
    json!({"type": "BOOKMARK", "object": {
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": version},
    }})
}

fn error_event(code: u16) -> Value {
    json!({"type": "ERROR", "object": {"kind": "Status", "code": code, "message": "too old", "status": "Failure"}})
}

fn lines(values: Vec<Value>, stays_open: bool) -> UnsyncBoxBody<Bytes, Infallible> {
    let each = stream::iter(values).then(|value| async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok::<_, Infallible>(Frame::data(Bytes::from(format!("{value}\n"))))
    });
    if stays_open {
        StreamBody::new(each.chain(stream::pending())).boxed_unsync()
    } else {
        StreamBody::new(each).boxed_unsync()
    }
}

type Shared<T> = Arc<Mutex<Vec<T>>>;

/// What happened, in its order: requests, and what was called.
#[derive(Clone, Default)]
struct Story(Shared<String>);

impl Story {
    fn tell(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn so_far(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Watches for so long at a server with these answers.
async fn watched(answers: impl IntoIterator<Item = Answer>, time: Duration) -> (Vec<String>, bool) {
    let answers = Arc::new(Mutex::new(answers.into_iter().collect::<VecDeque<_>>()));
    let story = Story::default();
    let told = story.clone();
    let service = service_fn(move |request: http::Request<Body>| {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let version = query.split('&').find_map(|pair| pair.strip_prefix("resourceVersion="));
        let what = version.map_or("list".to_owned(), |version| format!("watch from {version}"));
        told.tell(what);
        assert_eq!(request.uri().path(), "/api/v1/namespaces/flyte/secrets");
        let accept = request.headers()[header::ACCEPT].to_str().unwrap();
        assert!(accept.contains("as=PartialObjectMetadata"), "{accept}");
        let answer = answers.lock().unwrap().pop_front().unwrap_or(Answer::Never);
        async move {
            let (code, body) = match answer {
                Answer::Whole(code, text) => (code, Full::from(text).boxed_unsync()),
                Answer::Open(values) => (200, lines(values, true)),
                Answer::Ended(values) => (200, lines(values, false)),
                Answer::Never => std::future::pending().await,
            };
            Ok::<_, Infallible>(Response::builder().status(StatusCode::from_u16(code).unwrap()).body(body).unwrap())
        }
    });
    let (changes, resets) = (story.clone(), story.clone());
    let watching = watch(
        Client::new(service, "default"),
        "flyte".to_owned(),
        move |name| changes.tell(format!("changed {name}")),
        move || resets.tell("reset"),
    );
    let ended = timeout(time, watching).await.is_ok();
    (story.so_far(), ended)
}

const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test(start_paused = true)]
async fn every_change_is_told_by_name_after_a_reset_at_the_start() {
    let events =
        vec![event("ADDED", "a", "11"), bookmark("12"), event("MODIFIED", "b", "13"), event("DELETED", "a", "14")];
    let (story, ended) = watched([list("10"), Answer::Open(events)], MINUTE).await;
    assert_eq!(story, ["list", "reset", "watch from 10", "changed a", "changed b", "changed a"]);
    assert!(!ended);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_in_order_goes_on_from_the_last_version_without_a_reset() {
    let answers = [
        list("10"),
        Answer::Ended(vec![event("ADDED", "a", "11")]),
        Answer::Ended(vec![bookmark("20")]),
        Answer::Open(vec![]),
    ];
    let (story, _) = watched(answers, MINUTE).await;
    assert_eq!(story, ["list", "reset", "watch from 10", "changed a", "watch from 11", "watch from 20"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_breaks_is_begun_anew_with_a_reset_before_and_after() {
    for breaks in [
        Answer::Ended(vec![error_event(410)]),
        Answer::Whole(200, String::new()),
        Answer::Whole(200, "{\"planted\": true}\n".to_owned()),
        refused(410, "Expired"),
        refused(500, "InternalError"),
        Answer::Never,
    ] {
        let (story, _) = watched([list("10"), breaks, list("30"), Answer::Open(vec![])], MINUTE).await;
        assert_eq!(story, ["list", "reset", "watch from 10", "reset", "list", "reset", "watch from 30"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_falls_silent_is_not_waited_for_without_end() {
    let answers = [list("10"), Answer::Open(vec![]), list("30"), Answer::Open(vec![])];
    let (story, _) = watched(answers, 6 * MINUTE).await;
    assert_eq!(story, ["list", "reset", "watch from 10", "reset", "list", "reset", "watch from 30"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_is_left_alone_for_longer_and_longer() {
    for answer in [|| refused(500, "InternalError"), || Answer::Whole(200, "planted".to_owned()), || Answer::Never] {
        let (story, ended) = watched((0..1000).map(|_| answer()), 60 * MINUTE).await;
        let lists = story.iter().filter(|what| *what == "list").count();
        assert!((45..=130).contains(&lists), "{lists} requests in an hour");
        assert!(!ended);
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_verbs_it_says_so_once_with_the_rule_to_add_and_ends() {
    for answers in [vec![refused(403, "Forbidden")], vec![list("10"), refused(403, "Forbidden")]] {
        let ((_, ended), log) = log_of(watched(answers, MINUTE)).await;
        assert!(ended);
        let said: Vec<_> = log.lines().filter(|line| line.contains("INFO")).collect();
        assert_eq!(said.len(), 1, "{log}");
        for part in ["namespace=flyte", "resources: [secrets], verbs: [get, list, watch]", "Forbidden says the server"]
        {
            assert!(said[0].contains(part), "{log}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_stands_in_annotations_or_in_answers_that_cannot_be_read_is_in_no_log() {
    let mut odd = event("ADDED", "a", "12");
    odd["object"]["metadata"]["name"] = json!(["planted-instead-of-a-name"]);
    let mut unknown = event("ADDED", "a", "13");
    unknown["type"] = json!("planted-instead-of-a-type");
    let page = json!({
        "metadata": {"resourceVersion": "10"},
        "items": [event("", "a", "1")["object"].take()],
    });
    let answers = [
        Answer::Whole(200, page.to_string()),
        Answer::Ended(vec![event("ADDED", "a", "11"), odd]),
        list("20"),
        Answer::Ended(vec![unknown]),
        Answer::Whole(200, json!({"metadata": {"resourceVersion": ["planted"]}}).to_string()),
        Answer::Whole(500, "planted-in-a-page".to_owned()),
    ];
    let ((story, _), log) = log_of(watched(answers, MINUTE)).await;
    assert!(story.contains(&"changed a".to_owned()), "{story:?}");
    assert_eq!(log.matches("sent an event that cannot be read").count(), 2, "{log}");
    assert_eq!(log.matches("answer cannot be read").count(), 1, "{log}");
    assert_eq!(log.matches("answered 500").count(), 1, "{log}");
    assert!(!log.contains("planted"), "{log}");
}
