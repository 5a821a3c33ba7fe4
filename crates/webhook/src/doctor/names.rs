//! Names that another program uses as well: the registration's, the Secret's, the Lease's.

use std::collections::BTreeMap;
use std::time::SystemTime;

use futures::future::join_all;
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::api::{Reader, core, could_not_look, object, place};
use super::finding::Finding;
use super::ids::Id;
use super::installation::Installation;
use crate::kubernetes::{ApiError, MANAGED_BY, Object};
use crate::registration::{Endpoint, FIELD_MANAGER};

/// Programs with which people, or which for people, write certificates: they are meant to. `unknown` gave no name.
const MEANT: [&str; 7] = [FIELD_MANAGER, "unknown", "cert-manager", "kubectl", "helm", "argocd", "kustomize"];

/// What was seen.
pub(super) struct Facts {
    /// The metadata of the certificate's Secret.
    pub(super) secret: Result<Option<Owned>, ApiError>,
    /// The Leases by name.
    pub(super) leases: Vec<(String, Result<Option<Lease>, ApiError>)>,
}

/// An object's metadata.
#[derive(Deserialize)]
pub(super) struct Owned {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    managed_fields: Vec<Managed>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Managed {
    #[serde(default)]
    manager: String,
    #[serde(default)]
    fields_v1: Value,
}

/// A Lease.
#[derive(Default, Deserialize)]
pub(super) struct Lease {
    #[serde(default)]
    spec: LeaseSpec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LeaseSpec {
    holder_identity: Option<String>,
    lease_duration_seconds: Option<i64>,
    renew_time: Option<String>,
}

fn secret(installation: &Installation) -> Object {
    core("secrets", Some(&installation.namespace), &installation.certificate_secret)
}

fn lease(installation: &Installation, name: &str) -> Object {
    object("coordination.k8s.io", "leases", Some(&installation.namespace), name)
}

pub(super) async fn ask(reader: &Reader, installation: &Installation) -> Facts {
    let secret = secret(installation);
    let leases = installation.leases.iter().map(|name| async move {
        let found = reader.get(&lease(installation, name)).await;
        (name.clone(), found)
    });
    let (secret, leases) = futures::join!(reader.get_metadata(&secret), join_all(leases));
    Facts { secret, leases }
}

pub(super) fn judge(
    installation: &Installation,
    webhook: Option<&Value>,
    facts: &Facts,
    now: SystemTime,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(registration(installation, webhook));
    findings.extend(writers(installation, &facts.secret));
    if findings.is_empty() {
        let what = format!("the name {} is used by this installation alone", installation.registration.name);
        findings.push(Finding::ok(Id::NamesOwn, what));
    }
    for (name, found) in &facts.leases {
        let at = lease(installation, name);
        findings.extend(match found {
            Err(error) => Some(could_not_look(error)),
            Ok(found) => found.as_ref().map(|found| leader(found, now).at(place(&at))),
        });
    }
    findings
}

/// The configuration is the whole cluster's: two installations of one `serviceName` write it in turns.
fn registration(installation: &Installation, webhook: Option<&Value>) -> Option<Finding> {
    let theirs = webhook?["clientConfig"]["service"]["namespace"].as_str()?;
    let Endpoint::Service { namespace, name, .. } = &installation.registration.endpoint else { return None };
    (theirs != namespace).then(|| {
        let what = format!(
            "the registration {name} leads to the namespace {theirs}: two installations of one webhook.serviceName take it \
             from each other"
        );
        let remedy = "give each installation a webhook.serviceName of its own (its Service and webhook.secretName too)";
        Finding::error(Id::NamesRegistration, what).at(format!("mutatingwebhookconfigurations {name}")).remedy(remedy)
    })
}

/// Flyte 2 makes its Secret anew at every start, over whatever is there.
fn writers(installation: &Installation, found: &Result<Option<Owned>, ApiError>) -> Option<Finding> {
    let found = match found {
        Err(error) => return Some(could_not_look(error)),
        Ok(found) => found.as_ref()?,
    };
    let fields = &found.metadata.managed_fields;
    let of_data = fields.iter().filter(|one| !one.fields_v1["f:data"].is_null()).map(|one| one.manager.as_str());
    let managers: Vec<&str> = of_data.collect();
    let others = managers.iter().filter(|manager| !MEANT.iter().any(|meant| manager.starts_with(meant)));
    let others: Vec<&str> = others.copied().collect();
    if others.is_empty() {
        return None;
    }
    let others = others.join(", ");
    let labelled = found.metadata.labels.get(MANAGED_BY.0).is_some_and(|by| by == MANAGED_BY.1);
    let ours = labelled || managers.iter().any(|manager| manager.starts_with(FIELD_MANAGER));
    let finding = if ours {
        let what = format!(
            "{others} writes this Secret too: as soon as its certificate is served, the API server no longer trusts us"
        );
        let remedy = "give webhook.secretName a name of its own; Flyte 2 makes its own Secret anew at every start";
        Finding::warning(Id::NamesSecret, what).remedy(remedy)
    } else {
        let what =
            format!("{others} has made this Secret; its certificate is served while it is valid, and never replaced");
        Finding::info(Id::NamesSecret, what)
    };
    Some(finding.at(place(&secret(installation))))
}

fn leader(Lease { spec }: &Lease, now: SystemTime) -> Finding {
    let holder = spec.holder_identity.as_deref().filter(|holder| !holder.is_empty());
    let nobody = |what: String| {
        Finding::warning(Id::NamesNoLeader, what)
            .remedy("start the webhook; if it runs, its log says why it does not lead")
    };
    let Some(holder) = holder else { return nobody("nobody leads".to_owned()) };
    let renewed = spec.renew_time.as_ref().and_then(|text| text.parse::<Timestamp>().ok());
    let now = Timestamp::try_from(now).unwrap_or(Timestamp::MAX);
    match (renewed, spec.lease_duration_seconds) {
        // Clocks differ: twice the time counts as late.
        (Some(renewed), Some(seconds)) if now.duration_since(renewed).as_secs() > seconds.saturating_mul(2) => {
            nobody(format!("{holder} led, and has not renewed its Lease since {renewed}"))
        }
        _ => Finding::info(Id::NamesLeader, format!("{holder} leads")),
    }
}

#[cfg(test)]
#[path = "names_tests.rs"]
#[allow(clippy::unwrap_used)]
mod tests;
