//! The scoped look-up: project, then domain, then organization.

use std::fmt;
use std::sync::Arc;

use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::value::SecretValue;

use crate::fetcher::{FailureClass, FetchError, SecretFetcher};

/// A value, and where it was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The id of the scope that holds it; its project, or project and domain, may be empty.
    pub id: SecretId,
    /// The value.
    pub value: SecretValue,
    /// The name of the store.
    pub store: String,
}

/// One question of a look-up and the store's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The id that was asked for.
    pub id: SecretId,
    /// The name of the store.
    pub store: String,
    /// What it said.
    pub error: FetchError,
}

/// A look-up that found nothing: every question in its order. Only the last can be other than "not found".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookUpError {
    /// The id that was looked for.
    pub id: SecretId,
    /// All questions; empty if there was no store to ask.
    pub asked: Vec<Asked>,
}

impl LookUpError {
    /// The class of the failure that ended the look-up; [`FailureClass::NotFound`] if no scope had the secret.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        self.asked.last().map_or(FailureClass::NotFound, |last| last.error.class())
    }

    /// Whether the same look-up may succeed later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        self.class().retryable()
    }
}

impl std::error::Error for LookUpError {}

impl fmt::Display for LookUpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "secret {:?}: {}", self.id.name, self.class())?;
        if self.asked.is_empty() {
            return f.write_str("; no store is configured");
        }
        for (number, Asked { id, store, error }) in self.asked.iter().enumerate() {
            let separator = if number == 0 { "; asked" } else { ";" };
            write!(f, "{separator} {store} for {id}: {}", error.detail())?;
        }
        Ok(())
    }
}

/// Looks for a secret in the scopes organization + domain + project, organization + domain, organization.
///
/// Within a scope the stores are asked in their order, so a secret of a narrow scope wins whichever store
/// holds it. "Not found" goes on; any other failure ends the look-up, so that a store which is down
/// never makes a wider secret stand in for a narrow one.
///
/// # Errors
///
/// [`LookUpError`], with every question and answer.
pub async fn look_up(stores: &[Arc<dyn SecretFetcher>], id: &SecretId) -> Result<Found, LookUpError> {
    let mut asked = Vec::new();
    let mut scopes = id.scopes().to_vec();
    scopes.dedup();
    for scope in scopes {
        for store in stores {
            match store.get(&scope).await {
                Ok(value) => return Ok(Found { id: scope, value, store: store.name().to_owned() }),
                Err(error) => {
                    let ends = error.class() != FailureClass::NotFound;
                    asked.push(Asked { id: scope.clone(), store: store.name().to_owned(), error });
                    if ends {
                        return Err(LookUpError { id: id.clone(), asked });
                    }
                }
            }
        }
    }
    Err(LookUpError { id: id.clone(), asked })
}

#[cfg(test)]
#[path = "look_up_tests.rs"]
mod tests;
