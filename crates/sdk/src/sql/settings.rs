//! Everything that a connection is made of, under the names that SQLAlchemy's drivers give it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use flyte_secrets_core::secret::Secret;
use flyte_secrets_core::value::SecretValue;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use thiserror::Error;

use super::uri::Uri;

/// Where the database is and who asks it: `SQLAlchemyConfig` of flytekit's SQLAlchemy plugin.
///
/// `Debug` shows no URI and no value of a connect argument: both may hold a password.
#[derive(Clone, Default, PartialEq)]
pub struct SqlConfig {
    /// As SQLAlchemy writes it: `postgresql://host/name`, `mysql+pymysql://…`, `sqlite:///file`.
    pub uri: String,
    /// What goes to the driver besides; each takes the place of what the URI says.
    pub connect_args: BTreeMap<String, Value>,
    /// What goes to the driver and is looked up when the task runs; each takes the place of what the others say.
    pub secret_connect_args: BTreeMap<String, Secret>,
}

impl fmt::Debug for SqlConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlConfig")
            .field("connect_args", &self.connect_args.keys())
            .field("secret_connect_args", &self.secret_connect_args)
            .finish_non_exhaustive()
    }
}

/// What is wrong with a URI or a connect argument. Names arguments, never their values.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The URI has no scheme.
    #[error("the URI is none of SQLAlchemy's: it should begin like postgresql://, mysql:// or sqlite://")]
    NoUri,
    /// The scheme is not known.
    #[error(
        "the scheme {0} is not known: postgresql, mysql, mariadb and sqlite are, with or without a driver of SQLAlchemy"
    )]
    Scheme(String),
    /// The database is not compiled in.
    #[error("this program was built without {database}: build it with the feature `{feature}`")]
    NotCompiledIn {
        /// The database.
        database: &'static str,
        /// The Cargo feature that brings it.
        feature: &'static str,
    },
    /// A SQLite URI with two slashes and a path.
    #[error("a SQLite URI has three slashes before a relative path and four before an absolute one")]
    SqliteHost,
    /// Percent-encoding that is not UTF-8.
    #[error("a part of the URI is not UTF-8 once it is percent-decoded")]
    NotUtf8,
    /// An argument that is not known.
    #[error("the connect argument `{name}` is not known for {database}{}", .nearest.as_ref().map(|name| format!(": did you mean `{name}`?")).unwrap_or_default())]
    Unknown {
        /// Its name.
        name: String,
        /// Whose arguments were searched.
        database: &'static str,
        /// The most similar one that is known.
        nearest: Option<String>,
    },
    /// A value that cannot be used.
    #[error("the connect argument `{name}` must be {expected}")]
    Value {
        /// The argument's name.
        name: String,
        /// What it may be.
        expected: &'static str,
    },
}

/// The databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backend {
    Sqlite,
    Postgres,
    Mysql,
}

impl Backend {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
            Self::Mysql => "MySQL",
        }
    }
}

/// What an argument means, under whatever name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Meaning {
    User,
    Password,
    Host,
    Port,
    Database,
    SslMode,
    SslRootCert,
    SslCert,
    SslKey,
    SslDisabled,
    SslVerifyIdentity,
    ConnectTimeout,
    ApplicationName,
    Options,
    Charset,
    Collation,
    Socket,
    BusyTimeout,
    OpenMode,
    /// Taken and without effect: it tells a Python driver how to treat its objects.
    NoEffect,
}

use Meaning as M;

/// libpq's names (psycopg and psycopg2 take them all), and those of asyncpg and pg8000.
const POSTGRES: &[(&str, Meaning)] = &[
    ("user", M::User),
    ("password", M::Password),
    ("host", M::Host),
    ("hostaddr", M::Host),
    ("port", M::Port),
    ("dbname", M::Database),
    ("database", M::Database),
    ("sslmode", M::SslMode),
    ("sslrootcert", M::SslRootCert),
    ("sslcert", M::SslCert),
    ("sslkey", M::SslKey),
    ("connect_timeout", M::ConnectTimeout),
    ("timeout", M::ConnectTimeout),
    ("application_name", M::ApplicationName),
    ("options", M::Options),
    ("client_encoding", M::Charset),
];

/// PyMySQL's, mysqlclient's and Connector/Python's.
const MYSQL: &[(&str, Meaning)] = &[
    ("user", M::User),
    ("username", M::User),
    ("password", M::Password),
    ("passwd", M::Password),
    ("host", M::Host),
    ("port", M::Port),
    ("database", M::Database),
    ("db", M::Database),
    ("unix_socket", M::Socket),
    ("charset", M::Charset),
    ("collation", M::Collation),
    ("connect_timeout", M::ConnectTimeout),
    ("connection_timeout", M::ConnectTimeout),
    ("ssl_mode", M::SslMode),
    ("ssl_ca", M::SslRootCert),
    ("ssl_cert", M::SslCert),
    ("ssl_key", M::SslKey),
    ("ssl_disabled", M::SslDisabled),
    ("ssl_verify_identity", M::SslVerifyIdentity),
    ("ssl_check_hostname", M::SslVerifyIdentity),
    ("use_unicode", M::NoEffect),
];

/// Those of Python's `sqlite3`.
const SQLITE: &[(&str, Meaning)] = &[
    ("database", M::Database),
    ("timeout", M::BusyTimeout),
    ("mode", M::OpenMode),
    ("uri", M::NoEffect),
    ("check_same_thread", M::NoEffect),
    ("cached_statements", M::NoEffect),
    ("detect_types", M::NoEffect),
];

fn names(backend: Backend) -> &'static [(&'static str, Meaning)] {
    match backend {
        Backend::Sqlite => SQLITE,
        Backend::Postgres => POSTGRES,
        Backend::Mysql => MYSQL,
    }
}

