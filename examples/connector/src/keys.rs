//! The API key: which secret it is, and where it comes from.

use std::sync::Arc;

use flyte_secrets_sdk::plugins::{
    Connection, FileEnvSecretManager, ScopedSecretManager, TaskExecutionContext, TaskExecutionId,
};
use flyte_secrets_stores::LookUps;
use secrecy::SecretString;

use crate::failure::Failure;

/// The name under which a connection gives the API key.
const IN_CONNECTIONS: &str = "api_key";

/// Where API keys come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// Variables and files of this process: one key for all tasks.
    Process(FileEnvSecretManager),
    /// Stores: a key for each project, domain or organization.
    Stores(LookUps),
}

/// Where keys come from, and which one it is.
#[derive(Debug)]
pub(crate) struct Keys {
    /// Where.
    pub(crate) source: Source,
    /// Which, where the task's connection does not say.
    pub(crate) default: String,
    /// The organization of tasks of Flyte 1, which has none.
    pub(crate) org: String,
}

impl Keys {
    /// The key for a call on behalf of a task.
    pub(crate) fn for_call(
        &self,
        mut task: TaskExecutionId,
        task_type: &str,
        connection: Option<Connection>,
    ) -> Result<ApiKey, Failure> {
        if task.org.is_empty() {
            task.org.clone_from(&self.org);
        }
        let mut context = TaskExecutionContext::new(match &self.source {
            Source::Process(process) => Arc::new(process.clone()),
            Source::Stores(look_ups) => Arc::new(ScopedSecretManager::new(look_ups.clone(), &task)?),
        });
        context.metadata.id = task;
        task_type.clone_into(&mut context.task_type);
        let connection = connection.filter(|connection| !connection.secrets.is_empty());
        if connection.as_ref().is_some_and(|connection| !connection.secrets.contains_key(IN_CONNECTIONS)) {
            let text = format!("the connection has secrets, but none with the name {IN_CONNECTIONS:?}");
            return Err(Failure::Invalid(text));
        }
        Ok(ApiKey { context, connection, default: self.default.clone() })
    }
}

/// A key that is asked for anew for each request.
#[derive(Debug)]
pub(crate) struct ApiKey {
    context: TaskExecutionContext,
    connection: Option<Connection>,
    default: String,
}

impl ApiKey {
    /// Its value.
    pub(crate) async fn get(&self) -> Result<SecretString, Failure> {
        let Some(connection) = &self.connection else {
            return Ok(self.context.secret_manager().get(&self.default).await?);
        };
        let resolved = connection.resolve(&self.context).await?;
        let none = || Failure::Invalid(format!("the connection has no {IN_CONNECTIONS:?}"));
        resolved.secret(IN_CONNECTIONS).cloned().ok_or_else(none)
    }

    /// The service has turned it down, so what is remembered of it may be of yesterday.
    pub(crate) fn turned_down(&self) {
        let key = match self.key_in_connection() {
            Some(key) => self.context.metadata.id.secret_id(key).to_string(),
            None => self.default.clone(),
        };
        self.context.secret_manager().invalidate(&key);
    }

    fn key_in_connection(&self) -> Option<&str> {
        self.connection.as_ref()?.secrets.get(IN_CONNECTIONS).map(String::as_str)
    }

    /// Which secret it is, for messages.
    pub(crate) fn shown(&self) -> String {
        let id = &self.context.metadata.id;
        let cut = |text: &str| text.chars().take(100).collect::<String>();
        match self.key_in_connection() {
            Some(key) => {
                let (project, domain) = (cut(&id.project), cut(&id.domain));
                format!(
                    "secret {:?} (the connection's {IN_CONNECTIONS:?}, project {project:?}, domain {domain:?})",
                    cut(key)
                )
            }
            None => format!("secret {:?}", self.default),
        }
    }
}
