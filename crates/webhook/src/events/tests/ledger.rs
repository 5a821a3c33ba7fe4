//! What is written and what is counted, by a clock that the tests move.

use std::time::Duration;

use tokio::time::Instant;

use super::super::ledger::{ALL, EACH, Ledger, MAX_KNOWN, Verdict, WINDOW};

fn again(name: &str, count: i32) -> Verdict {
    Verdict::Again { name: name.to_owned(), count }
}

#[test]
fn the_same_again_is_a_count_until_a_long_pause() {
    let start = Instant::now();
    let mut ledger = Ledger::new(start);
    let key = ledger.key("uid", "Refused", "no");
    assert_eq!(ledger.ask("ns", key, start), Verdict::New);
    ledger.written(key, "e1".to_owned(), start);
    let later = start + WINDOW - Duration::from_secs(1);
    assert_eq!(ledger.ask("ns", key, later), again("e1", 2));
    assert_eq!(ledger.ask("ns", key, later + Duration::from_secs(9)), again("e1", 3));
    assert_eq!(ledger.ask("ns", key, later + Duration::from_secs(9) + WINDOW), Verdict::New);
}

#[test]
fn another_object_reason_or_note_is_another_event() {
    let start = Instant::now();
    let mut ledger = Ledger::new(start);
    let key = ledger.key("uid", "Refused", "no");
    ledger.written(key, "e1".to_owned(), start);
    for (object, reason, note) in [("other", "Refused", "no"), ("uid", "Missing", "no"), ("uid", "Refused", "never")] {
        let key = ledger.key(object, reason, note);
        assert_eq!(ledger.ask("ns", key, start), Verdict::New);
    }
}

#[test]
fn what_is_over_the_limit_is_counted_with_the_next_one() {
    let start = Instant::now();
    let mut ledger = Ledger::new(start);
    let key = ledger.key("uid", "Refused", "no");
    assert_eq!(ledger.ask("ns", key, start), Verdict::New);
    ledger.written(key, "e1".to_owned(), start);
    for count in 2..=EACH {
        assert_eq!(ledger.ask("ns", key, start), again("e1", i32::try_from(count).unwrap()));
    }
    assert_eq!(ledger.ask("ns", key, start), Verdict::Limited);
    assert_eq!(ledger.ask("ns", key, start), Verdict::Limited);
    let count = i32::try_from(EACH).unwrap() + 3;
    assert_eq!(ledger.ask("ns", key, start + Duration::from_secs(60) / EACH), again("e1", count));
}

#[test]
fn one_namespace_does_not_take_everything_and_all_together_no_more_than_their_limit() {
    let start = Instant::now();
    let mut ledger = Ledger::new(start);
    let mut written = 0;
    for namespace in 0..100 {
        for pod in 0..EACH + 5 {
            let key = ledger.key(&format!("{namespace}/{pod}"), "Refused", "no");
            written += u32::from(ledger.ask(&format!("ns-{namespace}"), key, start) == Verdict::New);
        }
    }
    assert_eq!(written, ALL);
}

#[test]
fn a_ledger_does_not_grow_beyond_its_bounds() {
    let start = Instant::now();
    let mut ledger = Ledger::new(start);
    for number in 0..10 * MAX_KNOWN {
        let now = start + Duration::from_millis(number as u64);
        let key = ledger.key(&number.to_string(), "Refused", "no");
        ledger.ask(&number.to_string(), key, now);
        ledger.written(key, number.to_string(), now);
    }
    let (known, namespaces) = ledger.size();
    assert!(known <= MAX_KNOWN && namespaces <= 2 * ALL as usize, "{known} {namespaces}");
}
