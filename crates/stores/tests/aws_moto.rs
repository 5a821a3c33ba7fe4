//! The AWS store against moto, which plays Secrets Manager, IAM (signatures and policies) and STS.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::Region;
use aws_sdk_secretsmanager::primitives::Blob;
use flyte_secrets_core::value::SecretValue;
use flyte_secrets_stores::aws::{AwsSettings, AwsStore};
use flyte_secrets_stores::{FailureClass, FetchError, SecretFetcher};
use futures::future::join_all;

use crate::common::server::Server;
use crate::common::{id, in_a_process_with, say};

#[allow(dead_code, reason = "other tests use the rest")]
mod common;
#[path = "aws_write/moto.rs"]
mod write;

const REGION: &str = "eu-central-1";

fn moto() -> Server {
    Server::start("moto_server", &["-H", "127.0.0.1", "-p", "PORT"])
}

fn sdk(server: &Server, key: &str, secret: &str) -> SdkConfig {
    let credentials = Credentials::new(key, secret, None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(&server.url)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

fn store(sdk: &SdkConfig, batch: bool) -> AwsStore {
    AwsStore::with_config(sdk, AwsSettings { batch, ..AwsSettings::default() }).unwrap()
}

/// Puts text secrets `k0`, `k1`, … in, whose value is their number.
async fn put(sdk: &SdkConfig, count: usize) {
    let client = Client::new(sdk);
    for number in 0..count {
        let secret = client.create_secret().name(id(&format!("k{number}")).to_string());
        secret.secret_string(number.to_string()).send().await.unwrap();
    }
}

async fn get_many(store: &AwsStore, count: usize) -> Vec<Result<SecretValue, FetchError>> {
    let ids: Vec<_> = (0..count).map(|number| id(&format!("k{number}"))).collect();
    join_all(ids.iter().map(|id| store.get(id))).await
}

/// How many requests moto got so far.
fn requests(server: &Server) -> usize {
    server.log().matches("POST / HTTP").count()
}

/// A user with a policy that allows these actions; its key. From here on moto checks signatures and policies.
fn user_who_may(server: &Server, actions: &str) -> (String, String) {
    let form = |form: &str| {
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=a/20260101/{REGION}/iam/aws4_request, SignedHeaders=host, Signature=a"
        );
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("authorization", scope.as_str())];
        server.post("/", &headers, &format!("{form}&UserName=u&Version=2010-05-08"))
    };
    form("Action=CreateUser");
    let policy = format!(
        "%7B%22Version%22:%222012-10-17%22,%22Statement%22:%5B%7B%22Effect%22:%22Allow%22,\
         %22Action%22:%5B{actions}%5D,%22Resource%22:%22*%22%7D%5D%7D"
    );
    form(&format!("Action=PutUserPolicy&PolicyName=p&PolicyDocument={policy}"));
    let answer = form("Action=CreateAccessKey");
    let member = |name: &str| {
        let (_, rest) = answer.split_once(&format!("<{name}>")).unwrap();
        rest.split_once('<').unwrap().0.to_owned()
    };
    server.post("/moto-api/reset-auth", &[("content-type", "text/plain")], "0");
    (member("AccessKeyId"), member("SecretAccessKey"))
}

#[tokio::test]
async fn text_and_bytes_are_read_as_they_were_stored() {
    let server = moto();
    let sdk = sdk(&server, "a", "b");
    let client = Client::new(&sdk);
    client.create_secret().name(id("text").to_string()).secret_string("wört\n").send().await.unwrap();
    let bytes = Blob::new(b"\xff\x00\xff");
    client.create_secret().name(id("bytes").to_string()).secret_binary(bytes).send().await.unwrap();
    for batch in [false, true] {
        let store = store(&sdk, batch);
        let [text, bytes] = ["text", "bytes"].map(id);
        let (text, bytes) = futures::join!(store.get(&text), store.get(&bytes));
        assert!(matches!(text.as_ref().unwrap(), SecretValue::Text(_)));
        assert_eq!(text.unwrap().expose_bytes(), "wört\n".as_bytes());
        assert!(matches!(bytes.as_ref().unwrap(), SecretValue::Binary(_)));
        assert_eq!(bytes.unwrap().expose_bytes(), b"\xff\x00\xff");
    }
}

#[tokio::test]
async fn the_current_version_counts() {
    let server = moto();
    let sdk = sdk(&server, "a", "b");
    put(&sdk, 2).await;
    let change = Client::new(&sdk).put_secret_value().secret_id(id("k1").to_string()).secret_string("new");
    change.send().await.unwrap();
    for batch in [false, true] {
        let answers = get_many(&store(&sdk, batch), 2).await;
        let values: Vec<_> = answers.iter().map(|answer| answer.as_ref().unwrap().expose_text().unwrap()).collect();
        assert_eq!(values, ["0", "new"]);
    }
}

