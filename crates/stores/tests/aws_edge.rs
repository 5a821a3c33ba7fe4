//! The AWS store against answers as AWS's documentation shows them.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use flyte_secrets_core::value::SecretValue;
use flyte_secrets_stores::aws::{AwsSettings, AwsStore, TARGETS_THAT_TRACE_CREDENTIALS};
use flyte_secrets_stores::{FailureClass, FetchError, SecretFetcher};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::common::{Answer, Edge, PLANTED, PLANTED_KEY, Seen, id, in_a_process_with, run_alone, say};

#[allow(dead_code, reason = "other tests use the rest")]
mod common;
#[path = "aws_write/edge.rs"]
mod write;

const BATCH: &str = "secretsmanager.BatchGetSecretValue";
const SINGLE: &str = "secretsmanager.GetSecretValue";

/// A store that asks the fake, with credentials of its own.
fn store(edge: &Edge, batch: bool) -> AwsStore {
    store_with_timeout(edge, batch, Duration::from_secs(30))
}

fn store_with_timeout(edge: &Edge, batch: bool, timeout: Duration) -> AwsStore {
    AwsStore::with_config(&sdk(), settings(edge, batch, timeout)).unwrap()
}

fn sdk() -> SdkConfig {
    let credentials = Credentials::new("AKIDEXAMPLE", PLANTED_KEY, Some(PLANTED_KEY.to_owned()), None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

fn settings(edge: &Edge, batch: bool, timeout: Duration) -> AwsSettings {
    AwsSettings { region: Some("eu-central-1".to_owned()), endpoint: Some(edge.url.clone()), timeout, batch }
}

/// An error as AWS's JSON protocol (`application/x-amz-json-1.1`) has it.
fn error(status: u16, code: &str, message: &str) -> Answer {
    Answer::new(status, json!({"__type": code, "Message": message}))
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amzn-requestid", "6d1f-example")
}

fn name_in(seen: &Seen) -> String {
    serde_json::from_str::<Value>(&seen.body).unwrap()["SecretId"].as_str().unwrap().to_owned()
}

fn names_in(seen: &Seen) -> Vec<String> {
    let body: Value = serde_json::from_str(&seen.body).unwrap();
    body["SecretIdList"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// A secret whose value is its own name.
fn secret(name: &str) -> Value {
    json!({"ARN": format!("arn:aws:secretsmanager:eu-central-1:1:secret:{name}-AbCdEf"), "Name": name,
        "SecretString": name, "VersionStages": ["AWSCURRENT"], "CreatedDate": 1.6e9})
}

/// AWS with a secret for every name, by single calls and in batches.
fn aws(seen: &Seen) -> Answer {
    match seen.target.as_str() {
        BATCH => {
            let values: Vec<Value> = names_in(seen).iter().map(|name| secret(name)).collect();
            Answer::new(200, json!({"SecretValues": values, "Errors": []}))
        }
        _ => Answer::new(200, secret(&name_in(seen))),
    }
}

async fn get_one(answer: Answer) -> Result<SecretValue, FetchError> {
    store(&Edge::saying(answer).await, false).get(&id("k")).await
}

/// Asks for `k0`, `k1`, … at once.
async fn get_many(store: &AwsStore, count: usize) -> Vec<Result<SecretValue, FetchError>> {
    let ids: Vec<_> = (0..count).map(|number| id(&format!("k{number}"))).collect();
    join_all(ids.iter().map(|id| store.get(id))).await
}

fn calls(edge: &Edge, target: &str) -> usize {
    edge.seen().iter().filter(|seen| seen.target == target).count()
}

#[tokio::test]
async fn one_question_is_one_signed_call_for_the_current_version_of_the_encoded_id() {
    let edge = Edge::start(aws).await;
    let value = store(&edge, true).get(&id("k")).await.unwrap();
    assert_eq!(value.expose_text(), Some("u__org__flyte__domain__development__project__flytesnacks__key__k"));
    let [seen] = edge.seen().try_into().unwrap();
    assert_eq!((seen.method.as_str(), seen.path.as_str(), seen.target.as_str()), ("POST", "/", SINGLE));
    let body: Value = serde_json::from_str(&seen.body).unwrap();
    assert_eq!(body, json!({"SecretId": id("k").to_string(), "VersionStage": "AWSCURRENT"}));
    assert!(seen.authorization.unwrap().contains("/eu-central-1/secretsmanager/aws4_request"));
}

#[tokio::test]
async fn text_bytes_and_nothing_are_told_apart() {
    let name = id("k").to_string();
    let text = get_one(Answer::new(200, json!({"Name": name, "SecretString": "v"}))).await.unwrap();
    assert!(matches!(&text, SecretValue::Text(_)));
    assert_eq!(text.expose_bytes(), b"v");
    let bytes = get_one(Answer::new(200, json!({"Name": name, "SecretBinary": "/wD/"}))).await.unwrap();
    assert!(matches!(&bytes, SecretValue::Binary(_)));
    assert_eq!(bytes.expose_bytes(), b"\xff\x00\xff");
    for nothing in [json!({"Name": name}), json!({"Name": name, "SecretString": ""})] {
        assert_eq!(get_one(Answer::new(200, nothing)).await.unwrap_err().class(), FailureClass::Empty);
    }
}

#[tokio::test]
async fn an_answer_for_another_secret_is_not_handed_out() {
    let error = get_one(Answer::new(200, json!({"Name": "other", "SecretString": PLANTED}))).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Malformed);
    assert!(!error.to_string().contains(PLANTED), "{error}");
}

#[tokio::test]
async fn every_refusal_of_aws_has_its_class_and_is_asked_once() {
    use FailureClass::{Denied, Empty, NotFound, Throttled, Unavailable};
    let deleted = "You can't perform this operation on the secret because it was marked for deletion.";
    for (status, code, message, class) in [
        (400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.", NotFound),
        (400, "InvalidRequestException", deleted, Empty),
        (400, "AccessDeniedException", "User: arn:aws:iam::1:user/u is not authorized to perform: x", Denied),
        (400, "DecryptionFailure", "Secrets Manager can't decrypt the protected secret text.", Denied),
        (400, "UnrecognizedClientException", "The security token included in the request is invalid.", Denied),
        (400, "ExpiredTokenException", "The security token included in the request is expired", Denied),
        (400, "InvalidSignatureException", "Signature expired", Denied),
        (400, "ThrottlingException", "Rate exceeded", Throttled),
        (400, "InternalServiceError", "An error occurred on the server side.", Unavailable),
        (500, "InternalServiceError", "An error occurred on the server side.", Unavailable),
        (503, "ServiceUnavailable", "", Unavailable),
        (429, "SomethingNew", "", Throttled),
    ] {
        let edge = Edge::saying(error(status, code, message)).await;
        let failure = store(&edge, false).get(&id("k")).await.unwrap_err();
        assert_eq!(failure.class(), class, "{code}: {failure}");
        assert_eq!(edge.seen().len(), 1, "{code}");
        for part in [code, message, "6d1f-example"] {
            assert!(failure.detail().contains(part), "{failure}");
        }
    }
}

#[tokio::test]
async fn what_is_no_answer_of_aws_is_judged_by_its_status_and_never_quoted() {
    use FailureClass::{Denied, Malformed, Throttled, Unavailable};
    let name = id("k").to_string();
    for (status, body, class) in [
        (200, PLANTED.to_owned(), Malformed),
        (200, format!("{{\"Name\": \"{name}\", \"SecretString\": \"{PLANTED}"), Malformed),
        (200, format!("{{\"Name\": \"{name}\", \"SecretString\": {{\"{PLANTED}\": 1}}}}"), Malformed),
        (200, format!("{{\"Name\": \"{name}\", \"SecretBinary\": \"{PLANTED}*\"}}"), Malformed),
        (200, format!("[\"{PLANTED}\"]"), Malformed),
        (403, format!("<html>{PLANTED}</html>"), Denied),
        (404, format!("{{\"{PLANTED}\": 1}}"), Malformed),
        (400, format!("{{\"__type\": \"{PLANTED} is no code\", \"Message\": \"{PLANTED}\"}}"), Malformed),
        (429, PLANTED.to_owned(), Throttled),
        (502, format!("<html>{PLANTED}</html>"), Unavailable),
    ] {
        let failure = get_one(Answer::new(status, &body)).await.unwrap_err();
        assert_eq!(failure.class(), class, "{status} {body}: {failure}");
        assert!(!format!("{failure} {failure:?}").contains(PLANTED), "{failure}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let value = "x".repeat(9 << 20);
    let failure = get_one(Answer::new(200, json!({"Name": id("k").to_string(), "SecretString": value}))).await;
    assert_eq!(failure.unwrap_err().class(), FailureClass::Malformed);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Edge::start(aws).await;
    let failure = get_one(Answer::new(307, "").header("location", &other.url)).await.unwrap_err();
    assert_eq!(failure.class(), FailureClass::Malformed);
    assert!(failure.detail().contains("redirect"), "{failure}");
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn a_slow_answer_is_late_after_the_time_that_is_set() {
    let begin = Instant::now();
    let edge = Edge::saying(Answer::new(200, "{}").after(Duration::from_secs(60))).await;
    let failure = store_with_timeout(&edge, false, Duration::from_millis(500)).get(&id("k")).await.unwrap_err();
    assert_eq!(failure.class(), FailureClass::Late);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_and_the_error_says_why() {
    let edge = Edge::start(aws).await;
    let store = store(&edge, true);
    drop(edge);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let failure = store.get(&id("k")).await.unwrap_err();
    assert_eq!(failure.class(), FailureClass::Unavailable);
    assert!(failure.detail().contains("onnection refused"), "{failure}");
}

#[tokio::test]
async fn an_id_that_no_secret_can_have_is_not_sent() {
    let edge = Edge::start(aws).await;
    let failure = store(&edge, true).get(&id("a b")).await.unwrap_err();
    assert_eq!(failure.class(), FailureClass::NotFound);
    assert!(edge.seen().is_empty());
}

#[tokio::test]
async fn ids_that_are_asked_for_at_once_share_calls_of_at_most_twenty() {
    let edge = Edge::start(aws).await;
    let answers = get_many(&store(&edge, true), 50).await;
    for (number, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.unwrap().expose_text(), Some(id(&format!("k{number}")).to_string().as_str()));
    }
    assert_eq!((calls(&edge, BATCH), calls(&edge, SINGLE)), (3, 0));
    assert!(edge.seen().iter().all(|seen| names_in(seen).len() <= 20));
}

#[tokio::test]
async fn the_same_id_is_asked_for_once_in_a_call() {
    let edge = Edge::start(aws).await;
    let (store, k) = (store(&edge, true), id("k"));
    for answer in join_all((0..20).map(|_| store.get(&k))).await {
        answer.unwrap();
    }
    assert_eq!((calls(&edge, BATCH), calls(&edge, SINGLE)), (0, 1));
}

#[tokio::test]
async fn while_calls_are_under_way_further_ids_wait_and_go_together() {
    let edge = Edge::start(|seen| aws(seen).after(Duration::from_millis(200))).await;
    let store = store(&edge, true);
    let ids: Vec<_> = (0..40).map(|number| id(&format!("k{number}"))).collect();
    let one_by_one = ids.iter().enumerate().map(async |(number, id)| {
        tokio::time::sleep(Duration::from_millis(2 * number as u64)).await;
        store.get(id).await
    });
    for answer in join_all(one_by_one).await {
        answer.unwrap();
    }
    assert!(edge.seen().len() <= 12, "{} calls", edge.seen().len());
}

#[tokio::test]
async fn without_batches_every_id_is_a_call_of_its_own() {
    let edge = Edge::start(aws).await;
    for answer in get_many(&store(&edge, false), 5).await {
        answer.unwrap();
    }
    assert_eq!((calls(&edge, BATCH), calls(&edge, SINGLE)), (0, 5));
}

#[tokio::test]
async fn a_batch_that_is_not_allowed_is_asked_one_by_one_and_not_tried_again() {
    let edge = Edge::start(|seen| match seen.target.as_str() {
        BATCH => error(400, "AccessDeniedException", "not authorized to perform: secretsmanager:BatchGetSecretValue"),
        _ => aws(seen),
    })
    .await;
    let store = store(&edge, true);
    for _ in 0..3 {
        for answer in get_many(&store, 10).await {
            answer.unwrap();
        }
    }
    assert_eq!((calls(&edge, BATCH), calls(&edge, SINGLE)), (1, 30));
}

#[tokio::test]
async fn each_id_of_a_batch_has_its_own_outcome() {
    let edge = Edge::start(|seen| {
        let names = names_in(seen);
        let [good, missing, denied, sealed, empty] =
            ["k0", "k1", "k2", "k3", "k4"].map(|end| names.iter().find(|name| name.ends_with(end)).unwrap().clone());
        let errors = json!([
            {"SecretId": missing, "ErrorCode": "ResourceNotFoundException", "Message": "can't find"},
            {"SecretId": denied, "ErrorCode": "AccessDeniedException", "Message": "not authorized"},
            {"SecretId": sealed, "ErrorCode": "DecryptionFailure", "Message": "can't decrypt"},
        ]);
        let values = json!([secret(&good), {"Name": empty, "SecretString": ""}, secret("nobody-asked")]);
        Answer::new(200, json!({"SecretValues": values, "Errors": errors}))
    })
    .await;
    let answers = get_many(&store(&edge, true), 5).await;
    let classes: Vec<_> = answers.iter().map(|answer| answer.as_ref().err().map(FetchError::class)).collect();
    let expected = [None, Some(FailureClass::NotFound), Some(FailureClass::Denied), Some(FailureClass::Denied)];
    assert_eq!(classes[..4], expected);
    assert_eq!(classes[4], Some(FailureClass::Empty));
    assert_eq!(edge.seen().len(), 1);
}

#[tokio::test]
async fn who_is_missing_in_the_answer_of_a_batch_is_asked_for_alone() {
    let edge = Edge::start(|seen| match seen.target.as_str() {
        BATCH => Answer::new(200, json!({"SecretValues": [secret(&names_in(seen)[0])]})),
        _ => aws(seen),
    })
    .await;
    for answer in get_many(&store(&edge, true), 4).await {
        answer.unwrap();
    }
    assert_eq!((calls(&edge, BATCH), calls(&edge, SINGLE)), (1, 3));
}

#[tokio::test]
async fn no_id_spoils_the_answer_for_another_one() {
    let slow = Duration::from_secs(60);
    for spoiled in [
        error(400, "InvalidParameterException", "one of the ids is bad"),
        error(400, "InvalidRequestException", "one of the secrets was marked for deletion"),
        error(400, "DecryptionFailure", "one of the secrets can't be decrypted"),
        error(400, "ResourceNotFoundException", "one of the secrets is missing"),
        error(500, "InternalServiceError", "one of the secrets upsets the server"),
        Answer::new(200, "{\"SecretValues\": [{\"SecretString\": {\"one of the values\": 1}}]}"),
        Answer::new(200, "{}").after(slow),
    ] {
        let edge = Edge::start(move |seen| match seen.target.as_str() {
            BATCH => spoiled.clone(),
            _ if name_in(seen).ends_with("k0") => error(400, "DecryptionFailure", "this is the one"),
            _ => aws(seen),
        })
        .await;
        let mut answers = get_many(&store_with_timeout(&edge, true, Duration::from_secs(4)), 4).await.into_iter();
        assert_eq!(answers.next().unwrap().unwrap_err().class(), FailureClass::Denied);
        for answer in answers {
            answer.unwrap();
        }
    }
}

#[tokio::test]
async fn a_batch_that_is_throttled_is_not_followed_by_single_calls() {
    let edge = Edge::saying(error(400, "ThrottlingException", "Rate exceeded")).await;
    for answer in get_many(&store(&edge, true), 10).await {
        assert_eq!(answer.unwrap_err().class(), FailureClass::Throttled);
    }
    assert_eq!((calls(&edge, BATCH), calls(&edge, SINGLE)), (1, 0));
}

#[tokio::test]
async fn a_store_that_hangs_answers_everyone_in_time() {
    let edge = Edge::start(|seen| aws(seen).after(Duration::from_secs(60))).await;
    let begin = Instant::now();
    for answer in get_many(&store_with_timeout(&edge, true, Duration::from_secs(1)), 200).await {
        assert_eq!(answer.unwrap_err().class(), FailureClass::Late);
    }
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

#[tokio::test]
#[ignore = "started by other tests"]
async fn process_with_an_environment() {
    let logs = common::logs();
    match AwsStore::new(AwsSettings { timeout: Duration::from_secs(5), ..AwsSettings::default() }).await {
        Ok(store) => say(store.get(&id("k")).await),
        Err(error) => say(Err(error)),
    }
    let text = logs.text();
    assert!(!text.contains(PLANTED_KEY), "{text}");
}

/// What a process gets that has keys and a region in its environment, and these variables.
async fn with_keys_and(variables: &[(&str, &str)]) -> String {
    let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"), ("AWS_REGION", "eu-central-1")];
    in_a_process_with(&[&keys[..], variables].concat()).await
}

#[tokio::test]
async fn without_region_or_credentials_the_error_says_what_to_set() {
    assert!(in_a_process_with(&[]).await.starts_with("no AWS region is known"));
    let nowhere = [("AWS_REGION", "eu-central-1"), ("AWS_ENDPOINT_URL", "http://127.0.0.1:9")];
    let said = in_a_process_with(&nowhere).await;
    assert!(said.starts_with("denied: there are no AWS credentials"), "{said}");
    assert!(said.contains("AWS_ACCESS_KEY_ID"), "{said}");
    let broken = [("AWS_ROLE_ARN", "arn:aws:iam::1:role/r"), ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent")];
    let said = in_a_process_with(&[nowhere, broken].concat()).await;
    assert!(said.contains("AWS credentials"), "{said}");
}

#[tokio::test]
async fn a_role_that_sts_refuses_is_denied_with_the_words_of_sts() {
    let refusal = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
                   <Code>AccessDenied</Code><Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message>\
                   </Error><RequestId>1</RequestId></ErrorResponse>";
    let edge = Edge::saying(Answer::new(403, refusal).header("content-type", "text/xml")).await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, PLANTED).unwrap();
    let said = in_a_process_with(&[
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ENDPOINT_URL", &edge.url),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/r"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
    ])
    .await;
    for part in ["denied", "AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity", "trust policy"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!said.contains(PLANTED), "{said}");
}

#[tokio::test]
async fn the_endpoint_of_the_service_goes_before_the_one_of_all_services() {
    let edge = Edge::start(aws).await;
    let said =
        with_keys_and(&[("AWS_ENDPOINT_URL", "http://127.0.0.1:9"), ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &edge.url)])
            .await;
    assert_eq!(said, id("k").to_string());
}

#[tokio::test]
async fn a_server_needs_a_certificate_that_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let [right, wrong] = ["right", "wrong"].map(|name| folder.path().join(name));
    let edge = Edge::start_tls(&right, aws).await;
    let _other = Edge::start_tls(&wrong, aws).await;
    let [right, wrong] = [right, wrong].map(|path| path.to_str().unwrap().to_owned());
    let said = with_keys_and(&[("AWS_ENDPOINT_URL", &edge.url), ("SSL_CERT_FILE", &right)]).await;
    assert_eq!(said, id("k").to_string());
    let said = with_keys_and(&[("AWS_ENDPOINT_URL", &edge.url), ("SSL_CERT_FILE", &wrong)]).await;
    assert!(said.starts_with("unavailable") && said.contains("certificate"), "{said}");
}

#[tokio::test]
async fn the_proxy_of_the_environment_is_used_but_for_hosts_that_are_named() {
    let proxy = Edge::start(aws).await;
    let through = [("HTTP_PROXY", proxy.url.as_str()), ("AWS_ENDPOINT_URL", "http://secretsmanager.invalid")];
    assert_eq!(with_keys_and(&through).await, id("k").to_string());
    assert_eq!(proxy.seen()[0].path, "http://secretsmanager.invalid/");
    let around = [through[0], through[1], ("NO_PROXY", "secretsmanager.invalid")];
    let said = with_keys_and(&around).await;
    assert!(said.starts_with("unavailable"), "{said}");
    assert_eq!(proxy.seen().len(), 1);
}

#[tokio::test]
async fn a_planted_value_is_in_no_log_at_any_level() {
    assert_eq!(run_alone("process_that_gets_a_planted_value", &[("PLANTED", PLANTED)]).await, "done");
}

#[tokio::test]
async fn our_keys_are_in_no_log_where_the_targets_that_trace_them_are_capped() {
    let caps: String = TARGETS_THAT_TRACE_CREDENTIALS.iter().map(|target| format!(",{target}=debug")).collect();
    let (planted, log) = (("PLANTED", PLANTED_KEY), format!("trace{caps}"));
    assert_eq!(run_alone("process_that_gets_a_planted_value", &[planted, ("LOG", &log)]).await, "done");

    let sts = Edge::start(|seen| {
        if seen.target.is_empty() {
            let credentials = format!(
                "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
                 <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>AKID</AccessKeyId>\
                 <SecretAccessKey>{PLANTED_KEY}</SecretAccessKey><SessionToken>{PLANTED_KEY}</SessionToken>\
                 <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>\
                 </AssumeRoleWithWebIdentityResponse>"
            );
            return Answer::new(200, credentials).header("content-type", "text/xml");
        }
        aws(seen)
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, PLANTED_KEY).unwrap();
    let said = in_a_process_with(&[
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ENDPOINT_URL", &sts.url),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/r"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("LOG", &log),
    ])
    .await;
    assert_eq!(said, id("k").to_string());
}

#[tokio::test]
#[ignore = "started by other tests"]
async fn process_that_gets_a_planted_value() {
    let (logs, planted) = (common::logs(), std::env::var("PLANTED").unwrap());
    let edge = Edge::start(|seen| match seen.target.as_str() {
        BATCH => {
            let entry = |name: String| json!({"Name": name, "SecretString": PLANTED});
            Answer::new(200, json!({"SecretValues": names_in(seen).into_iter().map(entry).collect::<Vec<_>>()}))
        }
        _ if name_in(seen).ends_with("bad") => Answer::new(200, format!("{{\"SecretString\": {{\"{PLANTED}\": 1}}}}")),
        _ => Answer::new(200, json!({"Name": name_in(seen), "SecretString": PLANTED})),
    })
    .await;
    let store = store(&edge, true);
    let [alone, bad] = ["alone", "bad"].map(id);
    assert_eq!(store.get(&alone).await.unwrap().expose_text(), Some(PLANTED));
    for answer in get_many(&store, 5).await {
        assert_eq!(answer.unwrap().expose_text(), Some(PLANTED));
    }
    store.get(&bad).await.unwrap_err();
    let text = logs.text();
    assert!(text.contains("aws_smithy_runtime"), "the log is on: {}", text.len());
    let lines: Vec<_> = text.lines().filter(|line| line.contains(&planted)).collect();
    assert!(lines.is_empty(), "{lines:#?}");
    say(Err("done"));
}
