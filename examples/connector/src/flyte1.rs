//! The protocol of Flyte 1: agents.
#![allow(refining_impl_trait, reason = "the traits let an answer be encoded lazily, and ours is a message")]

use std::sync::Arc;
use std::time::Duration;

use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream};
use flyte_secrets_sdk::plugins::{TaskExecutionId, TaskExecutionMetadata as Metadata};

use crate::connector::Connector;
use crate::job;
use crate::proto::flyteidl::admin::{
    Agent, CreateTaskRequest, CreateTaskResponse, DeleteTaskRequest, DeleteTaskResponse, GetAgentRequest,
    GetAgentResponse, GetTaskLogsRequest, GetTaskLogsResponse, GetTaskLogsResponseBody, GetTaskMetricsRequest,
    GetTaskMetricsResponse, GetTaskRequest, GetTaskResponse, ListAgentsRequest, ListAgentsResponse, Resource,
    TaskCategory, TaskExecutionMetadata,
};
use crate::proto::flyteidl::core::resources::{ResourceEntry, ResourceName};
use crate::proto::flyteidl::core::task_execution;
use crate::proto::flyteidl::core::task_log::MessageFormat;
use crate::proto::flyteidl::core::{TaskLog, TaskTemplate};
use crate::proto::flyteidl::service::{AgentMetadataService, AsyncAgentService};
use crate::resource::ResourceMeta;
use crate::task::{Container, Phase, Status, Task};
use crate::told::told;

/// The name of the agent, and of the connector in Flyte 2.
pub(crate) const NAME: &str = "Kubernetes Jobs over HTTP";

/// Serves `AsyncAgentService` and `AgentMetadataService`.
#[derive(Debug)]
pub(crate) struct Flyte1(pub(crate) Arc<Connector>);

impl AsyncAgentService for Flyte1 {
    async fn create_task(
        &self,
        _: RequestContext,
        request: ServiceRequest<'_, CreateTaskRequest>,
    ) -> ServiceResult<CreateTaskResponse> {
        let CreateTaskRequest { template, task_execution_metadata, .. } = request.to_owned_message();
        let task = task(template.into_option(), task_execution_metadata.into_option());
        let job = job::name(&task.metadata.id);
        let meta = told("CreateTask", &job, self.0.create(task).await)?;
        Response::ok(CreateTaskResponse { resource_meta: meta.write()?, ..Default::default() })
    }

    async fn get_task(
        &self,
        _: RequestContext,
        request: ServiceRequest<'_, GetTaskRequest>,
    ) -> ServiceResult<GetTaskResponse> {
        let meta = ResourceMeta::read(request.resource_meta)?;
        let status = told("GetTask", &meta.job, self.0.get(&meta, None).await)?;
        Response::ok(GetTaskResponse { resource: resource(status).into(), ..Default::default() })
    }

