//! A store that follows a script, and pods and reviews as an API server sends them.
#![allow(dead_code, clippy::unwrap_used, missing_docs, unreachable_pub)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use flyte_secrets_core::annotations::{PREFIX, base32_name};
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::outline::PodOutline;
use flyte_secrets_core::value::SecretValue;
use flyte_secrets_core::{MountRequirement, Profile, Secret, SecretManagerType, Settings, text_format};
use flyte_secrets_stores::{FailureClass, FetchError, LookUpSettings, LookUps, NoObserver, Scopes, SecretFetcher};
use flyte_secrets_webhook::admission::{Admission, Creation, Decision, Refusal, Sources, admit};
use flyte_secrets_webhook::review::review;
use flyte_secrets_webhook::server::Reviewed;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::Barrier;

/// The pod's labels, and so the place of its secrets.
pub const PLACE: (&str, &str, &str) = ("flyte", "flytesnacks", "development");

/// What the fake store does when it is asked for a name in the pod's own scope.
#[derive(Clone)]
pub enum Reply {
    Text(String),
    Binary(Vec<u8>),
    Fails(FailureClass, &'static str),
    Hangs,
    Panics(String),
    /// Answers as soon as so many are asked at once.
    Together(Arc<Barrier>),
}

/// A fake: names that are not in its script are "not found".
#[derive(Default)]
pub struct FakeStore {
    script: HashMap<String, Reply>,
    pub asked: Mutex<Vec<SecretId>>,
    now: AtomicUsize,
    pub most_at_once: AtomicUsize,
}

impl FakeStore {
    pub fn new<'a>(script: impl IntoIterator<Item = (&'a str, Reply)>) -> Arc<Self> {
        let script = script.into_iter().map(|(name, reply)| (name.to_owned(), reply)).collect();
        Arc::new(Self { script, ..Self::default() })
    }

    pub fn times_asked(&self, name: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|id| id.name == name).count()
    }

    async fn answer(&self, id: &SecretId) -> Result<SecretValue, FetchError> {
        let scope = (id.org.as_str(), id.project.as_str(), id.domain.as_str());
        match self.script.get(&id.name).filter(|_| scope == PLACE) {
            None => Err(FetchError::new(FailureClass::NotFound, "there is no such secret in the fake store")),
            Some(Reply::Text(text)) => Ok(SecretValue::text(text.clone())),
            Some(Reply::Binary(bytes)) => Ok(SecretValue::binary(bytes.clone())),
            Some(Reply::Fails(class, detail)) => Err(FetchError::new(*class, detail)),
            Some(Reply::Hangs) => std::future::pending().await,
            Some(Reply::Panics(message)) => panic!("{message}"),
            Some(Reply::Together(barrier)) => {
                barrier.wait().await;
                Ok(SecretValue::text("together".to_owned()))
            }
        }
    }
}

struct Asked<'a>(&'a AtomicUsize);

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl SecretFetcher for FakeStore {
    fn name(&self) -> &'static str {
        "fake store"
    }

    fn get<'a>(&'a self, id: &'a SecretId) -> BoxFuture<'a, Result<SecretValue, FetchError>> {
        Box::pin(async move {
            self.asked.lock().unwrap().push(id.clone());
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_at_once.fetch_max(now, Ordering::SeqCst);
            // Those that are given up count no more either.
            let _asked = Asked(&self.now);
            self.answer(id).await
        })
    }
}

pub fn text(value: &str) -> Reply {
    Reply::Text(value.to_owned())
}

/// Look-ups in one store, without a cache and without a question more than needed.
pub fn look_ups(store: &Arc<FakeStore>) -> LookUps {
    let store = Arc::clone(store) as Arc<dyn SecretFetcher>;
    let settings = LookUpSettings { scopes: Scopes::Sequential, ..LookUpSettings::uncached() };
    LookUps::new(vec![store], settings, Arc::new(NoObserver))
}

pub fn sources(store: &Arc<FakeStore>) -> Sources {
    Sources { look_ups: look_ups(store), ..Sources::default() }
}

pub fn settings(profile: Profile, managers: &[SecretManagerType]) -> Settings {
    let mut settings = Settings::defaults(profile);
    managers.clone_into(&mut settings.managers);
    settings.global.secrets_prefix = "/nowhere/secrets".into();
    settings
}

