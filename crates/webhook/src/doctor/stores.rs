//! The stores of the Embedded manager: each is asked for a secret that nobody has.

use std::time::{Duration, Instant};

use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_stores::{FailureClass, FetchError};
use futures::future::join_all;

use super::check::Level;
use super::finding::Finding;
use super::ids::Id;
use super::installation::{Options, Store};

/// The name of a secret that nobody has; every store's grammar allows it.
const NOBODYS: &str = "flyte-secrets-doctor-not-there";

/// What a store said.
pub(super) struct Answer {
    pub(super) name: String,
    pub(super) answer: Result<Result<(), FetchError>, String>,
    pub(super) took: Duration,
}

/// One call to each store, for `limit` at most. A value, should there be one, is dropped unseen.
pub(super) async fn ask(stores: Vec<Store<'_>>, organization: &str, limit: Duration) -> Vec<Answer> {
    let id = SecretId { org: organization.to_owned(), name: NOBODYS.to_owned(), ..SecretId::default() };
    join_all(stores.into_iter().map(|Store { name, open }| {
        let id = &id;
        async move {
            let start = Instant::now();
            let asked = async { Ok(open.await?.get(id).await.map(drop)) };
            let late = || FetchError::new(FailureClass::Late, format!("after {} s", limit.as_secs()));
            let answer = tokio::time::timeout(limit, asked).await.unwrap_or_else(|_| Ok(Err(late())));
            Answer { name, answer, took: start.elapsed() }
        }
    }))
    .await
}

pub(super) fn judge(answers: &[Answer], options: &Options) -> Vec<Finding> {
    if answers.is_empty() {
        return vec![Finding::info(Id::StoresNone, "no store is asked: the Embedded manager is not configured")];
    }
    answers.iter().map(|answer| judge_one(answer, options)).collect()
}

fn judge_one(Answer { name, answer, took }: &Answer, options: &Options) -> Finding {
    let error = match answer {
        Err(why) => {
            let what = format!("the store {name} cannot be opened: {why}");
            return Finding::new(Id::StoresUnusable, level(options), what)
                .remedy(remedy(options, "correct webhook.embeddedSecretManagerConfig: flyte-secrets config check"));
        }
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error),
    };
    let finding = |id, advice: &str| {
        let what = format!("the store {name}: {}", error.map(ToString::to_string).unwrap_or_default());
        Finding::new(id, level(options), what).remedy(remedy(options, advice))
    };
    match error.map(FetchError::class) {
        None | Some(FailureClass::NotFound | FailureClass::Empty) => {
            let what = format!("the store {name} answers, in {} ms", took.as_millis());
            Finding::ok(Id::StoresAnswer, what)
        }
        Some(FailureClass::Denied) => finding(Id::StoresDenied, "let the identity of the webhook read secrets there"),
        Some(FailureClass::Throttled | FailureClass::Unavailable | FailureClass::Malformed | FailureClass::Late) => {
            finding(Id::StoresUnavailable, "look at the store, its address in the configuration, and the way to it")
        }
    }
}

/// Another identity and another network than the webhook's prove nothing about it.
fn level(options: &Options) -> Level {
    if options.inside { Level::Error } else { Level::Warning }
}

fn remedy(options: &Options, advice: &str) -> String {
    match options.inside {
        true => advice.to_owned(),
        false => format!(
            "it was asked from here and as you: run doctor in the webhook's pod (kubectl exec) to ask as the webhook; \
             then: {advice}"
        ),
    }
}

#[cfg(test)]
#[path = "stores_tests.rs"]
#[allow(clippy::unwrap_used)]
mod tests;
