//! The Secret beside a secret for pulling images, which a kubelet can read.
//!
//! It is made of the secret itself and of nothing else. A write of the secret is done first; then this one is brought in step and
//! the secret is looked at again, until it is the one that was copied. So whoever of several writers comes last leaves both in
//! step, and after a crash in between the next write, or the next attempt of the same one, does.

use std::collections::BTreeMap;

use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::image_pull;
use flyte_secrets_core::secret_name::kubernetes_secret_name;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::api::{Api, parse};
use super::objects::{kind, pull_body, pull_metadata};
use super::{ATTEMPTS, pause};
use crate::writer::{SecretKind, WriteError, WriteFailure};

/// A secret with its value in base64.
#[derive(Deserialize)]
struct Source {
    metadata: ObjectMeta,
    data: Option<BTreeMap<String, Zeroizing<String>>>,
}

/// Brings the Secret beside a secret in step with it, or removes it where there is no such secret.
pub(super) async fn keep_in_step(api: &Api, id: &SecretId) -> Result<(), WriteError> {
    let (source, copy) = (kubernetes_secret_name(&id.to_string()), image_pull::secret_name(id));
    for attempt in 0..ATTEMPTS {
        pause(attempt).await;
        let read = match api.get(&source).await? {
            Some(answer) => Some(parse::<Source>(&answer)?),
            None => None,
        };
        let version = read.as_ref().and_then(|source| source.metadata.resource_version.clone());
        match bring_in_step(api, id, &copy, read).await {
            Ok(()) => {}
            // Somebody else is at it; we look again.
            Err(error)
                if matches!(
                    error.failure(),
                    WriteFailure::Conflict | WriteFailure::AlreadyExists | WriteFailure::NotFound
                ) =>
            {
                continue;
            }
            Err(error) => {
                let detail = format!(
                    "the secret itself is written, the Secret {copy} beside it is not; try again: {}",
                    error.detail()
                );
                return Err(WriteError::new(error.failure(), detail));
            }
        }
        if api.metadata(&source).await?.and_then(|now| now.resource_version) == version {
            return Ok(());
        }
    }
    let detail = format!("others kept changing the secret or the Secret {copy} beside it; try again");
    Err(WriteError::new(WriteFailure::Conflict, detail))
}

async fn bring_in_step(api: &Api, id: &SecretId, copy: &str, read: Option<Source>) -> Result<(), WriteError> {
    let value = read
        .filter(|source| kind(&source.metadata) == SecretKind::ImagePull)
        .and_then(|source| source.data?.remove(&id.to_string()));
    let there = api.metadata(copy).await?;
    match (value, there) {
        (None, None) => Ok(()),
        // Somebody else's Secret of that name is not ours to remove.
        (None, Some(there)) if kind(&there) == SecretKind::Generic => Ok(()),
        (None, Some(there)) => api.delete(copy, &there).await,
        (Some(value), there) => {
            let body = pull_body(&pull_metadata(id, there.as_ref()), &value);
            if there.is_some() { api.replace(copy, body).await } else { api.create(copy, body).await }
        }
    }
}
