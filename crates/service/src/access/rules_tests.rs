//! What rules permit.

#![allow(clippy::unwrap_used)]

use super::*;

fn id(place: &str) -> SecretId {
    let mut parts = place.split('/').map(str::to_owned);
    let mut next = || parts.next().unwrap();
    SecretId { org: "flyte".to_owned(), domain: next(), project: next(), name: next() }
}

fn scope(text: &str) -> ScopePattern {
    if text == "*" { ScopePattern::Any } else { ScopePattern::Exactly(text.to_owned()) }
}

fn rules(subject: AccessSubject, domain: &str, project: &str, verbs: &[AccessVerb]) -> Rules {
    let (domain, project) = (scope(domain), scope(project));
    Rules::new(vec![AccessRule { subjects: vec![subject], domain, project, verbs: verbs.to_vec() }])
}

fn ann() -> Identity {
    Identity::User { name: "ann".to_owned(), groups: vec!["ml".to_owned(), "all".to_owned()] }
}

fn builder() -> Identity {
    Identity::ServiceAccount { namespace: "flyte".to_owned(), name: "builder".to_owned() }
}

#[test]
fn a_rule_is_about_its_subjects_and_no_others() {
    let account = |name: Option<&str>| AccessSubject::ServiceAccount {
        namespace: "flyte".to_owned(),
        name: name.map(str::to_owned),
    };
    let (user, group) =
        (|name: &str| AccessSubject::User(name.to_owned()), |name: &str| AccessSubject::Group(name.to_owned()));
    let other = Identity::ServiceAccount { namespace: "other".to_owned(), name: "builder".to_owned() };
    let named = Identity::User { name: "system:serviceaccount:flyte:builder".to_owned(), groups: Vec::new() };
    let cases = [
        (account(Some("builder")), builder(), true),
        (account(None), builder(), true),
        (account(Some("other")), builder(), false),
        (account(Some("builder")), other.clone(), false),
        (account(None), other, false),
        // A user cannot take the name of a ServiceAccount, and the other way round.
        (account(Some("builder")), named.clone(), false),
        (user("serviceaccount:flyte/builder"), builder(), false),
        (user("ann"), ann(), true),
        (user("Ann"), ann(), false),
        (user("ml"), ann(), false),
        (group("ml"), ann(), true),
        (group("ann"), ann(), false),
        (group("ml"), builder(), false),
        (AccessSubject::Everybody, ann(), true),
        (AccessSubject::Everybody, builder(), true),
        (AccessSubject::Everybody, Identity::Anonymous, false),
    ];
    for (subject, identity, expected) in cases {
        let rules = rules(subject.clone(), "*", "*", &[AccessVerb::Read]);
        assert_eq!(rules.permits(&identity, Action::Get, &id("d/p/n")), expected, "{subject:?} {identity:?}");
    }
}

#[test]
fn a_rule_is_about_secrets_of_its_domain_and_project() {
    let cases = [
        ("*", "*", ["d/p/n", "d//n", "//n"].as_slice(), [].as_slice()),
        ("d", "p", &["d/p/n"], &["d/q/n", "e/p/n", "d//n", "//n"]),
        ("d", "*", &["d/p/n", "d/q/n", "d//n"], &["e/p/n", "//n"]),
        ("*", "p", &["d/p/n", "e/p/n"], &["d/q/n", "d//n", "//n"]),
        ("d", "", &["d//n"], &["d/p/n", "//n"]),
        ("", "", &["//n"], &["d//n", "d/p/n"]),
    ];
    for (domain, project, good, bad) in cases {
        let rules = rules(AccessSubject::Everybody, domain, project, &[AccessVerb::Write]);
        for (places, expected) in [(good, true), (bad, false)] {
            for place in places {
                let found = rules.permits(&ann(), Action::Update, &id(place));
                assert_eq!(found, expected, "{domain:?}/{project:?} {place}");
            }
        }
    }
}

#[test]
fn a_list_is_permitted_where_there_can_be_something_to_see() {
    let cases = [
        ("d", "p", ["d/p/", "d//", "//"].as_slice(), ["d/q/", "e/p/", "e//"].as_slice()),
        ("d", "", &["d//", "//"], &["d/p/", "e//"]),
        ("", "", &["//"], &["d//", "d/p/"]),
        ("*", "p", &["d/p/", "e//", "//"], &["d/q/"]),
    ];
    for (domain, project, good, bad) in cases {
        let rules = rules(AccessSubject::Everybody, domain, project, &[AccessVerb::Read]);
        for (places, expected) in [(good, true), (bad, false)] {
            for place in places {
                let found = rules.permits(&ann(), Action::List, &id(place));
                assert_eq!(found, expected, "{domain:?}/{project:?} {place}");
            }
        }
    }
}

#[test]
fn reading_and_writing_are_permitted_one_by_one_and_nothing_without_a_rule() {
    use Action::{Create, Delete, Get, List, Update};
    let (read, write): (&[Action], &[Action]) = (&[Get, List], &[Create, Update, Delete]);
    for (verbs, good, bad) in [([AccessVerb::Read], read, write), ([AccessVerb::Write], write, read)] {
        let rules = rules(AccessSubject::Everybody, "*", "*", &verbs);
        assert!(good.iter().all(|action| rules.permits(&ann(), *action, &id("d/p/n"))), "{verbs:?}");
        assert!(bad.iter().all(|action| !rules.permits(&ann(), *action, &id("d/p/n"))), "{verbs:?}");
        assert!(good.iter().chain(bad).all(|action| !Rules::default().permits(&ann(), *action, &id("d/p/n"))));
    }
}
