//! Where a database is, as SQLAlchemy writes it: `postgresql+psycopg2://user:password@host:5432/name?sslmode=require`.
//!
//! This is SQLAlchemy's grammar, which is no URL's: a password may hold `/` and `?`, a SQLite path comes after the third
//! slash, and user, password and query are percent-decoded while the name of the database is not.
//! <https://docs.sqlalchemy.org/en/20/core/engines.html#database-urls>

use percent_encoding::percent_decode_str;

use super::settings::{Backend, SettingsError};

/// Drivers of SQLAlchemy whose URIs are taken; ours is used in their place.
const DRIVERS: &[(&str, Backend, &[&str])] = &[
    ("postgresql", Backend::Postgres, &["psycopg2", "psycopg", "psycopg2cffi", "psycopg_async", "asyncpg", "pg8000"]),
    ("postgres", Backend::Postgres, &[]),
    ("mysql", Backend::Mysql, &["pymysql", "mysqldb", "mysqlconnector", "aiomysql", "asyncmy", "mariadbconnector"]),
    ("mariadb", Backend::Mysql, &["pymysql", "mysqldb", "mysqlconnector", "aiomysql", "asyncmy", "mariadbconnector"]),
    ("sqlite", Backend::Sqlite, &["pysqlite", "aiosqlite"]),
];

/// A URI taken apart: connect arguments, by the names that they would have in `connect_args`.
pub(super) struct Uri {
    pub(super) backend: Backend,
    pub(super) arguments: Vec<(String, String)>,
}

impl Uri {
    /// # Errors
    /// It is no URI of a database that is known. No part of it is in the error but the scheme: the rest may hold a
    /// password, wherever it stands.
    pub(super) fn parse(uri: &str) -> Result<Self, SettingsError> {
        let (scheme, rest) = uri.split_once("://").ok_or(SettingsError::NoUri)?;
        let backend = backend(scheme)?;
        let mut arguments = Vec::new();
        if backend == Backend::Sqlite {
            sqlite(rest, &mut arguments)?;
        } else {
            server(rest, &mut arguments)?;
        }
        Ok(Self { backend, arguments })
    }
}

fn backend(scheme: &str) -> Result<Backend, SettingsError> {
    let (name, driver) = scheme.split_once('+').map_or((scheme, None), |(name, driver)| (name, Some(driver)));
    let known = DRIVERS
        .iter()
        .find(|(known, _, drivers)| *known == name && driver.is_none_or(|driver| drivers.contains(&driver)));
    // What stands before `://` may be a password that someone forgot the scheme in front of.
    let plain =
        scheme.len() <= 40 && scheme.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+_".contains(c));
    known
        .map(|(_, backend, _)| *backend)
        .ok_or_else(|| SettingsError::Scheme(if plain { format!("{scheme:?}") } else { "of the URI".to_owned() }))
}

fn server(rest: &str, arguments: &mut Vec<(String, String)>) -> Result<(), SettingsError> {
    let mut push = |name: &str, value: String| arguments.push((name.to_owned(), value));
    // A user has no `/`; a password has no `@`, by SQLAlchemy's rule, and may have anything else.
    let (account, place) = match rest.find('@') {
        Some(at) if !rest[..rest.find(':').map_or(at, |colon| colon.min(at))].contains('/') => {
            (&rest[..at], &rest[at + 1..])
        }
        _ => ("", rest),
    };
    let (user, password) = account.split_once(':').map_or((account, None), |(user, password)| (user, Some(password)));
    if !user.is_empty() {
        push("user", decoded(user)?);
    }
    if let Some(password) = password {
        push("password", decoded(password)?);
    }
    let (place, query) = place.split_once('?').unwrap_or((place, ""));
    let (address, database) = place.split_once('/').unwrap_or((place, ""));
    let (host, port) = match address.strip_prefix('[').and_then(|address| address.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':').unwrap_or(port)),
        None => address.split_once(':').unwrap_or((address, "")),
    };
    for (name, value) in [("host", host), ("port", port), ("database", database)] {
        if !value.is_empty() {
            push(name, value.to_owned());
        }
    }
    for (name, value) in queries(query)? {
        push(&name, value);
    }
    Ok(())
}

/// `///relative`, `////absolute`, `//` and `///:memory:`; or `///file:path?mode=ro&uri=true`.
fn sqlite(rest: &str, arguments: &mut Vec<(String, String)>) -> Result<(), SettingsError> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = match path.strip_prefix('/') {
        Some(path) => path,
        None if path.is_empty() => path,
        None => return Err(SettingsError::SqliteHost),
    };
    let path = path.strip_prefix("file:").unwrap_or(path);
    arguments.push(("database".to_owned(), if path.is_empty() { ":memory:" } else { path }.to_owned()));
    arguments.extend(queries(query)?);
    Ok(())
}

fn queries(query: &str) -> Result<Vec<(String, String)>, SettingsError> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(&name.replace('+', " "))?, decoded(&value.replace('+', " "))?))
        })
        .collect()
}

fn decoded(text: &str) -> Result<String, SettingsError> {
    Ok(percent_decode_str(text).decode_utf8().map_err(|_| SettingsError::NotUtf8)?.into_owned())
}

#[cfg(test)]
#[path = "uri_tests.rs"]
mod tests;
