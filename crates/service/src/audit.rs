//! Who changed which name, and who was not let to do what: one line of the log each. Never a value, and never a token.

use axum::extract::Request;
use flyte_secrets_core::encoded_id::SecretId;
use http::HeaderMap;

use crate::access::Action;
use crate::authentication::{Mode, Refusal};
use crate::problem::Problem;
use crate::secrets::Caller;
use crate::server::Peer;

/// The target of these lines, by which they can be told from others.
const TARGET: &str = "flyte_secrets::audit";
/// The longest id of a request and the longest path that are repeated.
const MAX_ID: usize = 128;
const MAX_PATH: usize = 256;

/// Notes a change, or why there was none; or that a read was refused.
pub(crate) fn note(caller: &Caller, action: Action, id: &SecretId, problem: Option<&Problem>) {
    let (identity, peer) = (&caller.identity, caller.peer.map(|peer| peer.to_string()));
    let SecretId { org, domain, project, name } = id;
    let (what, outcome) = (action.name(), problem.map_or("ok", Problem::code_name));
    let Trace { request_id, trace_id } = &caller.trace;
    tracing::info!(
        target: TARGET,
        action = what, outcome, %identity, peer, org, domain, project, name, request_id, trace_id,
        "{}", if matches!(action, Action::Get | Action::List) { "secrets were to be read" } else { "a secret was to be changed" }
    );
}

/// Notes a call of somebody who is not known. What it was about stands in its body, which is not read.
pub(crate) fn note_unknown(mode: Mode, refusal: &Refusal, request: &Request) {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.to_string());
    let Trace { request_id, trace_id } = Trace::of(request.headers());
    // A path has visible ASCII only.
    let path = request.uri().path();
    tracing::info!(
        target: TARGET,
        outcome = refusal.code().as_str(), reason = refusal.name(), mode = mode.name(), identity = "unknown", peer,
        method = request.method().as_str(), path = path.get(..MAX_PATH).unwrap_or(path), request_id, trace_id,
        "a caller is not known"
    );
}

/// By what a call is found again in other logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trace {
    /// `x-request-id`, which Flyte's client sends.
    request_id: Option<String>,
    /// The trace of `traceparent` (W3C Trace Context).
    trace_id: Option<String>,
}

impl Trace {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let is_id = |id: &&str| !id.is_empty() && id.len() <= MAX_ID && id.bytes().all(|byte| byte.is_ascii_graphic());
        let trace = text("traceparent").and_then(|parent| parent.split('-').nth(1));
        let is_trace = |id: &&str| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        Self {
            request_id: text("x-request-id").filter(is_id).map(str::to_owned),
            trace_id: trace.filter(is_trace).map(str::to_owned),
        }
    }
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
