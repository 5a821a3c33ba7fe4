//! What is remembered, and for how long.

use std::time::Duration;

use super::super::*;
use super::support::{
    Counts, NOT_FOUND, ORGANIZATION, PROJECT, Reply, Store, class, find, find_fresh, find_within, id, look_ups, ms,
    named, observed, one_attempt, text, value,
};

async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

/// Answers with the number of the call.
fn counting() -> Arc<Store> {
    Store::new("store", |asked, call| {
        (ms(0), if asked.project.is_empty() { NOT_FOUND } else { value(call.to_string()) })
    })
}

/// Has a value when it is asked first, and fails afterwards.
fn failing_after_the_first_call(reply: Reply) -> Arc<Store> {
    Store::new("store", move |_, call| (ms(0), if call == 1 { value("old") } else { reply.clone() }))
}

fn stale_for(seconds: u64) -> LookUpSettings {
    let mut settings = one_attempt();
    settings.cache.stale_if_unavailable = Duration::from_secs(seconds);
    settings
}

#[tokio::test(start_paused = true)]
async fn a_value_is_kept_for_five_minutes_from_when_its_call_began() {
    let store = Store::new("store", |_, call| (ms(20_000), value(call.to_string())));
    let mut settings = one_attempt();
    settings.call_timeout = Duration::from_secs(60);
    let look_ups = look_ups(&[store], settings);
    assert_eq!(text(&find(&look_ups, &id()).await), "1");
    pass(279).await;
    assert_eq!(text(&find(&look_ups, &id()).await), "1");
    pass(2).await;
    assert_eq!(text(&find(&look_ups, &id()).await), "2");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_found_is_known_for_ten_seconds() {
    let store = Store::new("store", |_, _| (ms(0), NOT_FOUND));
    let look_ups = look_ups(&[Arc::clone(&store)], LookUpSettings::default());
    for (wait, calls) in [(0, 3), (9, 3), (2, 6)] {
        pass(wait).await;
        assert_eq!(class(&find(&look_ups, &id()).await), FailureClass::NotFound);
        assert_eq!(store.calls(), calls);
    }
}

#[tokio::test(start_paused = true)]
async fn behind_a_known_value_nothing_is_asked_even_when_what_was_not_found_is_forgotten() {
    let store = counting();
    let look_ups = look_ups(&[Arc::clone(&store)], LookUpSettings::default());
    find(&look_ups, &id()).await.unwrap();
    super::support::settle().await;
    assert_eq!(store.calls(), 3);
    pass(60).await;
    find(&look_ups, &id()).await.unwrap();
    super::support::settle().await;
    assert_eq!(store.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn no_other_failure_is_remembered() {
    use FailureClass::{Denied, Empty, Late, Malformed, Throttled, Unavailable};
    for failure in [Denied, Empty, Late, Malformed, Throttled, Unavailable] {
        let store =
            Store::new("store", move |_, call| (ms(0), if call == 1 { Reply::Fails(failure) } else { value("v") }));
        let look_ups = look_ups(&[store], one_attempt());
        assert_eq!(class(&find(&look_ups, &id()).await), failure);
        assert_eq!(text(&find(&look_ups, &id()).await), "v", "{failure}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_cache_every_look_up_asks() {
    let store = counting();
    let look_ups = look_ups(&[store], LookUpSettings::uncached());
    for expected in ["1", "2", "3"] {
        assert_eq!(text(&find(&look_ups, &id()).await), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fresh_look_up_reads_no_cache_and_fills_it() {
    let look_ups = look_ups(&[counting()], LookUpSettings::default());
    assert_eq!(text(&find(&look_ups, &id()).await), "1");
    assert_eq!(text(&find_fresh(&look_ups, &id()).await), "2");
    assert_eq!(text(&find(&look_ups, &id()).await), "2");
}

#[tokio::test(start_paused = true)]
async fn what_a_fresh_look_up_does_not_find_is_gone() {
    for reply in [NOT_FOUND, Reply::Fails(FailureClass::Denied), Reply::Fails(FailureClass::Empty)] {
        let look_ups = look_ups(&[failing_after_the_first_call(reply.clone())], stale_for(3600));
        find(&look_ups, &id()).await.unwrap();
        find_fresh(&look_ups, &id()).await.unwrap_err();
        assert!(find(&look_ups, &id()).await.is_err(), "{reply:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_tells_where_it_is_and_when_it_was_fetched() {
    let look_ups = look_ups(&[counting()], LookUpSettings::default());
    let before = SystemTime::now();
    let first = find(&look_ups, &id()).await.unwrap();
    assert!(first.fetched >= before && first.fetched <= SystemTime::now());
    assert_eq!(first.place.as_ref().unwrap().key, PROJECT);
    let second = find(&look_ups, &id()).await.unwrap();
    assert_eq!((second.fetched, second.place), (first.fetched, first.place));
}

#[tokio::test(start_paused = true)]
async fn the_cache_stays_within_its_bytes() {
    let store = Store::new("store", |_, _| (ms(0), value("x".repeat(10_000))));
    let counts = Arc::new(Counts::default());
    let mut settings = LookUpSettings::default();
    settings.cache.max_bytes = 100_000;
    let observer = Arc::clone(&counts) as Arc<dyn LookUpObserver>;
    let look_ups = observed(&[Arc::clone(&store)], settings, observer);
    for number in 0..50 {
        let name = format!("name-{number}");
        find(&look_ups, &named(&name)).await.unwrap();
        let (entries, bytes) = *counts.size.lock().unwrap();
        assert!(bytes <= 100_000 && entries <= 9, "{entries} entries, {bytes} bytes");
    }
    super::support::settle().await;
    assert!(counts.size.lock().unwrap().0 >= 8, "the room is used");
}

#[tokio::test(start_paused = true)]
async fn while_its_store_is_down_an_old_value_is_served_if_that_is_allowed() {
    use FailureClass::{Late, Throttled, Unavailable};
    for failure in [Unavailable, Throttled, Late] {
        let look_ups = look_ups(&[failing_after_the_first_call(Reply::Fails(failure))], stale_for(60));
        assert!(!find(&look_ups, &id()).await.unwrap().stale);
        pass(301).await;
        let found = find(&look_ups, &id()).await.unwrap();
        assert_eq!((found.value.expose_text(), found.stale), (Some("old"), true), "{failure}");
        pass(60).await;
        assert_eq!(class(&find(&look_ups, &id()).await), failure, "its time is up for good");
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_value_is_not_served_by_default() {
    let look_ups = look_ups(&[failing_after_the_first_call(Reply::Fails(FailureClass::Unavailable))], one_attempt());
    find(&look_ups, &id()).await.unwrap();
    pass(301).await;
    assert_eq!(class(&find(&look_ups, &id()).await), FailureClass::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn an_old_value_never_stands_in_for_what_the_store_says_about_the_secret() {
    use FailureClass::{Denied, Empty, Malformed};
    for failure in [Denied, Empty, Malformed] {
        let look_ups = look_ups(&[failing_after_the_first_call(Reply::Fails(failure))], stale_for(60));
        find(&look_ups, &id()).await.unwrap();
        pass(301).await;
        assert_eq!(class(&find(&look_ups, &id()).await), failure);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fresh_look_up_gets_no_old_value() {
    let store = failing_after_the_first_call(Reply::Fails(FailureClass::Unavailable));
    let look_ups = look_ups(&[store], stale_for(3600));
    find(&look_ups, &id()).await.unwrap();
    pass(301).await;
    assert_eq!(class(&find_fresh(&look_ups, &id()).await), FailureClass::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn an_old_value_of_a_store_that_hangs_comes_before_the_deadline() {
    let mut settings = stale_for(3600);
    settings.call_timeout = Duration::from_secs(600);
    let look_ups = look_ups(&[failing_after_the_first_call(Reply::Hangs)], settings);
    find(&look_ups, &id()).await.unwrap();
    pass(301).await;
    let begun = Instant::now();
    assert!(find_within(&look_ups, &id(), Duration::from_secs(10)).await.unwrap().stale);
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_observer_hears_of_hits_misses_and_old_values() {
    use CacheEvent::{Hit, Joined, Miss, NegativeHit, Stale};
    let counts = Arc::new(Counts::default());
    let store = Store::new("store", |asked, call| {
        let wide = asked.to_string() == ORGANIZATION;
        (
            ms(1),
            if !wide {
                NOT_FOUND
            } else if call == 1 {
                value("v")
            } else {
                Reply::Fails(FailureClass::Unavailable)
            },
        )
    });
    let look_ups = observed(&[store], stale_for(3600), Arc::clone(&counts) as Arc<dyn LookUpObserver>);
    let (wide, events) = (super::support::id_in("", ""), || std::mem::take(&mut *counts.events.lock().unwrap()));
    let (id, begun) = (id(), Instant::now());
    futures::join!(find(&look_ups, &id), find(&look_ups, &wide)).0.unwrap();
    assert_eq!(events(), [Miss, Miss, Miss, Joined]);
    find(&look_ups, &id).await.unwrap();
    assert_eq!(events(), [NegativeHit, NegativeHit, Hit]);
    tokio::time::sleep_until(begun + Duration::from_secs(400)).await;
    assert!(find(&look_ups, &wide).await.unwrap().stale);
    assert_eq!(events(), [Miss, Stale]);
}
