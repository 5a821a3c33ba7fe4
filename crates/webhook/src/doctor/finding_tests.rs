use std::collections::BTreeSet;

use super::*;

/// The ids in the first column of the page's tables.
fn documented() -> Vec<String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/doctor.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, findings) = page.split_once("\n## Findings\n").unwrap();
    let rows = findings.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| row.split('`').next().unwrap().to_owned()).collect()
}

#[test]
fn every_id_has_one_row_in_the_documentation_and_every_row_an_id() {
    let documented = documented();
    let rows: BTreeSet<&str> = documented.iter().map(String::as_str).collect();
    let ids: BTreeSet<&str> = Id::ALL.iter().map(|id| id.name()).collect();
    assert_eq!(rows, ids);
    assert_eq!(documented.len(), rows.len(), "a row is there twice");
}

#[test]
fn an_id_begins_with_the_name_of_its_check() {
    for id in Id::ALL.iter().filter(|id| **id != Id::CouldNotLook) {
        let check = id.name().split('.').next().unwrap();
        assert!(Check::ALL.iter().any(|known| known.name() == check), "{id}");
    }
}

#[test]
fn what_comes_from_elsewhere_stays_on_its_line_and_ends() {
    let finding = Finding::error(Id::StoresDenied, format!("a\n\u{1b}[31m{}", "x".repeat(5000)));
    assert!(finding.what.starts_with(r"a\n\u{1b}[31mx"));
    assert!(finding.what.len() < 1300);
}

#[test]
fn a_finding_in_json_has_these_members_and_leaves_empty_ones_out() {
    let full = Finding::warning(Id::PolicyGap, "what").at("there").remedy("do");
    let json = serde_json::to_value(full).unwrap();
    let expected = serde_json::json!({
        "id": "policy.gap", "level": "warning", "what": "what", "where": "there", "remedy": "do",
    });
    assert_eq!(json, expected);
    let bare = serde_json::to_value(Finding::ok(Id::PolicyGap, "what")).unwrap();
    assert_eq!(bare, serde_json::json!({"id": "policy.gap", "level": "ok", "what": "what"}));
}

#[test]
fn a_report_is_as_bad_as_its_worst_finding() {
    let report = |levels: &[Level]| {
        let findings = levels.iter().map(|level| Finding::new(Id::PolicyGap, *level, "")).collect();
        Report { checks: vec![(Check::Policy, findings)] }
    };
    assert_eq!(report(&[]).worst(), Level::Ok);
    assert_eq!(report(&[Level::Ok, Level::Info]).worst(), Level::Info);
    assert_eq!(report(&[Level::Error, Level::Warning]).worst(), Level::Error);
    assert_eq!(report(&[Level::Error, Level::Info, Level::Error]).count(Level::Error), 2);
}
