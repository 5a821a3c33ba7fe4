//! The protocol of Flyte 2: connectors. What differs from Flyte 1 are the names, and connections.
#![allow(refining_impl_trait, reason = "the traits let an answer be encoded lazily, and ours is a message")]

use std::sync::Arc;

use connectrpc::{RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream};
use flyte_secrets_sdk::plugins::Connection;

use crate::connector::Connector;
use crate::flyte1::{NAME, categories, check_name, no_metrics, resource, task};
use crate::job;
use crate::proto::flyteidl2::connector::{
    self as proto, AsyncConnectorService, ConnectorMetadataService, CreateTaskRequest, CreateTaskResponse,
    DeleteTaskRequest, DeleteTaskResponse, GetConnectorRequest, GetConnectorResponse, GetTaskLogsRequest,
    GetTaskLogsResponse, GetTaskLogsResponseBody, GetTaskMetricsRequest, GetTaskMetricsResponse, GetTaskRequest,
    GetTaskResponse, ListConnectorsRequest, ListConnectorsResponse,
};
use crate::resource::ResourceMeta;
use crate::told::told;

/// Serves `AsyncConnectorService` and `ConnectorMetadataService`.
#[derive(Debug)]
pub(crate) struct Flyte2(pub(crate) Arc<Connector>);

impl AsyncConnectorService for Flyte2 {
    async fn create_task(
        &self,
        _: RequestContext,
        request: ServiceRequest<'_, CreateTaskRequest>,
    ) -> ServiceResult<CreateTaskResponse> {
        let CreateTaskRequest { template, task_execution_metadata, connection: theirs, .. } =
            request.to_owned_message();
        let mut task = task(template.into_option(), task_execution_metadata.into_option());
        task.connection = theirs.map(connection);
        let job = job::name(&task.metadata.id);
        let meta = told("CreateTask", &job, self.0.create(task).await)?;
        Response::ok(CreateTaskResponse { resource_meta: meta.write()?, ..Default::default() })
    }

    async fn get_task(
        &self,
        _: RequestContext,
        request: ServiceRequest<'_, GetTaskRequest>,
    ) -> ServiceResult<GetTaskResponse> {
        let GetTaskRequest { resource_meta, connection: theirs, .. } = request.to_owned_message();
        let meta = ResourceMeta::read(&resource_meta)?;
        let status = told("GetTask", &meta.job, self.0.get(&meta, theirs.map(connection)).await)?;
        Response::ok(GetTaskResponse { resource: resource(status).into(), ..Default::default() })
    }

    async fn delete_task(
        &self,
        _: RequestContext,
        request: ServiceRequest<'_, DeleteTaskRequest>,
    ) -> ServiceResult<DeleteTaskResponse> {
        let DeleteTaskRequest { resource_meta, connection: theirs, .. } = request.to_owned_message();
        let meta = ResourceMeta::read(&resource_meta)?;
        told("DeleteTask", &meta.job, self.0.delete(&meta, theirs.map(connection)).await)?;
        Response::ok(DeleteTaskResponse::default())
    }

    async fn get_task_metrics(
        &self,
        _: RequestContext,
        _: ServiceRequest<'_, GetTaskMetricsRequest>,
    ) -> ServiceResult<GetTaskMetricsResponse> {
        Err::<Response<GetTaskMetricsResponse>, _>(no_metrics())
    }

    async fn get_task_logs(
        &self,
        _: RequestContext,
        request: ServiceRequest<'_, GetTaskLogsRequest>,
    ) -> ServiceResult<ServiceStream<GetTaskLogsResponse>> {
        let meta = ResourceMeta::read(request.resource_meta)?;
        let results = told("GetTaskLogs", &meta.job, self.0.log(&meta, request.lines).await)?;
        let body = GetTaskLogsResponseBody { results, ..Default::default() };
        let part = GetTaskLogsResponse { part: body.into(), ..Default::default() };
        Response::stream_ok(futures::stream::iter([Ok(part)]))
    }
}

impl ConnectorMetadataService for Flyte2 {
    async fn get_connector(
        &self,
        _: RequestContext,
        request: ServiceRequest<'_, GetConnectorRequest>,
    ) -> ServiceResult<GetConnectorResponse> {
        check_name(request.name)?;
        Response::ok(GetConnectorResponse { connector: self.connector().into(), ..Default::default() })
    }

    async fn list_connectors(
        &self,
        _: RequestContext,
        _: ServiceRequest<'_, ListConnectorsRequest>,
    ) -> ServiceResult<ListConnectorsResponse> {
        Response::ok(ListConnectorsResponse { connectors: vec![self.connector()], ..Default::default() })
    }
}

impl Flyte2 {
    fn connector(&self) -> proto::Connector {
        let (name, supported_task_categories) = (NAME.to_owned(), categories(&self.0));
        proto::Connector { name, supported_task_categories, ..Default::default() }
    }
}

fn connection(theirs: proto::Connection) -> Connection {
    let proto::Connection { task_type, secrets, configs, .. } = theirs;
    Connection { task_type, secrets: secrets.into_iter().collect(), configs: configs.into_iter().collect() }
}
