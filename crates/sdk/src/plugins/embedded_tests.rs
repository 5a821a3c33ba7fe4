#![allow(clippy::unwrap_used)]

use flyte_secrets_stores::values::Values;
use futures::future::pending;
use secrecy::ExposeSecret;

use super::*;

const TOKEN: &str = "u__org__flyte__domain__development__project__p__key__token";

fn manager(document: &str) -> EmbeddedSecretManager {
    EmbeddedSecretManager::new(Arc::new(Values::parse(document).unwrap()))
}

async fn failed(manager: &EmbeddedSecretManager, key: &str) -> SecretManagerError {
    manager.get(key).await.unwrap_err()
}

#[tokio::test]
async fn text_and_bytes_that_are_text_are_given() {
    let manager = manager(&format!(
        "{TOKEN}: value\nu__org__o__domain____project____key__b: {{binary_base64: dmFsdWU=}}\n\
         u__org__o__domain____project____key__e: ''"
    ));
    for (key, value) in [
        (TOKEN, "value"),
        ("u__org__o__domain____project____key__b", "value"),
        ("u__org__o__domain____project____key__e", ""),
    ] {
        assert_eq!(manager.get(key).await.unwrap().expose_secret(), value, "{key}");
    }
}

#[tokio::test]
async fn an_id_is_asked_for_exactly() {
    let manager = manager("u__org__flyte__domain____project____key__token: the organization's");
    let error = failed(&manager, TOKEN).await;
    assert_eq!(error.to_string(), format!("no secret {TOKEN:?}: asked the store values: not in the document"));
}

#[tokio::test]
async fn a_key_that_is_no_encoded_id_is_refused() {
    let error = failed(&manager(""), "token").await;
    assert!(matches!(error, SecretManagerError::InvalidKey { .. }), "{error}");
    assert!(error.to_string().contains("not an encoded secret id"), "{error}");
}

#[tokio::test]
async fn bytes_that_are_no_text_are_an_error_without_the_value() {
    let error = failed(&manager(&format!("{TOKEN}: {{binary_base64: cGxhbnRlZP8=}}")), TOKEN).await;
    assert!(matches!(error, SecretManagerError::NotText { .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains("planted"), "{error}");
}

#[tokio::test]
async fn failures_tell_what_may_pass_by_itself() {
    for (failure, retryable) in [("denied", false), ("empty", false), ("throttled", true), ("down", true)] {
        let error = failed(&manager(&format!("{TOKEN}: {{error: {failure}}}")), TOKEN).await;
        assert_eq!(error.retryable(), retryable, "{error}");
        assert!(error.to_string().contains("the store values"), "{error}");
    }
}

struct Silent;

impl SecretFetcher for Silent {
    fn name(&self) -> &str {
        "silent"
    }

    fn get<'a>(&'a self, _: &'a SecretId) -> BoxFuture<'a, Result<SecretValue, FetchError>> {
        Box::pin(pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_is_given_up() {
    let manager = EmbeddedSecretManager::new(Arc::new(Silent)).with_patience(Duration::from_secs(3));
    let error = failed(&manager, TOKEN).await;
    assert!(error.retryable() && error.to_string().contains("silent: no answer within 3s"), "{error}");
}
