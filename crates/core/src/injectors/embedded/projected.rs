//! Embedded files by reference: one projected volume over the Secrets in the pod's namespace; no container of ours.

use super::VOLUME;
use crate::injection::{Injection, Item, SeenFile, Volume, VolumeSource};
use crate::injectors::{Context, Decline};
use crate::mirror::SecretReference;
use crate::paths::{SECRETS_DIR, lower_name};
use crate::secret::Secret;

/// Declines names that Kubernetes keeps for itself in such volumes, and pods in which something stands in its place.
pub(super) fn check(context: &Context<'_>, request: &Secret) -> Result<(), Decline> {
    // `validateLocalNonReservedPath` of Kubernetes: the kubelet's own links of the volume begin like that.
    if request.key.starts_with("..") {
        return Err(Decline(format!(
            "makes a file name of the key {:?}, which begins with '..', and Kubernetes refuses that in a volume",
            request.key
        )));
    }
    let spec = &context.pod.spec;
    let Some(volume) = spec.volumes.iter().find(|volume| &*volume.name == VOLUME) else { return Ok(()) };
    if volume.files_by_reference().is_some() {
        return Ok(());
    }
    let writer = &context.settings.embedded.writer_name;
    Err(Decline(if spec.init_containers.iter().any(|there| *there.name == **writer && super::is_our_writer(there)) {
        "cannot add files: an earlier pass has put those of this pod into its spec (webhook.delivery: PodSpec); create \
         the pod again"
            .to_owned()
    } else {
        format!("cannot add files: the pod has a volume of its own named {VOLUME:?}")
    }))
}

pub(super) fn add(injection: &mut Injection, request: &Secret, path: String, reference: &SecretReference) {
    let SecretReference { name, key } = reference;
    let item = |path: String, yields: bool| Item { key: key.clone(), path, yields };
    let lower = lower_name(&request.key).map(|lower| item(lower, true));
    let items = std::iter::once(item(request.key.clone(), false)).chain(lower).collect();
    let source = VolumeSource::Projected { name: VOLUME, secret_name: name.clone(), items };
    injection.volume = Some(Volume { mount_path: SECRETS_DIR.to_owned(), source });
    injection.files = vec![SeenFile { path, source: format!("key {key:?} of the Secret {name:?}") }];
}
