//! Values show in no text.

use std::io::Write;
use std::sync::Mutex;
use std::time::Duration;

use super::super::*;
use super::support::{Reply, Store, find, id_in, look_ups, ms, one_attempt, value};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_is_in_no_debug_text_and_in_no_log_not_even_when_an_old_one_is_served() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
    let _guard = tracing::subscriber::set_default(subscriber.with_writer(move || writer.clone()).finish());
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
    let mut shown = format!("{:?}", find(&look_ups, &id_in("", "")).await);
    tokio::time::advance(Duration::from_secs(301)).await;
    shown += &format!("{:?}", find(&look_ups, &id_in("", "")).await);
    let panics = SecretId { name: "panics".to_owned(), ..id_in("", "") };
    shown += &format!("{:?} {look_ups:?}", find(&look_ups, &panics).await);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(!shown.contains("planted") && !log.contains("planted"), "{shown} {log}");
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 1, "{log}");
    assert!(warnings[0].contains("unavailable") && warnings[0].contains("store"), "{log}");
}
