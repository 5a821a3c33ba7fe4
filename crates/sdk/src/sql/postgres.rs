//! PostgreSQL.

use sqlx::postgres::types::Oid;
use sqlx::postgres::{
    PgArguments, PgColumn, PgConnectOptions, PgConnection, PgQueryResult, PgRow, PgSslMode, PgStatement, PgTypeInfo,
    PgTypeKind,
};
use sqlx::{
    Arguments, AssertSqlSafe, Column, ConnectOptions, Either, Executor, Postgres, Row, SqlSafeStr, Statement as _,
    TypeInfo, ValueRef,
};

use super::Limits;
use super::execute::Driver;
use super::input::Input;
use super::settings::{Backend, Meaning, Settings, SettingsError};
use super::table::{Cell, Type};
use super::template::{Parameter, Statement};

mod binary;

/// Types by their OID in every PostgreSQL (`pg_type.dat`).
mod oid {
    pub(super) const BOOL: u32 = 16;
    pub(super) const BYTEA: u32 = 17;
    pub(super) const INT8: u32 = 20;
    pub(super) const INT4: u32 = 23;
    pub(super) const TEXT: u32 = 25;
    pub(super) const FLOAT8: u32 = 701;
    pub(super) const UNKNOWN: u32 = 705;
    pub(super) const DATE: u32 = 1082;
    pub(super) const TIMESTAMPTZ: u32 = 1184;
}

impl Driver for Postgres {
    const BACKEND: Backend = Backend::Postgres;
    type Options = PgConnectOptions;

    fn options(settings: &Settings, limits: &Limits) -> Result<PgConnectOptions, SettingsError> {
        // Like libpq, it takes PGHOST, PGUSER and the others from the environment for what is not given.
        let mut options = PgConnectOptions::new_without_pgpass().disable_statement_logging();
        let text = |meaning| settings.text(meaning);
        options = text(Meaning::User).into_iter().fold(options, PgConnectOptions::username);
        options = text(Meaning::Password).into_iter().fold(options, PgConnectOptions::password);
        options = text(Meaning::Host).into_iter().fold(options, PgConnectOptions::host);
        options = text(Meaning::Database).into_iter().fold(options, PgConnectOptions::database);
        options = text(Meaning::ApplicationName).into_iter().fold(options, PgConnectOptions::application_name);
        options = text(Meaning::SslRootCert).into_iter().fold(options, PgConnectOptions::ssl_root_cert);
        options = text(Meaning::SslCert).into_iter().fold(options, PgConnectOptions::ssl_client_cert);
        options = text(Meaning::SslKey).into_iter().fold(options, PgConnectOptions::ssl_client_key);
        options = settings.port()?.into_iter().fold(options, PgConnectOptions::port);
        let modes = "disable, allow, prefer, require, verify-ca or verify-full";
        let mode = settings.read(Meaning::SslMode, modes, |mode| mode.parse::<PgSslMode>().ok())?;
        options = mode.into_iter().fold(options, PgConnectOptions::ssl_mode);
        settings.read(Meaning::Charset, "utf8: the driver has no other encoding", is_utf8)?;
        let own = settings.read(Meaning::Options, "options as in PGOPTIONS: -c name=value …", server_options)?;
        // The last one counts. Notices go to the log of whoever listens, and may quote anything.
        let last = [
            ("statement_timeout".to_owned(), limits.statement_timeout.as_millis().to_string()),
            ("client_min_messages".to_owned(), "error".to_owned()),
        ];
        Ok(options.options(own.into_iter().flatten().chain(last)))
    }

    async fn configure(_: &mut PgConnection, _: &Limits) -> Result<(), sqlx::Error> {
        Ok(())
    }

    /// Texts and nulls are given no type, so that the server decides, as for a literal in quotes. Where it wants something
    /// else than a text, the parameter is a text that it casts, so that every type reads as it does in a literal.
    async fn prepare(
        connection: &mut PgConnection,
        statement: &Statement,
    ) -> Result<(PgStatement, PgArguments), sqlx::Error> {
        let mut types: Vec<u32> = statement.parameters.iter().map(own_type).collect();
        let sql = statement.sql(|number| format!("${}", number + 1));
        let mut prepared = prepare(connection, sql, &types).await?;
        let casts = casts(connection, &prepared, statement).await?;
        if casts.iter().any(Option::is_some) {
            for (own, _) in types.iter_mut().zip(&casts).filter(|(_, cast)| cast.is_some()) {
                *own = oid::TEXT;
            }
            let sql = statement.sql(|number| match &casts[number] {
                Some(name) => format!("CAST(${} AS {name})", number + 1),
                None => format!("${}", number + 1),
            });
            prepared = prepare(connection, sql, &types).await?;
        }
        let mut arguments = PgArguments::default();
        for parameter in &statement.parameters {
            add(&mut arguments, &parameter.value).map_err(sqlx::Error::Encode)?;
        }
        Ok((prepared, arguments))
    }

