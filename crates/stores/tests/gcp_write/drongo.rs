//! Writing to GCP, against drongo. It knows neither etags nor filters: those are played in `gcp_edge`.

use std::collections::BTreeSet;

use super::*;
use crate::common::writers::{self, failure, read, text};
use flyte_secrets_stores::gcp::GcpWriter;
use flyte_secrets_stores::{SecretWriter, WriteFailure};

async fn both(server: &Server) -> (GcpWriter, GcpStore) {
    let (endpoint, timeout) = (Some(server.url.clone()), std::time::Duration::from_secs(60));
    let settings = GcpSettings { endpoint, anonymous: true, timeout, ..GcpSettings::new(PROJECT) };
    (GcpWriter::new(settings).await.unwrap(), store(server).await)
}

#[tokio::test]
async fn a_secret_is_made_read_changed_and_gone() {
    let server = drongo();
    let (writer, fetcher) = both(&server).await;
    writers::a_secret_is_made_read_changed_and_gone(&writer, &fetcher).await;
}

#[tokio::test]
async fn image_pull_secrets_are_docker_configurations() {
    let server = drongo();
    let (writer, fetcher) = both(&server).await;
    writers::image_pull_secrets_are_docker_configurations(&writer, &fetcher).await;
}

#[tokio::test]
async fn names_are_refused_or_kept_exactly() {
    let server = drongo();
    let (writer, fetcher) = both(&server).await;
    let kept = writers::names_are_refused_or_kept_exactly(&writer, &fetcher).await;
    assert_eq!(kept, ["a__b", "__", "_a_", "a__key__b", "project__q", "my-AbCdEf"]);
    // u__org__flyte__domain__development__project__flytesnacks__key__ are 63 characters.
    for (length, fits) in [(192, true), (193, false), (300, false)] {
        let name = "x".repeat(length);
        assert_eq!(writer.create(&text(&name, "v")).await.is_ok(), fits, "{length}");
        assert_eq!(read(&fetcher, &name).await.is_ok(), fits, "{length}");
    }
    for (size, fits) in [(65_536, true), (65_537, false)] {
        assert_eq!(writer.create(&text(&size.to_string(), &"x".repeat(size))).await.is_ok(), fits, "{size}");
    }
}

#[tokio::test]
async fn lists_hold_a_scope_and_those_within() {
    let server = drongo();
    let (writer, _) = both(&server).await;
    for name in ["other", "u__org__union__domain__d__project__p__key__k", "u__org__flyte__something"] {
        post(&server, &format!("?secretId={name}"), &json!({"replication": {"automatic": {}}}));
    }
    writers::lists_hold_a_scope_and_those_within(&writer).await;
}

#[tokio::test]
async fn one_of_a_hundred_creators_wins() {
    let server = drongo();
    let (writer, fetcher) = both(&server).await;
    writers::one_of_many_creators_wins(&writer, &fetcher, 100).await;
}

#[tokio::test]
async fn a_hundred_updates_at_once_all_take_place() {
    let server = drongo();
    let (writer, fetcher) = both(&server).await;
    writers::many_updates_at_once_are_confirmed(&writer, &fetcher, 100).await;
    let path = format!("{}/v1/projects/{PROJECT}/secrets/{}", server.url, id("changed"));
    let mut values = BTreeSet::new();
    for version in 1..=101 {
        let answer = server.get(&format!("{}/versions/{version}:access", path.trim_start_matches(&server.url)));
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        values.insert(answer["payload"]["data"].as_str().unwrap().to_owned());
    }
    assert_eq!(values.len(), 101, "each value was the secret's at a time");
}

#[tokio::test]
async fn what_was_written_by_hand_is_found_and_changed() {
    let server = drongo();
    put(&server, "k", &[b"v"]);
    put(&server, "without-a-version", &[]);
    let (writer, fetcher) = both(&server).await;
    for name in ["k", "without-a-version"] {
        assert_eq!(failure(writer.create(&text(name, "v")).await), Some(WriteFailure::AlreadyExists));
        writer.update(&text(name, "new")).await.unwrap();
        assert_eq!(read(&fetcher, name).await.unwrap(), "new");
    }
}
