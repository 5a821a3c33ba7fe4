//! Writing to GCP, against answers as Google's documentation shows them.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::UNIX_EPOCH;

use self::fake::{Fake, Fate, call};
use super::*;
use crate::common::Seen;
use crate::common::writers::{self, failure, read, text};
use flyte_secrets_stores::gcp::GcpWriter;
use flyte_secrets_stores::{PageRequest, SecretWriter, WriteFailure};
use futures::future::join_all;

#[path = "fake.rs"]
mod fake;

const PATIENT: Duration = Duration::from_secs(30);

async fn writer(edge: &Edge, timeout: Duration) -> GcpWriter {
    let settings =
        GcpSettings { endpoint: Some(edge.url.clone()), anonymous: true, timeout, ..GcpSettings::new("my-project") };
    GcpWriter::new(settings).await.unwrap()
}

async fn google() -> (Fake, Edge) {
    let fake = Fake::default();
    let answering = fake.clone();
    (fake, Edge::start(move |seen| answering.answer(seen)).await)
}

fn calls(edge: &Edge) -> Vec<&'static str> {
    edge.seen().iter().map(call).collect()
}

fn body(seen: &Seen) -> Value {
    serde_json::from_str(&seen.body).unwrap()
}

fn name() -> String {
    id("k").to_string()
}

#[tokio::test]
async fn a_writer_does_what_every_writer_does() {
    let (_, edge) = google().await;
    let (writer, fetcher) = (writer(&edge, PATIENT).await, store(&edge).await);
    writers::image_pull_secrets_are_docker_configurations(&writer, &fetcher).await;
    for name in ["p", "g"] {
        writer.delete(&id(name)).await.unwrap();
    }
    writers::names_are_refused_or_kept_exactly(&writer, &fetcher).await;
    writers::lists_hold_a_scope_and_those_within(&writer).await;
    writers::many_updates_at_once_are_confirmed(&writer, &fetcher, 100).await;
}

#[tokio::test]
async fn a_secret_is_itself_then_its_version_then_settled() {
    let (fake, edge) = google().await;
    writer(&edge, PATIENT).await.create(&writers::pull("k", writers::DOCKER)).await.unwrap();
    assert_eq!(calls(&edge), ["create", "addVersion", "update"]);
    let seen = edge.seen();
    assert_eq!(body(&seen[0])["replication"], json!({"automatic": {}}));
    let until: u64 = body(&seen[0])["labels"]["flyte-creating"].as_str().unwrap().parse().unwrap();
    assert!(until > UNIX_EPOCH.elapsed().unwrap().as_secs());
    let payload = &body(&seen[1])["payload"];
    assert_eq!(payload["dataCrc32c"], json!(crc32c::crc32c(writers::DOCKER.as_bytes()).to_string()));
    let settled = json!({"flyte-managed": "true", "flyte-secret-type": "image-pull-secret"});
    assert_eq!(fake.labels(&name()), Some(settled));
}

#[tokio::test]
async fn wherever_a_maker_is_ended_the_secret_is_missing_or_whole_and_the_request_again_completes_it() {
    use Fate::{Failed, Lost};
    for (step, fate) in [
        ("create", Failed),
        ("create", Lost),
        ("addVersion", Failed),
        ("addVersion", Lost),
        ("update", Failed),
        ("update", Lost),
    ] {
        let (fake, edge) = google().await;
        let (hasty, fetcher) = (writer(&edge, Duration::from_millis(300)).await, store(&edge).await);
        fake.let_end(step, fate);
        let first = hasty.create(&text("k", "v")).await;
        let there = read(&fetcher, "k").await;
        let whole = (step, fate) == ("addVersion", Lost) || step == "update";
        assert_eq!(there, if whole { Ok("v".to_owned()) } else { Err(FailureClass::NotFound) }, "{step} {fate:?}");
        assert_eq!(first.is_ok(), step == "update", "{step} {fate:?} {first:?}");
        let known = hasty.describe(&id("k")).await;
        assert_eq!(failure(known), if whole { None } else { Some(WriteFailure::NotFound) }, "{step} {fate:?}");
        assert_eq!(writers::list(&hasty, &id(""), 10).await.len(), usize::from(whole), "{step} {fate:?}");

        fake.let_all_be_good();
        let patient = writer(&edge, PATIENT).await;
        let again = failure(patient.create(&text("k", "v")).await);
        assert_eq!(again, whole.then_some(WriteFailure::AlreadyExists), "{step} {fate:?}");
        patient.update(&text("k", "w")).await.unwrap();
        assert_eq!(read(&fetcher, "k").await.unwrap(), "w");
        assert_eq!(fake.versions(&name()).len(), 2, "{step} {fate:?}");
    }
}

