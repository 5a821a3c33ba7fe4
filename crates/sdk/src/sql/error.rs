//! What can go wrong with a task, in words that hold no value.

use std::time::Duration;

use flyte_secrets_core::secret::Secret;
use thiserror::Error;

use super::settings::SettingsError;
use super::template::TemplateError;

/// Why a task did not run. If nothing else is said, nothing of it was left in the database: a task is one transaction.
///
/// No text holds an input, a looked-up value or a password. What a server says is quoted only from before it was given
/// any input, and searched for the looked-up values; from later on there are its codes and names.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SqlError {
    /// The query template or the inputs.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The URI or the connect arguments.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A secret of `secret_connect_args` was not found.
    #[error("the secret {secret} for the connect argument `{argument}` cannot be had: {reason}")]
    Secret {
        /// The connect argument.
        argument: String,
        /// What was asked for.
        secret: Box<Secret>,
        /// What the look-up said.
        reason: String,
    },
    /// There is no connection.
    #[error("no connection to {target}: {reason}{}", code_in_brackets(.code))]
    Connect {
        /// The database, without what was looked up.
        target: String,
        /// What happened, and what to look at.
        reason: &'static str,
        /// The server's code: an SQLSTATE, or MySQL's number.
        code: Option<String>,
    },
    /// The database refused the statement before it ran.
    #[error("{database} does not take the statement{}: {message}{hint}", code_in_brackets(.code))]
    Statement {
        /// PostgreSQL, MySQL or SQLite.
        database: &'static str,
        /// The server's code: an SQLSTATE, or the number of MySQL or SQLite.
        code: Option<String>,
        /// What the server said, which at that time had seen the template and no input.
        message: String,
        /// What may be meant.
        hint: &'static str,
    },
    /// The statement failed.
    #[error("{database} could not run the statement: {reason}{}{}", code_in_brackets(.code), at_names(.constraint, .table))]
    Execution {
        /// PostgreSQL, MySQL or SQLite.
        database: &'static str,
        /// What happened, in our words: the server's hold values.
        reason: &'static str,
        /// The server's code: an SQLSTATE, or the number of MySQL or SQLite.
        code: Option<String>,
        /// The constraint's name, where the server tells.
        constraint: Option<String>,
        /// The table's name, where the server tells.
        table: Option<String>,
    },
    /// The time was over.
    #[error("{what} took longer than {after:?}")]
    TimedOut {
        /// The connection or the statement.
        what: &'static str,
        /// The limit.
        after: Duration,
    },
    /// The statement has no rows, and the task is declared to return some.
    #[error(
        "the statement gives no rows: declare the task without an output (`output_schema_type=None`, `without_rows`)"
    )]
    NoRows,
    /// A column of a type that has no place in the output.
    #[error(
        "column `{column}` has the type {type_name}, which cannot be put out: write CAST({column} AS text) in the query"
    )]
    ColumnType {
        /// The column's name.
        column: String,
        /// Its type.
        type_name: String,
    },
    /// A value that does not fit its column.
    #[error("column `{column}`, row {row}: the value {problem}")]
    Value {
        /// The column's name.
        column: String,
        /// The row, from 1.
        row: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// More rows or bytes than the task may put out.
    #[error("the result is larger than {limit} {unit}, the task's limit: narrow the query, or raise the limit")]
    TooLarge {
        /// The limit.
        limit: u64,
        /// Rows or bytes.
        unit: &'static str,
    },
    /// The output could not be written.
    #[error("the rows could not be written: {0}")]
    Output(String),
}

fn code_in_brackets(code: &Option<String>) -> String {
    code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default()
}

fn at_names(constraint: &Option<String>, table: &Option<String>) -> String {
    let named =
        |what, name: &Option<String>| name.as_ref().map(|name| format!(", {what} `{name}`")).unwrap_or_default();
    named("constraint", constraint) + &named("table", table)
}
