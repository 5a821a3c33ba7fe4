//! MySQL and MariaDB.

use chrono::{NaiveDate, NaiveDateTime};
use sqlx::mysql::types::MySqlTime;
use sqlx::mysql::{
    MySqlArguments, MySqlColumn, MySqlConnectOptions, MySqlConnection, MySqlQueryResult, MySqlRow, MySqlSslMode,
    MySqlStatement,
};
use sqlx::{Arguments, AssertSqlSafe, Column, ConnectOptions, Executor, MySql, Row, SqlSafeStr, TypeInfo, ValueRef};

use super::Limits;
use super::execute::Driver;
use super::input::Input;
use super::settings::{Backend, Meaning, Settings, SettingsError};
use super::table::{Cell, Type};
use super::template::Statement;

impl Driver for MySql {
    const BACKEND: Backend = Backend::Mysql;
    type Options = MySqlConnectOptions;

    fn options(settings: &Settings, _: &Limits) -> Result<MySqlConnectOptions, SettingsError> {
        // What `||` means is the server's choice, as with the Python drivers.
        let mut options = MySqlConnectOptions::new().disable_statement_logging().pipes_as_concat(false);
        let text = |meaning| settings.text(meaning);
        options = text(Meaning::User).into_iter().fold(options, MySqlConnectOptions::username);
        options = text(Meaning::Password).into_iter().fold(options, MySqlConnectOptions::password);
        options = text(Meaning::Host).into_iter().fold(options, MySqlConnectOptions::host);
        options = text(Meaning::Database).into_iter().fold(options, MySqlConnectOptions::database);
        options = text(Meaning::Socket).into_iter().fold(options, MySqlConnectOptions::socket);
        options = text(Meaning::SslRootCert).into_iter().fold(options, MySqlConnectOptions::ssl_ca);
        options = text(Meaning::SslCert).into_iter().fold(options, MySqlConnectOptions::ssl_client_cert);
        options = text(Meaning::SslKey).into_iter().fold(options, MySqlConnectOptions::ssl_client_key);
        options = settings.port()?.into_iter().fold(options, MySqlConnectOptions::port);
        // The driver pastes these two into SQL.
        let charset = settings.read(Meaning::Charset, "utf8mb4, utf8mb3 or utf8: values are read as UTF-8", charset)?;
        options = charset.as_deref().into_iter().fold(options, MySqlConnectOptions::charset);
        let collation = settings.read(Meaning::Collation, "the name of a collation", identifier)?;
        options = collation.as_deref().into_iter().fold(options, MySqlConnectOptions::collation);
        Ok(options.ssl_mode(ssl_mode(settings)?))
    }

    /// MariaDB's variable, or else MySQL's: neither knows the other's (1193).
    async fn configure(connection: &mut MySqlConnection, limits: &Limits) -> Result<(), sqlx::Error> {
        let timeout = limits.statement_timeout;
        let mariadb = format!("SET SESSION max_statement_time = {}", timeout.as_secs_f64());
        match connection.execute(AssertSqlSafe(mariadb)).await {
            Err(sqlx::Error::Database(_)) => {
                let mysql = format!("SET SESSION max_execution_time = {}", timeout.as_millis());
                connection.execute(AssertSqlSafe(mysql)).await.map(drop)
            }
            other => other.map(drop),
        }
    }

    async fn prepare(
        connection: &mut MySqlConnection,
        statement: &Statement,
    ) -> Result<(MySqlStatement, MySqlArguments), sqlx::Error> {
        let prepared = connection.prepare(AssertSqlSafe(statement.sql(|_| "?".to_owned())).into_sql_str()).await?;
        let mut arguments = MySqlArguments::default();
        for parameter in &statement.parameters {
            match &parameter.value {
                Input::Null => arguments.add(None::<String>),
                Input::Boolean(value) => arguments.add(*value),
                Input::Integer(value) => arguments.add(*value),
                Input::Float(value) => arguments.add(*value),
                Input::String(value) => arguments.add(value.clone()),
                Input::Bytes(value) => arguments.add(value.clone()),
                Input::Date(value) => arguments.add(*value),
                Input::Datetime(value) => arguments.add(*value),
            }
            .map_err(sqlx::Error::Encode)?;
        }
        Ok((prepared, arguments))
    }

