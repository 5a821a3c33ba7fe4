//! Hears of changed Secrets, so that what is cached of them can be forgotten at once.
//!
//! Only metadata is asked for, and of that only names and versions are read: `kubectl apply` leaves a whole Secret in an
//! annotation. That is also why this is no general watcher, which reads the annotations and repeats in its log what it
//! cannot read.

use std::pin::pin;
use std::time::Duration;

use futures::TryStreamExt;
use http_body_util::{BodyExt, Limited};
use k8s_openapi::api::core::v1::Secret;
use kube::client::Body;
use kube::core::params::{ListParams, WatchParams};
use kube::core::{Request, WatchEvent};
use kube::{Client, Resource};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{MAX_ANSWER, unreachable_server};

/// How long the API server may take to begin an answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// After this the API server ends a watch by itself, in seconds, and we ask again. Must be less than 5 minutes, for what is
/// on the way between us and cuts silent connections.
const WATCH_SECONDS: u32 = 290;
/// A watch that ends sooner has failed, even if it ended in order.
const SHORTEST_WATCH: Duration = Duration::from_secs(1);
/// The wait before a broken watch is begun anew; it doubles with every failure in a row, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Calls `on_change` with the name of every Secret of the namespace that is created, changed or deleted, and
/// `on_reset` whenever changes may have been missed: once the watch stands, and when it breaks. After that whatever
/// is read is either current or announced.
///
/// `client` must not give up a silent connection within 5 minutes. A watch that breaks is begun anew, after 1 s and later
/// up to a minute. Ends, after saying so once in the log, if the verbs `list` and `watch` are not granted.
pub async fn watch(client: Client, namespace: String, on_change: impl Fn(&str) + Send, on_reset: impl Fn() + Send) {
    let mut watch = Watch { client, namespace: &namespace, on_change, on_reset, failures: 0 };
    loop {
        match watch.follow().await {
            Broken::Forbidden(says) => {
                tracing::info!(
                    %namespace,
                    "changes of Secrets are not watched, so they are noticed only by an invalidation or when the cache's \
                     time is up; to be told at once, add the verbs list and watch to a Role there: {{apiGroups: [\"\"], \
                     resources: [secrets], verbs: [get, list, watch]}}; the API server says: {says}"
                );
                return;
            }
            Broken::Failed(reason) => {
                tracing::warn!(%namespace, %reason, "the watch of Secrets broke and is begun anew");
            }
        }
        (watch.on_reset)();
        sleep(pause(watch.failures, fastrand::f64())).await;
        watch.failures += 1;
    }
}

struct Watch<'a, C, R> {
    client: Client,
    namespace: &'a str,
    on_change: C,
    on_reset: R,
    /// In a row.
    failures: u32,
}

/// Why a watch cannot go on.
#[derive(Debug)]
enum Broken {
    Forbidden(String),
    Failed(String),
}

impl<C: Fn(&str), R: Fn()> Watch<'_, C, R> {
    /// Follows the changes until that breaks.
    async fn follow(&mut self) -> Broken {
        let mut version = match timeout(PATIENCE, self.version()).await {
            Ok(Ok(version)) => version,
            Ok(Err(broken)) => return broken,
            Err(_) => return Broken::Failed("the API server did not answer in time".to_owned()),
        };
        // Whatever is read from now on is at least as new as this version.
        (self.on_reset)();
        loop {
            let began = Instant::now();
            if let Err(broken) = self.events(&mut version).await {
                return broken;
            }
            if began.elapsed() < SHORTEST_WATCH {
                return Broken::Failed("the API server ends watches at once".to_owned());
            }
            self.failures = 0;
        }
    }

    /// The present version of the namespace's Secrets.
    async fn version(&self) -> Result<String, Broken> {
        // The version of a list is that of all Secrets, however few are on the page.
        let request = self.request().list_metadata(&ListParams::default().limit(1)).map_err(unformed)?;
        // Not `Client::request`: on an answer that it cannot read, that logs the whole answer.
        let answer = self.client.send(request.map(Body::from)).await.map_err(|error| broken(&error))?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|_| Broken::Failed("the API server's answer ended early or is too long".to_owned()))?;
        let body = body.to_bytes();
        match status {
            200 => Ok(read::<List>(&body)?.metadata.resource_version),
            403 => Err(Broken::Forbidden(read::<kube::core::Status>(&body).unwrap_or_default().message)),
            _ => Err(Broken::Failed(format!("the API server answered {status} to a list"))),
        }
    }

    /// Passes on one watch, until it ends in order. `version` is that of the last event.
    async fn events(&mut self, version: &mut String) -> Result<(), Broken> {
        let params = WatchParams::default().timeout(WATCH_SECONDS);
        let request = self.request().watch_metadata(&params, version).map_err(unformed)?;
        let late = |_| Broken::Failed("the API server did not answer in time".to_owned());
        let events = timeout(PATIENCE, self.client.request_events::<Named>(request)).await.map_err(late)?;
        let mut events = pin!(events.map_err(|error| broken(&error))?);
        let end = Instant::now() + Duration::from_secs(WATCH_SECONDS.into()) + PATIENCE;
        let silent = |_| Broken::Failed("the connection fell silent".to_owned());
        while let Some(event) =
            timeout_at(end, events.try_next()).await.map_err(silent)?.map_err(|error| broken(&error))?
        {
            match event {
                WatchEvent::Added(Named { metadata })
                | WatchEvent::Modified(Named { metadata })
                | WatchEvent::Deleted(Named { metadata }) => {
                    (self.on_change)(&metadata.name);
                    *version = metadata.resource_version;
                }
                WatchEvent::Bookmark(bookmark) => *version = bookmark.metadata.resource_version,
                WatchEvent::Error(status) => return Err(broken(&kube::Error::Api(status))),
            }
            self.failures = 0;
        }
        Ok(())
    }

    fn request(&self) -> Request {
        Request::new(Secret::url_path(&(), Some(self.namespace)))
    }
}

/// What is read of a Secret's metadata; all else is skipped unread.
#[derive(Clone, Deserialize)]
struct Named {
    metadata: Name,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Name {
    name: String,
    resource_version: String,
}

/// What is read of a list.
#[derive(Deserialize)]
struct List {
    metadata: ListVersion,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListVersion {
    resource_version: String,
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Broken> {
    // The parser's own message may quote the answer.
    serde_json::from_slice(body).map_err(|_| Broken::Failed("the API server's answer cannot be read".to_owned()))
}

fn unformed(error: kube::core::request::Error) -> Broken {
    Broken::Failed(format!("cannot form the request: {error}"))
}

fn broken(error: &kube::Error) -> Broken {
    match error {
        kube::Error::Api(status) if status.code == 403 => Broken::Forbidden(status.message.clone()),
        kube::Error::Api(status) if status.code != 0 => {
            Broken::Failed(format!("the API server answered {}: {}", status.code, status.message))
        }
        // As above. Any object can be read as a status, if only as an empty one.
        kube::Error::Api(_) | kube::Error::SerdeError(_) => {
            Broken::Failed("the API server sent an event that cannot be read".to_owned())
        }
        error => Broken::Failed(unreachable_server(error).detail().to_owned()),
    }
}

/// The wait after so many failures before this one: between a half and the whole of a step that doubles. `random` is in `0..1`.
fn pause(failures: u32, random: f64) -> Duration {
    let step = FIRST_PAUSE.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(LONGEST_PAUSE);
    step.mul_f64(0.5 + random / 2.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
