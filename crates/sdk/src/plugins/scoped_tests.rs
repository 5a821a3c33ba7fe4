#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use flyte_secrets_core::value::SecretValue;
use flyte_secrets_stores::values::Values;
use flyte_secrets_stores::{FetchError, LookUpSettings, NoObserver, SecretFetcher};
use secrecy::ExposeSecret;

use super::*;

fn task() -> TaskExecutionId {
    let (org, project, domain) = ("flyte".to_owned(), "flytesnacks".to_owned(), "development".to_owned());
    TaskExecutionId { org, project, domain, ..TaskExecutionId::default() }
}

fn over(store: Arc<dyn SecretFetcher>) -> ScopedSecretManager {
    let look_ups = LookUps::new(vec![store], LookUpSettings::default(), Arc::new(NoObserver));
    ScopedSecretManager::new(look_ups, &task()).unwrap()
}

fn manager(document: &str) -> ScopedSecretManager {
    over(Arc::new(Values::parse(document).unwrap()))
}

const SECRETS: &str = "
u__org__flyte__domain__development__project__flytesnacks__key__token: project's
u__org__flyte__domain__development__project____key__token: domain's
u__org__flyte__domain__development__project____key__password: domain's
u__org__flyte__domain____project____key__licence: organization's
u__org__flyte__domain__development__project__other__key__token: planted
u__org__flyte__domain__production__project__flytesnacks__key__token: planted
u__org__other__domain____project____key__licence: planted
u__org__flyte__domain____project__flytesnacks__key__token: planted
";

#[tokio::test]
async fn a_name_is_looked_for_from_narrow_to_wide() {
    let manager = manager(SECRETS);
    for (key, value) in [("token", "project's"), ("password", "domain's"), ("licence", "organization's")] {
        assert_eq!(manager.get(key).await.unwrap().expose_secret(), value, "{key}");
    }
}

#[tokio::test]
async fn an_encoded_id_of_the_tasks_own_scopes_is_taken() {
    let manager = manager(SECRETS);
    for (key, value) in [
        ("u__org__flyte__domain__development__project__flytesnacks__key__token", "project's"),
        ("u__org__flyte__domain__development__project____key__token", "domain's"),
        ("u__org__flyte__domain__development__project__flytesnacks__key__licence", "organization's"),
    ] {
        assert_eq!(manager.get(key).await.unwrap().expose_secret(), value, "{key}");
    }
}

#[tokio::test]
async fn the_secrets_of_others_cannot_be_named() {
    let manager = manager(SECRETS);
    for key in [
        "u__org__flyte__domain__development__project__other__key__token",
        "u__org__flyte__domain__production__project__flytesnacks__key__token",
        "u__org__other__domain____project____key__licence",
        "u__org__flyte__domain____project__flytesnacks__key__token",
        "u__org__flyte__domain__development__project__flytesnacks__key__",
        "",
    ] {
        let error = manager.get(key).await.unwrap_err();
        assert!(matches!(error, SecretManagerError::InvalidKey { .. }), "{key}: {error}");
    }
}

#[tokio::test]
async fn a_missing_secret_names_every_place_that_was_asked() {
    let error = manager(SECRETS).get("missing").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no secret \"missing\": asked the store values for \
         u__org__flyte__domain__development__project__flytesnacks__key__missing, \
         u__org__flyte__domain__development__project____key__missing, u__org__flyte__domain____project____key__missing"
    );
}

#[tokio::test]
async fn a_store_that_fails_is_told_with_its_reason() {
    let id = "u__org__flyte__domain__development__project____key__k";
    for (failure, retryable) in [("denied", false), ("the disk is full", true)] {
        let error = manager(&format!("{id}: {{error: {failure}}}")).get("k").await.unwrap_err();
        let expected = format!("; the store values said of {id}: {failure}");
        assert!(error.to_string().ends_with(&expected), "{error}");
        assert_eq!(error.retryable(), retryable, "{error}");
    }
}

/// Counts its calls and can change its value.
struct Rotating {
    value: Mutex<&'static str>,
    calls: AtomicUsize,
}

impl SecretFetcher for Rotating {
    fn name(&self) -> &str {
        "rotating"
    }

    fn get<'a>(&'a self, _: &'a SecretId) -> BoxFuture<'a, Result<SecretValue, FetchError>> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let value = self.value.lock().unwrap().to_owned();
        Box::pin(async move { Ok(SecretValue::text(value)) })
    }
}

#[tokio::test]
async fn an_answer_is_remembered_until_it_is_invalidated() {
    let store = Arc::new(Rotating { value: Mutex::new("old"), calls: AtomicUsize::new(0) });
    let manager = over(Arc::<Rotating>::clone(&store));
    assert_eq!(manager.get("key").await.unwrap().expose_secret(), "old");
    let calls = store.calls.load(Ordering::SeqCst);
    *store.value.lock().unwrap() = "new";
    assert_eq!(manager.get("key").await.unwrap().expose_secret(), "old");
    assert_eq!(store.calls.load(Ordering::SeqCst), calls, "the store was not asked again");
    manager.invalidate("key");
    assert_eq!(manager.get("key").await.unwrap().expose_secret(), "new");
}

#[test]
fn a_scope_whose_ids_could_be_anothers_is_refused() {
    let task = TaskExecutionId { project: "p__key__a".to_owned(), ..task() };
    assert!(ScopedSecretManager::new(LookUps::default(), &task).is_err());
}