#[tokio::test]
async fn a_maker_that_is_killed_at_any_step_leaves_what_its_request_again_completes() {
    for (step, whole) in [("create", false), ("addVersion", true), ("update", true)] {
        // The step is done; whoever asked for it never hears of it.
        let (fake, stuck) = (Fake::default(), Arc::new(AtomicBool::new(true)));
        let (answering, sticks) = (fake.clone(), Arc::clone(&stuck));
        let edge = Edge::start(move |seen| {
            let answer = answering.answer(seen);
            let is_stuck = sticks.load(Ordering::SeqCst) && call(seen) == step;
            if is_stuck { answer.after(PATIENT) } else { answer }
        })
        .await;
        let arguments = ["--ignored", "--exact", "write::process_that_creates_a_secret", "--nocapture"];
        let mut process = Command::new(std::env::current_exe().unwrap());
        let process = process.args(arguments).env("ENDPOINT", &edge.url).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = process.spawn().unwrap();
        while !calls(&edge).contains(&step) {
            assert!(process.try_wait().unwrap().is_none(), "{step}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        process.kill().unwrap();
        process.wait().unwrap();
        stuck.store(false, Ordering::SeqCst);

        let (fetcher, patient) = (store(&edge).await, writer(&edge, PATIENT).await);
        assert_eq!(read(&fetcher, "k").await.is_ok(), whole, "{step}");
        let mut again = failure(patient.create(&text("k", "v")).await);
        while again == Some(WriteFailure::Conflict) {
            again = failure(patient.create(&text("k", "v")).await);
        }
        assert_eq!(again, whole.then_some(WriteFailure::AlreadyExists), "{step}");
        assert_eq!(read(&fetcher, "k").await.unwrap(), "v");
        assert_eq!(fake.versions(&name()).len(), 1, "{step}");
    }
}

#[tokio::test]
#[ignore = "started by other tests"]
async fn process_that_creates_a_secret() {
    let settings = GcpSettings {
        endpoint: std::env::var("ENDPOINT").ok(),
        anonymous: true,
        timeout: Duration::from_secs(1),
        ..GcpSettings::new("my-project")
    };
    let _ = GcpWriter::new(settings).await.unwrap().create(&text("k", "v")).await;
}

#[tokio::test]
async fn whoever_meets_a_maker_at_work_waits_and_then_says_when_to_come_again() {
    let (fake, edge) = google().await;
    let until = UNIX_EPOCH.elapsed().unwrap().as_secs() + 25;
    fake.put(&name(), json!({"flyte-creating": until.to_string()}));
    let writer = writer(&edge, PATIENT).await;
    let failed = writer.create(&text("k", "v")).await.unwrap_err();
    assert_eq!(failed.failure(), WriteFailure::Conflict);
    assert!(failed.detail().contains("being made by another request"), "{failed}");
    for answer in [writer.update(&text("k", "v")).await, writer.delete(&id("k")).await] {
        assert_eq!(failure(answer), Some(WriteFailure::NotFound));
    }
    assert!(fake.versions(&name()).is_empty());
    assert_eq!(fake.labels(&name()), Some(json!({"flyte-creating": until.to_string()})));
}

#[tokio::test]
async fn what_was_left_behind_is_taken_over_by_one_of_many_and_keeps_the_labels_of_others() {
    let (fake, edge) = google().await;
    let labels = json!({"flyte-creating": "1000", "team": "ours", "flyte-secret-type": "image-pull-secret"});
    fake.put(&id("raced").to_string(), labels);
    let (writer, fetcher) = (writer(&edge, PATIENT).await, store(&edge).await);
    writers::one_of_many_creators_wins(&writer, &fetcher, 100).await;
    let name = id("raced").to_string();
    assert_eq!(fake.versions(&name).len(), 1);
    assert_eq!(fake.labels(&name), Some(json!({"flyte-managed": "true", "team": "ours"})));
}

#[tokio::test]
async fn what_was_left_behind_goes_with_a_deletion() {
    let (fake, edge) = google().await;
    fake.put(&name(), json!({"flyte-creating": "1000"}));
    assert_eq!(failure(writer(&edge, PATIENT).await.delete(&id("k")).await), Some(WriteFailure::NotFound));
    assert_eq!(fake.labels(&name()), None);
}

#[tokio::test]
async fn one_of_a_hundred_creators_wins() {
    let fake = Fake::default();
    let answering = fake.clone();
    let slow = move |seen: &Seen| {
        let answer = answering.answer(seen);
        if call(seen) == "create" { answer.after(Duration::from_millis(100)) } else { answer }
    };
    let edge = Edge::start(slow).await;
    let (one, other) = (writer(&edge, PATIENT).await, writer(&edge, PATIENT).await);
    let secrets: Vec<_> = (0..100).map(|number| text("k", &number.to_string())).collect();
    let answers = join_all(
        secrets.iter().enumerate().map(
            |(number, secret)| {
                if number % 2 == 0 { one.create(secret) } else { other.create(secret) }
            },
        ),
    )
    .await;
    let winners: Vec<_> = (0..100).filter(|number| answers[*number].is_ok()).collect();
    assert_eq!((winners.len(), fake.versions(&name()).len()), (1, 1), "{answers:?}");
    assert_eq!(read(&store(&edge).await, "k").await.unwrap(), winners[0].to_string());
    assert!(answers.into_iter().filter_map(failure).all(|failure| failure == WriteFailure::AlreadyExists));
}

#[tokio::test]
async fn what_may_not_be_filled_is_not_left_behind() {
    let (fake, edge) = google().await;
    fake.let_end("addVersion", Fate::Denied);
    let failed = writer(&edge, PATIENT).await.create(&text("k", "v")).await.unwrap_err();
    assert_eq!(failed.failure(), WriteFailure::Denied);
    assert!(failed.detail().contains("secretmanager.versions.add"), "{failed}");
    assert_eq!((calls(&edge), fake.labels(&name())), (vec!["create", "addVersion", "delete"], None));
}

#[tokio::test]
async fn a_settled_secret_is_looked_at_with_one_call_and_changed_with_two() {
    let (fake, edge) = google().await;
    fake.put(&name(), json!({"flyte-managed": "true"}));
    let writer = writer(&edge, PATIENT).await;
    writer.describe(&id("k")).await.unwrap();
    assert_eq!(calls(&edge), ["get"]);
    writer.update(&text("k", "v")).await.unwrap();
    assert_eq!(calls(&edge), ["get", "get", "addVersion"]);
}

#[tokio::test]
async fn a_list_is_a_call_for_every_thousand_and_has_an_end() {
    let (fake, edge) = google().await;
    let put = |numbers: std::ops::Range<usize>| {
        for number in numbers {
            fake.put(&id(&format!("k{number:05}")).to_string(), json!({}));
        }
    };
    let writer = writer(&edge, PATIENT).await;
    let request = || PageRequest { after: Some(id("k00149").to_string()), limit: 10 };
    put(0..2500);
    let page = writer.list(&id(""), request()).await.unwrap();
    assert_eq!((page.secrets[0].id.name.as_str(), page.secrets.len()), ("k00150", 10));
    assert_eq!(calls(&edge), ["list"; 3]);
    put(2500..10_001);
    assert_eq!(failure(writer.list(&id(""), request()).await), Some(WriteFailure::Invalid));
}

#[tokio::test]
async fn what_cannot_be_stored_is_not_sent() {
    let (_, edge) = google().await;
    writers::what_is_ambiguous_or_does_not_fit_is_refused(&writer(&edge, PATIENT).await, 65_536).await;
    assert!(edge.seen().is_empty());
}

#[tokio::test]
async fn an_answer_about_another_secret_is_not_taken() {
    let other =
        Answer::new(200, json!({"name": "projects/1/secrets/other"})).header("content-type", "application/json");
    let edge = Edge::saying(other).await;
    let failed = writer(&edge, PATIENT).await.update(&text("k", "v")).await;
    assert_eq!((failure(failed), edge.seen().len()), (Some(WriteFailure::Unavailable), 1));
}

#[tokio::test]
async fn a_slow_answer_is_late_after_the_time_that_is_set() {
    let edge = Edge::saying(Answer::new(200, "{}").after(Duration::from_secs(60))).await;
    let begin = Instant::now();
    let failed = writer(&edge, Duration::from_millis(500)).await.create(&text("k", "v")).await;
    assert_eq!(failure(failed), Some(WriteFailure::Late));
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_written_value_is_in_no_log_at_any_level() {
    assert_eq!(run_alone("write::process_that_writes_a_planted_value", &[]).await, "done");
}

#[tokio::test]
#[ignore = "started by other tests"]
async fn process_that_writes_a_planted_value() {
    let logs = common::logs();
    for fate in [Fate::Good, Fate::Failed, Fate::Lost, Fate::Denied] {
        let (fake, edge) = google().await;
        fake.let_end("addVersion", fate);
        let _ = writer(&edge, PATIENT).await.create(&text("k", PLANTED)).await;
        assert!(edge.seen()[1].body.contains("cGxhbnRlZC03ZjNh"), "the value was sent");
    }
    let text = logs.text();
    assert!(text.contains("hyper_util"), "the log is on: {}", text.len());
    for form in [PLANTED, "cGxhbnRlZC03ZjNh"] {
        let lines: Vec<_> = text.lines().filter(|line| line.contains(form)).collect();
        assert!(lines.is_empty(), "{lines:#?}");
    }
    say(Err("done"));
}
