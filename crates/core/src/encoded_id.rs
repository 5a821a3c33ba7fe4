//! The id under which a store keeps a secret of an organization, domain and project.
//!
//! `u__org__<org>__domain__<domain>__project__<project>__key__<name>`; empty components stay empty.
//! Source: `flyteplugins/go/tasks/pluginmachinery/secret/utils.go` of Flyte 2.

use std::fmt;

/// What separates the parts of an encoded id.
const SEPARATOR: &str = "__";

/// A secret's place: organization, domain, project and name. Empty means "of the wider scope".
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretId {
    /// The organization.
    pub org: String,
    /// The domain; empty for a secret of the whole organization.
    pub domain: String,
    /// The project; empty for a secret of the whole domain.
    pub project: String,
    /// The secret's name.
    pub name: String,
}

/// The encoded form: `id.to_string()`.
impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { org, domain, project, name } = self;
        write!(f, "u__org__{org}__domain__{domain}__project__{project}__key__{name}")
    }
}

/// Why a text is no encoded id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretIdError {
    /// Fewer than nine parts between `__`.
    #[error(
        "not an encoded secret id: found {parts} parts separated by `__`, expected at least 9 as in `u__org__…__domain__…__project__…__key__…`"
    )]
    TooFewParts {
        /// How many there are.
        parts: usize,
    },
    /// One of the fixed words is missing or out of place.
    #[error(
        "not an encoded secret id: part {part} is not `{expected}`, as in `u__org__…__domain__…__project__…__key__…`"
    )]
    UnexpectedPart {
        /// Which part, counted from 1.
        part: usize,
        /// The word that belongs there.
        expected: &'static str,
    },
}

/// A component whose encoded id would be that of another secret, or could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the {component} holds `__` or ends with `_`, which makes the secret's encoded id ambiguous; choose another name"
)]
pub struct AmbiguousComponent {
    /// `organization`, `domain` or `project`.
    pub component: &'static str,
}

impl SecretId {
    /// Decodes what [`fmt::Display`] wrote. The name may itself hold `__`.
    ///
    /// # Errors
    /// If there are fewer than nine parts, or one of the fixed words is not in its place.
    pub fn decode(encoded: &str) -> Result<Self, SecretIdError> {
        let parts: Vec<&str> = encoded.splitn(9, SEPARATOR).collect();
        let &[u, org_word, org, domain_word, domain, project_word, project, key_word, name] = parts.as_slice() else {
            return Err(SecretIdError::TooFewParts { parts: parts.len() });
        };
        let words = [
            (1, u, "u"),
            (2, org_word, "org"),
            (4, domain_word, "domain"),
            (6, project_word, "project"),
            (8, key_word, "key"),
        ];
        if let Some((part, _, expected)) = words.into_iter().find(|(_, found, expected)| found != expected) {
            return Err(SecretIdError::UnexpectedPart { part, expected });
        }
        Ok(Self { org: org.to_owned(), domain: domain.to_owned(), project: project.to_owned(), name: name.to_owned() })
    }

    /// The ids a look-up tries in turn, from narrow to wide: the project's, the domain's, the organization's.
    ///
    /// Where the id has no project or no domain, neighbours are equal.
    #[must_use]
    pub fn scopes(&self) -> [Self; 3] {
        let domain = Self { project: String::new(), ..self.clone() };
        let org = Self { domain: String::new(), ..domain.clone() };
        [self.clone(), domain, org]
    }

    /// What the encoded ids of all secrets of this scope begin with; empty components at the end are left out.
    #[must_use]
    pub fn prefix(&self) -> String {
        let Self { org, domain, project, .. } = self;
        match (domain.as_str(), project.as_str()) {
            ("", "") => format!("u__org__{org}"),
            (_, "") => format!("u__org__{org}__domain__{domain}"),
            _ => format!("u__org__{org}__domain__{domain}__project__{project}"),
        }
    }

    /// Checks that no other organization, domain, project and name has the same encoded id.
    ///
    /// The name comes last and may be anything. A departure from Flyte, see `docs/differences.md`.
    ///
    /// # Errors
    /// If the organization, domain or project holds `__` or ends with `_`.
    pub fn check_components(&self) -> Result<(), AmbiguousComponent> {
        let components = [("organization", &self.org), ("domain", &self.domain), ("project", &self.project)];
        match components.into_iter().find(|(_, text)| text.contains(SEPARATOR) || text.ends_with('_')) {
            Some((component, _)) => Err(AmbiguousComponent { component }),
            None => Ok(()),
        }
    }
}
