//! Image-pull Secrets: those of the webhook's own namespace, copied to where pods need them.
//!
//! Flyte's Secret service keeps, beside a secret, a Kubernetes Secret with the registry's credentials under the name
//! [`flyte_secrets_core::image_pull::secret_name`]. The kubelet takes image-pull Secrets from the pod's namespace only, so it
//! is copied there. Flyte copies it once; here a copy that is ours follows its original.

mod copy;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::image_pull::secret_name;
use tokio::time::Instant;

use crate::kubernetes::{ApiError, ApiErrorKind, Secrets, Verb, Wiped, jittered};
use copy::{create, is_current, is_ours, refresh};

/// How long it is remembered that there is such a Secret, or none.
const LIFETIME: Duration = Duration::from_secs(10);
/// So many answers are remembered.
const CAPACITY: usize = 512;
/// How often a copy is looked at before we give up.
const ROUNDS: u32 = 8;
/// The wait after the first conflict; it grows by as much with each further one.
const CONFLICT: Duration = Duration::from_millis(10);

/// An image-pull Secret of the webhook's namespace.
#[derive(Clone)]
pub struct PullSecret {
    name: String,
    secret: Arc<Wiped>,
}

impl PullSecret {
    /// Its name, in every namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The name alone.
impl fmt::Debug for PullSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PullSecret").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What became of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copied {
    /// The pod is in the webhook's own namespace, where the original is.
    NotNeeded,
    /// There was none.
    Created,
    /// It was out of date.
    Updated,
    /// It was up to date.
    Kept,
    /// There is a Secret of that name which is not ours. It is used as it is, as Flyte does.
    NotOurs,
}

/// Why there is no copy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PullSecretError {
    /// The API server did not do what was needed.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The original went away.
    #[error("the image-pull Secret {name} was removed while the pod was being admitted; try again")]
    Gone {
        /// Its name.
        name: String,
    },
    /// The type of a Secret is fixed when it is created.
    #[error(
        "the image-pull Secret {name} in namespace {namespace} cannot follow its original, because it is immutable or of another type; \
         remove it, and it is created anew"
    )]
    Fixed {
        /// The namespace of the copy.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Others kept changing the copy, or the admission's time is up.
    #[error("there was no time to copy the image-pull Secret {name} to namespace {namespace}; try again")]
    Late {
        /// The namespace of the copy.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// The image-pull Secrets of the webhook's own namespace.
pub struct PullSecrets {
    client: kube::Client,
    namespace: String,
    cache: Mutex<HashMap<String, Cached>>,
}

struct Cached {
    read: Instant,
    secret: Option<Arc<Wiped>>,
}

impl PullSecrets {
    /// Those of `own_namespace` (`POD_NAMESPACE`).
    #[must_use]
    pub fn new(client: kube::Client, own_namespace: impl Into<String>) -> Self {
        Self { client, namespace: own_namespace.into(), cache: Mutex::default() }
    }

    /// The image-pull Secret that belongs to a secret, if there is one. The answer may be 10 s old.
    ///
    /// # Errors
    ///
    /// When the API server cannot be asked before `deadline`. Needs `get` on Secrets of the own namespace.
    pub async fn find(&self, id: &SecretId, deadline: Instant) -> Result<Option<PullSecret>, ApiError> {
        let name = secret_name(id);
        let secret = match self.cached(&name) {
            Some(known) => known,
            None => self.read(&name, deadline).await?,
        };
        Ok(secret.map(|secret| PullSecret { name, secret }))
    }

    /// Sees to it that the pod's namespace has the Secret. Copies that are not ours are never touched; ours are those with our
    /// mark, or with the label that Flyte gives such Secrets.
    ///
    /// Needs `get`, `create` and `update` on Secrets there.
    ///
    /// # Errors
    ///
    /// When there is no copy of which we know that it is up to date.
    pub async fn copy(
        &self,
        original: &PullSecret,
        namespace: &str,
        deadline: Instant,
    ) -> Result<Copied, PullSecretError> {
        if namespace == self.namespace {
            return Ok(Copied::NotNeeded);
        }
        for round in 1..=ROUNDS {
            match self.round(original, namespace, deadline).await {
                Err(PullSecretError::Api(error)) if is_overtaken(&error) && Instant::now() < deadline => {
                    tokio::time::sleep(jittered(CONFLICT * round)).await;
                }
                outcome => return outcome,
            }
        }
        Err(PullSecretError::Late { namespace: namespace.to_owned(), name: original.name.clone() })
    }

    /// The original is read again after the copy was seen, and the copy must not change in between: so an old original never
    /// replaces a newer one.
    async fn round(
        &self,
        original: &PullSecret,
        namespace: &str,
        deadline: Instant,
    ) -> Result<Copied, PullSecretError> {
        let PullSecret { name, secret: known } = original;
        let secrets = Secrets::new(self.client.clone(), namespace).until(deadline);
        let Some(mut found) = secrets.get(name).await?.map(Wiped) else {
            let original = self.read(name, deadline).await?.ok_or_else(|| gone(name))?;
            secrets.create(name, &create(&original, name)).await?;
            return Ok(Copied::Created);
        };
        if !is_ours(&found) {
            return Ok(Copied::NotOurs);
        }
        if is_current(&found, known) {
            return Ok(Copied::Kept);
        }
        let original = self.read(name, deadline).await?.ok_or_else(|| gone(name))?;
        if is_current(&found, &original) {
            return Ok(Copied::Kept);
        }
        if found.immutable == Some(true) || found.type_ != original.type_ {
            return Err(PullSecretError::Fixed { namespace: namespace.to_owned(), name: name.clone() });
        }
        refresh(&mut found, &original);
        secrets.update(name, &found).await?;
        Ok(Copied::Updated)
    }

    fn cached(&self, name: &str) -> Option<Option<Arc<Wiped>>> {
        let cache = self.lock();
        cache.get(name).filter(|cached| cached.read.elapsed() < LIFETIME).map(|cached| cached.secret.clone())
    }

    /// The original as it is now.
    async fn read(&self, name: &str, deadline: Instant) -> Result<Option<Arc<Wiped>>, ApiError> {
        let read = Instant::now();
        let secrets = Secrets::new(self.client.clone(), &self.namespace).until(deadline);
        let secret = secrets.get(name).await?.map(|secret| Arc::new(Wiped(secret)));
        let mut cache = self.lock();
        if cache.len() >= CAPACITY {
            cache.retain(|_, cached| cached.read.elapsed() < LIFETIME);
        }
        if cache.len() < CAPACITY || cache.contains_key(name) {
            cache.insert(name.to_owned(), Cached { read, secret: secret.clone() });
        }
        Ok(secret)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Cached>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for PullSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PullSecrets").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

fn gone(name: &str) -> PullSecretError {
    PullSecretError::Gone { name: name.to_owned() }
}

/// Somebody else was faster. A 404 for a creation is about the namespace.
fn is_overtaken(error: &ApiError) -> bool {
    error.kind == ApiErrorKind::Conflict || (error.kind == ApiErrorKind::NotFound && error.verb == Verb::Update)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
