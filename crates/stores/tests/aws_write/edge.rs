//! Writing to AWS, against answers as AWS's documentation shows them.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::common::writers::{self, failure, text};
use flyte_secrets_stores::aws::AwsWriter;
use flyte_secrets_stores::{PageRequest, SecretKind, SecretWriter, WriteFailure};

const CREATE: &str = "secretsmanager.CreateSecret";
const DESCRIBE: &str = "secretsmanager.DescribeSecret";
const PUT: &str = "secretsmanager.PutSecretValue";
const DELETE: &str = "secretsmanager.DeleteSecret";
const MARKED: &str = "You can't create this secret because a secret with this name is already scheduled for deletion.";

fn writer(edge: &Edge) -> AwsWriter {
    writer_with_timeout(edge, Duration::from_secs(30))
}

fn writer_with_timeout(edge: &Edge, timeout: Duration) -> AwsWriter {
    AwsWriter::with_config(&sdk(), settings(edge, false, timeout)).unwrap()
}

fn body(seen: &Seen) -> Value {
    serde_json::from_str(&seen.body).unwrap()
}

fn done() -> Answer {
    Answer::new(200, json!({"ARN": "arn:1", "Name": id("k").to_string(), "VersionId": "1"}))
}

fn described(arn: &str) -> Answer {
    Answer::new(200, json!({"ARN": arn, "Name": id("k").to_string(), "CreatedDate": 1.6e9, "Tags": []}))
}

/// Answers one after the other, the last one for good.
async fn in_turn(answers: Vec<Answer>) -> Edge {
    let next = AtomicUsize::new(0);
    Edge::start(move |_| answers[next.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)].clone()).await
}

#[tokio::test]
async fn a_secret_is_made_with_its_value_and_tags_in_one_call() {
    let edge = Edge::saying(done()).await;
    let writer = writer(&edge);
    writer.create(&text("k", "v")).await.unwrap();
    writer.create(&writers::pull("k", writers::DOCKER)).await.unwrap();
    let [generic, pull] = edge.seen().try_into().unwrap();
    let managed = json!({"Key": "app.flyte.org/managed", "Value": "true"});
    let mut sent = body(&generic);
    assert!(sent["ClientRequestToken"].take().as_str().unwrap().len() >= 32);
    let expected =
        json!({"Name": id("k").to_string(), "ClientRequestToken": null, "SecretString": "v", "Tags": [managed]});
    assert_eq!((generic.target.as_str(), sent), (CREATE, expected));
    let kind = json!({"Key": "union.ai/secret-type", "Value": "image-pull-secret"});
    assert_eq!(body(&pull)["Tags"], json!([managed, kind]));
}

#[tokio::test]
async fn a_call_whose_answer_was_lost_is_repeated_with_its_token() {
    let edge = in_turn(vec![error(500, "InternalServiceError", ""), done()]).await;
    writer(&edge).create(&text("k", "v")).await.unwrap();
    let [first, second] = edge.seen().try_into().unwrap();
    assert_eq!(first.body, second.body);
    assert!(body(&first)["ClientRequestToken"].is_string());
}

#[tokio::test]
async fn a_store_that_stays_down_is_asked_three_times() {
    let edge = Edge::saying(error(503, "ServiceUnavailable", "")).await;
    let failed = writer(&edge).create(&text("k", "v")).await;
    assert_eq!((failure(failed), edge.seen().len()), (Some(WriteFailure::Unavailable), 3));
}

