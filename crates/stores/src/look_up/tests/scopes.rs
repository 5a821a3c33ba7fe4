//! Which answer is the answer: plain cases. `answers` has the definition and random ones.

use super::super::*;
use super::support::{DOMAIN, ORGANIZATION, PROJECT, id, id_in};
use crate::values::Values;

fn in_documents(documents: &[String]) -> LookUps {
    let store = |document: &String| Arc::new(Values::parse(document).unwrap()) as Arc<dyn SecretFetcher>;
    LookUps::new(documents.iter().map(store).collect(), LookUpSettings::uncached(), Arc::new(NoObserver))
}

async fn find(documents: &[String]) -> Result<Found, LookUpError> {
    super::support::find(&in_documents(documents), &id()).await
}

fn asked(error: &LookUpError) -> Vec<String> {
    error.asked.iter().map(|asked| asked.id.to_string()).collect()
}

#[tokio::test]
async fn the_narrowest_scope_that_has_the_secret_wins() {
    for (document, expected_id, expected) in [
        (format!("{PROJECT}: p\n{DOMAIN}: d\n{ORGANIZATION}: o"), PROJECT, "p"),
        (format!("{DOMAIN}: d\n{ORGANIZATION}: o"), DOMAIN, "d"),
        (format!("{ORGANIZATION}: o"), ORGANIZATION, "o"),
    ] {
        let found = find(&[document]).await.unwrap();
        assert_eq!(found.id.to_string(), expected_id);
        assert_eq!(found.value.expose_text(), Some(expected));
        assert_eq!((found.store.as_str(), found.stale), ("values", false));
    }
}

#[tokio::test]
async fn a_narrow_scope_of_a_later_store_wins_over_a_wide_scope_of_an_earlier_one() {
    let found = find(&[format!("{ORGANIZATION}: wide"), format!("{PROJECT}: narrow")]).await.unwrap();
    assert_eq!(found.value.expose_text(), Some("narrow"));
}

#[tokio::test]
async fn within_a_scope_the_earlier_store_wins() {
    let found = find(&[format!("{PROJECT}: first"), format!("{PROJECT}: second")]).await.unwrap();
    assert_eq!(found.value.expose_text(), Some("first"));
}

#[tokio::test]
async fn a_secret_that_is_nowhere_lists_every_id_that_was_asked() {
    let error = find(&["{}".to_owned()]).await.unwrap_err();
    assert_eq!(asked(&error), [PROJECT, DOMAIN, ORGANIZATION]);
    assert_eq!(error.class(), FailureClass::NotFound);
    assert!(!error.retryable());
    for part in [PROJECT, DOMAIN, ORGANIZATION, "\"k\"", "values", "not found"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn any_failure_but_not_found_ends_the_look_up() {
    for (text, class) in [
        ("denied", FailureClass::Denied),
        ("empty", FailureClass::Empty),
        ("throttled", FailureClass::Throttled),
        ("late", FailureClass::Late),
        ("malformed", FailureClass::Malformed),
        ("connection refused", FailureClass::Unavailable),
    ] {
        let error = find(&[format!("{PROJECT}: {{error: {text}}}\n{DOMAIN}: d")]).await.unwrap_err();
        assert_eq!((error.class(), asked(&error)), (class, vec![PROJECT.to_owned()]), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_ends_the_look_up_even_if_another_store_has_the_secret() {
    let error = find(&[format!("{PROJECT}: {{error: timeout}}"), format!("{PROJECT}: v")]).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Unavailable);
    assert!(error.retryable());
}

#[tokio::test]
async fn a_scope_is_asked_once() {
    let look_ups = in_documents(&["{}".to_owned()]);
    for (wide, expected) in
        [(id_in("", ""), vec![ORGANIZATION]), (id_in("development", ""), vec![DOMAIN, ORGANIZATION])]
    {
        let error = super::support::find(&look_ups, &wide).await.unwrap_err();
        assert_eq!(asked(&error), expected);
    }
}

#[tokio::test]
async fn without_a_store_nothing_is_found_and_the_error_says_why() {
    let error = find(&[]).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::NotFound);
    assert!(error.to_string().contains("no store is configured"));
}
