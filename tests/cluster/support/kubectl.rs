//! kubectl, as people use it.

use super::testbed::script;

/// Runs kubectl as the cluster's admin, to its end; gives what it printed, or why it failed.
pub(crate) async fn kubectl(arguments: &[&str]) -> Result<String, String> {
    script("kubectl.sh", arguments, "").await
}

/// `kubectl apply` of manifests in YAML.
pub(crate) async fn apply(manifests: &str) {
    script("kubectl.sh", &["apply", "--filename=-"], manifests).await.unwrap();
}

/// `kubectl delete` of manifests in YAML; waits until they are gone.
pub(crate) async fn delete(manifests: &str) {
    script("kubectl.sh", &["delete", "--ignore-not-found", "--filename=-"], manifests).await.unwrap();
}
