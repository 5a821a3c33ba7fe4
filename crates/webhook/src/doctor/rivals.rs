//! Other webhooks that are called for our pods: Flyte 2's own above all, which cannot be taken out of it.

use std::collections::BTreeMap;

use flyte_secrets_core::annotations::{LABEL, LABEL_VALUE};
use serde::Deserialize;
use serde_json::Value;

use super::api::{Reader, core, could_not_look};
use super::finding::Finding;
use super::ids::Id;
use super::installation::Installation;
use super::registration::{Configurations, address, name_of};
use super::selector::{Labels, mentions, selects};
use crate::kubernetes::ApiError;
use crate::registration::{WEBHOOK_NAME, desired};

/// The line of Flyte 2's configuration that keeps its own webhook from every pod.
const FLYTE_2: &str = "in Flyte 2's configuration, whose own webhook cannot be switched off: webhook: {namespaceSelector: \
                       {matchLabels: {flyte.org/no-namespace: \"true\"}}}; for another program, take its configuration out";

/// Namespaces with their labels.
pub(super) type Namespaces = BTreeMap<String, Labels>;

#[derive(Deserialize)]
struct Named {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    labels: Labels,
}

/// The labels of all namespaces.
pub(super) async fn namespaces(reader: &Reader) -> Result<Namespaces, ApiError> {
    let found: Vec<Named> = reader.list_metadata(&core("namespaces", None, "")).await?;
    Ok(found.into_iter().map(|Named { metadata }| (metadata.name, metadata.labels)).collect())
}

pub(super) fn judge(
    installation: &Installation,
    configurations: &Configurations,
    namespaces: &Result<Namespaces, ApiError>,
) -> Vec<Finding> {
    let all = match &configurations.all {
        Ok(all) => all,
        Err(error) => return vec![could_not_look(error)],
    };
    // Where it is not registered, the configuration says where it would be.
    let configured = &desired(&installation.registration, None)["webhooks"][0];
    let ours = configurations.webhook().unwrap_or(configured);
    let mut findings = Vec::new();
    for configuration in all {
        for webhook in configuration["webhooks"].as_array().into_iter().flatten() {
            let name = webhook["name"].as_str().unwrap_or_default();
            let is_ours = name_of(configuration) == installation.registration.name && name == WEBHOOK_NAME;
            if !is_ours && is_rival(webhook, ours) {
                let place = format!("mutatingwebhookconfigurations {}, webhook {name}", name_of(configuration));
                findings.push(judge_one(webhook, ours, namespaces).at(place));
            }
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(Id::RivalsNone, format!("no other webhook is for pods with the label {LABEL}")));
    }
    findings
}

/// Whether a webhook is meant for our pods and leads to another server. Webhooks for all pods are other people's business.
fn is_rival(webhook: &Value, ours: &Value) -> bool {
    let labels = Labels::from([(LABEL.to_owned(), LABEL_VALUE.to_owned())]);
    let selector = &webhook["objectSelector"];
    let meant = (mentions(selector, LABEL) && selects(selector, &labels)) || webhook["name"] == WEBHOOK_NAME;
    meant && address(ours) != address(webhook)
}

fn judge_one(rival: &Value, ours: &Value, namespaces: &Result<Namespaces, ApiError>) -> Finding {
    let server = address(rival);
    let active = |which: &str| {
        let what = format!(
            "{server} is called for pods with the label {LABEL} too, {which}: they get their secrets twice, or are refused \
             by the other one"
        );
        Finding::error(Id::RivalsActive, what).remedy(FLYTE_2)
    };
    let selector = &rival["namespaceSelector"];
    let Ok(namespaces) = namespaces else {
        let everywhere = selector.as_object().is_none_or(serde_json::Map::is_empty);
        return if everywhere {
            active("in every namespace")
        } else {
            let what = format!("{server} is called for such pods too, in the namespaces that {selector} selects");
            Finding::warning(Id::RivalsElsewhere, what).remedy(FLYTE_2)
        };
    };
    let selected = namespaces.iter().filter(|(_, labels)| selects(selector, labels));
    let shared: Vec<&str> = selected
        .clone()
        .filter(|(_, labels)| selects(&ours["namespaceSelector"], labels))
        .map(|(name, _)| name.as_str())
        .collect();
    if let Some(first) = shared.first() {
        return active(&match shared.len() {
            1 => format!("in the namespace {first}"),
            count => format!("in {count} namespaces, {first} for one"),
        });
    }
    let count = selected.count();
    let what = format!("{server} is for such pods too, in other namespaces than ours ({count})");
    Finding::info(Id::RivalsElsewhere, what)
}

#[cfg(test)]
#[path = "rivals_tests.rs"]
mod tests;
