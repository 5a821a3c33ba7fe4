//! Service accounts with few rights, as kubeconfigs.

use std::path::{Path, PathBuf};

use kube::config::Kubeconfig;
use serde_json::{Value, json};

use super::Namespace;
use super::bed::{bed, logs};

/// A kubeconfig at `server` (`None`: the API server itself) of a service account of `namespace` that may do what
/// `rules` (of a ClusterRole) say, and nothing else.
pub(crate) async fn service_account(namespace: &Namespace, rules: Value) -> PathBuf {
    let (api, name) = (&namespace.api, &namespace.name);
    api.create(&namespace.path("serviceaccounts"), &json!({"metadata": {"name": "webhook"}})).await.unwrap();
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    api.create(&format!("{rbac}/clusterroles"), &json!({"metadata": {"name": name}, "rules": rules})).await.unwrap();
    let binding = json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "webhook", "namespace": name}],
    });
    api.create(&format!("{rbac}/clusterrolebindings"), &binding).await.unwrap();
    kubeconfig_of(namespace, "webhook").await
}

/// A kubeconfig of a service account that is there.
pub(crate) async fn kubeconfig_of(Namespace { name, api, .. }: &Namespace, account: &str) -> PathBuf {
    let token = format!("/api/v1/namespaces/{name}/serviceaccounts/{account}/token");
    let token = api.create(&token, &json!({"spec": {"expirationSeconds": 3600}})).await.unwrap();
    write_kubeconfig(&format!("{name}.kubeconfig"), None, json!({"token": token["status"]["token"]}))
}

/// The bearer token in a kubeconfig of [`service_account`].
pub(crate) fn token_of(kubeconfig: &Path) -> String {
    let kubeconfig: Value = serde_json::from_slice(&std::fs::read(kubeconfig).unwrap()).unwrap();
    kubeconfig["users"][0]["user"]["token"].as_str().unwrap().to_owned()
}

/// The admin's kubeconfig, with another address of the API server.
pub(crate) fn admin_at(file: &str, server: &str) -> PathBuf {
    let admin = Kubeconfig::read_from(&bed().kubeconfig).unwrap();
    let user = serde_json::to_value(&admin.auth_infos[0].auth_info).unwrap();
    write_kubeconfig(file, Some(server), user)
}

fn write_kubeconfig(file: &str, server: Option<&str>, user: Value) -> PathBuf {
    let admin = Kubeconfig::read_from(&bed().kubeconfig).unwrap();
    let mut cluster = serde_json::to_value(&admin.clusters[0].cluster).unwrap();
    if let Some(server) = server {
        cluster["server"] = json!(server);
    }
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "bed",
        "contexts": [{"name": "bed", "context": {"cluster": "bed", "user": "user"}}],
        "clusters": [{"name": "bed", "cluster": cluster}],
        "users": [{"name": "user", "user": user}],
    });
    let path = logs().join(file);
    std::fs::write(&path, kubeconfig.to_string()).unwrap();
    path
}