#[tokio::test]
async fn missing_without_a_version_and_deleted_are_told_apart() {
    let server = moto();
    let sdk = sdk(&server, "a", "b");
    put(&sdk, 1).await;
    let client = Client::new(&sdk);
    client.create_secret().name(id("nothing").to_string()).send().await.unwrap();
    client.create_secret().name(id("deleted").to_string()).secret_string("v").send().await.unwrap();
    client.delete_secret().secret_id(id("deleted").to_string()).send().await.unwrap();
    for batch in [false, true] {
        let store = store(&sdk, batch);
        let ids = ["k0", "missing", "nothing", "deleted"].map(id);
        let answers = join_all(ids.iter().map(|id| store.get(id))).await;
        let classes: Vec<_> = answers.iter().map(|answer| answer.as_ref().err().map(FetchError::class)).collect();
        let expected = [None, Some(FailureClass::NotFound), Some(FailureClass::NotFound), Some(FailureClass::Empty)];
        assert_eq!(classes, expected, "{batch} {answers:?}");
    }
}

#[tokio::test]
async fn forty_secrets_at_once_are_two_calls() {
    let server = moto();
    let sdk = sdk(&server, "a", "b");
    put(&sdk, 40).await;
    let before = requests(&server);
    for (number, answer) in get_many(&store(&sdk, true), 40).await.into_iter().enumerate() {
        assert_eq!(answer.unwrap().expose_text(), Some(number.to_string().as_str()));
    }
    assert_eq!(requests(&server) - before, 2);
}

#[tokio::test]
async fn a_policy_without_the_action_for_batches_gives_single_calls() {
    let server = moto();
    put(&sdk(&server, "a", "b"), 10).await;
    let (key, secret) = user_who_may(&server, "%22secretsmanager:GetSecretValue%22");
    let store = store(&sdk(&server, &key, &secret), true);
    let before = requests(&server);
    for _ in 0..2 {
        for answer in get_many(&store, 10).await {
            answer.unwrap();
        }
    }
    assert_eq!(requests(&server) - before, 1 + 20);
}

#[tokio::test]
async fn a_policy_with_both_actions_gives_batches() {
    let server = moto();
    put(&sdk(&server, "a", "b"), 10).await;
    let actions = "%22secretsmanager:GetSecretValue%22,%22secretsmanager:BatchGetSecretValue%22";
    let (key, secret) = user_who_may(&server, actions);
    let before = requests(&server);
    for answer in get_many(&store(&sdk(&server, &key, &secret), true), 10).await {
        answer.unwrap();
    }
    assert_eq!(requests(&server) - before, 1);
}

#[tokio::test]
async fn no_permission_an_unknown_key_and_a_wrong_one_are_denied() {
    let server = moto();
    put(&sdk(&server, "a", "b"), 1).await;
    let (key, secret) = user_who_may(&server, "%22s3:GetObject%22");
    for (key, secret) in [(key.as_str(), secret.as_str()), ("AKIAUNKNOWN", "x"), (key.as_str(), "wrong")] {
        let error = store(&sdk(&server, key, secret), true).get(&id("k0")).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Denied, "{error}");
    }
}

#[tokio::test]
#[ignore = "started by other tests"]
async fn process_with_an_environment() {
    match AwsStore::new(AwsSettings { timeout: Duration::from_secs(5), ..AwsSettings::default() }).await {
        Ok(store) => say(store.get(&id("k0")).await),
        Err(error) => say(Err(error)),
    }
}

#[tokio::test]
async fn keys_of_the_environment_open_the_store() {
    let server = moto();
    put(&sdk(&server, "a", "b"), 1).await;
    let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
    let place = [("AWS_REGION", REGION), ("AWS_ENDPOINT_URL", server.url.as_str())];
    assert_eq!(in_a_process_with(&[place, keys].concat()).await, "0");
}

#[tokio::test]
async fn the_web_identity_of_a_service_account_opens_the_store() {
    let server = moto();
    put(&sdk(&server, "a", "b"), 1).await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "e30.e30.e30").unwrap();
    let role = "arn:aws:iam::123456789012:role/flyte-webhook";
    let identity = [("AWS_ROLE_ARN", role), ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap())];
    let place = [("AWS_REGION", REGION), ("AWS_ENDPOINT_URL", server.url.as_str())];
    assert_eq!(in_a_process_with(&[place, identity].concat()).await, "0");
    // One to put the secret in, one for the role and one with it.
    assert_eq!(requests(&server), 3);
}
