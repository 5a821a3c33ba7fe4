use std::sync::Arc;

use flyte_secrets_core::value::SecretValue;
use flyte_secrets_stores::SecretFetcher;
use futures::future::BoxFuture;

use super::super::test_installation::{ids, options};
use super::*;

/// A store that always answers the same; `None`: not at all.
struct Fixed(Option<Result<(), FailureClass>>);

impl SecretFetcher for Fixed {
    fn name(&self) -> &str {
        "Fixed"
    }

    fn get<'a>(&'a self, _: &'a SecretId) -> BoxFuture<'a, Result<SecretValue, FetchError>> {
        Box::pin(async {
            match self.0 {
                Some(Ok(())) => Ok(SecretValue::text("planted".to_owned())),
                Some(Err(class)) => Err(FetchError::new(class, "why")),
                None => std::future::pending().await,
            }
        })
    }
}

async fn judged(answer: Option<Result<(), FailureClass>>, inside: bool) -> Vec<Finding> {
    let opened: Arc<dyn SecretFetcher> = Arc::new(Fixed(answer));
    let store = Store { name: "AWS".to_owned(), open: Box::pin(async { Ok(opened) }) };
    judge(&ask(vec![store], "flyte", Duration::from_millis(20)).await, &options(inside))
}

#[tokio::test]
async fn a_store_that_answers_is_fine_and_one_that_does_not_is_an_error() {
    use FailureClass::{Denied, Empty, Late, Malformed, NotFound, Throttled, Unavailable};
    let (answers, error) = ((Id::StoresAnswer, Level::Ok), |id| (id, Level::Error));
    for (answer, expected) in [
        (Some(Ok(())), answers),
        (Some(Err(NotFound)), answers),
        (Some(Err(Empty)), answers),
        (Some(Err(Denied)), error(Id::StoresDenied)),
        (Some(Err(Throttled)), error(Id::StoresUnavailable)),
        (Some(Err(Unavailable)), error(Id::StoresUnavailable)),
        (Some(Err(Malformed)), error(Id::StoresUnavailable)),
        (Some(Err(Late)), error(Id::StoresUnavailable)),
        (None, error(Id::StoresUnavailable)),
    ] {
        let findings = judged(answer, true).await;
        assert_eq!(ids(&findings), [expected], "{answer:?}");
        assert!(!findings[0].what.contains("planted"));
    }
}

#[tokio::test]
async fn from_elsewhere_a_store_that_is_denied_is_a_warning_that_says_who_asked() {
    let findings = judged(Some(Err(FailureClass::Denied)), false).await;
    assert_eq!(ids(&findings), [(Id::StoresDenied, Level::Warning)]);
    assert!(findings[0].remedy.contains("kubectl exec"));
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_says_why() {
    let store = Store { name: "AWS".to_owned(), open: Box::pin(async { Err("built without it".to_owned()) }) };
    let findings = judge(&ask(vec![store], "flyte", Duration::from_secs(1)).await, &options(true));
    assert_eq!(ids(&findings), [(Id::StoresUnusable, Level::Error)]);
    assert!(findings[0].what.contains("AWS") && findings[0].what.contains("built without it"));
}

#[test]
fn no_store_is_no_fault() {
    assert_eq!(ids(&judge(&[], &options(true))), [(Id::StoresNone, Level::Info)]);
}
