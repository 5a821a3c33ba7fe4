#![allow(clippy::unwrap_used)]

use futures::executor::block_on;

use super::*;
use crate::values::Values;

const PROJECT: &str = "u__org__flyte__domain__development__project__flytesnacks__key__k";
const DOMAIN: &str = "u__org__flyte__domain__development__project____key__k";
const ORGANIZATION: &str = "u__org__flyte__domain____project____key__k";

fn id(domain: &str, project: &str) -> SecretId {
    SecretId { org: "flyte".to_owned(), domain: domain.to_owned(), project: project.to_owned(), name: "k".to_owned() }
}

fn store(document: &str) -> Arc<dyn SecretFetcher> {
    Arc::new(Values::parse(document).unwrap())
}

fn find(documents: &[String]) -> Result<Found, LookUpError> {
    let stores: Vec<_> = documents.iter().map(|document| store(document)).collect();
    block_on(look_up(&stores, &id("development", "flytesnacks")))
}

fn asked(error: &LookUpError) -> Vec<String> {
    error.asked.iter().map(|asked| asked.id.to_string()).collect()
}

#[test]
fn the_narrowest_scope_that_has_the_secret_wins() {
    for (document, expected_id, expected) in [
        (format!("{PROJECT}: p\n{DOMAIN}: d\n{ORGANIZATION}: o"), PROJECT, "p"),
        (format!("{DOMAIN}: d\n{ORGANIZATION}: o"), DOMAIN, "d"),
        (format!("{ORGANIZATION}: o"), ORGANIZATION, "o"),
    ] {
        let found = find(&[document]).unwrap();
        assert_eq!(found.id.to_string(), expected_id);
        assert_eq!(found.value.expose_text(), Some(expected));
        assert_eq!(found.store, "values");
    }
}

#[test]
fn a_narrow_scope_of_a_later_store_wins_over_a_wide_scope_of_an_earlier_one() {
    let found = find(&[format!("{ORGANIZATION}: wide"), format!("{PROJECT}: narrow")]).unwrap();
    assert_eq!(found.value.expose_text(), Some("narrow"));
}

#[test]
fn within_a_scope_the_earlier_store_wins() {
    let found = find(&[format!("{PROJECT}: first"), format!("{PROJECT}: second")]).unwrap();
    assert_eq!(found.value.expose_text(), Some("first"));
}

#[test]
fn a_secret_that_is_nowhere_lists_every_id_that_was_asked() {
    let error = find(&["{}".to_owned()]).unwrap_err();
    assert_eq!(asked(&error), [PROJECT, DOMAIN, ORGANIZATION]);
    assert_eq!(error.class(), FailureClass::NotFound);
    assert!(!error.retryable());
    for part in [PROJECT, DOMAIN, ORGANIZATION, "\"k\"", "values", "not found"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn any_failure_but_not_found_ends_the_look_up() {
    for (text, class) in [
        ("denied", FailureClass::Denied),
        ("empty", FailureClass::Empty),
        ("throttled", FailureClass::Throttled),
        ("late", FailureClass::Late),
        ("malformed", FailureClass::Malformed),
        ("connection refused", FailureClass::Unavailable),
    ] {
        let error = find(&[format!("{PROJECT}: {{error: {text}}}\n{DOMAIN}: d")]).unwrap_err();
        assert_eq!((error.class(), asked(&error)), (class, vec![PROJECT.to_owned()]), "{text}");
    }
}

#[test]
fn a_failure_ends_the_look_up_even_if_another_store_has_the_secret() {
    let error = find(&[format!("{PROJECT}: {{error: timeout}}"), format!("{PROJECT}: v")]).unwrap_err();
    assert_eq!(error.class(), FailureClass::Unavailable);
    assert!(error.retryable());
}

#[test]
fn a_scope_is_asked_once() {
    for (wide, expected) in [(id("", ""), vec![ORGANIZATION]), (id("development", ""), vec![DOMAIN, ORGANIZATION])] {
        let error = block_on(look_up(&[store("{}")], &wide)).unwrap_err();
        assert_eq!(asked(&error), expected);
    }
}

#[test]
fn without_a_store_nothing_is_found_and_the_error_says_why() {
    let error = find(&[]).unwrap_err();
    assert_eq!(error.class(), FailureClass::NotFound);
    assert!(error.to_string().contains("no store is configured"));
}

#[test]
fn the_value_shows_in_no_debug_text() {
    let found = find(&[format!("{PROJECT}: planted-value")]).unwrap();
    assert!(!format!("{found:?}").contains("planted-value"));
}
