//! A task that runs one query: flytekit's `SQLAlchemyTask`, for PostgreSQL, MySQL, MariaDB and SQLite.
//!
//! The password and whatever else the connection needs are [`Secret`]s, looked up when the task runs. Inputs are bound
//! as parameters and never become part of the SQL. Rows go out as Arrow or CSV while they come.
//!
//! ```
//! # #[cfg(feature = "sql-sqlite")]
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use flyte_secrets_core::value::SecretValue;
//! use flyte_secrets_sdk::sql::{Csv, Inputs, SqlConfig, SqlTask};
//!
//! let config = SqlConfig { uri: "sqlite://".to_owned(), ..SqlConfig::default() };
//! let task = SqlTask::new(config, "SELECT {{ .inputs.n }} + 1 AS next");
//! let mut csv = Vec::new();
//! let no_secrets = |_: &_| Err::<SecretValue, _>("there are none");
//! let done = task.run(&Inputs::from([("n".to_owned(), 41.into())]), no_secrets, &mut Csv::new(&mut csv)).await.unwrap();
//! assert_eq!(csv, b"next\n42\n");
//! assert_eq!(done.rows, 1);
//! # });
//! ```

#![cfg_attr(
    not(all(feature = "sql-sqlite", feature = "sql-postgres", feature = "sql-mysql")),
    allow(dead_code, unused_variables, reason = "each database uses a part")
)]

use std::fmt;
use std::time::Duration;

use flyte_secrets_core::secret::Secret;
use flyte_secrets_core::value::SecretValue;
use serde_json::Value;

mod custom;
mod driver_error;
mod error;
mod execute;
mod input;
#[cfg(feature = "sql-mysql")]
mod mysql;
mod output;
#[cfg(feature = "sql-postgres")]
mod postgres;
mod scan;
mod settings;
#[cfg(feature = "sql-sqlite")]
mod sqlite;
mod table;
mod template;
mod uri;

pub use arrow_array::RecordBatch;
pub use custom::CustomError;
pub use error::SqlError;
pub use input::{Input, Inputs};
pub use output::{ArrowFile, ArrowStream, Csv, Output};
pub use settings::{SettingsError, SqlConfig};
pub use template::TemplateError;

use execute::Run;
use scan::Dialect;
use settings::{Backend, Meaning, Settings};
use template::Statement;

/// What one run may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Rows that are put out. Default: ten million.
    pub rows: u64,
    /// Bytes of the values that are put out, roughly as they lie in memory. Default: 4 GiB.
    pub bytes: u64,
    /// Rows of one batch; a batch of 8 MiB is written earlier. Default: 8192.
    pub batch_rows: usize,
    /// For the connection, with name look-up, TLS and authentication. The connect argument `connect_timeout` takes its
    /// place. Default: 30 s.
    pub connect_timeout: Duration,
    /// For the statement, from the transaction's begin to its end. Default: one hour.
    pub statement_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rows: 10_000_000,
            bytes: 4 << 30,
            batch_rows: 8192,
            connect_timeout: Duration::from_secs(30),
            statement_timeout: Duration::from_secs(3600),
        }
    }
}

/// What a run did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Rows that were put out.
    pub rows: u64,
    /// Rows that the statement changed, as the database counts them; some count selected rows too.
    pub rows_affected: u64,
}

/// A query with everything it needs but its inputs and its secrets.
#[derive(Clone)]
pub struct SqlTask {
    config: SqlConfig,
    query_template: String,
    returns_rows: bool,
    limits: Limits,
}

impl SqlTask {
    /// A task that returns the rows of `query_template`, in which `{{ .inputs.name }}` stands for an input.
    #[must_use]
    pub fn new(config: SqlConfig, query_template: impl Into<String>) -> Self {
        Self { config, query_template: query_template.into(), returns_rows: true, limits: Limits::default() }
    }

