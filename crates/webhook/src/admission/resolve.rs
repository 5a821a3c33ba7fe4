//! One request: the managers in their order until one serves it.

use std::time::{Duration, Instant, SystemTime};

use flyte_secrets_core::SecretManagerType;
use flyte_secrets_core::access::Breach;
use flyte_secrets_core::annotations::Request;
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::injection::Injection;
use flyte_secrets_core::injectors::{Context, Decline, Found, GlobalLookUp, LookUp, inject, look_up};
use flyte_secrets_core::mirror::{MirrorSource, SecretReference};
use flyte_secrets_core::settings::{AccessMode, CheckExists, OnManagerFailure};
use flyte_secrets_core::value::SecretValue;

use super::delivery::{Read, way};
use super::existence::Existence;
use super::sources::{Failure, Sources};
use super::wording::plain;
use super::{Handled, Whence};
use crate::image_pull::PullSecret;

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

/// What is the same for all requests of a pod.
#[derive(Clone, Copy)]
pub(super) struct Circumstances<'a> {
    pub(super) context: Context<'a>,
    pub(super) sources: &'a Sources,
    /// What the access policy has against the pod.
    pub(super) breach: Option<&'a Breach>,
    pub(super) deadline: Instant,
}

/// Asks the managers in their order.
pub(super) async fn resolve(circumstances: Circumstances<'_>, request: Request) -> Handled {
    let mut handled = Handled::new(request);
    ask_from(0, circumstances, &mut handled).await;
    handled
}

/// Takes a request away from the manager that serves it and asks those behind it.
pub(super) async fn pass_on(circumstances: Circumstances<'_>, handled: &mut Handled, reason: &str) {
    (handled.served, handled.whence, handled.way, handled.pull_secret) = (None, None, None, None);
    handled.doubt = None;
    if let Some(last) = handled.attempts.last_mut() {
        last.outcome = Outcome::Declines(reason.to_owned());
    }
    ask_from(handled.attempts.len(), circumstances, handled).await;
}

async fn ask_from(first: usize, circumstances: Circumstances<'_>, handled: &mut Handled) {
    let settings = circumstances.context.settings;
    for &manager in settings.managers.iter().skip(first) {
        let outcome = match ask(manager, circumstances, handled).await {
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
            Outcome::Fails(_) => settings.on_manager_failure == OnManagerFailure::Refuse,
        };
        handled.attempts.push(Attempt { manager, outcome });
        if stop {
            return;
        }
    }
}

async fn ask(
    manager: SecretManagerType,
    circumstances: Circumstances<'_>,
    handled: &mut Handled,
) -> Result<Injection, Failure> {
    let Circumstances { context, .. } = circumstances;
    let wanted = look_up(manager, &context, &handled.request.secret).map_err(declined)?;
    let looked_up = match &wanted {
        LookUp::Nothing => None,
        LookUp::Global(place) => Some(global(circumstances, handled, place)?),
        LookUp::Store(id) => Some(store(circumstances, handled, id).await?),
        LookUp::Existence(reference) => return referred(manager, circumstances, handled, reference).await,
    };
    let secret = &handled.request.secret;
    let Some(LookedUp { value, source, fetched, place, whence, pull_secret }) = looked_up else {
        return inject(manager, &context, secret, None).map_err(declined);
    };
    let read = Read { source, value: &value, fetched, place };
    let way = way(context.settings, context.namespace, secret, read)
        .map_err(|reason| Failure::Declined(reason.to_owned()))?;
    let name = pull_secret.as_ref().map(|secret| secret.name().to_owned());
    let found = Found { value, pull_secret: name, reference: way.reference() };
    let injection = inject(manager, &context, secret, Some(&found)).map_err(declined)?;
    (handled.whence, handled.way, handled.pull_secret) = (Some(whence), Some(way), pull_secret);
    Ok(injection)
}

