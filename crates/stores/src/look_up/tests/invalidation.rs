//! What is invalidated is asked for again.

use std::time::Duration;

use super::super::*;
use super::support::{
    DOMAIN, LONG, NOT_FOUND, ORGANIZATION, PROJECT, Reply, Store, class, find, find_within, id, id_in, look_ups, ms,
    named, one_attempt, settle, start, text, value,
};
use flyte_secrets_core::secret_name::kubernetes_secret_name;

fn numbering(delay: Duration) -> Arc<Store> {
    Store::new("store", move |_, call| (delay, value(call.to_string())))
}

#[tokio::test(start_paused = true)]
async fn values_and_misses_of_all_scopes_and_stores_are_forgotten() {
    let missing = || Store::new("missing", |_, _| (ms(0), NOT_FOUND));
    let stores = [missing(), missing()];
    let look_ups = look_ups(&stores, LookUpSettings::default());
    for calls in [1, 2] {
        find(&look_ups, &id()).await.unwrap_err();
        find(&look_ups, &id()).await.unwrap_err();
        for scope in [PROJECT, DOMAIN, ORGANIZATION] {
            assert_eq!(stores.each_ref().map(|store| store.calls_for(scope)), [calls; 2]);
        }
        look_ups.invalidate(&id());
    }

    let store = numbering(ms(0));
    let look_ups = super::support::look_ups(&[store], LookUpSettings::default());
    for expected in ["1", "2"] {
        assert_eq!(text(&find(&look_ups, &id()).await), expected);
        settle().await;
        look_ups.invalidate(&id());
    }
}

#[tokio::test(start_paused = true)]
async fn other_secrets_are_kept() {
    let look_ups = look_ups(&[numbering(ms(0))], LookUpSettings::default());
    find(&look_ups, &named("other")).await.unwrap();
    look_ups.invalidate(&id());
    assert_eq!(text(&find(&look_ups, &named("other")).await), "1");
}

#[tokio::test(start_paused = true)]
async fn a_stale_value_is_forgotten_too() {
    let store = Store::new("store", |_, call| {
        (ms(0), if call == 1 { value("old") } else { Reply::Fails(FailureClass::Unavailable) })
    });
    let mut settings = one_attempt();
    settings.cache.stale_if_unavailable = LONG;
    let look_ups = look_ups(&[store], settings);
    find(&look_ups, &id()).await.unwrap();
    tokio::time::advance(Duration::from_secs(301)).await;
    assert!(find(&look_ups, &id()).await.unwrap().stale);
    look_ups.invalidate(&id());
    assert_eq!(class(&find(&look_ups, &id()).await), FailureClass::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_call_that_is_voided_asks_again_at_once() {
    let store = Store::new("store", |_, call| (ms(0), if call == 1 { Reply::Hangs } else { value("new") }));
    let look_ups = look_ups(&[Arc::clone(&store)], LookUpSettings::default());
    let waiting = start(&look_ups, &id_in("", ""), Freshness::Cached, LONG).await;
    let begun = Instant::now();
    look_ups.invalidate(&id_in("", ""));
    assert_eq!(text(&waiting.await.unwrap()), "new");
    assert_eq!((begun.elapsed(), store.calls()), (Duration::ZERO, 2));
}

#[tokio::test(start_paused = true)]
async fn what_a_voided_call_brings_is_not_remembered() {
    let store = Store::new("store", |_, call| (if call == 1 { ms(500) } else { ms(600) }, value(call.to_string())));
    let look_ups = look_ups(&[Arc::clone(&store)], LookUpSettings::default());
    let waiting = start(&look_ups, &id_in("", ""), Freshness::Cached, LONG).await;
    look_ups.invalidate(&id_in("", ""));
    tokio::time::sleep(ms(550)).await;
    let later = start(&look_ups, &id_in("", ""), Freshness::Cached, LONG).await;
    assert_eq!((text(&waiting.await.unwrap()), text(&later.await.unwrap())), ("2", "2"));
    assert_eq!(text(&find(&look_ups, &id_in("", "")).await), "2");
    assert_eq!(store.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn older_and_newer_calls_for_one_id_are_all_voided() {
    let store = Store::new("store", |_, call| (ms(100), value(call.to_string())));
    let look_ups = look_ups(&[Arc::clone(&store)], LookUpSettings::default());
    let old = start(&look_ups, &id_in("", ""), Freshness::Cached, LONG).await;
    let fresh = start(&look_ups, &id_in("", ""), Freshness::Fresh, LONG).await;
    assert_eq!(store.calls(), 2);
    look_ups.invalidate(&id_in("", ""));
    assert_eq!((text(&old.await.unwrap()), text(&fresh.await.unwrap())), ("3", "3"));
}

#[tokio::test(start_paused = true)]
async fn invalidations_without_end_do_not_keep_a_look_up_beyond_its_deadline() {
    let look_ups = look_ups(&[numbering(ms(100))], LookUpSettings::default());
    let (again, begun) = (look_ups.clone(), Instant::now());
    let storm = tokio::spawn(async move {
        loop {
            tokio::time::sleep(ms(50)).await;
            again.invalidate(&id_in("", ""));
        }
    });
    let found = find_within(&look_ups, &id_in("", ""), ms(1000)).await;
    assert_eq!((class(&found), begun.elapsed().as_millis() / 10), (FailureClass::Late, 100));
    storm.abort();
}

#[tokio::test(start_paused = true)]
async fn a_kubernetes_secret_is_forgotten_by_its_name_where_it_is_and_where_it_would_be() {
    let has = numbering(ms(0));
    let lacks = Store::new("other namespace", |_, _| (ms(0), NOT_FOUND));
    let stores = [Arc::clone(&lacks), Arc::clone(&has)];
    let look_ups = look_ups(&stores, LookUpSettings::default());
    let id = id_in("", "");
    let name = kubernetes_secret_name(ORGANIZATION);
    for (namespace, secret, calls) in [
        ("store", name.as_str(), [1, 2]),
        ("other namespace", &name, [2, 2]),
        ("elsewhere", &name, [2, 2]),
        ("store", "another-secret", [2, 2]),
    ] {
        find(&look_ups, &id).await.unwrap();
        look_ups.invalidate_kubernetes_secret(namespace, secret);
        find(&look_ups, &id).await.unwrap();
        assert_eq!([lacks.calls(), has.calls()], calls, "{namespace}/{secret}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_namespace_is_forgotten_with_all_that_is_on_its_way_to_it() {
    let store = Store::new("store", |_, call| (if call == 1 { ms(500) } else { ms(1) }, value(call.to_string())));
    let look_ups = look_ups(&[Arc::clone(&store)], LookUpSettings::default());
    let waiting = start(&look_ups, &id_in("", ""), Freshness::Cached, LONG).await;
    look_ups.invalidate_namespace("other");
    look_ups.invalidate_namespace("store");
    assert_eq!(text(&waiting.await.unwrap()), "2");
    look_ups.invalidate_namespace("store");
    assert_eq!(text(&find(&look_ups, &id_in("", "")).await), "3");
}
