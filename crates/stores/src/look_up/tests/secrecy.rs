//! Values show in no text.

use std::time::Duration;

use super::super::*;
use super::support::{Reply, Store, find, id_in, look_ups, ms, one_attempt, value};
use crate::test_log::log_of;

#[tokio::test(start_paused = true)]
async fn a_value_is_in_no_debug_text_and_in_no_log_not_even_when_an_old_one_is_served() {
    let store = Store::new("store", |asked, call| {
        let reply = match (asked.name.as_str(), call) {
            ("panics", _) => Reply::Panics("planted-in-a-panic"),
            (_, 1) => value("planted-value"),
            _ => Reply::Fails(FailureClass::Unavailable),
        };
        (ms(1), reply)
    });
    let mut settings = one_attempt();
    settings.cache.stale_if_unavailable = Duration::from_secs(60);
    let look_ups = look_ups(&[store], settings);
    let panics = SecretId { name: "panics".to_owned(), ..id_in("", "") };
    let (shown, log) = log_of(async {
        let first = find(&look_ups, &id_in("", "")).await;
        tokio::time::advance(Duration::from_secs(301)).await;
        let second = find(&look_ups, &id_in("", "")).await;
        let third = find(&look_ups, &panics).await;
        format!("{first:?} {second:?} {third:?} {look_ups:?}")
    })
    .await;
    assert!(!shown.contains("planted") && !log.contains("planted"), "{shown} {log}");
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 1, "{log}");
    assert!(warnings[0].contains("unavailable") && warnings[0].contains("store"), "{log}");
}
