//! Pods made one after another, as dry runs, while something else happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinHandle;

use super::Namespace;

/// How many at a time.
const AT_A_TIME: usize = 3;
/// Between one and the next.
const PAUSE: Duration = Duration::from_millis(20);

/// Admissions that go on until they are ended.
pub(crate) struct Load {
    done: Arc<AtomicBool>,
    admitted: Arc<AtomicU32>,
    tasks: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    pub(crate) fn begin(namespace: &Arc<Namespace>, pod: &Value) -> Self {
        let (done, admitted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let task = || {
            let (done, admitted, namespace, pod) =
                (Arc::clone(&done), Arc::clone(&admitted), Arc::clone(namespace), pod.clone());
            tokio::spawn(async move {
                let mut failures = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    match namespace.try_pod(&pod).await {
                        Ok(_) => drop(admitted.fetch_add(1, Ordering::Relaxed)),
                        Err(failure) => failures.push(failure.message),
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                failures
            })
        };
        let tasks = (0..AT_A_TIME).map(|_| task()).collect();
        Self { done, admitted, tasks }
    }

    /// How many pods were admitted so far.
    pub(crate) fn admitted(&self) -> u32 {
        self.admitted.load(Ordering::Relaxed)
    }

    /// Ends it; every admission must have been one.
    pub(crate) async fn end_without_a_failure(self) {
        self.done.store(true, Ordering::Relaxed);
        for task in self.tasks {
            assert_eq!(task.await.unwrap(), Vec::<String>::new(), "admissions that failed");
        }
        assert!(self.admitted.load(Ordering::Relaxed) > 10, "there was a load");
    }
}
