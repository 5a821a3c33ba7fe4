//! AdmissionReviews: bytes in, bytes out, the pod read in the same pass.
//!
//! Source of the form: `admission.k8s.io/v1` and `v1beta1` of Kubernetes, which differ in nothing that
//! is read or written here but the version.

mod names;
mod problem;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use data_encoding::BASE64;
use flyte_secrets_core::Settings;
use flyte_secrets_core::outline::{Object, PodOutline, Text};
use flyte_secrets_core::settings::AccessMode;
use flyte_secrets_stores::SPANS;
use futures::future::BoxFuture;
use http::StatusCode;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tracing::{Instrument, info_span};

use crate::admission::wording::plain;
use crate::admission::{Admission, Code, Creation, Decision, Refusal, Sources, Writers, admit};
use crate::server::{AccessBreach, Details, Outcome, Reviewed, Reviewer};
use names::{of_pod, served_by};

/// Each warning is kept to a readable length, in bytes.
const MAX_WARNING: usize = 1024;
/// The API server drops what comes after 4 KiB of warnings (`k8s.io/apiserver/pkg/endpoints/filters/warning.go`).
const MAX_WARNINGS: usize = 4096;

/// Bytes that hold the answer around nearly every patch.
const USUAL_ENVELOPE: usize = 1024;

/// The envelope, with what has to be known of the pod (`Pod` = [`PodOutline`]) or without.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AdmissionReview<'a, Pod> {
    #[serde(borrow)]
    api_version: Text<'a>,
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    request: Option<Object<AdmissionRequest<'a, Pod>>>,
}

/// A review of a pod.
type PodReview<'a> = AdmissionReview<'a, Object<PodOutline<'a>>>;
/// A review of anything.
type AnyReview<'a> = AdmissionReview<'a, IgnoredAny>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AdmissionRequest<'a, Pod> {
    #[serde(borrow)]
    uid: Text<'a>,
    #[serde(borrow, default)]
    resource: Resource<'a>,
    #[serde(borrow, default)]
    sub_resource: Option<Text<'a>>,
    #[serde(borrow, default)]
    namespace: Option<Text<'a>>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    operation: Text<'a>,
    #[serde(borrow, default)]
    user_info: Option<UserInfo<'a>>,
    #[serde(default)]
    dry_run: Option<bool>,
    object: Option<Pod>,
}

/// Who creates the pod, as the API server has authenticated it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct UserInfo<'a> {
    #[serde(borrow)]
    username: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resource<'a> {
    #[serde(borrow)]
    group: Text<'a>,
    #[serde(borrow)]
    resource: Text<'a>,
}

impl<Pod> AdmissionRequest<'_, Pod> {
    fn creates_a_pod(&self) -> bool {
        let sub_resource = self.sub_resource.as_deref().unwrap_or_default();
        &*self.operation == "CREATE"
            && self.resource.group.is_empty()
            && &*self.resource.resource == "pods"
            && sub_resource.is_empty()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    api_version: &'a str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
struct Status<'a> {
    code: u16,
    reason: &'static str,
    message: &'a str,
}

/// Reviews pods with the settings of the moment.
pub struct PodReviewer {
    settings: Arc<ArcSwap<Settings>>,
    sources: Sources,
    writers: Option<Writers>,
}

impl PodReviewer {
    /// A reviewer; settings that are swapped count from the next review on. Without writers nothing is written to a
    /// cluster: for `webhook.delivery: PodSpec` without image-pull Secrets.
    #[must_use]
    pub fn new(settings: Arc<ArcSwap<Settings>>, sources: Sources, writers: Option<Writers>) -> Self {
        Self { settings, sources, writers }
    }
}

impl Reviewer for PodReviewer {
    fn review<'a>(&'a self, body: &'a [u8], deadline: Instant) -> BoxFuture<'a, Reviewed> {
        Box::pin(async move {
            review(&self.settings.load_full(), &self.sources, self.writers.as_ref(), body, deadline).await
        })
    }
}

