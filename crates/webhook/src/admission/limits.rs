//! What one pod may cost. Real pods are far from every one of these bounds; they are there for the others.

use flyte_secrets_core::injection::{Fetch, Injection};
use flyte_secrets_core::injectors::MAX_WRITER_BYTES;
use flyte_secrets_core::merge::MAX_ADDED_BYTES;
use flyte_secrets_core::outline::PodOutline;

use super::Handled;

/// The most containers, init containers, volumes, labels or annotations of a pod: what is done for each request takes
/// time for each of them.
pub(super) const MAX_MEMBERS: usize = 10_000;

/// What a pod has too many of.
pub(super) fn too_many(pod: &PodOutline<'_>) -> Option<&'static str> {
    let counts = [
        ("containers", pod.spec.containers.len()),
        ("init containers", pod.spec.init_containers.len()),
        ("volumes", pod.spec.volumes.len()),
        ("labels", pod.metadata.labels.iter().count()),
        ("annotations", pod.metadata.annotations.iter().count()),
    ];
    counts.into_iter().find(|(_, count)| *count > MAX_MEMBERS).map(|(what, _)| what)
}

/// What is left for the values that stand in one pod.
#[derive(Default)]
pub(super) struct Room {
    written: usize,
    values: usize,
}

impl Room {
    /// Takes what a request needs.
    ///
    /// # Errors
    /// If there is no room; nothing is taken then, and the sentence says what to do.
    pub(super) fn take(&mut self, one: &Handled) -> Result<(), &'static str> {
        let Some((_, injection)) = &one.served else { return Ok(()) };
        let written = self.written + written_bytes(injection);
        if written > MAX_WRITER_BYTES {
            return Err(
                "the Embedded files of this pod are over 128 KiB in all, which is the limit of delivery PodSpec; \
                        ask for fewer or smaller files, or keep large ones in a Kubernetes Secret for the K8s manager",
            );
        }
        let values = self.values + value_bytes(injection);
        if values > MAX_ADDED_BYTES {
            return Err(
                "the variables of this pod, with the parts that webhook.customSecretManagers describes, are over 3 MiB in \
                        all, and Kubernetes takes no larger pod; ask for fewer or smaller ones, or keep large values in a \
                        Kubernetes Secret for the K8s manager",
            );
        }
        (self.written, self.values) = (written, values);
        Ok(())
    }
}

/// All Embedded files of a pod share one variable, which Linux bounds.
fn written_bytes(injection: &Injection) -> usize {
    match &injection.fetch {
        Some(Fetch::Line(line)) => line.len(),
        _ => 0,
    }
}

fn value_bytes(injection: &Injection) -> usize {
    let variables: usize = injection.env.iter().map(|variable| variable.source.size()).sum();
    variables + injection.described.as_ref().map_or(0, |described| described.bytes())
}
