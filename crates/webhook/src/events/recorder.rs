//! Writes Events, one after another, as long as limits and rights allow.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::mpsc::Receiver;
use tokio::time::Instant;

use super::ledger::{Key, Ledger, Verdict};
use super::owners::Kind;
use super::{About, Occasion, OwnPod};
use crate::kubernetes::{ApiError, ApiErrorKind, Object, Verb};
use crate::metrics::{EventFate, Metrics};
use crate::server::cut;

/// `reportingController` of our Events.
const CONTROLLER: &str = "flyte.org/flyte-secrets";
/// What was attempted.
const ACTION: &str = "InjectSecrets";
/// The longest `reportingInstance`, in bytes.
const MAX_INSTANCE: usize = 128;

/// The one who writes.
pub(super) struct Recorder {
    client: Client,
    instance: String,
    own_pod: Option<OwnPod>,
    /// Our own pod, once it was looked for.
    ourselves: Option<ObjectReference>,
    metrics: Metrics,
    ledger: Ledger,
    /// Rights that are missing and were told of.
    told: HashSet<String>,
}

impl Recorder {
    pub(super) fn new(client: Client, instance: &str, own_pod: Option<OwnPod>, metrics: Metrics) -> Self {
        let instance = cut(instance, MAX_INSTANCE).to_owned();
        let (ledger, told) = (Ledger::new(Instant::now()), HashSet::new());
        Self { client, instance, own_pod, ourselves: None, metrics, ledger, told }
    }

    /// Writes what comes, until nothing can come any more.
    pub(super) async fn run(mut self, mut occasions: Receiver<Occasion>) {
        while let Some(occasion) = occasions.recv().await {
            let fate = self.record(occasion).await;
            self.metrics.event(fate);
        }
    }

    async fn record(&mut self, Occasion { about, reason, note }: Occasion) -> EventFate {
        let (namespace, object) = match (&about, &self.own_pod) {
            (About::Controller { namespace, owner }, _) => (namespace.clone(), owner.uid.clone()),
            // No uid is empty.
            (About::Ourselves, Some(pod)) => (pod.namespace.clone(), String::new()),
            (About::Ourselves, None) => return EventFate::NoController,
        };
        let key = self.ledger.key(&format!("{namespace}/{object}"), reason, &note);
        match self.ledger.ask(&namespace, key, Instant::now()) {
            Verdict::Limited => return EventFate::RateLimited,
            Verdict::Again { name, count } => match self.count(&namespace, &name, count).await {
                Ok(()) => return EventFate::Repeated,
                // Events are removed after an hour.
                Err(error) if error.kind == ApiErrorKind::NotFound => self.ledger.gone(key),
                Err(error) => return self.failed(&error),
            },
            Verdict::New => {}
        }
        let regarding = match self.regarding(&about).await {
            Ok(Some(regarding)) => regarding,
            Ok(None) => return EventFate::Unverified,
            Err(error) => {
                self.tell(&error);
                return EventFate::Unverified;
            }
        };
        match self.create(key, &namespace, regarding, reason, note).await {
            Ok(()) => EventFate::Created,
            Err(error) => self.failed(&error),
        }
    }

    /// What the Event stands at; `None` where that is not what it was said to be.
    async fn regarding(&mut self, about: &About) -> Result<Option<ObjectReference>, ApiError> {
        let (namespace, owner) = match about {
            About::Controller { namespace, owner } => (namespace, owner),
            About::Ourselves => return Ok(self.ourselves().await),
        };
        let Some(kind) = Kind::of(owner) else { return Ok(None) };
        if !kind.has(&self.client, namespace, owner).await? {
            return Ok(None);
        }
        Ok(Some(ObjectReference {
            api_version: Some(kind.api_version()),
            kind: Some(owner.kind.clone()),
            namespace: Some(namespace.clone()),
            name: Some(owner.name.clone()),
            uid: Some(owner.uid.clone()),
            ..ObjectReference::default()
        }))
    }

    /// Our own pod, with its uid where we may read that.
    async fn ourselves(&mut self) -> Option<ObjectReference> {
        if let Some(known) = &self.ourselves {
            return Some(known.clone());
        }
        let OwnPod { namespace, name } = self.own_pod.clone()?;
        let pods = Api::<Pod>::namespaced(self.client.clone(), &namespace);
        let object = Object { group: "", resource: "pods", namespace: Some(namespace.clone()), name: name.clone() };
        let uid = match object.call(Verb::Get, pods.get_metadata_opt(&name)).await {
            Ok(pod) => pod.and_then(|pod| pod.metadata.uid),
            Err(error) => {
                self.tell(&error);
                None
            }
        };
        let ourselves = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            namespace: Some(namespace),
            name: Some(name),
            uid,
            ..ObjectReference::default()
        };
        self.ourselves = Some(ourselves.clone());
        Some(ourselves)
    }

    async fn create(
        &mut self,
        key: Key,
        namespace: &str,
        regarding: ObjectReference,
        reason: &str,
        note: String,
    ) -> Result<(), ApiError> {
        let name = format!("flyte-secrets-{:016x}", RandomState::new().hash_one(()));
        let text = |text: &str| Some(text.to_owned());
        let event = Event {
            metadata: ObjectMeta { name: text(&name), namespace: text(namespace), ..ObjectMeta::default() },
            event_time: Some(MicroTime(Timestamp::now())),
            reporting_controller: text(CONTROLLER),
            reporting_instance: text(&self.instance),
            action: text(ACTION),
            reason: text(reason),
            regarding: Some(regarding),
            note: Some(note),
            type_: text("Warning"),
            ..Event::default()
        };
        let events = Api::<Event>::namespaced(self.client.clone(), namespace);
        object(namespace).call(Verb::Create, events.create(&PostParams::default(), &event)).await?;
        self.ledger.written(key, name, Instant::now());
        Ok(())
    }

    /// Raises the count of an Event.
    async fn count(&self, namespace: &str, name: &str, count: i32) -> Result<(), ApiError> {
        let series = json!({"series": {"count": count, "lastObservedTime": MicroTime(Timestamp::now())}});
        let events = Api::<Event>::namespaced(self.client.clone(), namespace);
        let (params, patch) = (PatchParams::default(), Patch::Merge(series));
        object(namespace).call(Verb::Patch, events.patch(name, &params, &patch)).await.map(drop)
    }

    fn failed(&mut self, error: &ApiError) -> EventFate {
        self.tell(error);
        if error.kind == ApiErrorKind::Forbidden { EventFate::Forbidden } else { EventFate::Failed }
    }

    /// Says once what right is missing; other failures are everyday life.
    fn tell(&mut self, error: &ApiError) {
        if error.kind != ApiErrorKind::Forbidden {
            tracing::debug!(%error, "an Event was not written");
        } else if self.told.insert(format!("{} {}", error.verb, error.object.resource)) {
            tracing::warn!(
                %error,
                "Events cannot be written, which changes nothing else; give the right, or set webhook.events.enabled: false"
            );
        }
    }
}

/// Events of a namespace.
fn object(namespace: &str) -> Object {
    Object { group: "events.k8s.io", resource: "events", namespace: Some(namespace.to_owned()), name: String::new() }
}
