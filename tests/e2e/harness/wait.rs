//! Waiting, always with an end.

use std::future::Future;
use std::time::{Duration, Instant};

/// Asks until the answer is `Ok`; panics with the last `Err` when `seconds` have passed.
pub(crate) async fn eventually<T, F>(what: &str, seconds: u64, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(why) => assert!(Instant::now() < end, "{what}: not within {seconds} s: {why}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
