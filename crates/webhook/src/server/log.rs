//! One line a review.

use std::time::Duration;

use tracing::Span;

use super::{AccessBreach, Details, Outcome, Owner, Reviewed};
use crate::admission::RefusalReason;

/// No more of a text that came with the review is logged, in bytes: Kubernetes' names have at most 253.
const LONGEST_NAME: usize = 256;
/// No more of a reason is logged, in bytes.
const LONGEST_REASON: usize = 4096;

/// Writes what became of a review: at `info` when the pod was changed, at `debug` when not, else at `warn`.
pub(super) fn admission(reviewed: &Reviewed, duration: Duration) {
    let Details { generate_name, owner, creator, requests, stores, look_up, write, refusal } = &reviewed.details;
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                target: "admission",
                uid = cut(&reviewed.uid, LONGEST_NAME),
                namespace = cut(&reviewed.namespace, LONGEST_NAME),
                pod = cut(&reviewed.pod, LONGEST_NAME),
                generate_name = some(generate_name),
                owner = owner.as_ref().map(shown),
                creator = some(creator),
                outcome = reviewed.outcome.name(),
                managers = reviewed.managers.join(","),
                requests = some(requests),
                stores = some(&stores.join(",")),
                duration_us = micros(duration),
                look_up_us = micros(*look_up),
                write_us = micros(*write),
                dry_run = reviewed.dry_run,
                refusal = refusal.map(RefusalReason::name),
                reason = reviewed.reason.as_deref().map(|reason| cut(reason, LONGEST_REASON)),
            )
        };
    }
    if let Some(AccessBreach { breach, creator, enforced }) = &reviewed.breach {
        tracing::warn!(
            target: "access_policy",
            uid = cut(&reviewed.uid, LONGEST_NAME),
            namespace = cut(&reviewed.namespace, LONGEST_NAME),
            pod = cut(&reviewed.pod, LONGEST_NAME),
            creator = cut(creator, LONGEST_NAME),
            rule = breach.rule.name(),
            enforced,
            "a pod asks for what the access policy keeps from it: {}",
            cut(&breach.to_string(), LONGEST_REASON),
        );
    }
    match reviewed.outcome {
        Outcome::Patched => line!(info),
        Outcome::Unchanged => line!(debug),
        Outcome::Refused400 | Outcome::Refused503 | Outcome::AdmittedUnserved | Outcome::Malformed | Outcome::Error => {
            line!(warn)
        }
    }
}

/// Fills the span of a review, for traces: names only, and not the requests.
pub(super) fn record(span: &Span, reviewed: &Reviewed) {
    if span.is_disabled() {
        return;
    }
    span.record("uid", cut(&reviewed.uid, LONGEST_NAME));
    span.record("namespace", cut(&reviewed.namespace, LONGEST_NAME));
    span.record("pod", cut(&reviewed.pod, LONGEST_NAME));
    span.record("outcome", reviewed.outcome.name());
    span.record("managers", reviewed.managers.join(","));
    span.record("dry_run", reviewed.dry_run);
    if let Some(owner) = &reviewed.details.owner {
        span.record("owner", shown(owner));
    }
    if matches!(reviewed.outcome, Outcome::Refused503 | Outcome::Error) {
        span.record("otel.status_code", "ERROR");
    }
    if let Some(refusal) = reviewed.details.refusal {
        span.record("refusal", refusal.name());
    }
}

/// `Job/name`, as `kubectl` takes it.
fn shown(owner: &Owner) -> String {
    format!("{}/{}", cut(&owner.kind, LONGEST_NAME), cut(&owner.name, LONGEST_NAME))
}

/// What is empty is left out of the line.
fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then(|| cut(text, LONGEST_REASON))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The text, or as much of its start as `longest` bytes hold.
pub(crate) fn cut(text: &str, longest: usize) -> &str {
    let mut end = text.len().min(longest);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let table = [("abcdef", "abcd"), ("abc", "abc"), ("abcä", "abc"), ("äää", "ää"), ("", "")];
        for (text, expected) in table {
            assert_eq!(cut(text, 4), expected);
        }
    }
}
