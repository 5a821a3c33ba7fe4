//! Writing to Vault where a real server seldom is: changed in between, lost answers, full storage.

use std::sync::atomic::AtomicUsize;

use flyte_secrets_stores::vault::VaultWriter;
use flyte_secrets_stores::{SecretWriter, WriteFailure};

use super::*;
use crate::writers::{self, failure};

const TIMEOUT: Duration = Duration::from_millis(1500);

/// Answers one after the other, the last one for good; and a writer whose token never ends.
async fn in_turn(replies: Vec<Reply>) -> (Edge, VaultWriter, TempDir) {
    let next = AtomicUsize::new(0);
    let edge = Edge::start(move |seen| match seen.target.as_str() {
        "/v1/auth/token/lookup-self" => Reply::new(200, json!({"data": {"ttl": 0, "renewable": false}})),
        _ => replies[next.fetch_add(1, Ordering::SeqCst).min(replies.len() - 1)].clone(),
    })
    .await;
    let files = tempfile::tempdir().unwrap();
    let token = files.path().join("token");
    fs::write(&token, "t").unwrap();
    let auth = VaultAuth::Token(TokenSource::File(token));
    let writer = VaultWriter::new(VaultSettings { timeout: TIMEOUT, ..VaultSettings::new(edge.url(), auth) }).unwrap();
    (edge, writer, files)
}

fn present(version: u64) -> Reply {
    let metadata = json!({"version": version, "created_time": "2026-11-20T10:00:00.123Z", "deletion_time": "", "destroyed": false});
    Reply::new(200, json!({"data": {"subkeys": {"value": null}, "metadata": metadata}}))
}

fn nothing() -> Reply {
    Reply::new(404, json!({"errors": []}))
}

fn done() -> Reply {
    Reply::new(200, json!({"data": {"version": 1}}))
}

fn overtaken() -> Reply {
    Reply::new(400, json!({"errors": ["check-and-set parameter did not match the current version"]}))
}

/// What was asked after the token was looked up.
fn asked(edge: &Edge) -> Vec<Seen> {
    edge.requests().into_iter().filter(|seen| !seen.target.contains("lookup-self")).collect()
}

#[tokio::test]
async fn a_new_secret_is_one_request_that_only_makes_a_first_version() {
    let (edge, writer, _files) = in_turn(vec![done()]).await;
    writer.create(&writers::text("k", "v")).await.unwrap();
    let [request] = asked(&edge).try_into().unwrap();
    assert_eq!(line(&request), format!("POST /v1/secret/data/{}", id("k")));
    assert_eq!(request.json(), json!({"options": {"cas": 0}, "data": {"value": "v"}}));
}

#[tokio::test]
async fn an_update_is_made_on_top_of_the_version_that_was_seen() {
    let (edge, writer, _files) = in_turn(vec![present(6), overtaken(), present(7), done()]).await;
    writer.update(&writers::text("k", "v")).await.unwrap();
    let requests = asked(&edge);
    let path = id("k");
    let lines: Vec<_> = requests.iter().map(line).collect();
    let (look, write) = (format!("GET /v1/secret/subkeys/{path}"), format!("PATCH /v1/secret/data/{path}"));
    assert_eq!(lines, [look.as_str(), &write, &look, &write]);
    assert_eq!(requests[3].header("content-type"), "application/merge-patch+json");
    assert_eq!(requests[3].json(), json!({"options": {"cas": 7}, "data": {"value": "v", "value_base64": null}}));
}

#[tokio::test]
async fn an_update_that_others_never_let_through_changes_nothing() {
    let edge = Edge::start(|seen| match (seen.method.as_str(), seen.target.as_str()) {
        (_, "/v1/auth/token/lookup-self") => Reply::new(200, json!({"data": {"ttl": 0}})),
        ("PATCH", _) => overtaken(),
        _ => present(1),
    })
    .await;
    let files = tempfile::tempdir().unwrap();
    let token = files.path().join("token");
    fs::write(&token, "t").unwrap();
    let auth = VaultAuth::Token(TokenSource::File(token));
    let settings = VaultSettings { timeout: Duration::from_secs(30), ..VaultSettings::new(edge.url(), auth) };
    let writer = VaultWriter::new(settings).unwrap();
    assert_eq!(failure(writer.update(&writers::text("k", "v")).await), Some(WriteFailure::Conflict));
    assert_eq!(edge.count("PATCH"), 8, "no endless tries");
}

