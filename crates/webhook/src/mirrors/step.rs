//! Mirrors, brought in step with their sources.

use std::time::Duration;

use flyte_secrets_core::mirror::MirrorSource;
use tokio::time::Instant;

use super::collect::Listed;
use super::keep::{Keeper, Purpose};
use super::{FreshError, FreshValue, MirrorError, WantedMirror};

/// How long one source with its mirrors may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// What became of one source's turn.
pub(super) enum Step {
    /// The source is not there any more.
    Gone,
    /// So many reads or mirrors failed.
    Failed(usize),
}

/// Reads a source again and brings `mirrors` in step with it.
pub(super) async fn bring_in_step(
    keeper: &Keeper,
    source: &MirrorSource,
    mirrors: Vec<&Listed>,
) -> (MirrorSource, Step) {
    let step = match read(keeper, source).await {
        Ok((fresh, deadline)) => Step::Failed(bring_to(&fresh, keeper, source, &mirrors, deadline).await),
        Err(step) => step,
    };
    (source.clone(), step)
}

/// The value of a source, and until when there is time for its mirrors.
async fn read(keeper: &Keeper, source: &MirrorSource) -> Result<(FreshValue, Instant), Step> {
    let deadline = Instant::now() + PATIENCE;
    match tokio::time::timeout_at(deadline, keeper.fresh.read(source, deadline)).await {
        Ok(Ok(fresh)) => Ok((fresh, deadline)),
        Ok(Err(FreshError::Gone)) => Err(Step::Gone),
        // It is there, and is not what a pod would get now: nobody has to have it.
        Ok(Err(FreshError::Changed)) => Err(Step::Failed(0)),
        Ok(Err(FreshError::Failed(why))) => {
            tracing::debug!(%source, why, "the source of a mirror cannot be read");
            Err(Step::Failed(1))
        }
        Err(_) => Err(Step::Failed(1)),
    }
}

/// Brings all mirrors of a source in step with its value; returns how many failed.
async fn bring_to(
    fresh: &FreshValue,
    keeper: &Keeper,
    source: &MirrorSource,
    mirrors: &[&Listed],
    deadline: Instant,
) -> usize {
    let mut failed = 0;
    for mirror in mirrors {
        let wanted = WantedMirror {
            name: mirror.name.clone(),
            source: source.clone(),
            form: mirror.marks.form,
            value: fresh.value.clone(),
            fetched: fresh.fetched,
        };
        match keeper.keep(&mirror.namespace, &wanted, Purpose::Sweep, deadline).await {
            // A value that no longer fits leaves those alone who have the old one.
            Ok(_) | Err(MirrorError::NotText { .. } | MirrorError::TooLarge { .. } | MirrorError::Changed { .. }) => {}
            Err(error) => {
                tracing::debug!(%error, "a mirror cannot be brought in step with its source");
                failed += 1;
            }
        }
    }
    failed
}
