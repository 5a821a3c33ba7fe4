//! What a check says: one sentence with a level, a place and a remedy, under an id that scripts may rely on.

use serde::Serialize;

use super::check::{Check, Level};
use super::ids::Id;
use crate::admission::wording::plain;

/// The longest text of a finding, in bytes; messages of the API server and of stores are cut there.
const MAX_TEXT: usize = 1200;

/// One thing that was found. Names, addresses and dates only, never a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about.
    pub id: Id,
    /// How bad it is.
    pub level: Level,
    /// What was found, and what follows from it.
    pub what: String,
    /// Where: an object of the cluster, an address, a key of the configuration. May be empty.
    #[serde(rename = "where", skip_serializing_if = "String::is_empty")]
    pub place: String,
    /// The line to change or the command to run; empty where nothing is to be done.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

impl Finding {
    pub(super) fn new(id: Id, level: Level, what: impl AsRef<str>) -> Self {
        Self { id, level, what: plain(what.as_ref(), MAX_TEXT), place: String::new(), remedy: String::new() }
    }

    pub(super) fn ok(id: Id, what: impl AsRef<str>) -> Self {
        Self::new(id, Level::Ok, what)
    }

    pub(super) fn info(id: Id, what: impl AsRef<str>) -> Self {
        Self::new(id, Level::Info, what)
    }

    pub(super) fn warning(id: Id, what: impl AsRef<str>) -> Self {
        Self::new(id, Level::Warning, what)
    }

    pub(super) fn error(id: Id, what: impl AsRef<str>) -> Self {
        Self::new(id, Level::Error, what)
    }

    pub(super) fn at(self, place: impl AsRef<str>) -> Self {
        Self { place: plain(place.as_ref(), MAX_TEXT), ..self }
    }

    pub(super) fn remedy(self, remedy: impl AsRef<str>) -> Self {
        Self { remedy: plain(remedy.as_ref(), MAX_TEXT), ..self }
    }
}

/// All findings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// By check, in the order of [`Check::ALL`].
    pub checks: Vec<(Check, Vec<Finding>)>,
}

impl Report {
    /// All findings, in the order of the checks.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.checks.iter().flat_map(|(_, findings)| findings)
    }

    /// How many there are of a level.
    #[must_use]
    pub fn count(&self, level: Level) -> usize {
        self.findings().filter(|finding| finding.level == level).count()
    }

    /// The worst level.
    #[must_use]
    pub fn worst(&self) -> Level {
        self.findings().map(|finding| finding.level).max().unwrap_or(Level::Ok)
    }
}

#[cfg(test)]
#[path = "finding_tests.rs"]
#[allow(clippy::unwrap_used)]
mod tests;
