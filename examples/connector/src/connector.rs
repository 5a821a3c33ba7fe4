//! What the connector does: one function a call of Flyte.

use flyte_secrets_sdk::plugins::{Connection, TaskExecutionId};
use reqwest::StatusCode;

use crate::failure::Failure;
use crate::job;
use crate::jobs_api::{Answer, Bearer, JobsApi};
use crate::keys::{ApiKey, Keys};
use crate::resource::{ResourceMeta, is_dns_label};
use crate::task::{Status, Task};

/// The setting of a connection that names a namespace.
const NAMESPACE_CONFIG: &str = "namespace";
/// The most lines of a log.
const MAX_LINES: u64 = 1000;

/// Runs tasks as Jobs.
#[derive(Debug)]
pub(crate) struct Connector {
    pub(crate) api: JobsApi,
    pub(crate) keys: Keys,
    /// What its tasks' templates have as `type`.
    pub(crate) task_type: String,
    /// Where Jobs run, unless a connection says so; `None`: where a pod of the task would.
    pub(crate) namespace: Option<String>,
    /// The address of a Job's log, with `{namespace}` and `{job}` in it.
    pub(crate) log_url: Option<String>,
}

impl Connector {
    /// Starts a task, once: a second call for the same execution gives the Job of the first.
    pub(crate) async fn create(&self, task: Task) -> Result<ResourceMeta, Failure> {
        let id = &task.metadata.id;
        if task.task_type != self.task_type {
            let (theirs, ours) = (short(&task.task_type), &self.task_type);
            return Err(Failure::Invalid(format!("the task's type is {theirs:?}, and this connector runs {ours:?}")));
        }
        let Some(container) = task.container.as_ref().filter(|container| !container.image.is_empty()) else {
            return Err(Failure::Invalid("the task's template has no container with an image".to_owned()));
        };
        if id.execution.is_empty() {
            return Err(Failure::Invalid("the request does not say for which execution the task runs".to_owned()));
        }
        let namespace = self.namespace(&task)?;
        let key = self.keys.for_call(id.clone(), &task.task_type, task.connection.clone())?;
        let manifest = job::manifest(&task, container);
        let (to, job) = (&namespace, &manifest);
        let made = self.with_key(&key, |bearer| async move { self.api.create(&bearer, to, job).await }).await?;
        if !job::is_of(&made, id) {
            let (api, said) =
                (self.api.address().to_owned(), "a Job of that name is there for something else".to_owned());
            return Err(Failure::Refused { api, status: StatusCode::CONFLICT.as_u16(), said });
        }
        let TaskExecutionId { org, project, domain, .. } = id.clone();
        Ok(ResourceMeta { namespace, job: job::name(id), org, project, domain })
    }

    /// How a task is doing.
    pub(crate) async fn get(&self, meta: &ResourceMeta, connection: Option<Connection>) -> Result<Status, Failure> {
        let key = self.keys.for_call(meta.task(), &self.task_type, connection)?;
        let ResourceMeta { namespace, job, .. } = meta;
        let found = self.with_key(&key, |bearer| async move { self.api.get(&bearer, namespace, job).await }).await?;
        let link = |url: &String| url.replace("{namespace}", namespace).replace("{job}", job);
        Ok(found.map_or_else(job::gone, |job| job::status(&job, self.log_url.as_ref().map(link))))
    }

    /// Ends a task.
    pub(crate) async fn delete(&self, meta: &ResourceMeta, connection: Option<Connection>) -> Result<(), Failure> {
        let key = self.keys.for_call(meta.task(), &self.task_type, connection)?;
        self.with_key(&key, |bearer| async move { self.api.delete(&bearer, &meta.namespace, &meta.job).await }).await
    }

    /// The last lines of a task's log; 0 lines means as many as there may be. Flyte sends no connection with this call, so
    /// it is made with the default key.
    pub(crate) async fn log(&self, meta: &ResourceMeta, lines: u64) -> Result<Vec<String>, Failure> {
        let key = self.keys.for_call(meta.task(), &self.task_type, None)?;
        let lines = if lines == 0 { MAX_LINES } else { lines.min(MAX_LINES) };
        self.with_key(&key, |bearer| async move { self.api.log(&bearer, &meta.namespace, &meta.job, lines).await })
            .await
    }

    fn namespace(&self, task: &Task) -> Result<String, Failure> {
        let of_connection = task.connection.as_ref().and_then(|connection| connection.configs.get(NAMESPACE_CONFIG));
        let namespace = of_connection.or(self.namespace.as_ref()).unwrap_or(&task.metadata.namespace);
        if is_dns_label(namespace) {
            return Ok(namespace.clone());
        }
        let namespace = short(namespace);
        Err(Failure::Invalid(format!("{namespace:?} is no name of a namespace, so there is no place for the Job")))
    }

    /// Asks for the API key and calls the service. A key that it turns down may have been rotated: it is asked for again,
    /// past what is remembered, and if there is another one now, it gets a second chance.
    async fn with_key<T, F>(&self, key: &ApiKey, call: impl Fn(Bearer) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<Answer<T>, Failure>>,
    {
        let first = bearer(key).await?;
        let (status, said) = match call(first.clone()).await? {
            Answer::Done(done) => return Ok(done),
            Answer::TurnedDown(status, said) => (status, said),
        };
        key.turned_down();
        let second = bearer(key).await?;
        if second.is(&first) {
            return Err(self.turned_down(key, status, said));
        }
        tracing::info!(key = key.shown(), "the API key was turned down and has changed since");
        match call(second).await? {
            Answer::Done(done) => Ok(done),
            Answer::TurnedDown(status, said) => Err(self.turned_down(key, status, said)),
        }
    }

    fn turned_down(&self, key: &ApiKey, status: StatusCode, said: String) -> Failure {
        let (api, key) = (self.api.address().to_owned(), key.shown());
        if status == StatusCode::UNAUTHORIZED {
            Failure::WrongKey { api, key }
        } else {
            Failure::Forbidden { api, key, said }
        }
    }
}

async fn bearer(key: &ApiKey) -> Result<Bearer, Failure> {
    Bearer::of(&key.get().await?).ok_or_else(|| Failure::Unusable(key.shown()))
}

/// A text from outside as it stands in messages.
fn short(text: &str) -> String {
    text.chars().take(100).collect()
}
