//! From the driver's errors to ours. A driver quotes what the server says, and servers quote data: a wrong password's user,
//! the key of a duplicate row, the text that is no number. So their words are not passed on, with one exception: see
//! [`SqlError`].

use std::error::Error as StdError;
use std::io;

use secrecy::{ExposeSecret, SecretString};
use sqlx::error::{DatabaseError, ErrorKind};

use super::error::SqlError;
use super::input::Input;
use super::settings::Backend;
use super::template::Parameter;

/// A message is cut after this many characters.
const MAX_MESSAGE: usize = 500;

/// While connecting.
pub(super) fn connect(error: &sqlx::Error, backend: Backend, target: String) -> SqlError {
    let (reason, code) = match error {
        sqlx::Error::Database(error) => (refusal(backend, error.as_ref()), code(error.as_ref())),
        error => (no_connection(error), None),
    };
    SqlError::Connect { target, reason, code }
}

/// While the server has the template and no input.
pub(super) fn statement(error: &sqlx::Error, backend: Backend, secrets: &[SecretString], has_inputs: bool) -> SqlError {
    let sqlx::Error::Database(error) = error else { return execution(error, backend, secrets, &[]) };
    let code = code(error.as_ref());
    let is_syntax = matches!((backend, code.as_deref()), (Backend::Postgres, Some("42601" | "42P18")))
        || matches!((backend, number(error.as_ref())), (Backend::Mysql, Some(1064)))
        || (backend == Backend::Sqlite && error.message().contains("syntax error"));
    let hint = if is_syntax && has_inputs {
        ". Inputs are bound as values: none of them can be a name of a table or a column, or a piece of SQL"
    } else {
        ""
    };
    SqlError::Statement { database: backend.name(), code, message: shown(error.message(), secrets), hint }
}

/// While the statement runs.
pub(super) fn execution(
    error: &sqlx::Error,
    backend: Backend,
    secrets: &[SecretString],
    parameters: &[Parameter],
) -> SqlError {
    // What a function raises may have anything for a name.
    let is_input = |name: &str| {
        parameters
            .iter()
            .any(|parameter| matches!(&parameter.value, Input::String(text) if text.len() > 3 && name.contains(text)))
    };
    let name = |name: Option<&str>| name.filter(|name| !is_input(name)).map(|name| shown(name, secrets));
    let (reason, code, constraint, table) = match error {
        sqlx::Error::Database(error) => {
            let error = error.as_ref();
            (failure(backend, error), code(error), name(error.constraint()), name(error.table()))
        }
        sqlx::Error::Io(_) => ("the connection broke", None, None, None),
        sqlx::Error::Protocol(_) => {
            ("the server's answer cannot be read, or the statement has too many inputs", None, None, None)
        }
        sqlx::Error::Encode(_) => ("an input cannot be sent to it", None, None, None),
        _ => ("the driver gave up", None, None, None),
    };
    SqlError::Execution { database: backend.name(), reason, code, constraint, table }
}

/// Is it the server's own statement timeout?
pub(super) fn is_timeout(error: &sqlx::Error, backend: Backend) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    match backend {
        Backend::Postgres => error.code().as_deref() == Some("57014"),
        // ER_STATEMENT_TIMEOUT of MariaDB, ER_QUERY_TIMEOUT of MySQL.
        Backend::Mysql => matches!(number(error.as_ref()), Some(1969 | 3024)),
        // SQLITE_INTERRUPT, by the progress handler.
        Backend::Sqlite => error.code().as_deref() == Some("9"),
    }
}

/// The SQLSTATE; with MySQL's number, which says more than its SQLSTATE.
fn code(error: &dyn DatabaseError) -> Option<String> {
    let code = error.code()?.chars().take(16).filter(char::is_ascii_alphanumeric).collect::<String>();
    Some(number(error).map_or(code.clone(), |number| format!("{code}, {number}")))
}

#[cfg(feature = "sql-mysql")]
fn number(error: &dyn DatabaseError) -> Option<u16> {
    error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>().map(sqlx::mysql::MySqlDatabaseError::number)
}

#[cfg(not(feature = "sql-mysql"))]
fn number(_: &dyn DatabaseError) -> Option<u16> {
    None
}

/// What a server means that does not let us in. Codes: PostgreSQL, appendix A; MySQL, server error reference; sqlite.org/rescode.html.
fn refusal(backend: Backend, error: &dyn DatabaseError) -> &'static str {
    let code = error.code().unwrap_or_default();
    match (backend, code.as_ref(), number(error).unwrap_or_default()) {
        (Backend::Postgres, "28P01", _) | (Backend::Mysql, _, 1045) => "user or password are wrong",
        (Backend::Postgres, "28000", _) => {
            "the server does not let this user in from here: look at its pg_hba.conf and at sslmode"
        }
        (Backend::Postgres, "3D000", _) | (Backend::Mysql, _, 1049) => "there is no database of this name",
        (Backend::Postgres, "42501", _) | (Backend::Mysql, _, 1044 | 1142) => "the user has no right to this database",
        (Backend::Postgres, "53300", _) | (Backend::Mysql, _, 1040 | 1203 | 1226) => {
            "the server has no connection left"
        }
        (Backend::Postgres, "57P03", _) => "the server is starting or stopping",
        (Backend::Mysql, _, 1129 | 1130) => "the server does not let this host in",
        (Backend::Mysql, _, 3159) => "the server wants TLS: give ssl_mode or ssl_ca",
        (Backend::Mysql, _, 1115 | 1273 | 1253) => "the server does not know the charset or the collation",
        (Backend::Sqlite, "14", _) => {
            "the file cannot be opened: is it there, may it be read, and does its folder exist?"
        }
        (Backend::Sqlite, "26", _) => "the file is no SQLite database",
        (Backend::Sqlite, "5" | "6", _) => "another process holds a lock on it",
        _ => "the server refuses it",
    }
}

