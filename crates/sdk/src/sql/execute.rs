//! One run: connect, begin, prepare, rows, commit.

use std::future::Future;
use std::time::Duration;

use futures::TryStreamExt;
use secrecy::SecretString;
use sqlx::{ConnectOptions, Connection, Either, Executor, IntoArguments, Row as _, Statement as _};
use tokio::time::timeout;

use super::driver_error;
use super::error::SqlError;
use super::output::Output;
use super::settings::{Backend, Settings, SettingsError};
use super::table::{Cell, Column, Table, Type};
use super::template::Statement;
use super::{Limits, Summary};

/// The server's own time-out comes first, and says more than ours.
const AFTER_THE_SERVER: Duration = Duration::from_secs(2);
/// A batch is written when its values have this many bytes, however few rows they are.
const BATCH_BYTES: u64 = 8 << 20;

/// What differs between the databases.
pub(super) trait Driver: sqlx::Database {
    const BACKEND: Backend;
    type Options: ConnectOptions<Connection = Self::Connection> + Sync;

    /// Options that log no statement, and end a statement after `limits.statement_timeout` if the server can.
    fn options(settings: &Settings, limits: &Limits) -> Result<Self::Options, SettingsError>;

    /// What is set once there is a connection.
    fn configure(
        connection: &mut Self::Connection,
        limits: &Limits,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// The statement as the server knows it, and the inputs in its parameters' types.
    fn prepare(
        connection: &mut Self::Connection,
        statement: &Statement,
    ) -> impl Future<Output = Result<(Self::Statement, Self::Arguments), sqlx::Error>> + Send;

    /// The output's type of a column; `None` if there is none.
    fn column_type(column: &Self::Column) -> Option<Type>;

    /// A value of a row, or what is wrong with it.
    fn cell(row: &Self::Row, index: usize, kind: Type) -> Result<Cell, &'static str>;

    fn rows_affected(result: &Self::QueryResult) -> u64;
}

/// What a run needs.
pub(super) struct Run<'a> {
    pub(super) settings: &'a Settings,
    pub(super) statement: &'a Statement,
    pub(super) limits: &'a Limits,
    /// `None`: rows are not wanted.
    pub(super) output: Option<&'a mut (dyn Output + Send)>,
}

impl Run<'_> {
    /// Runs it on `D`.
    pub(super) async fn on<D: Driver>(mut self) -> Result<Summary, SqlError>
    where
        for<'c> &'c mut D::Connection: Executor<'c, Database = D>,
        D::Arguments: IntoArguments<D>,
    {
        let options = D::options(self.settings, self.limits)?;
        let connected = timeout(self.limits.connect_timeout, options.connect()).await;
        let not_connected = |error: sqlx::Error| driver_error::connect(&error, D::BACKEND, self.settings.target());
        let mut connection = connected
            .map_err(|_| SqlError::TimedOut { what: "connecting", after: self.limits.connect_timeout })?
            .map_err(not_connected)?;
        // A copy of the password is in there.
        drop(options);
        let secrets = self.settings.secrets();
        let after = self.limits.statement_timeout;
        let done = timeout(after + AFTER_THE_SERVER, self.transaction::<D>(&mut connection, &secrets)).await;
        let done = done.unwrap_or(Err(SqlError::TimedOut { what: "the statement", after }));
        // What failed is rolled back by the end of the connection; a server that does not answer is not waited for.
        match &done {
            Ok(_) => drop(timeout(AFTER_THE_SERVER, connection.close()).await),
            Err(_) => drop(timeout(AFTER_THE_SERVER, connection.close_hard()).await),
        }
        done
    }

    async fn transaction<D: Driver>(
        &mut self,
        connection: &mut D::Connection,
        secrets: &[SecretString],
    ) -> Result<Summary, SqlError>
    where
        for<'c> &'c mut D::Connection: Executor<'c, Database = D>,
        D::Arguments: IntoArguments<D>,
    {
        let after = self.limits.statement_timeout;
        let parameters = &self.statement.parameters;
        let failed = |error: sqlx::Error| match driver_error::is_timeout(&error, D::BACKEND) {
            true => SqlError::TimedOut { what: "the statement", after },
            false => driver_error::execution(&error, D::BACKEND, secrets, parameters),
        };
        D::configure(connection, self.limits).await.map_err(failed)?;
        let mut transaction = connection.begin().await.map_err(failed)?;
        let has_inputs = !parameters.is_empty();
        let (statement, arguments) = D::prepare(&mut transaction, self.statement)
            .await
            .map_err(|error| driver_error::statement(&error, D::BACKEND, secrets, has_inputs))?;
        let mut rows = Rows::new::<D>(statement.columns(), self.output.take(), self.limits)?;
        let mut summary = Summary { rows: 0, rows_affected: 0 };
        {
            let mut stream = (&mut *transaction).fetch_many(statement.query_with(arguments));
            while let Some(next) = stream.try_next().await.map_err(failed)? {
                match next {
                    Either::Left(result) => summary.rows_affected += D::rows_affected(&result),
                    Either::Right(row) => rows.push::<D>(&row)?,
                }
            }
        }
        summary.rows = rows.end()?;
        transaction.commit().await.map_err(failed)?;
        Ok(summary)
    }
}