/// One argument, with the name it came under.
#[derive(Clone, Debug)]
struct Argument {
    name: String,
    value: SecretString,
    /// It was looked up, or it is a password.
    secret: bool,
}

/// All arguments of one connection.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) backend: Backend,
    arguments: BTreeMap<Meaning, Argument>,
}

impl Settings {
    /// The URI's arguments and `connect_args`, which take their place; no secret is needed for these.
    pub(super) fn new(config: &SqlConfig) -> Result<Self, SettingsError> {
        let Uri { backend, arguments } = Uri::parse(&config.uri)?;
        let mut settings = Self { backend, arguments: BTreeMap::new() };
        for (name, value) in arguments {
            settings.set(&name, SecretString::from(value), false)?;
        }
        for (name, value) in &config.connect_args {
            settings.set_json(name, value)?;
        }
        for name in config.secret_connect_args.keys() {
            settings.meaning(name)?;
        }
        Ok(settings)
    }

    /// Puts a looked-up value in.
    pub(super) fn set_secret(&mut self, name: &str, value: &SecretValue) -> Result<(), SettingsError> {
        let expected = "text: the secret's value is not UTF-8";
        let text = value.expose_text().ok_or(SettingsError::Value { name: name.to_owned(), expected })?;
        self.set(name, SecretString::from(text.to_owned()), true)
    }

    fn set(&mut self, name: &str, value: SecretString, looked_up: bool) -> Result<(), SettingsError> {
        let meaning = self.meaning(name)?;
        let secret = looked_up || meaning == Meaning::Password;
        self.arguments.insert(meaning, Argument { name: name.to_owned(), value, secret });
        Ok(())
    }

    fn set_json(&mut self, name: &str, value: &Value) -> Result<(), SettingsError> {
        let text = match value {
            Value::Null => return Ok(()),
            Value::String(text) => text.clone(),
            Value::Bool(value) => value.to_string(),
            Value::Number(number) => whole(number),
            // PyMySQL's `ssl: {ca, cert, key, check_hostname}`.
            Value::Object(members) if name == "ssl" && self.backend == Backend::Mysql => {
                return members.iter().try_for_each(|(member, value)| self.set_json(&format!("ssl_{member}"), value));
            }
            Value::Object(_) | Value::Array(_) => {
                self.meaning(name)?;
                return Err(SettingsError::Value { name: name.to_owned(), expected: "a text, a number or a boolean" });
            }
        };
        self.set(name, SecretString::from(text), false)
    }

    fn meaning(&self, name: &str) -> Result<Meaning, SettingsError> {
        let names = names(self.backend);
        if let Some((_, meaning)) = names.iter().find(|(known, _)| *known == name) {
            return Ok(*meaning);
        }
        let similar = names.iter().map(|(known, _)| (strsim::jaro_winkler(name, known), *known));
        let nearest = similar.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(score, _)| *score > 0.75);
        Err(SettingsError::Unknown {
            name: name.chars().take(64).collect(),
            database: self.backend.name(),
            nearest: nearest.map(|(_, known)| known.to_owned()),
        })
    }

    /// The argument's text.
    pub(super) fn text(&self, meaning: Meaning) -> Option<&str> {
        self.arguments.get(&meaning).map(|argument| argument.value.expose_secret())
    }

    /// The argument, read.
    pub(super) fn read<T>(
        &self,
        meaning: Meaning,
        expected: &'static str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, SettingsError> {
        let Some(argument) = self.arguments.get(&meaning) else { return Ok(None) };
        let value = read(argument.value.expose_secret());
        value.map(Some).ok_or_else(|| SettingsError::Value { name: argument.name.clone(), expected })
    }

    pub(super) fn port(&self) -> Result<Option<u16>, SettingsError> {
        self.read(Meaning::Port, "a port: 1 to 65535", |text| text.parse().ok().filter(|port| *port > 0))
    }

    /// A time in seconds, as all of the drivers take it. 0 is no limit to them, and the caller's to us.
    pub(super) fn seconds(&self, meaning: Meaning) -> Result<Option<Duration>, SettingsError> {
        let seconds = self.read(meaning, "a number of seconds, up to 3600", |text| {
            text.parse().ok().filter(|seconds: &f64| (0.0..=3600.0).contains(seconds))
        })?;
        Ok(seconds.filter(|seconds| *seconds > 0.0).map(Duration::from_secs_f64))
    }

    /// Values that may not be printed.
    pub(super) fn secrets(&self) -> Vec<SecretString> {
        self.arguments.values().filter(|argument| argument.secret).map(|argument| argument.value.clone()).collect()
    }

    /// The database in words, for messages: parts that were looked up are left out.
    pub(super) fn target(&self) -> String {
        let shown = |meaning, default: &str| match self.arguments.get(&meaning) {
            Some(argument) if argument.secret => "(secret)".to_owned(),
            Some(argument) => argument.value.expose_secret().chars().take(256).flat_map(char::escape_debug).collect(),
            None => default.to_owned(),
        };
        let database = shown(Meaning::Database, "(default)");
        match self.backend {
            Backend::Sqlite => format!("the SQLite database {database}"),
            Backend::Postgres | Backend::Mysql => {
                let host = shown(Meaning::Host, "localhost");
                let port = shown(Meaning::Port, if self.backend == Backend::Postgres { "5432" } else { "3306" });
                format!("the {} database {database} at {host}:{port}", self.backend.name())
            }
        }
    }
}

/// Numbers of a protobuf struct are all floats: 5432.0 is meant as 5432.
fn whole(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => format!("{float:.0}"),
        _ => number.to_string(),
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