    fn column_type(column: &MySqlColumn) -> Option<Type> {
        let info = column.type_info();
        Some(match info.name() {
            "BIGINT UNSIGNED" => Type::Unsigned,
            "YEAR" => Type::Integer,
            // BOOLEAN is TINYINT(1), which holds other numbers too.
            name if name.contains("INT") || name == "BOOLEAN" => Type::Integer,
            "FLOAT" => Type::Float32,
            "DOUBLE" => Type::Float,
            "DECIMAL" | "ENUM" | "SET" | "JSON" | "TIME" | "NULL" => Type::Text,
            "DATE" => Type::Date,
            "DATETIME" => Type::Timestamp,
            // sqlx asks for UTC when it connects.
            "TIMESTAMP" => Type::TimestampUtc,
            "BIT" => Type::Bytes,
            "GEOMETRY" => return None,
            // By the collation: a text that is compared byte by byte is a text all the same.
            _ if <String as sqlx::Type<MySql>>::compatible(info) => Type::Text,
            _ => Type::Bytes,
        })
    }

    fn cell(row: &MySqlRow, index: usize, kind: Type) -> Result<Cell, &'static str> {
        let value = row.try_get_raw(index).map_err(|_| "cannot be read")?;
        if value.is_null() {
            return Ok(Cell::Null);
        }
        let is_time = value.type_info().name() == "TIME";
        let is_unsigned =
            <u64 as sqlx::Type<MySql>>::compatible(&value.type_info()) || value.type_info().name() == "YEAR";
        read(row, index, kind, is_time, is_unsigned)
            .map_err(|_| "cannot be read: a date that is none, or a text that is not UTF-8")
    }

    fn rows_affected(result: &MySqlQueryResult) -> u64 {
        result.rows_affected()
    }
}

fn read(row: &MySqlRow, index: usize, kind: Type, is_time: bool, is_unsigned: bool) -> Result<Cell, sqlx::Error> {
    Ok(match kind {
        Type::Integer if is_unsigned => {
            let value = row.try_get_unchecked::<u64, _>(index)?;
            Cell::Integer(i64::try_from(value).map_err(|error| sqlx::Error::Decode(error.into()))?)
        }
        Type::Integer => Cell::Integer(row.try_get_unchecked(index)?),
        Type::Unsigned => Cell::Unsigned(row.try_get_unchecked(index)?),
        Type::Float32 => Cell::Float32(row.try_get_unchecked(index)?),
        Type::Float => Cell::Float(row.try_get_unchecked(index)?),
        Type::Bytes => Cell::Bytes(row.try_get_unchecked(index)?),
        Type::Date => {
            let value: NaiveDate = row.try_get_unchecked(index)?;
            Cell::Date(value.to_epoch_days())
        }
        Type::Timestamp | Type::TimestampUtc => {
            let value: NaiveDateTime = row.try_get_unchecked(index)?;
            Cell::Timestamp(value.and_utc().timestamp_micros())
        }
        // Up to 838 hours and below zero: a duration, for which the text is the only form that all take.
        Type::Text if is_time => Cell::Text(row.try_get_unchecked::<MySqlTime, _>(index)?.to_string()),
        Type::Text | Type::Any | Type::Boolean | Type::Time => Cell::Text(row.try_get_unchecked(index)?),
    })
}

/// By its name; else, if a CA is given, the server must have a certificate of it, as with the Python drivers.
fn ssl_mode(settings: &Settings) -> Result<MySqlSslMode, SettingsError> {
    let modes = "disabled, preferred, required, verify_ca or verify_identity";
    let named =
        settings.read(Meaning::SslMode, modes, |mode| mode.to_ascii_lowercase().parse::<MySqlSslMode>().ok())?;
    let boolean =
        |meaning| settings.read(meaning, "true or false", |text| text.to_ascii_lowercase().parse::<bool>().ok());
    let disabled = boolean(Meaning::SslDisabled)? == Some(true);
    let verify_identity = boolean(Meaning::SslVerifyIdentity)?;
    Ok(match named {
        Some(mode) => mode,
        None if disabled => MySqlSslMode::Disabled,
        None if verify_identity == Some(true) => MySqlSslMode::VerifyIdentity,
        // PyMySQL looks at the name unless it is told not to.
        None if settings.text(Meaning::SslRootCert).is_some() && verify_identity.is_none() => {
            MySqlSslMode::VerifyIdentity
        }
        None if settings.text(Meaning::SslRootCert).is_some() => MySqlSslMode::VerifyCa,
        None => MySqlSslMode::Preferred,
    })
}

fn charset(name: &str) -> Option<String> {
    ["utf8mb4", "utf8mb3", "utf8"].contains(&name).then(|| name.to_owned())
}

fn identifier(name: &str) -> Option<String> {
    let fits = !name.is_empty() && name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    fits.then(|| name.to_owned())
}
