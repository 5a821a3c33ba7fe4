//! Mirrored Secrets: how many, whose, and whether anybody removes them. Only metadata is read.

use flyte_secrets_core::mirror::{CONDEMNED, INSTALLATION, LABEL};
use flyte_secrets_core::settings::Delivery;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::api::{Reader, Whose, core, could_not_look};
use super::finding::Finding;
use super::ids::Id;
use super::installation::Installation;
use crate::kubernetes::{ApiError, labelled_secrets};
use crate::mirrors::COLLECTING;

/// What was seen.
pub(super) struct Facts {
    pub(super) mirrors: Result<Vec<ObjectMeta>, ApiError>,
    /// Whether the webhook may collect them.
    pub(super) collects: Result<bool, ApiError>,
}

/// `None` where this installation keeps no mirrors.
pub(super) async fn ask(reader: &Reader, installation: &Installation, whose: &Whose) -> Option<Facts> {
    if installation.settings.delivery != Delivery::SecretRef {
        return None;
    }
    let collects = async {
        for (resource, verb) in COLLECTING {
            if !reader.allows(whose, &core(resource, None, ""), verb).await? {
                return Ok(false);
            }
        }
        Ok(true)
    };
    let (mirrors, collects) = futures::join!(labelled_secrets(reader.client(), LABEL), collects);
    Some(Facts { mirrors, collects })
}

pub(super) fn judge(installation: &Installation, facts: Option<&Facts>) -> Vec<Finding> {
    let Some(Facts { mirrors, collects }) = facts else {
        return vec![Finding::ok(Id::MirrorsCounted, "none are kept (webhook.delivery: PodSpec)")];
    };
    let mirrors = match mirrors {
        Ok(mirrors) => mirrors,
        Err(error) => return vec![could_not_look(error)],
    };
    let own = format!("{}/{}", installation.namespace, installation.registration.name);
    let annotation =
        |mirror: &ObjectMeta, name: &str| mirror.annotations.as_ref().and_then(|all| all.get(name).cloned());
    let (ours, others): (Vec<&ObjectMeta>, Vec<&ObjectMeta>) =
        mirrors.iter().partition(|mirror| annotation(mirror, INSTALLATION).is_none_or(|whose| whose == own));
    let condemned = ours.iter().filter(|mirror| annotation(mirror, CONDEMNED).is_some()).count();
    let what = format!("{} mirrors, {condemned} of which wait for their removal", ours.len());
    let mut findings = vec![Finding::ok(Id::MirrorsCounted, what)];
    if !others.is_empty() {
        let mut names: Vec<String> = others.iter().filter_map(|mirror| annotation(mirror, INSTALLATION)).collect();
        names.sort_unstable();
        names.dedup();
        let what = format!("{} mirrors of other installations: {}", others.len(), names.join(", "));
        let remedy = format!(
            "if such an installation is no longer there, nobody removes its mirrors: kubectl get secrets -A -l {LABEL}=true"
        );
        findings.push(Finding::info(Id::MirrorsForeign, what).remedy(remedy));
    }
    if !ours.is_empty() && matches!(collects, Ok(false)) {
        let what = "mirrors that no pod needs any more stay for ever, because the webhook may not collect them";
        let rules: Vec<String> = COLLECTING.map(|(resource, verb)| core(resource, None, "").rule(verb)).to_vec();
        let remedy = format!("add to a ClusterRole of the webhook's ServiceAccount: {}", rules.join(", "));
        findings.push(Finding::warning(Id::MirrorsNotCollected, what).remedy(remedy));
    }
    findings
}

#[cfg(test)]
#[path = "mirrors_tests.rs"]
mod tests;
