//! One rule each.

use super::*;

const L: Lifetimes = Lifetimes {
    authority: Duration::from_secs(36_000),
    leaf: Duration::from_secs(1_000),
    overlap: Duration::from_secs(100),
    skew: Duration::from_secs(10),
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

/// A CA that is called by a number; what has not happened is `None`.
fn life(id: u8, created: i64, announced: Option<i64>, retired: Option<i64>) -> Life {
    Life {
        id: Fingerprint([id; 32]),
        created: at(created),
        not_after: at(created + 36_000),
        announced: announced.map(at),
        retired: retired.map(at),
    }
}

fn id(id: u8) -> Fingerprint {
    Fingerprint([id; 32])
}

fn plan(known: &[Life], standing: &[u8], now: i64) -> Plan {
    decide(known, &standing.iter().map(|number| id(*number)).collect(), at(now), &L)
}

#[test]
fn without_any_ca_a_new_one_is_wanted_and_nobody_can_sign() {
    let plan = plan(&[], &[], 0);
    assert_eq!(plan, Plan { signer: None, bundle: vec![], next: vec![], new: true });
}

#[test]
fn the_first_one_signs_at_once() {
    let first = life(1, 0, None, None);
    let plan = plan(std::slice::from_ref(&first), &[], 0);
    assert_eq!(plan, Plan { signer: Some(id(1)), bundle: vec![id(1)], next: vec![first], new: false });
}

#[test]
fn one_that_stands_in_the_registered_bundle_is_announced_once() {
    assert_eq!(plan(&[life(1, 0, None, None)], &[1], 5).next, [life(1, 0, Some(5), None)]);
    assert_eq!(plan(&[life(1, 0, Some(5), None)], &[1], 9).next, [life(1, 0, Some(5), None)]);
}

#[test]
fn a_new_one_is_wanted_when_a_third_of_the_life_is_left() {
    for (now, wanted) in [(0, false), (23_999, false), (24_000, true), (40_000, true)] {
        assert_eq!(plan(&[life(1, 0, Some(1), None)], &[1], now).new, wanted, "{now}");
    }
    let both = [life(1, 0, Some(1), None), life(2, 24_000, None, None)];
    assert!(!plan(&both, &[1], 24_001).new, "one at a time");
}

#[test]
fn a_new_one_signs_when_it_was_announced_one_overlap_and_one_skew_ago() {
    for (now, signer) in [(24_000, 1), (24_109, 1), (24_110, 2), (30_000, 2)] {
        let both = [life(1, 0, Some(1), None), life(2, 23_990, Some(24_000), None)];
        let plan = plan(&both, &[1, 2], now);
        assert_eq!(plan.signer, Some(id(signer)), "{now}");
        assert_eq!(plan.bundle, [id(2), id(1)], "{now}");
    }
}

#[test]
fn a_new_one_that_nobody_has_registered_never_signs_as_long_as_there_is_another() {
    let both = [life(1, 0, Some(1), None), life(2, 24_000, None, None)];
    for now in [24_000, 30_000, 35_999] {
        assert_eq!(plan(&both, &[1], now).signer, Some(id(1)));
    }
    assert_eq!(plan(&both, &[1], 36_001).signer, Some(id(2)), "the last one that is left is better than none");
}

#[test]
fn the_old_one_is_retired_when_the_slowest_clock_signs_by_the_new_one_and_goes_when_its_last_leaf_has_expired() {
    let (old, new) = (life(1, 0, Some(1), None), life(2, 23_990, Some(24_000), None));
    let both = [old.clone(), new.clone()];
    assert_eq!(plan(&both, &[1, 2], 24_129).next, [old, new.clone()]);
    let retired = life(1, 0, Some(1), Some(24_130));
    assert_eq!(plan(&both, &[1, 2], 24_130).next, [retired.clone(), new.clone()]);
    let both = [retired.clone(), new.clone()];
    assert_eq!(plan(&both, &[1, 2], 25_149).next, [retired, new.clone()]);
    let last = plan(&both, &[1, 2], 25_150);
    assert_eq!(last.next, [new]);
    assert_eq!(last.bundle, [id(2), id(1)], "it stands in the bundle until it is gone from the Secret");
}

#[test]
fn one_that_has_expired_by_every_clock_leaves_the_bundle_and_the_secret() {
    let both = [life(1, 0, Some(1), None), life(2, 30_000, Some(30_001), None)];
    assert_eq!(plan(&both, &[], 36_009).bundle, [id(2), id(1)]);
    let later = plan(&both, &[], 36_010);
    assert_eq!(later.bundle, [id(2)]);
    assert_eq!(later.next, both[1..]);
}

#[test]
fn when_all_have_expired_nobody_signs_and_a_new_one_is_wanted() {
    let later = plan(&[life(1, 0, Some(1), None)], &[1], 40_000);
    assert_eq!((later.signer, later.new, later.next), (None, true, vec![]));
}

#[test]
fn roles_follow_from_the_signer() {
    let three = [life(1, 0, Some(1), None), life(2, 100, Some(101), None), life(3, 10_000, None, None)];
    let plan = plan(&three, &[], 10_001);
    let roles = [3, 2, 1, 9].map(|number| plan.role(&id(number)));
    assert_eq!(roles, [AuthorityRole::Next, AuthorityRole::Current, AuthorityRole::Old, AuthorityRole::Old]);
}

#[test]
fn times_of_any_kind_do_no_harm() {
    for time in [Timestamp::MIN, Timestamp::MAX] {
        let odd = Life {
            created: time,
            announced: Some(time),
            retired: Some(time),
            not_after: time,
            ..life(1, 0, None, None)
        };
        let plan = decide(&[odd, life(2, 0, None, None)], &BTreeSet::new(), at(1), &L);
        assert!(plan.signer.is_some());
    }
}

#[test]
fn what_the_secret_lost_is_remembered_and_what_left_it_in_time_is_not() {
    let (old, retired, new) = (life(1, 0, Some(1), None), life(1, 0, Some(1), Some(9)), life(2, 5, None, None));
    let both = [old.clone(), new.clone()];
    assert_eq!(remembered(&both, None), both, "the Secret was deleted");
    assert_eq!(remembered(&[retired.clone(), new.clone()], None), [retired.clone(), new.clone()]);
    assert_eq!(remembered(&both, Some(&[])), both, "it was emptied");
    assert_eq!(remembered(std::slice::from_ref(&old), Some(std::slice::from_ref(&new))), [new.clone(), old.clone()]);
    let left = [new];
    assert_eq!(remembered(&[retired, left[0].clone()], Some(&left)), left);
    let unannounced = life(1, 0, None, None);
    assert_eq!(remembered(std::slice::from_ref(&old), Some(&[unannounced])), [old], "an old state was written back");
}
