//! All that is served on the service's port.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use connectrpc::{ConnectRpcService, Limits, Router as Services};
use connectrpc_health::StaticChecker;
use connectrpc_reflection::Reflector;

use crate::authentication::{Authentication, Gate, authenticate};
use crate::body::{Bodies, MAX_BODY, keep};
use crate::browser::refuse_other_sites;
use crate::cluster::ThisServer;
use crate::metrics::Metrics;
use crate::observer::Observer;
use crate::proto::DESCRIPTORS;
use crate::rest;
use crate::rpc::SecretRpc;
use crate::secrets::Secrets;

/// The services that health and reflection know of.
pub const SERVICES: [&str; 2] = ["flyteidl2.secret.SecretService", "flyteidl2.cluster.ClusterService"];
/// So many requests with a body are in memory at once.
const BODIES: usize = 64;

/// The routes: Connect, gRPC and gRPC-Web under the names of the services, REST under `/secrets/api/v1`, `grpc.health.v1` and
/// `grpc.reflection`. `cluster` is the name that [`Secrets`] are said to be present in; empty: none.
///
/// Those who call the Secret service have to show who they are as `authentication` wants it.
///
/// The second part tells health checks when the service is about to end.
pub fn router(
    secrets: Secrets,
    authentication: Authentication,
    cluster: &str,
    metrics: Metrics,
) -> (Router, Arc<StaticChecker>) {
    let rpc = SecretRpc { secrets, cluster: cluster.to_owned() };
    let services = Services::new().add_service(Arc::new(rpc)).add_service(Arc::new(ThisServer));
    let limits = Limits::default().with_max_request_body_size(MAX_BODY).with_max_message_size(MAX_BODY);
    let secrets =
        ConnectRpcService::new(services).with_limits(limits).with_interceptor(Observer { metrics: metrics.clone() });

    let (others, health) = connectrpc_health::install_static(Services::new(), SERVICES);
    let reflector = Reflector::from_descriptor_set_bytes(DESCRIPTORS)
        .expect("the descriptors were written by the build of this crate")
        .with_services(SERVICES);
    let others = ConnectRpcService::new(connectrpc_reflection::install(others, reflector));

    let route = |service: &str| format!("/{service}/{{method}}");
    let [of_secrets, of_clusters] = SERVICES;
    let gate = Gate { authentication, metrics };
    // Where secrets are served is told to everybody; health and reflection tell nothing of them either.
    let bodies = from_fn_with_state(Bodies::at_once(BODIES), keep);
    let clusters = Router::new().route_service(&route(of_clusters), secrets.clone()).layer(bodies.clone());
    let routes = rest::routes(secrets.clone())
        .route_service(&route(of_secrets), secrets)
        .layer(bodies)
        .layer(from_fn_with_state(gate, authenticate))
        .layer(from_fn(refuse_other_sites))
        .merge(clusters);
    // Reflection is a stream, so its body must not be read as a whole.
    let routes = routes.fallback_service(others);
    (routes, health)
}
