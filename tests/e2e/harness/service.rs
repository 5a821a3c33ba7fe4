//! A Service that leads to a program on this host.

use serde_json::json;

use super::Namespace;
use super::bed::bed;

/// Makes the Service `name` whose `port` leads to the port `target` of this host: it has no selector, and an
/// EndpointSlice made by hand. Starts the node, whose link carries the host's address.
pub(crate) async fn lead_here(namespace: &Namespace, name: &str, port: u16, target: u16) {
    let service = json!({
        "metadata": {"name": name},
        "spec": {"ports": [{"name": "https", "port": port, "targetPort": target}]},
    });
    namespace.api.create(&namespace.path("services"), &service).await.unwrap();
    let slice = json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [bed().host_address()], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": target}],
    });
    let path = format!("/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices", namespace.name);
    namespace.api.create(&path, &slice).await.unwrap();
}
