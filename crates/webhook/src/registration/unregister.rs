//! Taking the registration away.

use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use serde_json::{Value, json};

use super::apply::{object, read};
use super::desired::{FIELD_MANAGER, INJECT_CA_FROM, WEBHOOK_NAME};
use super::managed::{is_our_skeleton, is_ours, webhook_managers};
use crate::kubernetes::{ApiError, ApiErrorKind, Verb, jittered};

/// How often in a row others may be faster.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_millis(200);

/// What became of a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unregistered {
    /// There was none.
    Absent,
    /// It is not ours and stays as it is.
    NotOurs {
        /// Who has set our webhook's fields; empty if our webhook is not in it.
        managers: Vec<String>,
    },
    /// The configuration was deleted: our webhook was all it held.
    Deleted,
    /// Our webhook was taken out of it; those of others stay.
    TakenOut {
        /// Their names.
        others: Vec<String>,
    },
    /// Our webhook was taken out of it, and an object without webhooks stays, because we may not delete it.
    Emptied {
        /// What RBAC says, with the rule to add.
        reason: String,
    },
}

/// Removes our webhook from the MutatingWebhookConfiguration `name`, and the configuration too if nothing else is in it. With
/// `dry_run`, the API server is asked whether it would let us, and nothing changes.
///
/// Only what our server-side apply has made is removed. What was read is the precondition of every removal; if somebody was
/// faster, it is read again. Needs the verbs `get` and `delete` on the configuration; without `delete` the verb `patch`, and then
/// an object without webhooks stays.
///
/// # Errors
///
/// When the API server cannot be reached or refuses; a missing permission is named with the rule to add.
pub async fn unregister(client: kube::Client, name: &str, dry_run: bool) -> Result<Unregistered, ApiError> {
    let configurations = Api::<MutatingWebhookConfiguration>::all(client);
    let mut tries = 0;
    loop {
        match once(&configurations, name, dry_run).await {
            Err(error) if tries < TRIES && error.kind == ApiErrorKind::Conflict => {
                tries += 1;
                tokio::time::sleep(jittered(PAUSE)).await;
            }
            // Whoever was faster has removed it.
            Err(error) if error.kind == ApiErrorKind::NotFound => return Ok(Unregistered::Absent),
            result => return result,
        }
    }
}

async fn once(
    configurations: &Api<MutatingWebhookConfiguration>,
    name: &str,
    dry_run: bool,
) -> Result<Unregistered, ApiError> {
    let Some(existing) = read(configurations, name).await? else { return Ok(Unregistered::Absent) };
    if !is_ours(&existing) && !is_our_skeleton(&existing) {
        return Ok(Unregistered::NotOurs { managers: webhook_managers(&existing) });
    }
    let others = others(&existing);
    if !others.is_empty() {
        take_out(configurations, name, &existing, dry_run).await?;
        return Ok(Unregistered::TakenOut { others });
    }
    match delete(configurations, name, &existing, dry_run).await {
        Ok(()) => Ok(Unregistered::Deleted),
        Err(error) if error.kind == ApiErrorKind::Forbidden => {
            if is_ours(&existing) {
                take_out(configurations, name, &existing, dry_run).await?;
            }
            Ok(Unregistered::Emptied { reason: error.to_string() })
        }
        Err(error) => Err(error),
    }
}

/// The names of the webhooks that are not ours.
fn others(existing: &Value) -> Vec<String> {
    let webhooks = existing["webhooks"].as_array().into_iter().flatten();
    webhooks
        .filter_map(|webhook| webhook["name"].as_str())
        .filter(|name| *name != WEBHOOK_NAME)
        .map(str::to_owned)
        .collect()
}

async fn delete(
    configurations: &Api<MutatingWebhookConfiguration>,
    name: &str,
    existing: &Value,
    dry_run: bool,
) -> Result<(), ApiError> {
    let text = |field: &str| existing["metadata"][field].as_str().map(str::to_owned);
    let params = DeleteParams { dry_run, ..DeleteParams::default() }
        .preconditions(Preconditions { uid: text("uid"), resource_version: text("resourceVersion") });
    object(name).call(Verb::Delete, configurations.delete(name, &params)).await.map(drop)
}

async fn take_out(
    configurations: &Api<MutatingWebhookConfiguration>,
    name: &str,
    existing: &Value,
    dry_run: bool,
) -> Result<(), ApiError> {
    let mut patch = json!({
        "metadata": {"resourceVersion": existing["metadata"]["resourceVersion"]},
        "webhooks": [{"$patch": "delete", "name": WEBHOOK_NAME}],
    });
    if super::managed::applied_annotation(existing, INJECT_CA_FROM) {
        patch["metadata"]["annotations"] = json!({INJECT_CA_FROM: null});
    }
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), dry_run, ..PatchParams::default() };
    object(name).call(Verb::Patch, configurations.patch(name, &params, &Patch::Strategic(patch))).await.map(drop)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "unregister_tests.rs"]
mod tests;