/// Answers one review.
pub async fn review(
    settings: &Settings,
    sources: &Sources,
    writers: Option<&Writers>,
    body: &[u8],
    deadline: Instant,
) -> Reviewed {
    // One look at all bytes is quicker than one at each text.
    let parsed = str::from_utf8(body).ok().and_then(|json| serde_json::from_str(json).ok());
    let Some(Object::<PodReview<'_>>(review)) = parsed else { return unreadable(body) };
    let version = match check_version(&review) {
        Ok(version) => version,
        Err(problem) => return no_review(&problem),
    };
    let Some(Object(request)) = &review.request else { return no_review("it has no request") };
    let (Some(Object(pod)), true) = (&request.object, request.creates_a_pod()) else {
        return reviewed(version, request, Outcome::Unchanged, Response { allowed: true, ..Response::default() });
    };
    let namespace = match request.namespace.as_deref() {
        Some(namespace) if !namespace.is_empty() => namespace,
        _ => &pod.metadata.namespace,
    };
    let creator = request.user_info.as_ref().map_or("", |user| &*user.username);
    let began = Instant::now();
    let look_up = info_span!(target: SPANS, "look_up");
    let creation = Creation { namespace, creator };
    let mut admission = admit(settings, sources, pod, creation, deadline).instrument(look_up).await;
    let mut details = Details { creator: creator.to_owned(), look_up: began.elapsed(), ..of_pod(pod, &admission) };
    if let (Some(writers), false) = (writers, request.dry_run.unwrap_or_default()) {
        let began = Instant::now();
        let write = info_span!(target: SPANS, "write");
        admission = writers.write(admission, namespace, deadline).instrument(write).await;
        details.write = began.elapsed();
    }
    let mut reviewed = answer(version, request, namespace, admission, settings.access.mode == AccessMode::Enforce);
    if reviewed.pod.is_empty() {
        reviewed.pod.clone_from(&details.generate_name);
    }
    details.refusal = reviewed.details.refusal;
    reviewed.details = details;
    reviewed
}

fn answer<Pod>(
    version: &str,
    request: &AdmissionRequest<'_, Pod>,
    namespace: &str,
    admission: Admission,
    enforced: bool,
) -> Reviewed {
    let Admission { decision, handled, warnings, breach, .. } = admission;
    let mut response = Response { allowed: true, ..Response::default() };
    response.warnings = bounded(&warnings);
    let outcome = match &decision {
        Decision::Unchanged => Outcome::Unchanged,
        Decision::Patched(patch) => {
            response.patch_type = Some("JSONPatch");
            response.patch = quoted(&BASE64.encode(&patch.0));
            response.audit_annotations.insert("served-by", served_by(&handled));
            Outcome::Patched
        }
        Decision::Refused(refusal) => {
            response.allowed = false;
            response.status = Some(status(refusal));
            match refusal.code {
                Code::BadRequest => Outcome::Refused400,
                Code::Unavailable => Outcome::Refused503,
            }
        }
        Decision::Unserved(_) => {
            response.audit_annotations.insert("unserved", "true".to_owned());
            Outcome::AdmittedUnserved
        }
    };
    let mut reviewed = reviewed(version, request, outcome, response);
    namespace.clone_into(&mut reviewed.namespace);
    reviewed.warnings = warnings.len();
    let creator = request.user_info.as_ref().map_or("", |user| &*user.username);
    reviewed.breach = breach.map(|breach| AccessBreach { breach, creator: creator.to_owned(), enforced });
    for (manager, _) in handled.iter().filter_map(|one| one.served.as_ref()) {
        if !reviewed.managers.contains(&manager.name()) {
            reviewed.managers.push(manager.name());
        }
    }
    if let Decision::Refused(refusal) | Decision::Unserved(refusal) = decision {
        reviewed.details.refusal = Some(refusal.reason);
        reviewed.reason = Some(refusal.message);
    }
    reviewed
}

/// Text that needs no escape, as JSON: looking for escapes in the patch would take a tenth of the whole answer's time.
fn quoted(base64: &str) -> Option<Box<RawValue>> {
    RawValue::from_string(format!("\"{base64}\"")).ok()
}

fn status(refusal: &Refusal) -> Status<'_> {
    Status { code: refusal.code.number(), reason: refusal.code.reason(), message: &refusal.message }
}

