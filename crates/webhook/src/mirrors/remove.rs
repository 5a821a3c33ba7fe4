//! The end of an installation: its mirrors, all of them.

use flyte_secrets_core::mirror::LABEL;
use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::params::Preconditions;

use super::marks::Marks;
use crate::kubernetes::{ApiError, ApiErrorKind, Secrets, labelled_secrets};

/// Deletions at a time.
const CONCURRENT: usize = 16;
/// How often all mirrors are listed again because some were changed meanwhile.
const ROUNDS: usize = 3;

/// Removes every mirror of `installation` (`namespace/serviceName`) from every namespace, needed or not, and returns how many
/// there were. With `dry_run` they are only counted.
///
/// To be called when no replica runs any more: one that does makes mirrors anew. Pods that run keep what they have; pods that
/// refer to a mirror and are still to start will wait for it. Needs `list` and `delete` on Secrets in all namespaces; mirrors of
/// other installations and all other Secrets stay.
///
/// # Errors
///
/// When mirrors cannot be listed or one cannot be deleted; what was deleted before stays so.
pub async fn remove_all(client: &kube::Client, installation: &str, dry_run: bool) -> Result<usize, ApiError> {
    let mut removed = 0;
    for _ in 0..ROUNDS {
        let listed = labelled_secrets(client, LABEL).await?;
        let ours = |metadata: &ObjectMeta| Marks::of(metadata).is_some_and(|marks| marks.installation == installation);
        let found: Vec<ObjectMeta> = listed.into_iter().filter(ours).collect();
        if dry_run || found.is_empty() {
            return Ok(removed + found.len());
        }
        let deletions = found.iter().map(|metadata| remove(client, metadata));
        let outcomes: Vec<_> = futures::stream::iter(deletions).buffer_unordered(CONCURRENT).collect().await;
        for outcome in outcomes {
            removed += usize::from(outcome?);
        }
    }
    Ok(removed)
}

/// Whether the mirror as it was listed is gone; not if somebody has changed it since.
async fn remove(client: &kube::Client, metadata: &ObjectMeta) -> Result<bool, ApiError> {
    let (Some(namespace), Some(name)) = (&metadata.namespace, &metadata.name) else { return Ok(false) };
    let exactly = Preconditions { uid: metadata.uid.clone(), resource_version: metadata.resource_version.clone() };
    match Secrets::new(client.clone(), namespace).delete_exactly(name, exactly).await {
        Err(error) if matches!(error.kind, ApiErrorKind::Conflict | ApiErrorKind::NotFound) => Ok(false),
        outcome => outcome.map(|()| true),
    }
}
