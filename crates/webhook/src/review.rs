//! AdmissionReviews: bytes in, bytes out, the pod read in the same pass.
//!
//! Source of the form: `admission.k8s.io/v1` and `v1beta1` of Kubernetes, which differ in nothing that
//! is read or written here but the version.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use data_encoding::BASE64;
use flyte_secrets_core::Settings;
use flyte_secrets_core::outline::{PodOutline, Text};
use futures::future::BoxFuture;
use http::StatusCode;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::admission::{Admission, Code, Decision, Handled, Refusal, Sources, admit};
use crate::server::{Outcome, Reviewed, Reviewer};

/// The API server cuts the warnings of one response at 4 KiB; we keep each to a readable length.
const MAX_WARNING: usize = 1024;

/// The envelope, with what has to be known of the pod (`Object` = [`PodOutline`]) or without.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AdmissionReview<'a, Object> {
    #[serde(borrow)]
    api_version: Text<'a>,
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    request: Option<AdmissionRequest<'a, Object>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AdmissionRequest<'a, Object> {
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
    #[serde(default)]
    dry_run: Option<bool>,
    object: Option<Object>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resource<'a> {
    #[serde(borrow)]
    group: Text<'a>,
    #[serde(borrow)]
    resource: Text<'a>,
}

impl<Object> AdmissionRequest<'_, Object> {
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
    patch: Option<String>,
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
}

impl PodReviewer {
    /// A reviewer; settings that are swapped count from the next review on.
    #[must_use]
    pub fn new(settings: Arc<ArcSwap<Settings>>, sources: Sources) -> Self {
        Self { settings, sources }
    }
}

impl Reviewer for PodReviewer {
    fn review<'a>(&'a self, body: &'a [u8], deadline: Instant) -> BoxFuture<'a, Reviewed> {
        Box::pin(async move { review(&self.settings.load_full(), &self.sources, body, deadline).await })
    }
}

/// Answers one review.
pub async fn review(settings: &Settings, sources: &Sources, body: &[u8], deadline: Instant) -> Reviewed {
    let parsed: Result<AdmissionReview<'_, PodOutline<'_>>, _> = serde_json::from_slice(body);
    let review = match parsed {
        Ok(review) => review,
        Err(error) => return unreadable_object(body, &error),
    };
    let version = match check_version(&review) {
        Ok(version) => version,
        Err(problem) => return no_review(&problem),
    };
    let Some(request) = &review.request else { return no_review("it has no request") };
    let (Some(pod), true) = (&request.object, request.creates_a_pod()) else {
        return reviewed(version, request, Outcome::Unchanged, Response { allowed: true, ..Response::default() });
    };
    let namespace = match request.namespace.as_deref() {
        Some(namespace) if !namespace.is_empty() => namespace,
        _ => &pod.metadata.namespace,
    };
    let admission = admit(settings, sources, pod, namespace, deadline).await;
    answer(version, request, namespace, admission)
}

fn answer<Object>(
    version: &str,
    request: &AdmissionRequest<'_, Object>,
    namespace: &str,
    admission: Admission,
) -> Reviewed {
    let Admission { decision, handled, warnings } = admission;
    let mut response = Response { allowed: true, ..Response::default() };
    response.warnings = warnings.iter().map(|warning| shorten(warning)).collect();
    let outcome = match &decision {
        Decision::Unchanged => Outcome::Unchanged,
        Decision::Patched(patch) => {
            response.patch_type = Some("JSONPatch");
            response.patch = Some(BASE64.encode(&patch.0));
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
    reviewed.managers = handled.iter().filter_map(|one| Some(one.served.as_ref()?.0.name())).collect();
    if let Decision::Refused(refusal) | Decision::Unserved(refusal) = decision {
        reviewed.reason = Some(refusal.message);
    }
    reviewed
}

fn status(refusal: &Refusal) -> Status<'_> {
    Status { code: refusal.code.number(), reason: refusal.code.reason(), message: &refusal.message }
}

/// `s0=K8s,s1=Embedded`: who served which request.
fn served_by(handled: &[Handled]) -> String {
    let one = |one: &Handled| {
        let number = one.request.annotation.strip_prefix("flyte.secrets/").unwrap_or(&one.request.annotation);
        one.served.as_ref().map(|(manager, _)| format!("{number}={manager}"))
    };
    handled.iter().filter_map(one).collect::<Vec<_>>().join(",")
}

fn shorten(warning: &str) -> String {
    let end = warning.floor_char_boundary(MAX_WARNING);
    // A warning travels in an HTTP header (RFC 7234, section 5.5): one line.
    let line = warning[..end].replace(['\n', '\r'], " ");
    if end < warning.len() { format!("{line}…") } else { line }
}

/// A review whose object is not what a pod looks like: fine where it is none.
fn unreadable_object(body: &[u8], error: &serde_json::Error) -> Reviewed {
    let Ok(review) = serde_json::from_slice::<AdmissionReview<'_, IgnoredAny>>(body) else {
        return no_review(&error.to_string());
    };
    let version = match check_version(&review) {
        Ok(version) => version,
        Err(problem) => return no_review(&problem),
    };
    let Some(request) = &review.request else { return no_review("it has no request") };
    if !request.creates_a_pod() {
        return reviewed(version, request, Outcome::Unchanged, Response { allowed: true, ..Response::default() });
    }
    let refusal = Refusal::malformed(&error.to_string());
    let response = Response { allowed: false, status: Some(status(&refusal)), ..Response::default() };
    let mut reviewed = reviewed(version, request, Outcome::Refused400, response);
    reviewed.reason = Some(refusal.message);
    reviewed
}

fn check_version<'r, Object>(review: &'r AdmissionReview<'_, Object>) -> Result<&'r str, String> {
    match (&*review.kind, &*review.api_version) {
        ("AdmissionReview", version @ ("admission.k8s.io/v1" | "admission.k8s.io/v1beta1")) => Ok(version),
        _ => Err("kind must be AdmissionReview, apiVersion admission.k8s.io/v1 or admission.k8s.io/v1beta1".to_owned()),
    }
}

fn reviewed<'r, Object>(
    version: &'r str,
    request: &'r AdmissionRequest<'_, Object>,
    outcome: Outcome,
    mut response: Response<'r>,
) -> Reviewed {
    response.uid = &request.uid;
    let answer = Answer { api_version: version, kind: "AdmissionReview", response };
    Reviewed {
        // Every key is a string and every value finite: this cannot fail.
        body: serde_json::to_vec(&answer).unwrap_or_default(),
        status: StatusCode::OK,
        outcome,
        managers: Vec::new(),
        namespace: request.namespace.as_deref().unwrap_or_default().to_owned(),
        pod: request.name.as_deref().unwrap_or_default().to_owned(),
        uid: request.uid.to_string(),
        dry_run: request.dry_run.unwrap_or_default(),
        reason: None,
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
        reason: Some(problem.to_owned()),
    }
}
