use super::super::check::Level;
use super::super::test_installation::{ids, installation};
use super::*;

fn mirror(of: &str, condemned: bool) -> ObjectMeta {
    let mut annotations = vec![(INSTALLATION.to_owned(), of.to_owned())];
    if condemned {
        annotations.push((CONDEMNED.to_owned(), "2026-01-01T00:00:00Z".to_owned()));
    }
    ObjectMeta { annotations: Some(annotations.into_iter().collect()), ..ObjectMeta::default() }
}

fn judged(mirrors: Vec<ObjectMeta>, collects: bool) -> Vec<Finding> {
    judge(&installation(), Some(&Facts { mirrors: Ok(mirrors), collects: Ok(collects) }))
}

#[test]
fn mirrors_are_counted_those_of_others_apart() {
    let found = vec![mirror("flyte/hook", false), mirror("flyte/hook", true), mirror("other/hook", true)];
    let findings = judged(found, true);
    assert_eq!(ids(&findings), [(Id::MirrorsCounted, Level::Ok), (Id::MirrorsForeign, Level::Info)]);
    assert!(findings.first().is_some_and(|one| one.what == "2 mirrors, 1 of which wait for their removal"));
    assert!(findings.last().is_some_and(|one| one.what.contains("other/hook")));
}

#[test]
fn mirrors_that_nobody_may_collect_stay_which_is_a_warning_as_soon_as_there_is_one() {
    let findings = judged(vec![mirror("flyte/hook", false)], false);
    assert_eq!(ids(&findings), [(Id::MirrorsCounted, Level::Ok), (Id::MirrorsNotCollected, Level::Warning)]);
    assert!(findings.last().is_some_and(|one| one.remedy.contains("verbs: [\"delete\"]")));
    assert_eq!(ids(&judged(Vec::new(), false)), [(Id::MirrorsCounted, Level::Ok)]);
}
