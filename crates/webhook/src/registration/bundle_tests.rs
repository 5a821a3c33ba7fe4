use proptest::prelude::*;

use super::super::tests_support::{ca, ca_until};
use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn at(start: Moment, after: Duration) -> Moment {
    Moment { instant: start.instant + after, clock: start.clock + after }
}

fn der(text: &str) -> Vec<Der> {
    Authorities::read(text).all.iter().map(|authority| authority.der.to_vec()).collect()
}

fn set(text: &str) -> BTreeSet<Der> {
    der(text).into_iter().collect()
}

/// What a replica writes that finds `registered`; `None` if it writes nothing.
fn writes(adopted: &mut Adopted, wanted: &str, registered: &str, now: Moment) -> Option<String> {
    let union = adopted.union(wanted, registered, now);
    (union.text != registered).then(|| {
        adopted.stands(&union);
        union.text
    })
}

#[test]
fn the_bundle_is_what_we_want_and_then_what_stands_there() {
    let [a, b, c] = ["a", "b", "c"].map(ca);
    let expired = ca_until("old", 2010);
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (name, wanted, registered, expected) in [
        ("nothing stands", a.clone(), String::new(), a.clone()),
        ("what we want stands", a.clone(), a.clone(), a.clone()),
        ("another stands", a.clone(), b.clone(), format!("{a}{b}")),
        ("more than we want stands, in any order", a.clone(), format!("{b}{a}"), format!("{b}{a}")),
        ("text around it does no harm", a.clone(), format!("# ours\n{a}"), format!("# ours\n{a}")),
        ("two are wanted, one stands", format!("{b}{a}"), a.clone(), format!("{b}{a}")),
        ("an expired one", a.clone(), format!("{a}{expired}"), a.clone()),
        ("an expired one that we want", expired.clone(), a.clone(), format!("{expired}{a}")),
        ("garbage", a.clone(), "garbage".to_owned(), a.clone()),
        ("garbage beside a foreign one", a.clone(), format!("{broken}{b}"), format!("{a}{b}")),
        ("garbage beside ours", a.clone(), format!("{a}{broken}"), a.clone()),
        ("twice the same", a.clone(), format!("{a}{a}"), a.clone()),
        ("what we want cannot be read", "PEM".to_owned(), format!("{b}{c}"), format!("PEM{b}{c}")),
    ] {
        let union = Adopted::new(DAY).union(&wanted, &registered, Moment::now());
        assert_eq!(union.text, expected, "{name}");
    }
}

#[test]
fn a_foreign_ca_stays_for_the_retention_and_not_longer() {
    let [a, b] = ["a", "b"].map(ca);
    let (start, mut adopted) = (Moment::now(), Adopted::new(DAY));
    let both = writes(&mut adopted, &a, &b, start).unwrap();
    assert_eq!(writes(&mut adopted, &a, &both, at(start, DAY - Duration::from_secs(1))), None);
    assert_eq!(writes(&mut adopted, &a, &both, at(start, DAY)), Some(a.clone()));
    assert_eq!(writes(&mut adopted, &a, &a, at(start, DAY)), None);
}

#[test]
fn a_foreign_ca_that_was_away_starts_anew() {
    let [a, b] = ["a", "b"].map(ca);
    let (start, mut adopted) = (Moment::now(), Adopted::new(DAY));
    let both = writes(&mut adopted, &a, &b, start).unwrap();
    assert_eq!(writes(&mut adopted, &a, &a, at(start, DAY / 2)), None);
    assert_eq!(writes(&mut adopted, &a, &both, at(start, DAY)), None);
}

#[test]
fn a_ca_that_our_own_source_wants_no_more_goes_at_once() {
    let [a, b] = ["a", "b"].map(ca);
    let (start, mut adopted) = (Moment::now(), Adopted::new(DAY));
    let both = writes(&mut adopted, &format!("{b}{a}"), &a, start).unwrap();
    assert_eq!(writes(&mut adopted, &b, &both, start), Some(b));
}

#[test]
fn a_ca_that_was_dropped_and_not_written_is_dropped_at_the_next_try() {
    let [a, b] = ["a", "b"].map(ca);
    let (start, mut adopted) = (Moment::now(), Adopted::new(DAY));
    adopted.union(&format!("{b}{a}"), &a, start);
    for _ in 0..3 {
        assert_eq!(adopted.union(&b, &format!("{b}{a}"), start).text, b, "it was never written");
    }
}

#[test]
fn what_another_replica_puts_back_is_left_for_twice_as_long() {
    let [a, b] = ["a", "b"].map(ca);
    let (start, mut adopted) = (Moment::now(), Adopted::new(DAY));
    let both = writes(&mut adopted, &format!("{b}{a}"), &a, start).unwrap();
    writes(&mut adopted, &b, &both, start).unwrap();
    assert_eq!(writes(&mut adopted, &b, &both, start), None, "somebody still wants it");
    assert_eq!(writes(&mut adopted, &b, &both, at(start, 2 * DAY - Duration::from_secs(1))), None);
    assert_eq!(writes(&mut adopted, &b, &both, at(start, 2 * DAY)), Some(b));
}