    /// A task of Flyte's task type `sqlalchemy`, from the `custom` of its template. The template's interface says if it
    /// returns rows: if it has no output, add [`SqlTask::without_rows`].
    ///
    /// # Errors
    /// A member is missing or of another type.
    pub fn from_custom(custom: &Value) -> Result<Self, CustomError> {
        let (query_template, config) = custom::parse(custom)?;
        Ok(Self::new(config, query_template))
    }

    /// The task is run for what it does: `output_schema_type=None` of flytekit.
    #[must_use]
    pub fn without_rows(self) -> Self {
        Self { returns_rows: false, ..self }
    }

    /// Other limits than the default ones.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// What the task has to request, so that it can look it up when it runs.
    pub fn secret_requests(&self) -> impl Iterator<Item = &Secret> {
        self.config.secret_connect_args.values()
    }

    /// Looks the secrets up, connects, runs the statement in a transaction of its own, and puts its rows out.
    ///
    /// `look_up` is asked once for each secret, before there is a connection; its error must not hold a value. If
    /// something goes wrong, the transaction is rolled back. (MySQL and MariaDB commit a change of the schema at once.)
    ///
    /// # Errors
    /// See [`SqlError`].
    pub async fn run<E: fmt::Display>(
        &self,
        inputs: &Inputs,
        look_up: impl Fn(&Secret) -> Result<SecretValue, E>,
        output: &mut (dyn Output + Send),
    ) -> Result<Summary, SqlError> {
        let settings = self.settings(look_up)?;
        let statement = Statement::new(&self.query_template, dialect(settings.backend), inputs)?;
        let mut limits = self.limits;
        if let Some(timeout) = settings.seconds(Meaning::ConnectTimeout)? {
            limits.connect_timeout = timeout;
        }
        let output: Option<&mut (dyn Output + Send)> = if self.returns_rows { Some(output) } else { None };
        let run = Run { settings: &settings, statement: &statement, limits: &limits, output };
        match settings.backend {
            #[cfg(feature = "sql-sqlite")]
            Backend::Sqlite => run.on::<sqlx::Sqlite>().await,
            #[cfg(feature = "sql-postgres")]
            Backend::Postgres => run.on::<sqlx::Postgres>().await,
            #[cfg(feature = "sql-mysql")]
            Backend::Mysql => run.on::<sqlx::MySql>().await,
            #[allow(unreachable_patterns, reason = "with all features there is no other")]
            other => {
                let feature = match other {
                    Backend::Sqlite => "sql-sqlite",
                    Backend::Postgres => "sql-postgres",
                    Backend::Mysql => "sql-mysql",
                };
                Err(SettingsError::NotCompiledIn { database: other.name(), feature }.into())
            }
        }
    }

    fn settings<E: fmt::Display>(
        &self,
        look_up: impl Fn(&Secret) -> Result<SecretValue, E>,
    ) -> Result<Settings, SqlError> {
        let mut settings = Settings::new(&self.config)?;
        for (argument, secret) in &self.config.secret_connect_args {
            let value = look_up(secret).map_err(|reason| SqlError::Secret {
                argument: argument.clone(),
                secret: Box::new(secret.clone()),
                reason: reason.to_string(),
            })?;
            settings.set_secret(argument, &value)?;
        }
        Ok(settings)
    }
}

/// Shows the template and no part of the connection.
impl fmt::Debug for SqlTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlTask")
            .field("config", &self.config)
            .field("query_template", &self.query_template)
            .field("returns_rows", &self.returns_rows)
            .field("limits", &self.limits)
            .finish()
    }
}

fn dialect(backend: Backend) -> Dialect {
    match backend {
        Backend::Sqlite => Dialect::Sqlite,
        Backend::Postgres => Dialect::Postgres,
        Backend::Mysql => Dialect::Mysql,
    }
}

/// The guide's examples are run.
#[cfg(all(doctest, feature = "sql-sqlite"))]
#[doc = include_str!("../../../docs/sql-tasks.md")]
mod guide {}
