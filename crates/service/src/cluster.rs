//! `flyteidl2.cluster.ClusterService`: Flyte's client asks where an operation is served before it asks for it.

use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult};

use crate::proto::flyteidl2::cluster::select_cluster_request::Operation;
use crate::proto::flyteidl2::cluster::{ClusterService, SelectClusterRequest, SelectClusterResponse};

/// Secrets are served here; what else Flyte's client may ask for is not.
pub(crate) struct ThisServer;

#[allow(refining_impl_trait, reason = "callers see the trait; here the message says more than `impl Encodable`")]
impl ClusterService for ThisServer {
    async fn select_cluster(
        &self,
        _context: RequestContext,
        request: ServiceRequest<'_, SelectClusterRequest>,
    ) -> ServiceResult<SelectClusterResponse> {
        if request.operation.as_known() == Some(Operation::OPERATION_USE_SECRETS) {
            // An empty address is that of the server which was asked.
            return Response::ok(SelectClusterResponse::default());
        }
        Err(ConnectError::unimplemented("this server serves secrets only (OPERATION_USE_SECRETS)"))
    }
}
