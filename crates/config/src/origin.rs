//! Where a value, or an error, comes from.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// Where a value, or an error, comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "from")]
pub enum Origin {
    /// The default of the key.
    Default,
    /// The name of the program, which implies a profile.
    ProgramName,
    /// A place in a file.
    File {
        /// The file as it was named, or found by a glob.
        path: Arc<str>,
        /// The line, from 1; 0 where the whole file is meant.
        line: u32,
        /// The column in characters, from 1; 0 where the whole file is meant.
        column: u32,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        variable: Arc<str>,
    },
    /// A flag.
    Flag {
        /// Its name, without the leading `--`.
        flag: Arc<str>,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::ProgramName => f.write_str("program name"),
            Self::File { path, line: 0, .. } => f.write_str(path),
            Self::File { path, line, column } => write!(f, "{path}:{line}:{column}"),
            Self::Environment { variable } => write!(f, "environment {variable}"),
            Self::Flag { flag } => write!(f, "flag --{flag}"),
        }
    }
}

/// A text that is read as configuration: a file, a variable or a flag.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// The table of keys.
    Default,
    /// A file.
    File(Arc<str>),
    /// An environment variable.
    Environment(Arc<str>),
    /// A flag.
    Flag(Arc<str>),
}

impl Source {
    /// The origin of what stands at `line` and `column`; only files have lines.
    pub(crate) fn at(&self, line: u32, column: u32) -> Origin {
        match self {
            Self::Default => Origin::Default,
            Self::File(path) => Origin::File { path: path.clone(), line, column },
            Self::Environment(variable) => Origin::Environment { variable: variable.clone() },
            Self::Flag(flag) => Origin::Flag { flag: flag.clone() },
        }
    }
}