    fn column_type(column: &PgColumn) -> Option<Type> {
        let info = column.type_info();
        Some(match info.name() {
            "BOOL" => Type::Boolean,
            "INT2" | "INT4" | "INT8" | "OID" => Type::Integer,
            "FLOAT4" => Type::Float32,
            "FLOAT8" => Type::Float,
            "NUMERIC" | "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "\"CHAR\"" | "UNKNOWN" | "UUID" | "JSON" | "JSONB"
            | "VOID" => Type::Text,
            "BYTEA" => Type::Bytes,
            "DATE" => Type::Date,
            "TIME" => Type::Time,
            "TIMESTAMP" => Type::Timestamp,
            "TIMESTAMPTZ" => Type::TimestampUtc,
            _ if matches!(info.kind(), PgTypeKind::Enum(_)) => Type::Text,
            _ => return None,
        })
    }

    fn cell(row: &PgRow, index: usize, kind: Type) -> Result<Cell, &'static str> {
        let value = row.try_get_raw(index).map_err(|_| "cannot be read")?;
        if value.is_null() {
            return Ok(Cell::Null);
        }
        let bytes = value.as_bytes().map_err(|_| "cannot be read")?;
        binary::cell(kind, value.type_info().name(), bytes)
    }

    fn rows_affected(result: &PgQueryResult) -> u64 {
        result.rows_affected()
    }
}

async fn prepare(connection: &mut PgConnection, sql: String, types: &[u32]) -> Result<PgStatement, sqlx::Error> {
    let types: Vec<_> = types.iter().map(|oid| PgTypeInfo::with_oid(Oid(*oid))).collect();
    connection.prepare_with(AssertSqlSafe(sql).into_sql_str(), &types).await
}

/// The type that an input has to the server: that of the literal that it would be without quotes.
fn own_type(parameter: &Parameter) -> u32 {
    match parameter.value {
        Input::Null | Input::String(_) => oid::UNKNOWN,
        Input::Boolean(_) => oid::BOOL,
        Input::Integer(value) if i32::try_from(value).is_ok() => oid::INT4,
        Input::Integer(_) => oid::INT8,
        Input::Float(_) => oid::FLOAT8,
        Input::Bytes(_) => oid::BYTEA,
        Input::Date(_) => oid::DATE,
        Input::Datetime(_) => oid::TIMESTAMPTZ,
    }
}

/// For each text that the server wants in another type: that type's name, in SQL.
async fn casts(
    connection: &mut PgConnection,
    prepared: &PgStatement,
    statement: &Statement,
) -> Result<Vec<Option<String>>, sqlx::Error> {
    let Some(Either::Left(wanted)) = prepared.parameters() else { return Ok(vec![None; statement.parameters.len()]) };
    let mut casts = Vec::with_capacity(wanted.len());
    for (wanted, parameter) in wanted.iter().zip(&statement.parameters) {
        let is_text = matches!(wanted.name(), "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "UNKNOWN");
        let oid = wanted.oid().filter(|_| matches!(parameter.value, Input::String(_)) && !is_text);
        casts.push(match oid {
            // With the modifier -1, for what format_type would else write as a type of length 1.
            Some(oid) => {
                Some(sqlx::query_scalar("SELECT format_type($1, -1)").bind(oid).fetch_one(&mut *connection).await?)
            }
            None => None,
        });
    }
    // What a domain or a function wants more of is not told, and is refused by name when it is run.
    casts.resize(statement.parameters.len(), None);
    Ok(casts)
}

fn add(arguments: &mut PgArguments, value: &Input) -> Result<(), sqlx::error::BoxDynError> {
    match value {
        Input::Null => arguments.add(None::<String>),
        Input::Boolean(value) => arguments.add(*value),
        Input::Integer(value) => match i32::try_from(*value) {
            Ok(value) => arguments.add(value),
            Err(_) => arguments.add(*value),
        },
        Input::Float(value) => arguments.add(*value),
        Input::String(value) => arguments.add(value.clone()),
        Input::Bytes(value) => arguments.add(value.clone()),
        Input::Date(value) => arguments.add(*value),
        Input::Datetime(value) => arguments.add(*value),
    }
}

fn is_utf8(encoding: &str) -> Option<()> {
    let letters: String = encoding.chars().filter(char::is_ascii_alphanumeric).collect();
    ["utf8", "unicode"].contains(&letters.to_ascii_lowercase().as_str()).then_some(())
}

/// `-c name=value` and `--name=value`, with blanks and backslashes behind backslashes, as libpq's `options` has them.
fn server_options(options: &str) -> Option<Vec<(String, String)>> {
    let mut words = vec![String::new()];
    let mut chars = options.chars();
    while let Some(next) = chars.next() {
        match next {
            '\\' => words.last_mut()?.push(chars.next()?),
            ' ' => words.push(String::new()),
            other => words.last_mut()?.push(other),
        }
    }
    words.retain(|word| !word.is_empty());
    let mut words = words.into_iter();
    let mut pairs = Vec::new();
    while let Some(word) = words.next() {
        let pair = match (word.strip_prefix("--"), word.strip_prefix("-c")) {
            (Some(pair), _) => pair.to_owned(),
            (None, Some("")) => words.next()?,
            (None, Some(pair)) => pair.to_owned(),
            (None, None) => return None,
        };
        let (name, value) = pair.split_once('=')?;
        pairs.push((name.to_owned(), value.to_owned()));
    }
    Some(pairs)
}

#[cfg(test)]
#[path = "postgres_tests.rs"]
mod tests;
