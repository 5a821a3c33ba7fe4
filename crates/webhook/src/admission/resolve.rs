//! One request: the managers in their order until one serves it.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use flyte_secrets_core::SecretManagerType;
use flyte_secrets_core::annotations::Request;
use flyte_secrets_core::injection::Injection;
use flyte_secrets_core::injectors::{Context, Decline, Found, LookUp, inject, look_up};
use flyte_secrets_core::settings::OnManagerFailure;
use futures::FutureExt;

use super::Handled;
use super::sources::{Failure, Sources};
use super::wording::plain;

/// The longest reason, in bytes.
const MAX_REASON: usize = 1024;

/// What one manager said about one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The manager.
    pub manager: SecretManagerType,
    /// Its word.
    pub outcome: Outcome,
}

/// A manager's word on a request. Sentences hold names, never a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It serves it.
    Serves,
    /// It does not, and the next one is asked.
    Declines(String),
    /// It could not tell; a retry may help.
    Fails(String),
}

/// Asks the managers in their order.
pub(super) async fn resolve(context: Context<'_>, sources: &Sources, deadline: Instant, request: Request) -> Handled {
    let mut handled = Handled { request, attempts: Vec::new(), served: None };
    ask_from(0, context, sources, deadline, &mut handled).await;
    handled
}

/// Takes a request away from the manager that serves it and asks those behind it.
pub(super) async fn pass_on(
    context: Context<'_>,
    sources: &Sources,
    deadline: Instant,
    handled: &mut Handled,
    reason: &str,
) {
    handled.served = None;
    if let Some(last) = handled.attempts.last_mut() {
        last.outcome = Outcome::Declines(reason.to_owned());
    }
    ask_from(handled.attempts.len(), context, sources, deadline, handled).await;
}

async fn ask_from(first: usize, context: Context<'_>, sources: &Sources, deadline: Instant, handled: &mut Handled) {
    for &manager in context.settings.managers.iter().skip(first) {
        let outcome = match ask(manager, context, sources, deadline, &handled.request).await {
            Ok(injection) => {
                handled.served = Some((manager, injection));
                Outcome::Serves
            }
            // Names from the pod and answers of stores stand in the reasons.
            Err(Failure::Declined(reason)) => Outcome::Declines(plain(&reason, MAX_REASON)),
            Err(Failure::Retryable(reason)) => Outcome::Fails(plain(&reason, MAX_REASON)),
        };
        let stop = match outcome {
            Outcome::Serves => true,
            Outcome::Declines(_) => false,
            Outcome::Fails(_) => context.settings.on_manager_failure == OnManagerFailure::Refuse,
        };
        handled.attempts.push(Attempt { manager, outcome });
        if stop {
            return;
        }
    }
}

async fn ask(
    manager: SecretManagerType,
    context: Context<'_>,
    sources: &Sources,
    deadline: Instant,
    request: &Request,
) -> Result<Injection, Failure> {
    let secret = &request.secret;
    let found: Option<Found> = match look_up(manager, &context, secret).map_err(declined)? {
        LookUp::Nothing => None,
        LookUp::Global(place) => Some(sources.global(&place)?),
        LookUp::Store(id) => {
            // What a broken store leaves behind is its own; what its panic says is not repeated, as it may be a value.
            let answer = AssertUnwindSafe(sources.store(&id, deadline)).catch_unwind();
            match tokio::time::timeout_at(deadline.into(), answer).await {
                Ok(Ok(answer)) => Some(answer?),
                Ok(Err(_)) => {
                    return retryable("its store ended in a mistake of our program, which is in the webhook's log");
                }
                Err(_) => return retryable("did not answer before the API server's time-out"),
            }
        }
    };
    inject(manager, &context, secret, found.as_ref()).map_err(declined)
}

fn retryable<T>(reason: &str) -> Result<T, Failure> {
    Err(Failure::Retryable(reason.to_owned()))
}

fn declined(Decline(reason): Decline) -> Failure {
    Failure::Declined(reason)
}
