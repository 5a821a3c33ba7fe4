#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn id(domain: &str, project: &str, name: &str) -> SecretId {
    SecretId { org: "flyte".to_owned(), domain: domain.to_owned(), project: project.to_owned(), name: name.to_owned() }
}

fn known(id: SecretId) -> SecretMetadata {
    SecretMetadata { id, kind: SecretKind::Generic, created: None }
}

fn names(page: &Page) -> Vec<&str> {
    page.secrets.iter().map(|secret| secret.id.name.as_str()).collect()
}

fn all() -> Vec<SecretMetadata> {
    let ids = [id("", "", "org"), id("d", "p", "project"), id("e", "p", "other"), id("d", "", "domain")];
    let foreign = SecretId { org: "union".to_owned(), ..id("d", "p", "foreign") };
    ids.into_iter().chain([foreign]).map(known).collect()
}

#[test]
fn a_scope_holds_the_secrets_of_the_scopes_within_it() {
    for (scope, expected) in [
        (id("", "", ""), &["org", "domain", "project", "other"][..]),
        (id("d", "", ""), &["domain", "project"]),
        (id("d", "p", ""), &["project"]),
        (id("d", "q", ""), &[]),
    ] {
        let page = Page::of(all(), &scope, &PageRequest { after: None, limit: 10 });
        assert_eq!(names(&page), expected, "{scope}");
        assert_eq!(page.next, None);
    }
}

proptest! {
    #[test]
    fn what_stays_comes_exactly_once_while_others_come_and_go(
        staying in proptest::collection::btree_set("[a-z_.-]{1,6}", 0..20),
        passing in proptest::collection::vec(proptest::collection::btree_set("[a-z_.-]{1,6}", 0..10), 1..30),
        limit in 1..7_usize,
    ) {
        let (mut seen, mut after) = (Vec::new(), None);
        for others in passing.iter().cycle() {
            let there = staying.union(others).map(|name| known(id("d", "p", name)));
            let page = Page::of(there, &id("d", "p", ""), &PageRequest { after: after.take(), limit });
            prop_assert!(page.secrets.len() <= limit);
            seen.extend(page.secrets.into_iter().map(|secret| secret.id.name));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let unique: std::collections::BTreeSet<_> = seen.iter().cloned().collect();
        prop_assert_eq!(unique.len(), seen.len(), "nothing comes twice");
        prop_assert!(staying.is_subset(&unique), "nothing that was there all the time is left out");
    }
}

#[test]
fn a_detail_is_one_bounded_line() {
    let error = WriteError::new(WriteFailure::Denied, format!("a\nb{}", "x".repeat(5000)));
    assert!(error.to_string().starts_with("denied: a b"));
    assert_eq!(error.detail().chars().count(), 1000);
}
