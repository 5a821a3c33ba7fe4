//! The CAs that are known, and what a plan makes of them.

use k8s_openapi::jiff::Timestamp;

use super::super::status::{AuthorityStatus, CertificateMode, CertificateStatus, Fingerprint};
use super::authority::Authority;
use super::timeline::{Life, Plan};

pub(super) fn lives(authorities: &[Authority]) -> Vec<Life> {
    authorities.iter().map(|authority| authority.life.clone()).collect()
}

/// The CAs of these lives, with the times of these lives.
pub(super) fn with_lives<'a>(
    authorities: impl Iterator<Item = &'a Authority> + Clone,
    lives: Vec<Life>,
) -> Vec<Authority> {
    let found = |life: Life| {
        let authority = authorities.clone().find(|authority| authority.life.id == life.id)?;
        Some(Authority { life, ..authority.clone() })
    };
    lives.into_iter().filter_map(found).collect()
}

/// Whether two lists hold the same, in whatever order.
pub(super) fn same(one: &[Life], other: &[Life]) -> bool {
    one.len() == other.len() && one.iter().all(|life| other.contains(life))
}

pub(super) fn signer<'a>(known: &'a [Authority], plan: &Plan) -> Option<&'a Authority> {
    known.iter().find(|authority| Some(authority.life.id) == plan.signer)
}

/// The bundle of a plan, in PEM.
pub(super) fn bundle(known: &[Authority], plan: &Plan) -> String {
    let certificate = |id: &Fingerprint| known.iter().find(|authority| authority.life.id == *id);
    plan.bundle.iter().filter_map(certificate).map(|authority| authority.certificate.as_str()).collect()
}

pub(super) fn status(
    plan: &Plan,
    known: &[Authority],
    not_after: Timestamp,
    last_error: Option<String>,
    restored: u64,
) -> CertificateStatus {
    let authorities = plan.bundle.iter().filter_map(|id| {
        let authority = known.iter().find(|authority| authority.life.id == *id)?;
        Some(AuthorityStatus { fingerprint: *id, not_after: authority.life.not_after, role: plan.role(id) })
    });
    let authorities = authorities.collect();
    CertificateStatus { mode: CertificateMode::Auto, not_after, authorities, last_error, restored }
}

pub(super) fn tell_changes(before: &[Authority], after: &[Authority], leads: bool) {
    for Authority { life, .. } in after {
        let was = before.iter().find(|authority| authority.life.id == life.id).map(|authority| &authority.life);
        let what = match was {
            None => "a new CA stands in the Secret",
            Some(was) if was.announced != life.announced => "a new CA stands in the registered bundle",
            Some(was) if was.retired != life.retired => "an old CA signs nothing any more",
            Some(_) => continue,
        };
        tracing::info!(authority = %life.id, not_after = %life.not_after, leads, "{what}");
    }
    for Authority { life, .. } in before.iter().filter(|old| after.iter().all(|new| new.life.id != old.life.id)) {
        tracing::info!(authority = %life.id, leads, "an old CA is gone");
    }
}
