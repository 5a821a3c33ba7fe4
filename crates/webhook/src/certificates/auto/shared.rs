//! The Secret with the CAs: read, written back, made.

use k8s_openapi::api::core::v1::Secret;

use super::super::inspect::{Problem, sentences};
use super::super::issue::IssueError;
use super::authority::Authority;
use super::document;
use crate::kubernetes::{ApiError, ApiErrorKind, Secrets, Wiped};

/// Why there is no certificate, or why it cannot be renewed.
#[derive(Debug, thiserror::Error)]
pub enum AutoError {
    /// A request to the API server failed; a missing permission is named with the rule to add.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The Secret holds something that is not from us, or is damaged.
    #[error(
        "the Secret {name} in namespace {namespace} cannot be used for the webhook's CAs: {reason}. It is left alone. Delete it if nothing \
         else needs it (CAs are then made anew, or written back by replicas that still run), or give \
         `webhook.certificates.caSecretName` another name"
    )]
    Unusable {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// What is wrong; nothing of the content.
        reason: String,
    },
    /// Others kept changing the Secret.
    #[error(
        "others change the Secret {name} in namespace {namespace} all the time; is it shared with another installation?"
    )]
    Contended {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A certificate could not be made.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// A certificate was made that the API server would not accept.
    #[error("the new serving certificate cannot be served: {}", sentences(.0))]
    Bad(Vec<Problem>),
    /// All CAs have expired and there is no new one yet.
    #[error(
        "every CA in the Secret {name} in namespace {namespace} has expired, and no new one could be written there"
    )]
    Expired {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl AutoError {
    /// Whether it may go away by itself soon.
    pub(super) fn is_passing(&self) -> bool {
        let Self::Api(error) = self else { return false };
        match error.kind {
            ApiErrorKind::Unreachable => true,
            ApiErrorKind::Rejected { code } => code >= 500 || code == 429,
            _ => false,
        }
    }

    /// Whether somebody else changed the Secret between our reading and writing.
    pub(super) fn is_overtaken(&self) -> bool {
        matches!(self, Self::Api(error) if matches!(error.kind, ApiErrorKind::Conflict | ApiErrorKind::NotFound))
    }
}

/// The Secret by its name.
pub(super) struct Shared {
    secrets: Secrets,
    namespace: String,
    name: String,
    /// What it held at which `resourceVersion`: mostly nothing has changed, and nothing has to be parsed and checked again.
    seen: Option<(String, Vec<Authority>)>,
}

/// What a look at the Secret has found; what is written next is written over exactly this.
pub(super) struct Found {
    secret: Option<Wiped>,
    pub(super) authorities: Vec<Authority>,
}

impl Found {
    pub(super) fn is_there(&self) -> bool {
        self.secret.is_some()
    }
}

impl Shared {
    pub(super) fn new(client: kube::Client, namespace: String, name: String) -> Self {
        Self { secrets: Secrets::new(client, &namespace), namespace, name, seen: None }
    }

    pub(super) async fn read(&mut self) -> Result<Found, AutoError> {
        let Some(secret) = self.secrets.get(&self.name).await?.map(Wiped) else {
            return Ok(Found { secret: None, authorities: Vec::new() });
        };
        let version = secret.metadata.resource_version.clone();
        if let Some((seen, authorities)) = &self.seen
            && version.as_ref() == Some(seen)
        {
            return Ok(Found { secret: Some(secret), authorities: authorities.clone() });
        }
        let authorities = document::read(&secret).map_err(|reason| AutoError::Unusable {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            reason,
        })?;
        self.seen = version.map(|version| (version, authorities.clone()));
        Ok(Found { secret: Some(secret), authorities })
    }

    /// Puts `authorities` in the place of what was found, if that is still there.
    pub(super) async fn write(&self, found: Found, authorities: &[Authority]) -> Result<(), AutoError> {
        let existing = found.secret.map(|mut secret| std::mem::take(&mut secret.0));
        let is_new = existing.is_none();
        let secret: Secret = document::write(existing, &self.name, authorities);
        let secret = Wiped(secret);
        if is_new {
            self.secrets.create(&self.name, &secret).await?;
        } else {
            self.secrets.update(&self.name, &secret).await?;
        }
        Ok(())
    }

    pub(super) fn contended(&self) -> AutoError {
        AutoError::Contended { namespace: self.namespace.clone(), name: self.name.clone() }
    }

    pub(super) fn expired(&self) -> AutoError {
        AutoError::Expired { namespace: self.namespace.clone(), name: self.name.clone() }
    }
}
