//! Writing to AWS, against moto.

use std::collections::BTreeSet;

use super::*;
use crate::common::writers::{self, failure, read, text};
use flyte_secrets_stores::aws::AwsWriter;
use flyte_secrets_stores::{SecretWriter, WriteFailure};

fn both(server: &Server) -> (AwsWriter, AwsStore, Client) {
    let sdk = sdk(server, "a", "b");
    let writer =
        AwsWriter::with_config(&sdk, AwsSettings { timeout: Duration::from_secs(60), ..AwsSettings::default() });
    (writer.unwrap(), store(&sdk, false), Client::new(&sdk))
}

#[tokio::test]
async fn a_secret_is_made_read_changed_and_gone() {
    let server = moto();
    let (writer, fetcher, _) = both(&server);
    writers::a_secret_is_made_read_changed_and_gone(&writer, &fetcher).await;
}

#[tokio::test]
async fn image_pull_secrets_are_docker_configurations() {
    let server = moto();
    let (writer, fetcher, _) = both(&server);
    writers::image_pull_secrets_are_docker_configurations(&writer, &fetcher).await;
}

#[tokio::test]
async fn names_are_refused_or_kept_exactly() {
    let server = moto();
    let (writer, fetcher, _) = both(&server);
    let kept = writers::names_are_refused_or_kept_exactly(&writer, &fetcher).await;
    let expected = ["..", "../../x", "a/b", "/a", "a__b", "__", "_a_", "a__key__b", "project__q", "my-AbCdEf"];
    assert_eq!(kept, expected);
    // u__org__flyte__domain__development__project__flytesnacks__key__ are 63 characters.
    for (length, fits) in [(300, true), (449, true), (450, false)] {
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
    let server = moto();
    let (writer, _, client) = both(&server);
    for name in ["other", "u__org__union__domain__d__project__p__key__k", "u__org__flyte__something"] {
        client.create_secret().name(name).secret_string("v").send().await.unwrap();
    }
    writers::lists_hold_a_scope_and_those_within(&writer).await;
}

#[tokio::test]
async fn one_of_a_hundred_creators_wins() {
    let server = moto();
    let (writer, fetcher, _) = both(&server);
    writers::one_of_many_creators_wins(&writer, &fetcher, 100).await;
}

#[tokio::test]
async fn a_hundred_updates_at_once_all_take_place() {
    let server = moto();
    let (writer, fetcher, client) = both(&server);
    writers::many_updates_at_once_are_confirmed(&writer, &fetcher, 100).await;
    let name = id("changed").to_string();
    let versions = client.list_secret_version_ids().secret_id(&name).include_deprecated(true).max_results(100);
    let mut pages = versions.into_paginator().send();
    let mut values = BTreeSet::new();
    while let Some(page) = pages.next().await {
        for version in page.unwrap().versions.unwrap() {
            let call = client.get_secret_value().secret_id(&name).version_id(version.version_id.unwrap());
            values.insert(call.send().await.unwrap().secret_string.unwrap());
        }
    }
    assert_eq!(values.len(), 101, "each value was the secret's at a time");
}

#[tokio::test]
async fn what_was_written_by_hand_is_found_and_changed() {
    let server = moto();
    let (writer, fetcher, client) = both(&server);
    client.create_secret().name(id("k").to_string()).secret_string("v").send().await.unwrap();
    assert_eq!(failure(writer.create(&text("k", "v")).await), Some(WriteFailure::AlreadyExists));
    writer.update(&text("k", "new")).await.unwrap();
    assert_eq!(read(&fetcher, "k").await.unwrap(), "new");
}

#[tokio::test]
async fn what_others_have_marked_for_deletion_is_missing_and_left_to_them() {
    let server = moto();
    let (writer, fetcher, client) = both(&server);
    let name = id("k").to_string();
    writer.create(&text("k", "v")).await.unwrap();
    client.delete_secret().secret_id(&name).recovery_window_in_days(7).send().await.unwrap();
    for answer in [writer.update(&text("k", "x")).await, writer.delete(&id("k")).await] {
        let error = answer.unwrap_err();
        assert_eq!(error.failure(), WriteFailure::NotFound);
        assert!(error.detail().contains("restore-secret"), "{error}");
    }
    assert_eq!(writers::list(&writer, &id(""), 10).await, []);
    client.restore_secret().secret_id(&name).send().await.unwrap();
    assert_eq!(read(&fetcher, "k").await.unwrap(), "v");
}

#[tokio::test]
async fn the_actions_that_are_documented_suffice_and_read_no_value() {
    let server = moto();
    let actions = ["CreateSecret", "TagResource", "DescribeSecret", "PutSecretValue", "DeleteSecret", "ListSecrets"];
    let actions: Vec<_> = actions.iter().map(|action| format!("%22secretsmanager:{action}%22")).collect();
    let (key, secret) = user_who_may(&server, &actions.join(","));
    let sdk = sdk(&server, &key, &secret);
    let writer = AwsWriter::with_config(&sdk, AwsSettings::default()).unwrap();
    writer.create(&text("k", "v")).await.unwrap();
    writer.update(&text("k", "w")).await.unwrap();
    writer.describe(&id("k")).await.unwrap();
    assert_eq!(writers::list(&writer, &id(""), 10).await, [id("k")]);
    assert_eq!(store(&sdk, false).get(&id("k")).await.unwrap_err().class(), FailureClass::Denied);
    writer.delete(&id("k")).await.unwrap();
}

#[tokio::test]
async fn whoever_may_not_write_is_denied() {
    let server = moto();
    let (key, secret) = user_who_may(&server, "%22secretsmanager:DescribeSecret%22");
    let writer = AwsWriter::with_config(&sdk(&server, &key, &secret), AwsSettings::default()).unwrap();
    assert_eq!(failure(writer.create(&text("k", "v")).await), Some(WriteFailure::Denied));
}
