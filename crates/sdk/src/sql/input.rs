//! What a task hands to a query: typed values, which become bound parameters.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, NaiveDate, Timelike, Utc};

use super::template::TemplateError;

/// The inputs of one run, by name.
pub type Inputs = BTreeMap<String, Input>;

/// One input. Lists and maps have no place in a parameter: pass them as JSON text and let the database take it apart.
///
/// `Debug` shows the type and never the value: an input may be a person's data.
#[derive(Clone, PartialEq)]
pub enum Input {
    /// SQL's `NULL`.
    Null,
    /// Flyte's boolean.
    Boolean(bool),
    /// Flyte's integer.
    Integer(i64),
    /// Flyte's float.
    Float(f64),
    /// Flyte's string.
    String(String),
    /// Bytes, for a column of bytes.
    Bytes(Vec<u8>),
    /// A day.
    Date(NaiveDate),
    /// Flyte's datetime, which is always in UTC.
    Datetime(DateTime<Utc>),
}

impl Input {
    /// The name of the value's type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "boolean",
            Self::Integer(_) => "integer",
            Self::Float(_) => "float",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Date(_) => "date",
            Self::Datetime(_) => "datetime",
        }
    }

    /// The text that the value is inside a string literal, which flytekit makes with Python's `str()`. Booleans are
    /// written as SQL writes them, and a time zone only where `zone` asks for it: MariaDB reads none.
    pub(super) fn to_text(&self, name: &str, zone: bool) -> Result<String, TemplateError> {
        let input_in_literal = || TemplateError::InputInLiteral { input: name.to_owned(), type_name: self.type_name() };
        Ok(match self {
            Self::Null | Self::Bytes(_) => return Err(input_in_literal()),
            Self::Boolean(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Float(value) => format!("{value:?}"),
            Self::String(value) => value.clone(),
            Self::Date(value) => value.to_string(),
            Self::Datetime(value) => datetime(*value, zone),
        })
    }
}

/// As Python's `str()` writes a datetime in UTC; without the zone where there is no place for it.
pub(super) fn datetime(value: DateTime<Utc>, zone: bool) -> String {
    let fraction = if value.nanosecond() / 1_000 == 0 { "" } else { "%.6f" };
    let zone = if zone { "%:z" } else { "" };
    value.format(&format!("%Y-%m-%d %H:%M:%S{fraction}{zone}")).to_string()
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Input({})", self.type_name())
    }
}

impl From<&str> for Input {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

impl From<String> for Input {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}

impl From<i64> for Input {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<f64> for Input {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<bool> for Input {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<Vec<u8>> for Input {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(value)
    }
}

impl From<NaiveDate> for Input {
    fn from(value: NaiveDate) -> Self {
        Self::Date(value)
    }
}

impl From<DateTime<Utc>> for Input {
    fn from(value: DateTime<Utc>) -> Self {
        Self::Datetime(value)
    }
}

impl<T: Into<Input>> From<Option<T>> for Input {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
