#![allow(clippy::unwrap_used)]

use super::*;

fn key(id: &str) -> Key {
    Key { store: 0, id: id.into() }
}

fn answer(said: Result<&str, FailureClass>, began: Instant) -> Arc<Answer> {
    let said = said.map(|text| SecretValue::text(text.to_owned())).map_err(|class| FetchError::new(class, ""));
    Arc::new(Answer { said, began, fetched: SystemTime::now(), place: None })
}

fn text(cache: &Cache, id: &str, now: Instant) -> Option<String> {
    Some(cache.get(&key(id), now)?.answer.said.as_ref().ok()?.expose_text()?.to_owned())
}

fn cache_of(max_entries: u64) -> Cache {
    let one = size(&key("a"), &answer(Ok("v"), Instant::now()));
    Cache::new(CacheSettings { max_bytes: one * max_entries, ..CacheSettings::default() })
}

#[test]
fn what_expires_first_makes_room() {
    let (mut cache, now) = (cache_of(2), Instant::now());
    for (id, second) in [("a", 1), ("b", 0), ("c", 2)] {
        let began = now + Duration::from_secs(second);
        cache.learn(&key(id), &answer(Ok("v"), began), began);
    }
    let now = now + Duration::from_secs(2);
    assert_eq!((text(&cache, "a", now).is_some(), text(&cache, "b", now), cache.size().0), (true, None, 2));
}

#[test]
fn questions_for_what_does_not_exist_push_out_no_value() {
    let (mut cache, now) = (cache_of(2), Instant::now());
    cache.learn(&key("a"), &answer(Ok("v"), now), now);
    for number in 0..100 {
        cache.learn(&key(&number.to_string()), &answer(Err(FailureClass::NotFound), now), now);
    }
    assert!(cache.has_value(&key("a"), now));
}

#[test]
fn an_answer_that_was_asked_for_earlier_does_not_replace_a_later_one() {
    let (mut cache, now) = (cache_of(9), Instant::now());
    let earlier = now.checked_sub(Duration::from_secs(1)).unwrap();
    cache.learn(&key("a"), &answer(Ok("new"), now), now);
    for old in [Ok("old"), Err(FailureClass::NotFound), Err(FailureClass::Denied)] {
        cache.learn(&key("a"), &answer(old, earlier), now);
        assert_eq!(text(&cache, "a", now).as_deref(), Some("new"));
    }
}

#[test]
fn an_answer_larger_than_the_whole_is_not_kept() {
    let (mut cache, now) = (cache_of(1), Instant::now());
    cache.learn(&key("a"), &answer(Ok("v"), now), now);
    cache.learn(&key("b"), &answer(Ok(&"v".repeat(5000)), now), now);
    assert_eq!((cache.size().0, text(&cache, "a", now).is_some()), (1, true));
}

#[test]
fn what_has_expired_is_dropped_and_counts_no_more() {
    let (mut cache, now) = (cache_of(9), Instant::now());
    cache.learn(&key("a"), &answer(Ok("v"), now), now);
    cache.learn(&key("b"), &answer(Err(FailureClass::NotFound), now), now);
    cache.forget_expired(now + Duration::from_secs(11));
    assert_eq!(cache.size().0, 1);
    cache.forget_expired(now + Duration::from_secs(301));
    assert_eq!(cache.size(), (0, 0));
}

#[test]
fn a_value_that_is_forgotten_is_dropped_at_once() {
    let (mut cache, now) = (cache_of(9), Instant::now());
    let (first, second) = (answer(Ok("v"), now), answer(Ok("v"), now));
    cache.learn(&key("a"), &first, now);
    cache.forget(&key("a"));
    assert_eq!((Arc::strong_count(&first), cache.size()), (1, (0, 0)));
    cache.learn(&key("a"), &first, now);
    cache.learn(&key("a"), &second, now);
    assert_eq!((Arc::strong_count(&first), cache.size().0), (1, 1));
}

#[test]
fn times_without_end_are_no_error() {
    let now = Instant::now();
    let (ttl, not_found_ttl, stale_if_unavailable) = (Duration::MAX, Duration::MAX, Duration::MAX);
    let mut cache = Cache::new(CacheSettings { ttl, not_found_ttl, stale_if_unavailable, max_bytes: u64::MAX });
    cache.learn(&key("a"), &answer(Ok("v"), now), now);
    assert!(cache.has_value(&key("a"), now + Duration::from_hours(24)));
}
