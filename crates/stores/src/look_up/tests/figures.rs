//! What the look-up is for, in figures, on the real clock.

use std::io::Write;

use futures::future::join_all;

use super::super::*;
use super::support::{NOT_FOUND, Store, find, id, look_ups, ms, named, settle, text, value};

fn figure(name: &str, value: impl fmt::Display, unit: &str) {
    writeln!(std::io::stdout(), "\nfigure: {name} = {value} {unit}").unwrap();
}

/// Holds every secret for the whole organization only, and takes 50 ms for every answer.
fn third_scope_of_50_ms() -> Arc<Store> {
    Store::new("store", |asked, _| (ms(50), if asked.domain.is_empty() { value("v") } else { NOT_FOUND }))
}

#[tokio::test]
async fn ten_secrets_at_the_third_scope_cost_one_round_trip_and_then_none() {
    let store = third_scope_of_50_ms();
    let look_ups = look_ups(&[Arc::clone(&store)], LookUpSettings::default());
    let secrets: Vec<_> = (0..10).map(|number| named(&number.to_string())).collect();
    let find_all = async || {
        let found = join_all(secrets.iter().map(|secret| find(&look_ups, secret))).await;
        assert!(found.iter().all(|found| text(found) == "v"));
    };
    let begun = std::time::Instant::now();
    find_all().await;
    let cold = begun.elapsed();
    let calls = store.calls();
    find_all().await;
    settle().await;
    figure("embedded_cold_ms_10_secrets_third_scope_50ms", cold.as_millis(), "ms");
    figure("embedded_warm_store_calls", store.calls() - calls, "calls");
    assert!(cold <= ms(100), "{cold:?}");
    assert_eq!((calls, store.calls()), (30, 30));
}

#[tokio::test]
async fn a_thousand_look_ups_of_one_cold_secret_cost_one_call_for_each_id() {
    let narrow = Store::new("store", |_, _| (ms(50), value("v")));
    for store in [narrow, third_scope_of_50_ms()] {
        let look_ups = look_ups(&[Arc::clone(&store)], LookUpSettings::default());
        let secret = id();
        let tasks = (0..1000).map(|_| {
            let (look_ups, secret) = (look_ups.clone(), secret.clone());
            tokio::spawn(async move { find(&look_ups, &secret).await })
        });
        for found in join_all(tasks).await {
            assert_eq!(text(&found.unwrap()), "v");
        }
        figure("single_flight_calls_1000", store.most_calls_for_one_id(), "calls");
        assert_eq!((store.most_calls_for_one_id(), store.calls()), (1, 3));
    }
}
