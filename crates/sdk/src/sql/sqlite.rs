//! SQLite, in this process.

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteArguments, SqliteColumn, SqliteConnectOptions, SqliteConnection, SqliteRow, SqliteStatement};
use sqlx::{Arguments, AssertSqlSafe, ConnectOptions, Executor, Row, SqlSafeStr, Sqlite, TypeInfo, ValueRef};

use super::Limits;
use super::execute::Driver;
use super::input::{Input, datetime};
use super::settings::{Backend, Meaning, Settings, SettingsError};
use super::table::{Cell, Type};
use super::template::Statement;

/// How many steps of its virtual machine SQLite takes between two looks at the clock; some tenths of a millisecond.
const STEPS: i32 = 10_000;

impl Driver for Sqlite {
    const BACKEND: Backend = Backend::Sqlite;
    type Options = SqliteConnectOptions;

    fn options(settings: &Settings, _: &Limits) -> Result<SqliteConnectOptions, SettingsError> {
        let mut options = SqliteConnectOptions::new().disable_statement_logging();
        // As Python's sqlite3: the file is made if it is not there, foreign keys are not looked at, five seconds for locks.
        options = options.create_if_missing(true).foreign_keys(false);
        options = options.busy_timeout(settings.seconds(Meaning::BusyTimeout)?.unwrap_or(Duration::from_secs(5)));
        options = match settings.text(Meaning::Database) {
            None | Some("" | ":memory:") => options.in_memory(true),
            Some(path) => options.filename(Path::new(path)),
        };
        let modes = "ro, rw, rwc or memory";
        match settings
            .read(Meaning::OpenMode, modes, |mode| ["ro", "rw", "rwc", "memory"].iter().position(|m| *m == mode))?
        {
            Some(0) => options = options.read_only(true).create_if_missing(false),
            Some(1) => options = options.create_if_missing(false),
            Some(3) => options = options.in_memory(true),
            _ => {}
        }
        Ok(options)
    }

    async fn configure(connection: &mut SqliteConnection, limits: &Limits) -> Result<(), sqlx::Error> {
        let end = Instant::now() + limits.statement_timeout;
        connection.lock_handle().await?.set_progress_handler(STEPS, move || Instant::now() < end);
        Ok(())
    }

    async fn prepare(
        connection: &mut SqliteConnection,
        statement: &Statement,
    ) -> Result<(SqliteStatement, SqliteArguments), sqlx::Error> {
        let sql = statement.sql(|number| format!("?{}", number + 1));
        let prepared = connection.prepare(AssertSqlSafe(sql).into_sql_str()).await?;
        let mut arguments = SqliteArguments::default();
        for parameter in &statement.parameters {
            match &parameter.value {
                Input::Null => arguments.add(None::<String>),
                Input::Boolean(value) => arguments.add(*value),
                Input::Integer(value) => arguments.add(*value),
                Input::Float(value) => arguments.add(*value),
                Input::String(value) => arguments.add(value.clone()),
                Input::Bytes(value) => arguments.add(value.clone()),
                // It has no such types: texts as Python's sqlite3 writes them.
                Input::Date(value) => arguments.add(value.to_string()),
                Input::Datetime(value) => arguments.add(datetime(*value, true)),
            }
            .map_err(sqlx::Error::Encode)?;
        }
        Ok((prepared, arguments))
    }

    /// By the declared type, where that has one of SQLite's own; else each value says what it is.
    fn column_type(column: &SqliteColumn) -> Option<Type> {
        use sqlx::Column;
        Some(match column.type_info().name() {
            "TEXT" => Type::Text,
            "BLOB" => Type::Bytes,
            _ => Type::Any,
        })
    }

    fn cell(row: &SqliteRow, index: usize, _: Type) -> Result<Cell, &'static str> {
        let unreadable = "cannot be read";
        let value = row.try_get_raw(index).map_err(|_| unreadable)?;
        if value.is_null() {
            return Ok(Cell::Null);
        }
        match value.type_info().name() {
            "INTEGER" => row.try_get_unchecked(index).map(Cell::Integer).map_err(|_| unreadable),
            "REAL" => row.try_get_unchecked(index).map(Cell::Float).map_err(|_| unreadable),
            "TEXT" => row.try_get_unchecked(index).map(Cell::Text).map_err(|_| "is a text that is not UTF-8"),
            "BLOB" => row.try_get_unchecked(index).map(Cell::Bytes).map_err(|_| unreadable),
            _ => Err(unreadable),
        }
    }

    fn rows_affected(result: &sqlx::sqlite::SqliteQueryResult) -> u64 {
        result.rows_affected()
    }
}