/// Rows on their way from the database to the output.
struct Rows<'a> {
    table: Table,
    output: Option<&'a mut (dyn Output + Send)>,
    limits: &'a Limits,
    begun: bool,
    rows: u64,
    bytes: u64,
}

impl<'a> Rows<'a> {
    fn new<D: Driver>(
        columns: &[D::Column],
        output: Option<&'a mut (dyn Output + Send)>,
        limits: &'a Limits,
    ) -> Result<Self, SqlError> {
        let columns = match output {
            // MySQL does not know them before it has run an `INSERT … RETURNING` or a procedure.
            Some(_) if columns.is_empty() && D::BACKEND != Backend::Mysql => return Err(SqlError::NoRows),
            Some(_) => columns.iter().map(column::<D>).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        Ok(Self { table: Table::new(columns), output, limits, begun: false, rows: 0, bytes: 0 })
    }

    fn push<D: Driver>(&mut self, row: &D::Row) -> Result<(), SqlError> {
        if self.output.is_none() {
            return Ok(());
        }
        if self.table.columns().is_empty() {
            self.table = Table::new(row.columns().iter().map(column::<D>).collect::<Result<_, _>>()?);
        }
        self.rows += 1;
        if self.rows > self.limits.rows {
            return Err(SqlError::TooLarge { limit: self.limits.rows, unit: "rows" });
        }
        let number = self.rows;
        let cell = |(index, column): (usize, &Column)| {
            let value = D::cell(row, index, column.kind);
            value.map_err(|problem| SqlError::Value { column: column.name.clone(), row: number, problem })
        };
        let cells = self.table.columns().iter().enumerate().map(cell).collect::<Result<_, _>>()?;
        let before = self.table.bytes;
        self.table.push(cells);
        self.bytes += self.table.bytes - before;
        if self.bytes > self.limits.bytes {
            return Err(SqlError::TooLarge { limit: self.limits.bytes, unit: "bytes" });
        }
        if self.table.len() >= self.limits.batch_rows || self.table.bytes >= BATCH_BYTES {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), SqlError> {
        let Some(output) = self.output.as_deref_mut() else { return Ok(()) };
        if !self.begun {
            output.begin(&self.table.schema())?;
            self.begun = true;
        }
        if self.table.len() > 0 {
            output.write(&self.table.batch()?)?;
        }
        Ok(())
    }

    fn end(mut self) -> Result<u64, SqlError> {
        if self.output.is_some() && self.table.columns().is_empty() {
            return Err(SqlError::NoRows);
        }
        self.write()?;
        if let Some(output) = self.output {
            output.end()?;
        }
        Ok(self.rows)
    }
}

fn column<D: Driver>(column: &D::Column) -> Result<Column, SqlError> {
    use sqlx::{Column as _, TypeInfo as _};
    let name = column.name().to_owned();
    match D::column_type(column) {
        Some(kind) => Ok(Column { name, kind }),
        None => Err(SqlError::ColumnType { column: name, type_name: column.type_info().name().to_owned() }),
    }
}