pub fn key(key: &str) -> Secret {
    Secret { key: key.to_owned(), ..Secret::default() }
}

pub fn group_and_key(group: &str, key: &str) -> Secret {
    Secret { group: group.to_owned(), key: key.to_owned(), ..Secret::default() }
}

pub fn file(key: &str) -> Secret {
    Secret { key: key.to_owned(), mount_requirement: MountRequirement::FILE, ..Secret::default() }
}

pub fn pod(secrets: &[Secret]) -> Value {
    let encoded = |secret| base32_name(&text_format::write(secret));
    let annotations = secrets.iter().enumerate().map(|(number, secret)| (format!("{PREFIX}{number}"), encoded(secret)));
    let annotations: HashMap<String, String> = annotations.collect();
    let (organization, project, domain) = PLACE;
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "task-0",
            "namespace": "development",
            "labels": {
                "inject-flyte-secrets": "true",
                "organization": organization, "project": project, "domain": domain,
            },
            "annotations": annotations,
        },
        "spec": {"containers": [{"name": "main", "image": "task:1", "env": [{"name": "MINE", "value": "1"}]}]},
    })
}

/// Decides about a pod; there are ten seconds for it.
pub async fn decide(settings: &Settings, sources: &Sources, pod: &Value) -> Admission {
    decide_within(Duration::from_secs(10), settings, sources, pod).await
}

pub async fn decide_within(time: Duration, settings: &Settings, sources: &Sources, pod: &Value) -> Admission {
    let json = serde_json::to_vec(pod).unwrap();
    let outline = PodOutline::parse(&json).unwrap();
    let creation = Creation { namespace: "development", creator: "somebody" };
    admit(settings, sources, &outline, creation, Instant::now() + time).await
}

pub fn refusal(admission: &Admission) -> &Refusal {
    match &admission.decision {
        Decision::Refused(refusal) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

/// The pod with its patch.
pub fn patched(admission: &Admission, pod: &Value) -> Value {
    match &admission.decision {
        Decision::Patched(patch) => apply(&patch.0, pod),
        other => panic!("not patched: {other:?}"),
    }
}

pub fn apply(patch: &[u8], pod: &Value) -> Value {
    let mut pod = pod.clone();
    let patch: json_patch::Patch = serde_json::from_slice(patch).unwrap();
    json_patch::patch(&mut pod, &patch).unwrap();
    pod
}

/// The value of a variable of the pod's first container.
pub fn variable<'p>(pod: &'p Value, name: &str) -> Option<&'p str> {
    let variables = pod["spec"]["containers"][0]["env"].as_array()?;
    variables.iter().find(|variable| variable["name"] == name)?["value"].as_str()
}

pub fn review_of(pod: &Value) -> Value {
    json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
            "requestResource": {"group": "", "version": "v1", "resource": "pods"},
            "name": "task-0",
            "namespace": "development",
            "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:flyte:flyteworkflow"},
            "object": pod,
            "oldObject": null,
            "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    })
}

pub async fn reviewed(settings: &Settings, sources: &Sources, body: &[u8]) -> Reviewed {
    review(settings, sources, None, body, Instant::now() + Duration::from_secs(10)).await
}

/// The `response` to a review, whose answer has to be one of its kind and for its uid.
pub async fn response(settings: &Settings, sources: &Sources, review: &Value) -> Value {
    let reviewed = reviewed(settings, sources, &serde_json::to_vec(review).unwrap()).await;
    assert_eq!(reviewed.status, 200, "{}", String::from_utf8_lossy(&reviewed.body));
    let mut answer: Value = serde_json::from_slice(&reviewed.body).unwrap();
    assert_eq!(answer["kind"], "AdmissionReview");
    assert_eq!(answer["apiVersion"], review["apiVersion"]);
    assert_eq!(answer["response"]["uid"], review["request"]["uid"]);
    answer["response"].take()
}

/// The JSON patch of a response.
pub fn patch_of(response: &Value) -> Vec<u8> {
    assert_eq!(response["patchType"], "JSONPatch", "{response}");
    BASE64.decode(response["patch"].as_str().unwrap().as_bytes()).unwrap()
}
