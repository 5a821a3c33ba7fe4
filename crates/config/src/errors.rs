//! Errors for the people who write the configuration.

use std::fmt;

use serde::Serialize;

use crate::origin::Origin;

/// How many errors are kept; a file of another kind would otherwise give one a line.
const MAX_ERRORS: usize = 100;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigError {
    /// Where it stands.
    #[serde(flatten)]
    pub origin: Origin,
    /// The full key (`webhook.certDir`), where one is concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What is wrong and what to write instead.
    pub message: String,
    /// The secret manager that it misses: no error if another place describes it.
    #[serde(skip)]
    pub(crate) missing_manager: Option<String>,
}

impl ConfigError {
    pub(crate) fn new(origin: Origin, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { origin, key: Some(key.into()), message: message.into(), missing_manager: None }
    }

    pub(crate) fn of_file(origin: Origin, message: impl Into<String>) -> Self {
        Self { origin, key: None, message: message.into(), missing_manager: None }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong with a configuration, in the order of the files, then of the environment
/// and the flags. Prints one error a line; serializes as a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(transparent)]
pub struct ConfigErrors {
    errors: Vec<ConfigError>,
    /// How many more there were.
    #[serde(skip)]
    omitted: usize,
}

impl ConfigErrors {
    /// Sorts by place: the files in the order of `files`, by line and column, then the rest as found.
    pub(crate) fn new(mut errors: Vec<ConfigError>, files: &[&str]) -> Self {
        errors.sort_by_key(|error| match &error.origin {
            Origin::File { path, line, column } => {
                // A file that could not be read is in no list: such errors come first.
                let place = files.iter().position(|file| *file == &**path).map_or(0, |index| index + 1);
                (place, *line, *column)
            }
            _ => (usize::MAX, 0, 0),
        });
        let omitted = errors.len().saturating_sub(MAX_ERRORS);
        errors.truncate(MAX_ERRORS);
        Self { errors, omitted }
    }

    /// The errors, the first 100 of them.
    #[must_use]
    pub fn errors(&self) -> &[ConfigError] {
        &self.errors
    }

    /// How many more there are.
    #[must_use]
    pub fn omitted(&self) -> usize {
        self.omitted
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        if self.omitted > 0 {
            write!(f, "\n… and {} more", self.omitted)?;
        }
        Ok(())
    }
}
