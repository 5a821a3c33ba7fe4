//! What has to be written, from what stands: data in, data out.

use std::collections::BTreeSet;

use data_encoding::BASE64;
use serde_json::{Map, Value, json};

use super::bundle::{Adopted, Moment, Union};
use super::desired::{INJECT_CA_FROM, RegistrationSettings, WEBHOOK_NAME, desired};
use super::differences::{differences, our_webhook};
use super::managed::{abandoned, bundle_is_ours_alone, is_set_by_us};

/// Kinds whose objects live in a namespace and end with a rollout. Flyte copies the owners of its own pod; nothing of the
/// cluster can be owned by them (Kubernetes: owners and dependents).
const PASSING_OWNERS: [&str; 6] = ["Pod", "ReplicaSet", "Deployment", "StatefulSet", "DaemonSet", "Job"];

/// What has to be written.
#[derive(Debug)]
pub(super) struct Plan {
    /// What to apply, without a resource version.
    pub(super) document: Value,
    /// A strategic merge patch that comes first: what an apply cannot take away.
    pub(super) removal: Option<Value>,
    /// What is not as it should be. Empty: nothing to write.
    pub(super) fields: Vec<String>,
    /// The bundle in the document, if it was made of ours and others'.
    pub(super) union: Option<Union>,
    no_bundle: bool,
}

impl Plan {
    /// Leaves these fields as they stand, whatever else is written.
    pub(super) fn leave(&mut self, existing: &Value, fields: &BTreeSet<String>) {
        if fields.is_empty() {
            return;
        }
        let (theirs, ours) = (our_webhook(existing).unwrap_or(&Value::Null), &mut self.document["webhooks"][0]);
        for field in fields {
            let member = field.split(['.', '[']).next().unwrap_or(field);
            match member {
                "metadata" => {}
                // Together, because Kubernetes takes either the one or the other.
                "clientConfig" => {
                    for name in ["url", "service"] {
                        stand(&mut ours["clientConfig"], name, &theirs["clientConfig"][name]);
                    }
                }
                "matchConditions" => ours[member] = conditions_of_ours(existing, &theirs[member]),
                _ => stand(ours, member, &theirs[member]),
            }
        }
        self.removal = removal(existing, &self.document, self.no_bundle);
        self.fields.retain(|field| !fields.contains(field));
    }
}

fn stand(members: &mut Value, name: &str, standing: &Value) {
    match members.as_object_mut() {
        Some(members) if standing.is_null() => drop(members.remove(name)),
        Some(members) => drop(members.insert(name.to_owned(), standing.clone())),
        None => {}
    }
}

fn conditions_of_ours(existing: &Value, conditions: &Value) -> Value {
    let conditions = conditions.as_array().into_iter().flatten();
    let name = |condition: &Value| condition["name"].as_str().unwrap_or_default().to_owned();
    conditions
        .filter(|condition| is_set_by_us(existing, &format!("matchConditions[{}]", name(condition))))
        .cloned()
        .collect()
}

/// Whose the bundle is.
enum CaBundle {
    Ours(Union),
    /// cert-manager's. Its value is in the document as long as leaving it out would remove it.
    CertManagers(Option<String>),
    /// There shall be none: the API server trusts the issuer by itself.
    None,
}

/// Plans what to write over `existing`. `wanted` is PEM; `None`: the API server trusts the issuer by itself.
pub(super) fn plan(
    existing: &Value,
    settings: &RegistrationSettings,
    wanted: Option<&str>,
    adopted: &mut Adopted,
    now: Moment,
) -> Plan {
    let (bundle, inject) = ca_bundle(existing, settings, wanted, adopted, now);
    let text = match &bundle {
        CaBundle::Ours(union) => Some(union.text.as_str()),
        CaBundle::CertManagers(text) => text.as_deref(),
        CaBundle::None => None,
    };
    let document = desired(settings, text, inject);
    let no_bundle = matches!(bundle, CaBundle::None);
    let removal = removal(existing, &document, no_bundle);
    let mut fields = differences(existing, &document);
    fields.extend(abandoned(existing, &document));
    fields.extend(removal.iter().flat_map(removed));
    fields.sort();
    fields.dedup();
    let union = if let CaBundle::Ours(union) = bundle { Some(union) } else { None };
    Plan { document, removal, fields, union, no_bundle }
}