/// A reference to what the kubelet brings, after a look at whether it is there. Without a cluster nobody looks.
async fn referred(
    manager: SecretManagerType,
    circumstances: Circumstances<'_>,
    handled: &mut Handled,
    reference: &SecretReference,
) -> Result<Injection, Failure> {
    let Circumstances { context, sources, deadline, .. } = circumstances;
    let injection = inject(manager, &context, &handled.request.secret, None).map_err(declined)?;
    let Some(existing) = &sources.existing else { return Ok(injection) };
    let SecretReference { name, key } = reference;
    let namespace = context.namespace;
    let failure = match existing.look(namespace, reference, deadline.into()).await {
        Ok(Existence::There) => return Ok(injection),
        Ok(Existence::NoSecret) => Failure::Declined(format!(
            "found no Secret {name:?} in the namespace {namespace:?}; create it there with the key {key:?}, or correct \
             the request's group"
        )),
        Ok(Existence::NoKey) => Failure::Declined(format!(
            "found no key {key:?} in the Secret {name:?} of the namespace {namespace:?}; add it there, or correct the \
             request's key"
        )),
        Err(why) => Failure::Retryable(format!(
            "could not look if the Secret {name:?} of the namespace {namespace:?} has the key {key:?}: {why}"
        )),
    };
    if context.settings.check_exists == CheckExists::Refuse {
        return Err(failure);
    }
    let (Failure::Declined(doubt) | Failure::Retryable(doubt)) = failure;
    let doubt = plain(&doubt, MAX_REASON);
    let annotation = plain(&handled.request.annotation, MAX_REASON);
    tracing::warn!(namespace, annotation, "a pod is admitted although K8s {doubt}");
    handled.doubt = Some(doubt);
    Ok(injection)
}

/// A value and everything that is known of it.
struct LookedUp {
    value: SecretValue,
    source: MirrorSource,
    fetched: SystemTime,
    place: Option<flyte_secrets_stores::SecretPlace>,
    whence: Whence,
    pull_secret: Option<PullSecret>,
}

/// The webhook's own variable or file, if the pod may have it.
fn global(circumstances: Circumstances<'_>, handled: &mut Handled, place: &GlobalLookUp) -> Result<LookedUp, Failure> {
    let held = circumstances.sources.global(place);
    if let Some(breach) = circumstances.breach {
        // Every pod's every request comes here first: worth counting is who asks for what is there. The answer does not
        // tell the two apart.
        handled.breached |= held.is_ok();
        enforce(circumstances, breach)?;
    }
    let value = held?;
    let flyte_secrets_core::Secret { group, key, .. } = &handled.request.secret;
    Ok(LookedUp {
        value,
        source: MirrorSource::Global { group: group.clone(), key: key.clone() },
        fetched: this_minute(),
        place: None,
        whence: Whence { store: "the webhook's own environment and files".to_owned(), id: None, stale: false },
        pull_secret: None,
    })
}

/// When a value of the webhook itself was read, to the minute: admissions that are told the same share their work.
fn this_minute() -> SystemTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since - since % 60)
}

/// A store's value, from the narrowest scope that has one, if the pod may have it.
async fn store(circumstances: Circumstances<'_>, handled: &mut Handled, id: &SecretId) -> Result<LookedUp, Failure> {
    if let Some(breach) = circumstances.breach {
        handled.breached = true;
        enforce(circumstances, breach)?;
    }
    let Circumstances { sources, deadline, .. } = circumstances;
    let found = sources.store(id, deadline).await?;
    let pull_secret = sources.pull_secret(&found.id, deadline).await?;
    Ok(LookedUp {
        value: found.value,
        source: MirrorSource::Embedded { id: found.id.to_string() },
        fetched: found.fetched,
        place: found.place,
        whence: Whence { store: found.store, id: Some(found.id), stale: found.stale },
        pull_secret,
    })
}

fn enforce(circumstances: Circumstances<'_>, breach: &Breach) -> Result<(), Failure> {
    match circumstances.context.settings.access.mode {
        AccessMode::Enforce => Err(Failure::Declined(breach.to_string())),
        AccessMode::Audit | AccessMode::Off => Ok(()),
    }
}

fn declined(Decline(reason): Decline) -> Failure {
    Failure::Declined(reason)
}
