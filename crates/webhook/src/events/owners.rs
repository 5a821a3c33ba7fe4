//! The kinds of controllers that Flyte's pods have, and whether one that a pod names is there.
//!
//! The table is closed: no part of a URL is made of what a pod says but the name, and that is checked.

use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client};

use crate::kubernetes::{ApiError, Object, Verb};
use crate::server::Owner;

/// A kind of controller.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kind {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
}

const fn row(group: &'static str, version: &'static str, kind: &'static str, plural: &'static str) -> Kind {
    Kind { group, version, kind, plural }
}

/// Kubernetes' own controllers, Flyte's, and those of the operators that Flyte's plugins use.
pub(super) const KINDS: [Kind; 16] = [
    row("apps", "v1", "DaemonSet", "daemonsets"),
    row("apps", "v1", "ReplicaSet", "replicasets"),
    row("apps", "v1", "StatefulSet", "statefulsets"),
    row("batch", "v1", "Job", "jobs"),
    // An executor of Spark is owned by the pod of its driver.
    row("", "v1", "Pod", "pods"),
    row("flyte.lyft.com", "v1alpha1", "FlyteWorkflow", "flyteworkflows"),
    row("flyte.org", "v1", "TaskAction", "taskactions"),
    row("kubeflow.org", "v1", "MPIJob", "mpijobs"),
    row("kubeflow.org", "v1", "PyTorchJob", "pytorchjobs"),
    row("kubeflow.org", "v1", "TFJob", "tfjobs"),
    row("kubernetes.dask.org", "v1", "DaskCluster", "daskclusters"),
    row("kubernetes.dask.org", "v1", "DaskJob", "daskjobs"),
    row("kubernetes.dask.org", "v1", "DaskWorkerGroup", "daskworkergroups"),
    row("ray.io", "v1", "RayCluster", "rayclusters"),
    row("ray.io", "v1", "RayJob", "rayjobs"),
    row("sparkoperator.k8s.io", "v1beta2", "SparkApplication", "sparkapplications"),
];

impl Kind {
    /// The row of an owner, in whichever version it is named.
    pub(super) fn of(owner: &Owner) -> Option<&'static Self> {
        let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
        KINDS.iter().find(|known| known.kind == owner.kind && known.group == group)
    }

    /// Group and version.
    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Whether `owner` is in the namespace, under its uid. Reads metadata only.
    pub(super) async fn has(&self, client: &Client, namespace: &str, owner: &Owner) -> Result<bool, ApiError> {
        if !is_name(&owner.name) || owner.uid.is_empty() {
            return Ok(false);
        }
        let resource = ApiResource {
            group: self.group.to_owned(),
            version: self.version.to_owned(),
            api_version: self.api_version(),
            kind: self.kind.to_owned(),
            plural: self.plural.to_owned(),
        };
        let objects = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &resource);
        // The rule that an error names is for all objects of the kind.
        let object = Object {
            group: self.group,
            resource: self.plural,
            namespace: Some(namespace.to_owned()),
            name: String::new(),
        };
        let found = object.call(Verb::Get, objects.get_metadata_opt(&owner.name)).await?;
        Ok(found.and_then(|found| found.metadata.uid).is_some_and(|uid| uid == owner.uid))
    }
}

/// Whether a text is a name of an object, and so one segment of a URL (RFC 1123, section 2.1, as Kubernetes reads it).
fn is_name(text: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    text.len() <= 253 && text.bytes().all(inside) && ends(text.bytes().next()) && ends(text.bytes().last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_known_by_group_and_kind_in_any_version() {
        let owner = |api_version: &str, kind: &str| Owner {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            name: "a".to_owned(),
            uid: "u".to_owned(),
        };
        let plural = |api_version, kind| Kind::of(&owner(api_version, kind)).map(|kind| kind.plural);
        assert_eq!(plural("batch/v1", "Job"), Some("jobs"));
        assert_eq!(plural("batch/v2", "Job"), Some("jobs"));
        assert_eq!(plural("v1", "Pod"), Some("pods"));
        assert_eq!(plural("example.com/v1", "Job"), None);
        assert_eq!(plural("v1", "Secret"), None);
        assert_eq!(plural("v1", "Node"), None);
    }

    #[test]
    fn what_is_no_name_is_never_part_of_a_url() {
        for name in ["", ".", "..", "a/b", "a?b", "A", "-a", "a-", "a%2f", "a b", &"a".repeat(254)] {
            assert!(!is_name(name), "{name:?}");
        }
        for name in ["a", "0", "a-b.c-1", &"a".repeat(253)] {
            assert!(is_name(name), "{name:?}");
        }
    }
}
