//! One call for all who ask.

use std::time::Duration;

use super::super::*;
use super::support::{
    Counts, DOMAIN, LONG, PROJECT, Reply, Store, class, find, find_fresh, id, id_in, look_ups, ms, named, observed,
    settle, start, text, value,
};

/// For ids that have one scope.
fn single() -> SecretId {
    id_in("", "")
}

/// Every call takes so long and gives its number.
fn numbering(delay: Duration) -> Arc<Store> {
    Store::new("store", move |_, call| (delay, value(call.to_string())))
}

#[tokio::test(start_paused = true)]
async fn who_joins_a_call_gets_its_answer() {
    let store = numbering(ms(100));
    let look_ups = look_ups(&[Arc::clone(&store)], LookUpSettings::uncached());
    let first = start(&look_ups, &single(), Freshness::Cached, LONG).await;
    tokio::time::sleep(ms(50)).await;
    assert_eq!(text(&find(&look_ups, &single()).await), "1");
    assert_eq!(text(&first.await.unwrap()), "1");
    assert_eq!(text(&find(&look_ups, &single()).await), "2", "what is over cannot be joined");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_leaves_the_call_to_the_others() {
    let store = numbering(ms(100));
    let look_ups = look_ups(&[Arc::clone(&store)], LookUpSettings::uncached());
    let first = start(&look_ups, &single(), Freshness::Cached, LONG).await;
    let second = start(&look_ups, &single(), Freshness::Cached, LONG).await;
    first.abort();
    assert_eq!(text(&second.await.unwrap()), "1");
    assert_eq!((store.calls(), look_ups.engine.flights()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_waits_for_is_given_up_after_a_second_and_counts_as_late() {
    let store = Store::new("store", |_, _| (ms(0), Reply::Hangs));
    let counts = Arc::new(Counts::default());
    let observer = Arc::clone(&counts) as Arc<dyn LookUpObserver>;
    let look_ups = observed(&[Arc::clone(&store)], LookUpSettings::default(), observer);
    let only = start(&look_ups, &id(), Freshness::Cached, LONG).await;
    only.abort();
    tokio::time::sleep(ms(900)).await;
    assert_eq!((store.running(), look_ups.engine.flights()), (3, 3));
    tokio::time::sleep(ms(200)).await;
    assert_eq!((store.running(), look_ups.engine.flights()), (0, 0));
    assert_eq!(counts.calls.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_waits_for_goes_on_if_somebody_comes_back_for_it() {
    let store = numbering(ms(3000));
    let look_ups = look_ups(&[Arc::clone(&store)], LookUpSettings::default());
    start(&look_ups, &single(), Freshness::Cached, LONG).await.abort();
    tokio::time::sleep(ms(500)).await;
    let begun = Instant::now();
    assert_eq!(text(&find(&look_ups, &single()).await), "1");
    assert_eq!((store.calls(), begun.elapsed().as_millis() / 10), (1, 250));
}

#[test]
fn a_voided_flight_stays_voided_whatever_its_call_does() {
    let (mut flights, key) = (flight::Flights::default(), question::questions(&single(), 1)[0].key.clone());
    let flight = flights.begin(&key, None);
    flights.void(&key);
    flight.call(Instant::now());
    flight.pause(Instant::now(), crate::FetchError::new(FailureClass::Throttled, ""));
    assert!(matches!(*flight.phase.borrow(), flight::Phase::Ended(flight::Ended::Voided)));
    assert!(!flights.remove(&key, flight.number), "and its answer is not wanted");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_waits_for_fills_the_cache_if_it_ends_soon() {
    let store = Store::new("store", |asked, _| (if asked.project.is_empty() { ms(900) } else { ms(1) }, value("v")));
    let look_ups = look_ups(&[Arc::clone(&store)], LookUpSettings::default());
    find(&look_ups, &id()).await.unwrap();
    tokio::time::sleep(ms(950)).await;
    find(&look_ups, &id_in("development", "")).await.unwrap();
    assert_eq!((store.calls_for(PROJECT), store.calls_for(DOMAIN)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_waits_for_does_not_begin() {
    let store = numbering(ms(5000));
    let settings = LookUpSettings { concurrent_calls: 1, ..LookUpSettings::default() };
    let look_ups = look_ups(&[Arc::clone(&store)], settings);
    let first = start(&look_ups, &single(), Freshness::Cached, LONG).await;
    let second = start(&look_ups, &named("other"), Freshness::Cached, LONG).await;
    second.abort();
    settle().await;
    assert_eq!(look_ups.engine.flights(), 1);
    first.await.unwrap().unwrap();
    settle().await;
    assert_eq!(store.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_store_is_a_failure_without_its_words_and_the_next_look_up_begins_anew() {
    let store = Store::new("store", |_, call| (ms(1), if call == 1 { Reply::Panics("planted") } else { value("v") }));
    let look_ups = look_ups(&[Arc::clone(&store)], LookUpSettings::default());
    let tasks = [
        start(&look_ups, &single(), Freshness::Cached, LONG).await,
        start(&look_ups, &single(), Freshness::Cached, LONG).await,
    ];
    for task in tasks {
        let error = task.await.unwrap().unwrap_err();
        assert!(error.retryable());
        assert!(error.to_string().contains("its store ended in a mistake of our program"), "{error}");
        assert!(!format!("{error} {error:?}").contains("planted"));
    }
    assert_eq!(text(&find(&look_ups, &single()).await), "v");
    assert_eq!(store.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_fresh_look_up_joins_no_call_that_began_before_it() {
    let store = numbering(ms(100));
    let look_ups = look_ups(&[Arc::clone(&store)], LookUpSettings::default());
    let first = start(&look_ups, &single(), Freshness::Cached, LONG).await;
    tokio::time::sleep(ms(50)).await;
    assert_eq!(text(&find_fresh(&look_ups, &single()).await), "2");
    assert_eq!(text(&first.await.unwrap()), "1");
}

#[tokio::test(start_paused = true)]
async fn of_two_calls_the_one_that_began_later_stays_in_the_cache() {
    let store = Store::new("store", |_, call| (if call == 1 { ms(500) } else { ms(10) }, value(call.to_string())));
    let look_ups = look_ups(&[Arc::clone(&store)], LookUpSettings::default());
    let first = start(&look_ups, &single(), Freshness::Cached, LONG).await;
    tokio::time::sleep(ms(50)).await;
    assert_eq!(text(&find_fresh(&look_ups, &single()).await), "2");
    assert_eq!(text(&first.await.unwrap()), "1");
    assert_eq!(text(&find(&look_ups, &single()).await), "2");
}

#[tokio::test(start_paused = true)]
async fn fresh_look_ups_share_a_call_that_has_not_begun() {
    let store = numbering(ms(100));
    let settings = LookUpSettings { concurrent_calls: 1, ..LookUpSettings::default() };
    let look_ups = look_ups(&[Arc::clone(&store)], settings);
    let mut tasks = Vec::new();
    for _ in 0..50 {
        tasks.push(start(&look_ups, &single(), Freshness::Fresh, LONG).await);
    }
    for (number, task) in tasks.into_iter().enumerate() {
        assert_eq!(text(&task.await.unwrap()), if number == 0 { "1" } else { "2" });
    }
    assert_eq!(store.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_for_all_who_waited_and_for_nobody_else() {
    let store = Store::new("store", |_, call| {
        (ms(10), if call == 1 { Reply::Fails(FailureClass::Denied) } else { value("v") })
    });
    let look_ups = look_ups(&[store], LookUpSettings::default());
    let id = single();
    let (first, second) = futures::join!(find(&look_ups, &id), find(&look_ups, &id));
    assert_eq!((class(&first), class(&second)), (FailureClass::Denied, FailureClass::Denied));
    assert_eq!(text(&find(&look_ups, &single()).await), "v");
}
