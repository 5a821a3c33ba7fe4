//! What a review is told by in audit events, logs, traces and Events: names, never a value.

use std::fmt::Write as _;

use flyte_secrets_core::outline::PodOutline;

use crate::admission::wording::plain;
use crate::admission::{Admission, Handled};
use crate::server::{Details, Owner};

/// Audit events are kept for long: the longest list of who served what, in bytes.
const MAX_SERVED_BY: usize = 8192;
/// The longest list of requests, in bytes.
const MAX_REQUESTS: usize = 2048;

/// What is known of a pod and of the decision about it.
pub(super) fn of_pod(pod: &PodOutline<'_>, admission: &Admission) -> Details {
    let owner = pod.metadata.controller().map(|owner| Owner {
        api_version: owner.api_version.to_string(),
        kind: owner.kind.to_string(),
        name: owner.name.to_string(),
        uid: owner.uid.to_string(),
    });
    let mut stores: Vec<String> = Vec::new();
    for whence in admission.handled.iter().filter_map(|one| one.whence.as_ref()) {
        if !stores.contains(&whence.store) {
            stores.push(whence.store.clone());
        }
    }
    Details {
        generate_name: pod.metadata.generate_name.to_string(),
        owner,
        requests: requests(&admission.handled),
        stores,
        ..Details::default()
    }
}

/// `s0: key:"k", s1: group:"g" key:"k"`: what was asked for, and how many there was no room for.
fn requests(handled: &[Handled]) -> String {
    let mut text = String::new();
    for (number, one) in handled.iter().enumerate() {
        let separator = if number == 0 { "" } else { ", " };
        let request = format!("{separator}{}: {}", annotation(one), one.request.secret);
        if text.len() + request.len() > MAX_REQUESTS {
            let _ = write!(text, "{separator}and {} more", handled.len() - number);
            break;
        }
        text.push_str(&request);
    }
    text
}

/// The annotation of a request without Flyte's prefix.
fn annotation(one: &Handled) -> String {
    let annotation = &one.request.annotation;
    plain(annotation.strip_prefix("flyte.secrets/").unwrap_or(annotation), 64)
}

/// `s0=K8s,s1=Embedded`: who served which request.
pub(super) fn served_by(handled: &[Handled]) -> String {
    let one = |one: &Handled| one.served.as_ref().map(|(manager, _)| format!("{}={manager}", annotation(one)));
    plain(&handled.iter().filter_map(one).collect::<Vec<_>>().join(","), MAX_SERVED_BY)
}