fn no_connection(error: &sqlx::Error) -> &'static str {
    if let Some(reason) = tls(error) {
        return reason;
    }
    match error {
        sqlx::Error::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => "nobody listens there: check host and port",
            io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                "the host does not answer: check host, port and network policies"
            }
            io::ErrorKind::NotFound => "a file is missing: a certificate, a key or a Unix socket",
            io::ErrorKind::PermissionDenied => "a certificate, a key or a Unix socket may not be read",
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
                "the server closed the connection: is it a server of this kind, and does it speak TLS?"
            }
            _ => "the host cannot be reached, or its name is not known: check host and port",
        },
        sqlx::Error::Tls(_) => "there is no TLS: the server does not offer it, or a certificate or key file is no PEM",
        sqlx::Error::Protocol(_) => {
            "the server does not speak the protocol, or asks for an authentication that we do not have"
        }
        sqlx::Error::Configuration(_) => {
            "the settings do not fit: a certificate without its key, or a MySQL account that needs TLS (ssl_mode)"
        }
        _ => "the driver gave up",
    }
}

/// What is wrong with the server's certificate, if that is what is wrong.
fn tls(error: &(dyn StdError + 'static)) -> Option<&'static str> {
    use rustls::CertificateError as Certificate;
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Some(match error {
                // Of another CA with the same name, the signature does not fit.
                rustls::Error::InvalidCertificate(Certificate::UnknownIssuer | Certificate::BadSignature) => {
                    "the server's certificate is not from a CA that is trusted: give its CA (sslrootcert, ssl_ca)"
                }
                rustls::Error::InvalidCertificate(
                    Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
                ) => "the server's certificate is for another host name",
                rustls::Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
                    "the server's certificate has expired"
                }
                rustls::Error::InvalidCertificate(_) => "the server's certificate is not valid",
                rustls::Error::AlertReceived(_) => {
                    "the server ended the TLS handshake: does it want a client certificate?"
                }
                _ => "there is no TLS with the server",
            });
        }
        // An io::Error hides the error that it wraps behind that one's source.
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// What a server means that cannot run a statement.
fn failure(backend: Backend, error: &dyn DatabaseError) -> &'static str {
    match error.kind() {
        ErrorKind::UniqueViolation => return "a row with this key is there already",
        ErrorKind::ForeignKeyViolation => {
            return "a row that it refers to is missing, or a row that is referred to would be";
        }
        ErrorKind::NotNullViolation => return "a column that must have a value would be null",
        ErrorKind::CheckViolation => return "a check of the table does not hold",
        ErrorKind::ExclusionViolation => return "a row that excludes this one is there already",
        _ => {}
    }
    let code = error.code().unwrap_or_default();
    match backend {
        Backend::Postgres => match code.get(..2).unwrap_or_default() {
            "22" => "a value does not fit: out of range, too long, or no text of its type",
            "25" => "it cannot run in a transaction, or not in this one",
            "40" => "another transaction was in the way; a retry may help",
            "42" if code == "42501" => "the user has no right to do this",
            "42" => "types or names do not fit",
            "53" | "58" => "the server has not enough memory, space or connections",
            "55" => "an object is locked or in use",
            "57" => "the server is stopping, or someone cancelled it",
            "P0" => "the database raised an error of its own; the server's log has its text",
            _ => "the server's log has the reason",
        },
        Backend::Mysql => match number(error).unwrap_or_default() {
            1205 | 1213 => "another transaction was in the way; a retry may help",
            1142..=1144 | 1227 | 1370 => "the user has no right to do this",
            1264 | 1265 | 1292 | 1366 | 1367 | 1406 | 1411 | 1690 | 3140 => {
                "a value does not fit: out of range, too long, or no text of its type"
            }
            1153 => "a value is larger than the server's max_allowed_packet",
            1644 => "the database raised an error of its own",
            _ => "MySQL's list of errors has the reason, by its number",
        },
        // The lower byte is the primary code.
        Backend::Sqlite => match code.parse::<u32>().unwrap_or_default() & 0xff {
            5 | 6 => "another connection holds a lock; a retry may help",
            8 => "the database is read-only",
            11 | 26 => "the file is damaged, or no SQLite database",
            13 => "there is no space left",
            18 => "a value is too large",
            19 => "a constraint does not hold",
            20 => "a value has not the type of its column",
            _ => "SQLite's list of result codes has the reason",
        },
    }
}

/// A server's words: without values that were looked up, without control characters, and not too long. With a value so
/// short that its place would tell what it is, there are no words.
pub(super) fn shown(message: &str, secrets: &[SecretString]) -> String {
    let mut message = message.to_owned();
    for secret in secrets {
        for form in forms(secret.expose_secret()) {
            if form.len() < 4 && message.contains(&form) {
                return "(the server's words hold a looked-up value)".to_owned();
            }
            message = message.replace(&form, "…");
        }
    }
    message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_MESSAGE).collect()
}

/// A value as servers quote it: as it is, with its quotes doubled, with escapes.
fn forms(secret: &str) -> Vec<String> {
    if secret.is_empty() {
        return Vec::new();
    }
    let escaped = secret.replace('\\', "\\\\");
    let mut forms = vec![
        secret.to_owned(),
        secret.replace('\'', "''"),
        secret.replace('"', "\"\""),
        escaped.replace('\'', "\\'"),
        escaped.replace('"', "\\\""),
        secret.trim().to_owned(),
    ];
    forms.retain(|form| !form.is_empty());
    // The longest first: a shorter one may be a part of it.
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    forms.dedup();
    forms
}

#[cfg(test)]
#[path = "driver_error_tests.rs"]
mod tests;
