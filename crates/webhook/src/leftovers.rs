//! What an installation shares between its replicas, taken away when none runs any more: Secrets of certificates, the Lease.

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{DeleteParams, Preconditions};

use crate::kubernetes::{ApiError, ApiErrorKind, MANAGED_BY, Object, Secrets, Verb, Wiped};

/// An object by its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It was not there.
    Absent,
    /// It is not ours to remove, and stays.
    NotOurs,
    /// It was removed; with `dry_run` it would have been.
    Removed,
}

/// Removes a Secret that this program has made, which its label `app.kubernetes.io/managed-by: flyte-secrets` says; any other
/// stays. Exactly what was read is removed: if somebody changes it meanwhile, it is a conflict. Needs `get` and `delete` on that name.
///
/// # Errors
///
/// When the API server cannot be reached or refuses.
pub async fn remove_secret(client: &kube::Client, place: &Place, dry_run: bool) -> Result<Removal, ApiError> {
    let secrets = Secrets::new(client.clone(), &place.namespace);
    let Some(found) = secrets.get(&place.name).await?.map(Wiped) else { return Ok(Removal::Absent) };
    let (label, ours) = MANAGED_BY;
    if found.metadata.labels.as_ref().and_then(|labels| labels.get(label)).is_none_or(|manager| manager != ours) {
        return Ok(Removal::NotOurs);
    }
    if !dry_run {
        secrets.delete(&place.name, &found).await?;
    }
    Ok(Removal::Removed)
}

/// Removes the Lease by which replicas agree on a leader. Needs `get` and `delete` on that name.
///
/// # Errors
///
/// When the API server cannot be reached or refuses.
pub async fn remove_lease(client: &kube::Client, place: &Place, dry_run: bool) -> Result<Removal, ApiError> {
    let Place { namespace, name } = place;
    let leases = Api::<Lease>::namespaced(client.clone(), namespace);
    let object = Object {
        group: "coordination.k8s.io",
        resource: "leases",
        namespace: Some(namespace.clone()),
        name: name.clone(),
    };
    let Some(found) = object.call(Verb::Get, leases.get_opt(name)).await? else { return Ok(Removal::Absent) };
    if dry_run {
        return Ok(Removal::Removed);
    }
    // One that was made anew under this name is another's.
    let exactly = Preconditions { uid: found.metadata.uid, resource_version: None };
    let params = DeleteParams::default().preconditions(exactly);
    match object.call(Verb::Delete, leases.delete(name, &params)).await {
        Err(error) if error.kind == ApiErrorKind::NotFound => Ok(Removal::Absent),
        outcome => outcome.map(|_| Removal::Removed),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "leftovers_tests.rs"]
mod tests;