#[test]
fn a_ca_that_is_wanted_again_stays() {
    let [a, b] = ["a", "b"].map(ca);
    let (start, mut adopted) = (Moment::now(), Adopted::new(DAY));
    let both = writes(&mut adopted, &format!("{b}{a}"), &a, start).unwrap();
    writes(&mut adopted, &b, &both, start).unwrap();
    assert_eq!(set(&writes(&mut adopted, &format!("{b}{a}"), &b, start).unwrap()), set(&both));
    assert_eq!(writes(&mut adopted, &format!("{b}{a}"), &both, at(start, 9 * DAY)), None);
}

#[test]
fn a_bundle_is_bounded_and_what_we_want_comes_first() {
    let wanted = ca("wanted");
    let many: String = (0..MAX_AUTHORITIES + 8).map(|n| ca(&n.to_string())).collect();
    let text = writes(&mut Adopted::new(DAY), &wanted, &many, Moment::now()).unwrap();
    assert_eq!(der(&text).len(), MAX_AUTHORITIES);
    assert!(text.starts_with(&wanted));
    // Text between certificates is not copied.
    let long = format!("{}{}", "#".repeat(MAX_BYTES), ca("foreign"));
    assert!(writes(&mut Adopted::new(DAY), &wanted, &long, Moment::now()).unwrap().len() < MAX_BYTES);
}

#[test]
fn what_stands_holds_what_is_wanted() {
    let [a, b] = ["a", "b"].map(ca);
    let other = a.replace('\n', "\r\n");
    for (registered, wanted, expected) in [
        (Some(format!("{b}{a}")), Some(b.clone()), true),
        (Some(format!("{b}{a}")), Some(other.clone()), true),
        (Some(a.clone()), Some(format!("{b}\n{a}")), false),
        (None, None, true),
        (Some(a.clone()), None, false),
        (None, Some(a.clone()), false),
        (Some("garbage".to_owned()), Some(a.clone()), false),
    ] {
        assert_eq!(holds(registered.as_deref(), wanted.as_deref()), expected, "{registered:?} {wanted:?}");
    }
    assert!(shown(&format!("{b}{a}"), Some(&other)).starts_with(&other));
    assert_eq!(shown(&b, Some(&a)), b);
    assert_eq!(shown(&b, None), b);
}

fn pool() -> Vec<String> {
    // Made once: keys take a while.
    static POOL: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();
    POOL.get_or_init(|| (0..5).map(|n| ca_until(&n.to_string(), if n == 4 { 2010 } else { 2999 })).collect()).clone()
}

fn bundle(least: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(0..5_usize, least..4).prop_map(|all| all.into_iter().map(|n| pool()[n].clone()).collect())
}

proptest! {
    #[test]
    fn what_is_wanted_is_always_there_and_a_second_pass_changes_nothing(
        wanted in bundle(1), registered in bundle(0), garbage in "[ -~]{0,40}", after in 0..100_u64,
    ) {
        let (start, mut adopted) = (Moment::now(), Adopted::new(DAY));
        adopted.union(&wanted, &registered, start);
        let later = at(start, DAY / 10 * u32::try_from(after).unwrap());
        let union = adopted.union(&wanted, &format!("{garbage}{registered}"), later);
        prop_assert!(set(&union.text).is_superset(&set(&wanted)));
        adopted.stands(&union);
        prop_assert_eq!(adopted.union(&wanted, &union.text, later).text, union.text);
    }

    #[test]
    fn two_replicas_that_want_different_things_come_to_rest(
        mine in bundle(1), yours in bundle(1), registered in bundle(0),
    ) {
        let now = Moment::now();
        let (mut me, mut you) = (Adopted::new(DAY), Adopted::new(DAY));
        let (mut stands, mut writes_after) = (registered, 0);
        for round in 0..6 {
            for (adopted, wanted) in [(&mut me, &mine), (&mut you, &yours)] {
                if let Some(text) = writes(adopted, wanted, &stands, now) {
                    stands = text;
                    writes_after += usize::from(round > 1);
                }
            }
        }
        prop_assert_eq!(writes_after, 0, "after two rounds nobody writes");
        // An expired CA is no reason to fight.
        let valid = |text: &str| set(text).into_iter().filter(|der| *der != self::der(&pool()[4])[0]).collect();
        let (mine, yours): (BTreeSet<Der>, BTreeSet<Der>) = (valid(&mine), valid(&yours));
        prop_assert!(set(&stands).is_superset(&mine) && set(&stands).is_superset(&yours));
    }
}
