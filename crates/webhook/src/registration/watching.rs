//! Hearing of changes as they happen.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::Api;
use kube::api::{WatchEvent, WatchParams};
use tokio::sync::Notify;

use super::apply::object;
use crate::kubernetes::{Verb, jittered};

/// The wait before a watch begins again; it doubles with each one that brought nothing.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Wakes whoever waits on `changed` when the configuration changes. Ends where RBAC does not let us watch it.
pub(super) async fn watch(client: kube::Client, name: String, changed: Arc<Notify>) {
    let configurations = Api::<MutatingWebhookConfiguration>::all(client);
    let params = WatchParams::default().fields(&format!("metadata.name={name}"));
    let mut pause = FIRST_PAUSE;
    loop {
        // From what stands, so that nothing is lost between two watches.
        match configurations.watch_metadata(&params, "0").await {
            Ok(events) => {
                let mut events = pin!(events);
                while let Some(Ok(event)) = events.next().await {
                    if matches!(event, WatchEvent::Error(_)) {
                        break;
                    }
                    pause = FIRST_PAUSE;
                    changed.notify_one();
                }
            }
            Err(kube::Error::Api(status)) if status.is_forbidden() => {
                let rule = object(&name).rule(Verb::Watch);
                tracing::info!(
                    configuration = %name,
                    "the registration may not be watched: changes by others are seen every webhook.registration.refresh. \
                     For more, add to a ClusterRole of our service account: {rule}"
                );
                return;
            }
            Err(error) => tracing::debug!(configuration = %name, %error, "cannot watch the registration"),
        }
        tokio::time::sleep(jittered(pause)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