/// The bundle, and whether cert-manager is asked for its own.
///
/// cert-manager replaces a bundle as a whole. So it is asked only when no replica needs a CA of another source any more,
/// and then the bundle is left to it.
fn ca_bundle(
    existing: &Value,
    settings: &RegistrationSettings,
    wanted: Option<&str>,
    adopted: &mut Adopted,
    now: Moment,
) -> (CaBundle, bool) {
    let registered = registered(existing);
    let Some(certificate) = &settings.cert_manager_certificate else {
        let ours = |wanted| CaBundle::Ours(adopted.union(wanted, registered.as_deref().unwrap_or_default(), now));
        return (wanted.map_or(CaBundle::None, ours), false);
    };
    let asked = existing["metadata"]["annotations"][INJECT_CA_FROM] == *certificate.as_str();
    match (wanted, registered) {
        (_, Some(registered)) if asked => {
            (CaBundle::CertManagers(bundle_is_ours_alone(existing).then_some(registered)), true)
        }
        (Some(wanted), registered) => {
            let union = adopted.union(wanted, registered.as_deref().unwrap_or_default(), now);
            let inject = union.foreign == 0;
            (CaBundle::Ours(union), inject)
        }
        // Not known here, so it is for cert-manager alone to say.
        (None, registered) => (CaBundle::CertManagers(registered.filter(|_| bundle_is_ours_alone(existing))), true),
    }
}

/// The bundle that stands, as text; `None` if there is none.
pub(super) fn registered(configuration: &Value) -> Option<String> {
    decoded(our_webhook(configuration)?)
}

/// The bundle of a webhook, as text; `None` if there is none.
pub(super) fn decoded(webhook: &Value) -> Option<String> {
    let encoded = webhook["clientConfig"]["caBundle"].as_str()?;
    let bytes = BASE64.decode(encoded.as_bytes()).unwrap_or_default();
    Some(String::from_utf8_lossy(&bytes).into_owned()).filter(|text| !text.is_empty())
}

/// The patch that takes away what must not stay and what an apply would leave, because others have set it, Flyte for example.
///
/// Kubernetes takes either `url` or `service`, and an old `caBundle` would make it distrust a public issuer. What takes their
/// place goes into the same patch, so that there is no moment without it. `None` if there is nothing to take away.
fn removal(existing: &Value, desired: &Value, no_bundle: bool) -> Option<Value> {
    let mut patch = Map::new();
    if let Some(client_config) = client_config_removal(existing, desired, no_bundle) {
        patch.insert("webhooks".to_owned(), json!([{"name": WEBHOOK_NAME, "clientConfig": client_config}]));
    }
    let mut metadata = Map::new();
    let owners: Vec<Value> = passing_owners(existing).map(|uid| json!({"$patch": "delete", "uid": uid})).collect();
    if !owners.is_empty() {
        metadata.insert("ownerReferences".to_owned(), owners.into());
    }
    if patch.is_empty() && metadata.is_empty() {
        return None;
    }
    // If it was changed since it was read, this is a conflict and we read again.
    metadata.insert("resourceVersion".to_owned(), existing["metadata"]["resourceVersion"].clone());
    patch.insert("metadata".to_owned(), metadata.into());
    Some(patch.into())
}

fn client_config_removal(existing: &Value, desired: &Value, no_bundle: bool) -> Option<Value> {
    let theirs = &our_webhook(existing)?["clientConfig"];
    let ours = &desired["webhooks"][0]["clientConfig"];
    let mut client_config = ours.clone();
    let mut found = false;
    for (member, unwanted) in [("url", true), ("service", true), ("caBundle", no_bundle)] {
        if unwanted && !theirs[member].is_null() && ours[member].is_null() {
            client_config[member] = Value::Null;
            found = true;
        }
    }
    found.then_some(client_config)
}

fn passing_owners(existing: &Value) -> impl Iterator<Item = &Value> {
    let owners = existing["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    owners
        .filter(|owner| owner["kind"].as_str().is_some_and(|kind| PASSING_OWNERS.contains(&kind)))
        .map(|owner| &owner["uid"])
}

/// The names of what a removal takes away.
fn removed(patch: &Value) -> Vec<String> {
    let client_config = patch["webhooks"][0]["clientConfig"].as_object().into_iter().flatten();
    let members = client_config.filter(|(_, value)| value.is_null()).map(|(name, _)| format!("clientConfig.{name}"));
    let owners = (!patch["metadata"]["ownerReferences"].is_null()).then(|| "metadata.ownerReferences".to_owned());
    members.chain(owners).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "plan_tests.rs"]
mod tests;
