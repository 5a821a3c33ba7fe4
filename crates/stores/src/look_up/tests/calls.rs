//! Time-outs, deadlines, attempts, turns.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;

use super::super::*;
use super::support::{
    Counts, LONG, NOT_FOUND, Reply, Store, class, find, find_within, id, id_in, look_ups, ms, named, observed,
    one_attempt, start, text, value,
};

const THROTTLED: Reply = Reply::Fails(FailureClass::Throttled);
const UNAVAILABLE: Reply = Reply::Fails(FailureClass::Unavailable);

fn hanging() -> Arc<Store> {
    Store::new("hanging store", |_, _| (ms(0), Reply::Hangs))
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_late_at_the_deadline_by_name() {
    let begun = Instant::now();
    let error = find_within(&look_ups(&[hanging()], one_attempt()), &id(), ms(700)).await.unwrap_err();
    assert!(begun.elapsed() >= ms(700) && begun.elapsed() < ms(710), "{:?}", begun.elapsed());
    assert_eq!(error.class(), FailureClass::Late);
    assert!(error.to_string().contains("asked hanging store for"), "{error}");
    assert!(error.to_string().ends_with("did not answer before the deadline"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_call_has_a_time_out_of_its_own() {
    let begun = Instant::now();
    let counts = Arc::new(Counts::default());
    let look_ups = observed(&[hanging()], LookUpSettings::default(), Arc::clone(&counts) as Arc<dyn LookUpObserver>);
    let error = find(&look_ups, &id_in("", "")).await.unwrap_err();
    assert_eq!((error.class(), begun.elapsed().as_secs()), (FailureClass::Late, 10));
    assert!(error.to_string().contains("hanging store") && error.to_string().contains("within 10s"), "{error}");
    let late = ("hanging store".to_owned(), CallOutcome::Failed(FailureClass::Late));
    assert_eq!(*counts.calls.lock().unwrap(), [late], "and is not repeated");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_does_not_slow_what_is_found_before_it() {
    let quick = Store::new("quick", |_, _| (ms(5), value("v")));
    let look_ups = look_ups(&[quick, hanging()], LookUpSettings::default());
    let names: Vec<_> = (0..500).map(|number| named(&number.to_string())).collect();
    let begun = Instant::now();
    for found in join_all(names.iter().map(|name| find(&look_ups, name))).await {
        assert_eq!(text(&found), "v");
    }
    // 500 secrets in three scopes, 64 at a time.
    assert!(begun.elapsed() < ms(150), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_hangs_does_not_slow_another_one() {
    let store = Store::new("store", |asked, _| (ms(5), if asked.name == "hangs" { Reply::Hangs } else { value("v") }));
    let look_ups = look_ups(&[store], LookUpSettings::default());
    let hangs = start(&look_ups, &named("hangs"), Freshness::Cached, LONG).await;
    let begun = Instant::now();
    assert_eq!(text(&find(&look_ups, &id()).await), "v");
    assert!(begun.elapsed() < ms(10));
    assert_eq!(class(&hangs.await.unwrap()), FailureClass::Late);
}

#[tokio::test(start_paused = true)]
async fn only_throttled_and_unavailable_stores_are_asked_again() {
    use FailureClass::{Denied, Empty, Late, Malformed, NotFound, Throttled, Unavailable};
    for (failure, calls) in
        [(Throttled, 3), (Unavailable, 3), (Denied, 1), (Empty, 1), (Late, 1), (Malformed, 1), (NotFound, 1)]
    {
        let store = Store::new("store", move |_, _| (ms(0), Reply::Fails(failure)));
        let found = find(&look_ups(&[Arc::clone(&store)], LookUpSettings::default()), &id_in("", "")).await;
        assert_eq!((class(&found), store.calls()), (failure, calls), "{failure}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_recovers_in_time_gives_its_value() {
    let store = Store::new("store", |_, call| (ms(0), [THROTTLED, UNAVAILABLE, value("v")][call - 1].clone()));
    let counts = Arc::new(Counts::default());
    let observer = Arc::clone(&counts) as Arc<dyn LookUpObserver>;
    let (look_ups, begun) = (observed(&[store], LookUpSettings::default(), observer), Instant::now());
    assert_eq!(text(&find(&look_ups, &id_in("", "")).await), "v");
    // Pauses of 50 to 100 and of 100 to 200 ms.
    assert!(begun.elapsed() >= ms(150) && begun.elapsed() <= ms(303), "{:?}", begun.elapsed());
    assert_eq!(counts.retries.load(Ordering::SeqCst), 2);
    let outcomes: Vec<_> = counts.calls.lock().unwrap().iter().map(|(_, outcome)| *outcome).collect();
    let failed = |class| CallOutcome::Failed(class);
    assert_eq!(outcomes, [failed(FailureClass::Throttled), failed(FailureClass::Unavailable), CallOutcome::Found]);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_pause_that_ends_after_the_deadline() {
    let store = Store::new("store", |_, _| (ms(0), UNAVAILABLE));
    let (look_ups, begun) = (look_ups(&[store], LookUpSettings::default()), Instant::now());
    let found = find_within(&look_ups, &id(), ms(40)).await;
    assert_eq!((class(&found), begun.elapsed()), (FailureClass::Unavailable, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn who_has_more_time_is_not_cut_short_by_who_has_less() {
    let store = Store::new("store", |_, call| (ms(0), if call == 1 { UNAVAILABLE } else { value("v") }));
    let look_ups = look_ups(&[Arc::clone(&store)], LookUpSettings::default());
    let impatient = start(&look_ups, &id_in("", ""), Freshness::Cached, ms(30)).await;
    let patient = find(&look_ups, &id_in("", "")).await;
    assert_eq!((class(&impatient.await.unwrap()), text(&patient)), (FailureClass::Unavailable, "v"));

    let slow = Store::new("store", |_, _| (ms(3000), value("v")));
    let look_ups = super::support::look_ups(&[Arc::clone(&slow)], LookUpSettings::default());
    let impatient = start(&look_ups, &id_in("", ""), Freshness::Cached, ms(1000)).await;
    let patient = find(&look_ups, &id_in("", "")).await;
    assert_eq!((class(&impatient.await.unwrap()), text(&patient)), (FailureClass::Late, "v"));
    assert_eq!(slow.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_has_passed_makes_no_call() {
    let store = Store::new("store", |_, _| (ms(0), value("v")));
    let look_ups = look_ups(&[Arc::clone(&store)], LookUpSettings::default());
    assert_eq!(class(&find_within(&look_ups, &id(), Duration::ZERO).await), FailureClass::Late);
    assert_eq!(store.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_store_gets_no_more_calls_at_once_than_it_may() {
    let store = Store::new("store", |_, _| (ms(10), NOT_FOUND));
    let settings = LookUpSettings { concurrent_calls: 7, ..LookUpSettings::default() };
    let look_ups = look_ups(&[Arc::clone(&store)], settings);
    let names: Vec<_> = (0..100).map(|number| named(&number.to_string())).collect();
    join_all(names.iter().map(|name| find(&look_ups, name))).await;
    assert_eq!((store.most_at_once(), store.calls()), (7, 300));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_turn_counts_towards_the_deadline() {
    let settings = LookUpSettings { concurrent_calls: 0, ..LookUpSettings::default() };
    let look_ups = look_ups(&[hanging()], settings);
    let first = start(&look_ups, &id_in("", ""), Freshness::Cached, LONG).await;
    let begun = Instant::now();
    let error = find_within(&look_ups, &named("other"), ms(500)).await.unwrap_err();
    assert_eq!((error.class(), begun.elapsed().as_millis() / 10), (FailureClass::Late, 50));
    assert!(error.to_string().contains("hanging store for"), "{error}");
    assert!(error.to_string().contains("could not be asked before the deadline"), "{error}");
    assert_eq!(class(&first.await.unwrap()), FailureClass::Late);
}

#[tokio::test]
async fn the_observer_is_told_which_scope_each_call_was_for() {
    let counts = Arc::new(Counts::default());
    let store = Store::new("store", |_, _| (ms(0), NOT_FOUND));
    let settings = LookUpSettings { scopes: Scopes::Sequential, ..LookUpSettings::uncached() };
    let look_ups = observed(&[store], settings, Arc::clone(&counts) as Arc<dyn LookUpObserver>);
    assert_eq!(find(&look_ups, &id()).await.unwrap_err().class(), FailureClass::NotFound);
    assert_eq!(*counts.scopes.lock().unwrap(), Scope::ALL);
}
