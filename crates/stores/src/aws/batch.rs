//! Ids that wait at the same time share a call. Nobody waits for company: a lone id goes out at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use super::api::{Answer, Api, BatchFailure};
use crate::fetcher::{FailureClass, FetchError};

/// The most ids in a call (`BatchGetSecretValue` in AWS's API reference).
const MAX_BATCH: usize = 20;
/// The most calls, of up to 20 ids each, that are under way. Further ids wait and then go together.
const MAX_CALLS: usize = 8;
/// The most ids that wait in the queue; who comes later waits for a place in it.
const MAX_QUEUE: usize = 1024;
/// How long batches are left alone after AWS said that we may not ask for them.
const DENIAL: Duration = Duration::from_secs(600);

/// The way to ask for a secret together with others.
#[derive(Clone, Debug)]
pub(super) struct Batches {
    calls: Arc<Calls>,
    queue: mpsc::Sender<Question>,
}

#[derive(Debug)]
struct Question {
    name: String,
    reply: oneshot::Sender<Answer>,
}

impl Batches {
    /// Starts the task that collects the questions; it ends with the last clone. One question may take `timeout`.
    pub(super) fn start(api: Arc<Api>, timeout: Duration) -> Self {
        let (queue, questions) = mpsc::channel(MAX_QUEUE);
        let calls = Arc::new(Calls { api, timeout, denied: Mutex::default() });
        tokio::spawn(collect(Arc::clone(&calls), questions));
        Self { calls, queue }
    }

    /// Asks for one secret.
    pub(super) async fn get(&self, name: String) -> Answer {
        if self.calls.is_denied() {
            return self.calls.api.get(&name).await;
        }
        let (reply, answer) = oneshot::channel();
        self.queue.send(Question { name, reply }).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

fn ended() -> FetchError {
    FetchError::new(FailureClass::Unavailable, "AWS was not asked: the program is ending")
}

/// Takes what has come, up to 20 ids, whenever a call may begin.
async fn collect(calls: Arc<Calls>, mut questions: mpsc::Receiver<Question>) {
    let places = Arc::new(Semaphore::new(MAX_CALLS));
    while let Some(first) = questions.recv().await {
        let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
        // Those who ask in this very moment come along.
        tokio::task::yield_now().await;
        let mut batch = vec![first];
        while batch.len() < MAX_BATCH
            && let Ok(question) = questions.try_recv()
        {
            batch.push(question);
        }
        let calls = Arc::clone(&calls);
        tokio::spawn(async move {
            calls.answer(batch).await;
            drop(place);
        });
    }
}

/// Those who wait for the same secret.
type Waiting = HashMap<String, Vec<oneshot::Sender<Answer>>>;

#[derive(Debug)]
struct Calls {
    api: Arc<Api>,
    timeout: Duration,
    /// When AWS last said that we may not ask for several secrets at once.
    denied: Mutex<Option<Instant>>,
}

impl Calls {
    /// Answers every question, by one call if there are several, and by single calls for whom that did not answer.
    async fn answer(&self, questions: Vec<Question>) {
        let mut waiting = Waiting::new();
        // Who gave up while the question waited is not asked for.
        for Question { name, reply } in questions.into_iter().filter(|question| !question.reply.is_closed()) {
            waiting.entry(name).or_default().push(reply);
        }
        if waiting.len() > 1 && !self.is_denied() {
            self.answer_together(&mut waiting).await;
        }
        let single = async |(name, replies): (String, Vec<oneshot::Sender<Answer>>)| {
            if replies.iter().any(|reply| !reply.is_closed()) {
                send(replies, &self.api.get(&name).await);
            }
        };
        join_all(waiting.into_iter().map(single)).await;
    }

    /// Answers whom one call can answer; the others are left in `waiting`.
    ///
    /// No secret may spoil the answer for another one. So a call that failed, or took half of the time that a
    /// question has, says nothing about the single secrets unless it could not even be made.
    async fn answer_together(&self, waiting: &mut Waiting) {
        let call = self.api.get_batch(waiting.keys().cloned().collect());
        match tokio::time::timeout(self.timeout / 2, call).await {
            Ok(Ok(answers)) => {
                for (name, answer) in answers {
                    // A secret that nobody asked for is not looked at.
                    send(waiting.remove(&name).unwrap_or_default(), &answer);
                }
            }
            Ok(Err(BatchFailure::NotAllowed)) => {
                *self.denied.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            }
            Ok(Err(BatchFailure::Everyone(failure))) => {
                for (_, replies) in waiting.drain() {
                    send(replies, &Err(failure.clone()));
                }
            }
            Ok(Err(BatchFailure::Perhaps)) | Err(_) => {}
        }
    }

    fn is_denied(&self) -> bool {
        let denied = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
        denied.is_some_and(|at| at.elapsed() < DENIAL)
    }
}

fn send(replies: Vec<oneshot::Sender<Answer>>, answer: &Answer) {
    for reply in replies {
        // Whoever gave up does not listen any more.
        let _ = reply.send(answer.clone());
    }
}
