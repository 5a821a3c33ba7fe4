//! The endpoints of a Service whose replicas are programs on this host: the part of the kubelet, which asks `/readyz`, and of
//! the controller that keeps EndpointSlices.

use std::net::{IpAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::plain_http::get;
use super::{Namespace, Webhook, eventually};

/// How often a replica is asked, and so how late a change is seen.
const PERIOD: Duration = Duration::from_millis(500);

/// Keeps the endpoints as long as it lives.
pub(crate) struct Endpoints {
    ready: Vec<Arc<AtomicBool>>,
    _tasks: JoinSet<()>,
}

/// What an EndpointSlice says of one replica, and where it stands.
struct Slice {
    namespace: Namespace,
    service: String,
    replica: usize,
    port: u16,
    metrics_port: u16,
}

impl Endpoints {
    /// Makes the Service `name` with the port 443 and an EndpointSlice for each replica, which is ready while `/readyz` says so.
    pub(crate) async fn follow(namespace: &Namespace, name: &str, replicas: &[Webhook]) -> Self {
        let service = json!({"metadata": {"name": name}, "spec": {"ports": [{"name": "https", "port": 443}]}});
        namespace.api.create(&namespace.path("services"), &service).await.unwrap();
        let (mut ready, mut tasks) = (Vec::new(), JoinSet::new());
        for (replica, webhook) in replicas.iter().enumerate() {
            let slice = Slice {
                namespace: Namespace { name: namespace.name.clone(), api: namespace.api.clone() },
                service: name.to_owned(),
                replica,
                port: webhook.port,
                metrics_port: webhook.metrics_port,
            };
            namespace.api.create(&slice.path(), &slice.object(false)).await.unwrap();
            let state = Arc::new(AtomicBool::new(false));
            ready.push(Arc::clone(&state));
            tasks.spawn(slice.follow(state));
        }
        Self { ready, _tasks: tasks }
    }

    /// Waits until the cluster knows whether `replica` is ready; gives the time at which it was told.
    pub(crate) async fn told(&self, replica: usize, ready: bool) -> Instant {
        let state = &self.ready[replica];
        let asked = async || if state.load(Ordering::SeqCst) == ready { Ok(()) } else { Err(format!("not {ready}")) };
        eventually("endpoints that follow", 20, asked).await;
        Instant::now()
    }
}

impl Slice {
    async fn follow(self, state: Arc<AtomicBool>) {
        loop {
            let ready = get(self.metrics_port, "/readyz").await.is_ok_and(|(status, _)| status == 200);
            if ready != state.load(Ordering::SeqCst) {
                let path = format!("{}/{}", self.path(), self.name());
                self.namespace.api.replace(&path, &self.object(ready)).await.unwrap();
                state.store(ready, Ordering::SeqCst);
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    fn path(&self) -> String {
        format!("/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices", self.namespace.name)
    }

    fn name(&self) -> String {
        format!("{}-{}", self.service, self.replica)
    }

    fn object(&self, ready: bool) -> Value {
        json!({
            "metadata": {"name": self.name(), "labels": {"kubernetes.io/service-name": self.service}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [own_address()], "conditions": {"ready": ready}}],
            "ports": [{"name": "https", "port": self.port}],
        })
    }
}

/// An address of this host that is not the loopback, which no endpoint may have: the one that leads out, and not to a node of a
/// test bed, which comes and goes. Nothing is sent.
fn own_address() -> IpAddr {
    static ADDRESS: LazyLock<IpAddr> = LazyLock::new(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.connect("1.1.1.1:9").expect("a route that leads out of this host");
        socket.local_addr().unwrap().ip()
    });
    *ADDRESS
}
