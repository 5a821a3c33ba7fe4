//! Values read again from their source, past every cache: what a mirror is compared with before it is changed.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use flyte_secrets_core::Settings;
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::injectors::global_look_up;
use flyte_secrets_core::mirror::MirrorSource;
use flyte_secrets_stores::{FailureClass, Freshness};
use futures::future::BoxFuture;
use tokio::time::Instant;

use super::sources::{Failure, Sources};
use crate::mirrors::{FreshError, FreshValue, FreshValues};

/// The sources of the admissions, for the mirrors.
pub struct Fresh {
    settings: Arc<ArcSwap<Settings>>,
    sources: Sources,
}

impl Fresh {
    /// Over the same settings and sources as the admissions.
    #[must_use]
    pub fn new(settings: Arc<ArcSwap<Settings>>, sources: Sources) -> Self {
        Self { settings, sources }
    }

    fn global(&self, group: &str, key: &str) -> Result<FreshValue, FreshError> {
        let fetched = SystemTime::now();
        match self.sources.global(&global_look_up(&self.settings.load(), group, key)) {
            Ok(value) => Ok(FreshValue { value, fetched }),
            Err(Failure::Declined(_)) => Err(FreshError::Gone),
            Err(Failure::Retryable(why)) => Err(FreshError::Failed(why)),
        }
    }

    /// A value that only a wider scope has now is another secret.
    /// A value that only a wider scope has now is another secret: the mirror's own is gone.
    async fn embedded(&self, id: &str, deadline: Instant) -> Result<FreshValue, FreshError> {
        let id = SecretId::decode(id).map_err(|error| FreshError::Failed(error.to_string()))?;
        match self.sources.look_ups.find(&id, Freshness::Fresh, deadline).await {
            Ok(found) if found.id == id => Ok(FreshValue { value: found.value, fetched: found.fetched }),
            Ok(_) => Err(FreshError::Gone),
            Err(error) if error.class() == FailureClass::NotFound => Err(FreshError::Gone),
            Err(error) => Err(FreshError::Failed(error.to_string())),
        }
    }
}

impl FreshValues for Fresh {
    fn read<'a>(
        &'a self,
        source: &'a MirrorSource,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<FreshValue, FreshError>> {
        Box::pin(async move {
            match source {
                MirrorSource::Global { group, key } => self.global(group, key),
                MirrorSource::Embedded { id } => self.embedded(id, deadline).await,
            }
        })
    }
}