#[tokio::test]
async fn a_new_value_goes_to_the_secret_that_was_looked_at() {
    let edge = in_turn(vec![
        described("arn:first"),
        error(400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret."),
        described("arn:second"),
        done(),
    ])
    .await;
    writer(&edge).update(&text("k", "v")).await.unwrap();
    let seen = edge.seen();
    let calls: Vec<_> = seen.iter().map(|seen| (seen.target.as_str(), body(seen)["SecretId"].clone())).collect();
    let name = json!(id("k").to_string());
    let expected = [(DESCRIBE, name.clone()), (PUT, json!("arn:first")), (DESCRIBE, name), (PUT, json!("arn:second"))];
    assert_eq!(calls, expected);
}

#[tokio::test]
async fn a_deletion_is_for_good_and_of_the_secret_that_was_looked_at() {
    let edge = in_turn(vec![described("arn:first"), done()]).await;
    writer(&edge).delete(&id("k")).await.unwrap();
    let seen = edge.seen();
    assert_eq!(seen[1].target, DELETE);
    assert_eq!(body(&seen[1]), json!({"SecretId": "arn:first", "ForceDeleteWithoutRecovery": true}));
}

#[tokio::test]
async fn a_name_that_aws_has_not_given_back_yet_is_waited_for() {
    let marked = error(400, "InvalidRequestException", MARKED);
    let edge = in_turn(vec![marked.clone(), marked, done()]).await;
    writer(&edge).create(&text("k", "v")).await.unwrap();
    assert_eq!(edge.seen().len(), 3);
}

#[tokio::test]
async fn a_name_that_others_keep_is_a_conflict_that_says_what_to_do() {
    let edge = Edge::saying(error(400, "InvalidRequestException", MARKED)).await;
    let failed = writer(&edge).create(&text("k", "v")).await.unwrap_err();
    assert_eq!(failed.failure(), WriteFailure::Conflict);
    for part in [MARKED, "restore-secret", "--force-delete-without-recovery"] {
        assert!(failed.detail().contains(part), "{failed}");
    }
    assert!(edge.seen().len() <= 8);
}

#[tokio::test]
async fn every_refusal_of_aws_has_its_failure_and_what_was_sent_is_not_quoted() {
    use WriteFailure::{AlreadyExists, Conflict, Denied, Full, Invalid, NotFound, Unavailable};
    for (status, code, message, expected, part) in [
        (400, "ResourceExistsException", "The operation failed because the secret already exists.", AlreadyExists, ""),
        (400, "ResourceNotFoundException", "", NotFound, ""),
        (400, "PreconditionNotMetException", "", Unavailable, ""),
        (400, "AccessDeniedException", "User: u is not authorized", Denied, "secretsmanager:CreateSecret"),
        (400, "EncryptionFailure", "", Denied, "kms:GenerateDataKey"),
        (400, "UnrecognizedClientException", "", Denied, "role"),
        (400, "LimitExceededException", "", Full, "100 versions"),
        (400, "InvalidParameterException", PLANTED, Invalid, "InvalidParameterException"),
        (400, "ValidationException", PLANTED, Invalid, "ValidationException"),
        (400, "SerializationException", PLANTED, Invalid, ""),
        (400, "InvalidRequestException", MARKED, Conflict, "restore"),
        (403, "InvalidSignatureException", "", Denied, "clock"),
    ] {
        let edge = Edge::saying(error(status, code, message)).await;
        let failed = writer(&edge).create(&text("k", PLANTED)).await.unwrap_err();
        assert_eq!(failed.failure(), expected, "{code}: {failed}");
        assert!(failed.detail().contains(part) && !failed.detail().contains(PLANTED), "{failed}");
    }
}

#[tokio::test]
async fn what_cannot_be_stored_is_not_sent() {
    let edge = Edge::saying(done()).await;
    writers::what_is_ambiguous_or_does_not_fit_is_refused(&writer(&edge), 65_536).await;
    assert!(edge.seen().is_empty());
}

#[tokio::test]
async fn an_answer_about_another_secret_is_not_taken() {
    let other = Answer::new(200, json!({"ARN": "arn:other", "Name": "other"}));
    let edge = Edge::saying(other).await;
    assert_eq!(failure(writer(&edge).update(&text("k", "v")).await), Some(WriteFailure::Unavailable));
    assert_eq!(edge.seen().len(), 1);
}

#[tokio::test]
async fn a_list_is_a_call_for_every_hundred_and_has_an_end() {
    let page = |seen: &Seen| {
        let first = body(seen)["NextToken"].as_str().map_or(0, |token| token.parse::<usize>().unwrap());
        let name = |number: usize| id(&format!("k{number:05}")).to_string();
        let secrets: Vec<_> = (first..first + 100).map(|number| json!({"Name": name(number), "ARN": "a"})).collect();
        json!({"SecretList": secrets, "NextToken": (first + 100).to_string()})
    };
    let ending = Edge::start(move |seen| {
        let mut page = page(seen);
        if page["NextToken"] == "300" {
            page["NextToken"].take();
        }
        Answer::new(200, page)
    })
    .await;
    let request = || PageRequest { after: Some(id("k00149").to_string()), limit: 10 };
    let listed = writer(&ending).list(&id(""), request()).await.unwrap();
    assert_eq!((listed.secrets[0].id.name.as_str(), listed.secrets[0].kind), ("k00150", SecretKind::Generic));
    assert_eq!((ending.seen().len(), listed.next), (3, Some(id("k00159").to_string())));
    let scope = "u__org__flyte__domain__development__project__flytesnacks__";
    assert_eq!(body(&ending.seen()[0])["Filters"], json!([{"Key": "name", "Values": [scope]}]));
    let endless = Edge::start(move |seen| Answer::new(200, page(seen))).await;
    let failed = writer(&endless).list(&id(""), request()).await;
    assert_eq!((failure(failed), endless.seen().len()), (Some(WriteFailure::Invalid), 101));
}

#[tokio::test]
async fn a_slow_answer_is_late_after_the_time_that_is_set() {
    let edge = Edge::saying(done().after(Duration::from_secs(60))).await;
    let begin = Instant::now();
    let failed = writer_with_timeout(&edge, Duration::from_millis(500)).create(&text("k", "v")).await;
    assert_eq!(failure(failed), Some(WriteFailure::Late));
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_written_value_is_in_no_log_where_the_targets_that_trace_answers_are_capped() {
    // AWS's own words, which these targets trace, may quote what was sent.
    let caps: String = TARGETS_THAT_TRACE_CREDENTIALS.iter().map(|target| format!(",{target}=debug")).collect();
    let log = format!("trace{caps}");
    assert_eq!(run_alone("write::process_that_writes_a_planted_value", &[("LOG", &log)]).await, "done");
}

#[tokio::test]
#[ignore = "started by other tests"]
async fn process_that_writes_a_planted_value() {
    let logs = common::logs();
    for answer in [done(), error(400, "ValidationException", PLANTED), error(500, "InternalServiceError", PLANTED)] {
        let edge = Edge::saying(answer).await;
        let _ = writer(&edge).create(&text("k", PLANTED)).await;
        assert!(edge.seen()[0].body.contains(PLANTED), "the value was sent");
    }
    let text = logs.text();
    assert!(text.contains("secretsmanager"), "the log is on: {}", text.len());
    let lines: Vec<_> = text.lines().filter(|line| line.contains(PLANTED)).collect();
    assert!(lines.is_empty(), "{lines:#?}");
    say(Err("done"));
}