    async fn delete_task(
        &self,
        _: RequestContext,
        request: ServiceRequest<'_, DeleteTaskRequest>,
    ) -> ServiceResult<DeleteTaskResponse> {
        let meta = ResourceMeta::read(request.resource_meta)?;
        told("DeleteTask", &meta.job, self.0.delete(&meta, None).await)?;
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

impl AgentMetadataService for Flyte1 {
    async fn get_agent(
        &self,
        _: RequestContext,
        request: ServiceRequest<'_, GetAgentRequest>,
    ) -> ServiceResult<GetAgentResponse> {
        check_name(request.name)?;
        Response::ok(GetAgentResponse { agent: self.agent().into(), ..Default::default() })
    }

    async fn list_agents(
        &self,
        _: RequestContext,
        _: ServiceRequest<'_, ListAgentsRequest>,
    ) -> ServiceResult<ListAgentsResponse> {
        Response::ok(ListAgentsResponse { agents: vec![self.agent()], ..Default::default() })
    }
}

impl Flyte1 {
    fn agent(&self) -> Agent {
        Agent {
            name: NAME.to_owned(),
            supported_task_types: vec![self.0.task_type.clone()],
            supported_task_categories: categories(&self.0),
            ..Default::default()
        }
    }
}

/// What the connector runs.
pub(crate) fn categories(connector: &Connector) -> Vec<TaskCategory> {
    vec![TaskCategory { name: connector.task_type.clone(), version: 0, ..Default::default() }]
}

/// Whether somebody asks for us.
pub(crate) fn check_name(name: &str) -> Result<(), ConnectError> {
    if name == NAME { Ok(()) } else { Err(ConnectError::not_found(format!("there is only {NAME:?} here"))) }
}

/// Nobody measures here.
pub(crate) fn no_metrics() -> ConnectError {
    ConnectError::unimplemented("the Jobs API has no metrics of a task")
}

/// A task as plain data.
pub(crate) fn task(template: Option<TaskTemplate>, metadata: Option<TaskExecutionMetadata>) -> Task {
    use crate::proto::flyteidl::core::__buffa::oneof::task_template::Target;
    let TaskTemplate { r#type, metadata: limits, target, .. } = template.unwrap_or_default();
    let timeout = limits.into_option().and_then(|limits| limits.timeout.into_option()).and_then(|timeout| {
        let length = Duration::new(u64::try_from(timeout.seconds).ok()?, u32::try_from(timeout.nanos).ok()?);
        (length > Duration::ZERO).then_some(length)
    });
    let container = target.map(|Target::Container(container)| Container {
        image: container.image,
        command: container.command,
        args: container.args,
        env: container.env.into_iter().map(|pair| (pair.key, pair.value)).collect(),
        requests: quantities(&container.resources.requests),
        limits: quantities(&container.resources.limits),
    });
    let metadata = metadata.unwrap_or_default();
    let (attempt, node) = metadata
        .task_execution_id
        .into_option()
        .map_or_else(Default::default, |id| (id.retry_attempt, id.node_execution_id.into_option().unwrap_or_default()));
    let execution = node.execution_id.into_option().unwrap_or_default();
    let id = TaskExecutionId {
        org: execution.org,
        project: execution.project,
        domain: execution.domain,
        execution: execution.name,
        node_id: node.node_id,
        retry_attempt: attempt,
    };
    let (namespace, k8s_service_account) = (metadata.namespace, metadata.k8s_service_account);
    let metadata = Metadata { id, namespace, k8s_service_account };
    Task { task_type: r#type, metadata, container, timeout, connection: None }
}

/// Resources by the names that Kubernetes has for them, as Flyte's own pods have them.
fn quantities(entries: &[ResourceEntry]) -> Vec<(&'static str, String)> {
    let named = |entry: &ResourceEntry| {
        let name = match entry.name.as_known()? {
            ResourceName::CPU => "cpu",
            ResourceName::GPU => "nvidia.com/gpu",
            ResourceName::MEMORY => "memory",
            ResourceName::EPHEMERAL_STORAGE => "ephemeral-storage",
            ResourceName::STORAGE | ResourceName::UNKNOWN => return None,
        };
        Some((name, entry.value.clone()))
    };
    entries.iter().filter_map(named).collect()
}

/// A status for Flyte, of both versions.
pub(crate) fn resource(status: Status) -> Resource {
    let phase = match status.phase {
        Phase::Queued => task_execution::Phase::QUEUED,
        Phase::Initializing => task_execution::Phase::INITIALIZING,
        Phase::Running => task_execution::Phase::RUNNING,
        Phase::Succeeded => task_execution::Phase::SUCCEEDED,
        Phase::Failed => task_execution::Phase::FAILED,
        Phase::Aborted => task_execution::Phase::ABORTED,
    };
    let link = |uri| TaskLog {
        uri,
        name: "Log of the Job".to_owned(),
        message_format: MessageFormat::UNKNOWN.into(),
        ..Default::default()
    };
    Resource {
        message: status.message,
        log_links: status.log_link.into_iter().map(link).collect(),
        phase: phase.into(),
        ..Default::default()
    }
}