/// Warnings as they can travel in an HTTP header (RFC 9110, section 5.5): one line each, and no more than are shown.
fn bounded(warnings: &[String]) -> Vec<String> {
    let (mut bounded, mut length) = (Vec::new(), 0);
    for (number, warning) in warnings.iter().enumerate() {
        // The lines of a refusal become one.
        let line = plain(&warning.replace('\n', " "), MAX_WARNING);
        let more = format!("and {} more warnings", warnings.len() - number);
        length += line.len();
        if length + more.len() > MAX_WARNINGS {
            bounded.push(more);
            break;
        }
        bounded.push(line);
    }
    bounded
}

/// A review whose object is not what a pod looks like: fine where it is none.
fn unreadable(body: &[u8]) -> Reviewed {
    let Ok(Object(review)) = serde_json::from_slice::<Object<AnyReview<'_>>>(body) else {
        return no_review(&problem::problem::<Object<AnyReview<'_>>>(body));
    };
    let version = match check_version(&review) {
        Ok(version) => version,
        Err(problem) => return no_review(&problem),
    };
    let Some(Object(request)) = &review.request else { return no_review("it has no request") };
    if !request.creates_a_pod() {
        return reviewed(version, request, Outcome::Unchanged, Response { allowed: true, ..Response::default() });
    }
    let refusal = Refusal::malformed(&problem::problem::<Object<PodReview<'_>>>(body));
    let response = Response { allowed: false, status: Some(status(&refusal)), ..Response::default() };
    let mut reviewed = reviewed(version, request, Outcome::Refused400, response);
    reviewed.details.refusal = Some(refusal.reason);
    reviewed.reason = Some(refusal.message);
    reviewed
}

fn check_version<'r, Pod>(review: &'r AdmissionReview<'_, Pod>) -> Result<&'r str, String> {
    match (&*review.kind, &*review.api_version) {
        ("AdmissionReview", version @ ("admission.k8s.io/v1" | "admission.k8s.io/v1beta1")) => Ok(version),
        _ => Err("kind must be AdmissionReview, apiVersion admission.k8s.io/v1 or admission.k8s.io/v1beta1".to_owned()),
    }
}

fn reviewed<'r, Pod>(
    version: &'r str,
    request: &'r AdmissionRequest<'_, Pod>,
    outcome: Outcome,
    mut response: Response<'r>,
) -> Reviewed {
    response.uid = &request.uid;
    let answer = Answer { api_version: version, kind: "AdmissionReview", response };
    let patch = answer.response.patch.as_ref().map_or(0, |patch| patch.get().len());
    let mut body = Vec::with_capacity(patch + USUAL_ENVELOPE);
    // Every key is a string and every value finite: this cannot fail.
    let _ = serde_json::to_writer(&mut body, &answer);
    Reviewed {
        body,
        status: StatusCode::OK,
        outcome,
        managers: Vec::new(),
        namespace: request.namespace.as_deref().unwrap_or_default().to_owned(),
        pod: request.name.as_deref().unwrap_or_default().to_owned(),
        uid: request.uid.to_string(),
        dry_run: request.dry_run.unwrap_or_default(),
        warnings: 0,
        breach: None,
        reason: None,
        details: Details::default(),
    }
}

/// Bytes that are no review: an answer of HTTP, as there is no uid to answer to.
fn no_review(problem: &str) -> Reviewed {
    Reviewed {
        body: format!("this is no AdmissionReview: {problem}\n").into_bytes(),
        status: StatusCode::BAD_REQUEST,
        outcome: Outcome::Malformed,
        managers: Vec::new(),
        namespace: String::new(),
        pod: String::new(),
        uid: String::new(),
        dry_run: false,
        warnings: 0,
        breach: None,
        reason: Some(problem.to_owned()),
        details: Details::default(),
    }
}
