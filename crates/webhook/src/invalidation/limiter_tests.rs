//! The limits of invalidations.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::invalidation::rate::MINUTE;

fn id(name: &str) -> SecretId {
    SecretId { org: "flyte".to_owned(), name: name.to_owned(), ..SecretId::default() }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_minutes_worth_is_allowed_at_once_and_then_one_for_each_given_back() {
    let start = Instant::now();
    let mut limiter = Limiter::new(3, 1000, start);
    for _ in 0..3 {
        assert_eq!(limiter.ask(&id("a"), start), Verdict::Now);
    }
    assert_eq!(limiter.ask(&id("a"), start), Verdict::Later(seconds(20)));
    assert_eq!(limiter.due(start + seconds(20)), [id("a")]);
    assert_eq!(limiter.ask(&id("a"), start + seconds(21)), Verdict::Later(seconds(19)));
}

#[test]
fn an_id_does_not_use_up_the_limit_of_another() {
    let start = Instant::now();
    let mut limiter = Limiter::new(1, 1000, start);
    assert_eq!(limiter.ask(&id("a"), start), Verdict::Now);
    assert!(matches!(limiter.ask(&id("a"), start), Verdict::Later(_)));
    assert_eq!(limiter.ask(&id("b"), start), Verdict::Now);
}

#[test]
fn an_invalidation_in_excess_is_remembered_once_and_due_once() {
    let start = Instant::now();
    let mut limiter = Limiter::new(1, 1000, start);
    limiter.ask(&id("a"), start);
    for _ in 0..5 {
        assert_eq!(limiter.ask(&id("a"), start), Verdict::Later(seconds(60)));
    }
    assert_eq!(limiter.next(start), Some(start + seconds(60)));
    assert_eq!(limiter.due(start + seconds(59)), []);
    assert_eq!(limiter.due(start + seconds(60)), [id("a")]);
    assert_eq!(limiter.due(start + seconds(600)), []);
    assert_eq!(limiter.next(start + seconds(600)), None);
}

#[test]
fn an_id_that_is_dropped_is_no_longer_remembered() {
    let start = Instant::now();
    let mut limiter = Limiter::new(1, 1000, start);
    limiter.ask(&id("a"), start);
    limiter.ask(&id("a"), start);
    assert_eq!(limiter.ask(&id("a"), start + seconds(60)), Verdict::Now);
    assert_eq!(limiter.due(start + seconds(600)), []);
}

#[test]
fn the_limit_for_all_holds_and_what_is_remembered_goes_first() {
    let start = Instant::now();
    let mut limiter = Limiter::new(10, 2, start);
    assert_eq!(limiter.ask(&id("a"), start), Verdict::Now);
    assert_eq!(limiter.ask(&id("b"), start), Verdict::Now);
    assert_eq!(limiter.ask(&id("c"), start), Verdict::Later(seconds(30)));
    assert_eq!(limiter.ask(&id("d"), start), Verdict::Later(seconds(30)));
    let later = start + seconds(30);
    assert_eq!(limiter.due(later), [id("c")]);
    assert_eq!(limiter.ask(&id("e"), later), Verdict::Later(seconds(30)));
    assert_eq!(limiter.due(later + seconds(30)), [id("d")]);
    assert_eq!(limiter.due(later + seconds(60)), [id("e")]);
}

#[test]
fn no_more_is_remembered_than_there_is_room_for() {
    let start = Instant::now();
    let mut limiter = Limiter::new(1, 1, start);
    limiter.ask(&id("first"), start);
    for index in 0..MAX_REMEMBERED {
        assert!(matches!(limiter.ask(&id(&format!("x{index}")), start), Verdict::Later(_)), "{index}");
    }
    assert_eq!(limiter.ask(&id("one-more"), start), Verdict::Full(seconds(60)));
    assert!(matches!(limiter.ask(&id("x7"), start), Verdict::Later(_)), "an id that is remembered stays so");
}

#[test]
fn ids_that_have_got_everything_back_leave_nothing_behind() {
    let start = Instant::now();
    let mut limiter = Limiter::new(60, 60_000, start);
    for second in 0..600 {
        let now = start + seconds(second);
        for index in 0..100 {
            assert_eq!(limiter.ask(&id(&format!("{second}-{index}")), now), Verdict::Now);
        }
    }
    assert!(limiter.spent.len() <= 400, "{}", limiter.spent.len());
}

proptest! {
    /// Whatever comes when: each id is dropped no more often than allowed, and at or after its last invalidation.
    #[test]
    fn no_id_is_dropped_too_often_and_none_is_forgotten(
        asked in prop::collection::vec((0..4_u8, 0..5_000_u64), 1..200),
        each in 1..20_u32,
        all in 1..40_u32,
    ) {
        let start = Instant::now();
        let mut limiter = Limiter::new(each, all, start);
        let (mut now, mut drops, mut last) = (start, Vec::new(), HashMap::new());
        for (name, pause) in asked {
            now += Duration::from_millis(pause);
            drops.extend(limiter.due(now).into_iter().map(|id| (id, now)));
            let id = id(&name.to_string());
            last.insert(id.clone(), now);
            if limiter.ask(&id, now) == Verdict::Now {
                drops.push((id, now));
            }
        }
        while let Some(next) = limiter.next(now) {
            now = next;
            let due = limiter.due(now);
            prop_assert!(!due.is_empty(), "what is next is due then");
            drops.extend(due.into_iter().map(|id| (id, now)));
        }
        for (id, asked_at) in last {
            let of_id: Vec<Instant> = drops.iter().filter(|(dropped, _)| *dropped == id).map(|(_, at)| *at).collect();
            prop_assert!(of_id.last().is_some_and(|at| *at >= asked_at), "{id} is forgotten");
            // A minute's worth at once, and a minute's worth that is given back within the minute.
            let most = |times: &[Instant], count: u32| {
                times.iter().all(|first| {
                    times.iter().filter(|at| **at >= *first && **at < *first + MINUTE).count() <= 2 * count as usize
                })
            };
            prop_assert!(most(&of_id, each));
            let every: Vec<Instant> = drops.iter().map(|(_, at)| *at).collect();
            prop_assert!(most(&every, all));
        }
    }
}