#[tokio::test]
async fn a_secret_that_is_gone_when_it_is_changed_is_not_found() {
    let (edge, writer, _files) = in_turn(vec![present(6), nothing(), nothing()]).await;
    assert_eq!(failure(writer.update(&writers::text("k", "v")).await), Some(WriteFailure::NotFound));
    assert_eq!(asked(&edge).len(), 3);
}

#[tokio::test]
async fn after_a_lost_answer_the_same_request_is_safe() {
    // The first request is done, and its answer never comes; the second one finds what the first has made.
    let (_edge, writer, _files) = in_turn(vec![done().after(Duration::from_secs(9)), overtaken(), present(1)]).await;
    assert_eq!(failure(writer.create(&writers::text("k", "v")).await), Some(WriteFailure::Late));
    assert_eq!(failure(writer.create(&writers::text("k", "v")).await), Some(WriteFailure::AlreadyExists));
}

#[tokio::test]
async fn every_failure_of_a_write_has_its_kind_and_no_value() {
    for (reply, expected, part) in [
        (
            denied(),
            WriteFailure::Denied,
            "path \"secret/data/*\" { capabilities = [\"create\", \"update\", \"patch\"] }",
        ),
        (Reply::new(413, json!({"errors": ["request body too large"]})), WriteFailure::Invalid, "413"),
        (
            Reply::new(500, json!({"errors": ["put failed due to value being too large; got 1048600 bytes"]})),
            WriteFailure::Invalid,
            "1048600",
        ),
        (Reply::new(429, json!({"errors": ["quota"]})), WriteFailure::Unavailable, "slow down"),
        (Reply::new(503, json!({"errors": ["Vault is sealed"]})), WriteFailure::Unavailable, "sealed"),
        (Reply::new(500, "planted"), WriteFailure::Unavailable, "failed"),
        (Reply::new(404, "<html>"), WriteFailure::Unavailable, "no Vault answers"),
        (Reply::new(204, ""), WriteFailure::Unavailable, "not KV version 2"),
        (Reply::new(302, "").with("location", "https://elsewhere"), WriteFailure::Unavailable, "redirects"),
        (done().after(Duration::from_secs(9)), WriteFailure::Late, "1500 ms"),
    ] {
        let (_edge, writer, _files) = in_turn(vec![reply]).await;
        let error = writer.create(&writers::text("k", "planted")).await.unwrap_err();
        assert_eq!(error.failure(), expected, "{error}");
        assert!(error.detail().contains(part), "{error}");
        assert!(!format!("{error:?}").contains("planted"), "{error}");
    }
}

#[tokio::test]
async fn what_is_no_answer_of_the_engine_is_not_taken_for_nothing() {
    for reply in [Reply::new(404, "<html>"), Reply::new(200, "{}"), Reply::new(200, json!({"data": {"keys": 1}}))] {
        let (_edge, writer, _files) = in_turn(vec![reply]).await;
        assert_eq!(failure(writer.describe(&id("k")).await), Some(WriteFailure::Unavailable));
        assert_eq!(failure(writer.delete(&id("k")).await), Some(WriteFailure::Unavailable));
        let page = flyte_secrets_stores::PageRequest { after: None, limit: 1 };
        assert_eq!(failure(writer.list(&id(""), page).await), Some(WriteFailure::Unavailable));
    }
}

#[tokio::test]
async fn a_list_asks_for_no_more_secrets_than_its_page_has() {
    let edge = Edge::start(|seen| match seen.target.as_str() {
        "/v1/auth/token/lookup-self" => Reply::new(200, json!({"data": {"ttl": 0}})),
        "/v1/secret/metadata/?list=true" => {
            let keys: Vec<_> = (0..500).map(|number| id(&format!("k{number:03}")).to_string()).collect();
            Reply::new(200, json!({"data": {"keys": keys}}))
        }
        _ => present(1),
    })
    .await;
    let files = tempfile::tempdir().unwrap();
    let token = files.path().join("token");
    fs::write(&token, "t").unwrap();
    let auth = VaultAuth::Token(TokenSource::File(token));
    let writer = VaultWriter::new(VaultSettings::new(edge.url(), auth)).unwrap();
    let page = flyte_secrets_stores::PageRequest { after: Some(id("k099").to_string()), limit: 10 };
    let page = writer.list(&id(""), page).await.unwrap();
    assert_eq!((page.secrets.len(), page.next), (10, Some(id("k109").to_string())));
    let asked = edge.count("subkeys");
    assert!((11..=11 + 8).contains(&asked), "{asked}");
}
