//! What a plugin knows of the task it works for.

use std::fmt;
use std::sync::Arc;

use flyte_secrets_core::encoded_id::SecretId;

use super::SecretManager;

/// Handed to a plugin with every call: which task execution it is for, and where its secrets come from.
///
/// Flyte's interface of this name has more: resource manager, data store, inputs and outputs, plugin state, catalog, events.
/// They belong to the engine that runs the plugin; a connector gets what it needs of them in its requests.
/// Source: `TaskExecutionContext` in `flyteplugins/go/tasks/pluginmachinery/core/exec_context.go`.
#[derive(Clone)]
pub struct TaskExecutionContext {
    /// The execution.
    pub metadata: TaskExecutionMetadata,
    /// The type in the task's template, `spark` say; empty if it is not known.
    pub task_type: String,
    secret_manager: Arc<dyn SecretManager>,
}

impl TaskExecutionContext {
    /// A context in which nothing but the secrets is known.
    #[must_use]
    pub fn new(secret_manager: Arc<dyn SecretManager>) -> Self {
        Self { metadata: TaskExecutionMetadata::default(), task_type: String::new(), secret_manager }
    }

    /// Where this plugin gets its secrets.
    #[must_use]
    pub fn secret_manager(&self) -> &dyn SecretManager {
        &*self.secret_manager
    }
}

impl fmt::Debug for TaskExecutionContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { metadata, task_type, .. } = self;
        f.debug_struct("TaskExecutionContext")
            .field("metadata", metadata)
            .field("task_type", task_type)
            .finish_non_exhaustive()
    }
}

/// Which execution it is, and what Kubernetes knows of it. Source: `TaskExecutionMetadata` of the same package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskExecutionMetadata {
    /// The execution's id.
    pub id: TaskExecutionId,
    /// The namespace in which a pod of the task would run.
    pub namespace: String,
    /// The service account with which a pod of the task would run.
    pub k8s_service_account: String,
}

/// One attempt at one node of one execution (`flyteidl.core.TaskExecutionIdentifier`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TaskExecutionId {
    /// The organization. Empty in Flyte 1; `flyte` in open-source Flyte 2.
    pub org: String,
    /// The project.
    pub project: String,
    /// The domain.
    pub domain: String,
    /// The name of the workflow's execution, or in Flyte 2 of the run.
    pub execution: String,
    /// The node, or in Flyte 2 the action.
    pub node_id: String,
    /// Which attempt it is, from 0.
    pub retry_attempt: u32,
}

impl TaskExecutionId {
    /// The id of a secret of this task's project.
    #[must_use]
    pub fn secret_id(&self, name: &str) -> SecretId {
        let Self { org, project, domain, .. } = self;
        SecretId { org: org.clone(), domain: domain.clone(), project: project.clone(), name: name.to_owned() }
    }
}

/// The name that Flyte generates for the execution: `<execution>-<node>-<attempt>`.
impl fmt::Display for TaskExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.execution, self.node_id, self.retry_attempt)
    }
}
