//! What the two protocols say, as plain data.

use std::time::Duration;

use flyte_secrets_sdk::plugins::{Connection, TaskExecutionMetadata};

/// A task that shall run.
#[derive(Debug)]
pub(crate) struct Task {
    /// The type in its template.
    pub(crate) task_type: String,
    pub(crate) metadata: TaskExecutionMetadata,
    /// What it runs; `None` for a template of another kind.
    pub(crate) container: Option<Container>,
    /// The longest that it may run.
    pub(crate) timeout: Option<Duration>,
    /// In Flyte 2.
    pub(crate) connection: Option<Connection>,
}

/// A container, arguments already filled in by Flyte.
#[derive(Debug, Default)]
pub(crate) struct Container {
    pub(crate) image: String,
    pub(crate) command: Vec<String>,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    /// Kubernetes' names of resources, and quantities.
    pub(crate) requests: Vec<(&'static str, String)>,
    pub(crate) limits: Vec<(&'static str, String)>,
}

/// What Flyte wants to know of a task that was started (`flyteidl.core.TaskExecution.Phase`, as far as it is used).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Queued,
    Initializing,
    Running,
    Succeeded,
    Failed,
    Aborted,
}

/// How a task is doing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) phase: Phase,
    pub(crate) message: String,
    /// A page with its log.
    pub(crate) log_link: Option<String>,
}
