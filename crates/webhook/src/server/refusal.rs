//! An AdmissionReview that refuses, for the cases where the reviewer gave no answer.

use std::borrow::Cow;

use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::{Details, Outcome, Reviewed};
use crate::admission::RefusalReason;

/// The parts of an AdmissionReview that an answer needs; everything else is skipped.
#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow, rename = "apiVersion")]
    api_version: Cow<'a, str>,
    #[serde(borrow)]
    request: Request<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow)]
    uid: Cow<'a, str>,
    #[serde(borrow, default)]
    namespace: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(default)]
    dry_run: Option<bool>,
}

/// The code of every refusal here, which makes Flyte ask again.
const CODE: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

/// Refuses the review in `body`. Where no uid can be found there is nothing to refuse, and the HTTP answer has the code.
pub(super) fn refuse(body: &[u8], outcome: Outcome, reason: RefusalReason, why: &'static str) -> Reviewed {
    let asked = serde_json::from_slice::<Asked<'_>>(body).ok();
    let (status, answer) = match &asked {
        Some(asked) => (StatusCode::OK, review(asked, why)),
        None => (CODE, format!("{why}\n").into_bytes()),
    };
    let Request { uid, namespace, name, dry_run } = asked.map(|asked| asked.request).unwrap_or_default();
    Reviewed {
        body: answer,
        status,
        outcome,
        managers: Vec::new(),
        namespace: namespace.unwrap_or_default().into_owned(),
        pod: name.unwrap_or_default().into_owned(),
        uid: uid.into_owned(),
        dry_run: dry_run.unwrap_or_default(),
        warnings: 0,
        breach: None,
        reason: Some(why.to_owned()),
        details: Details { refusal: Some(reason), ..Details::default() },
    }
}

fn review(asked: &Asked<'_>, why: &str) -> Vec<u8> {
    json!({
        "apiVersion": asked.api_version,
        "kind": "AdmissionReview",
        "response": {
            "uid": asked.request.uid,
            "allowed": false,
            "status": {"status": "Failure", "code": CODE.as_u16(), "reason": "ServiceUnavailable", "message": why},
        },
    })
    .to_string()
    .into_bytes()
}
