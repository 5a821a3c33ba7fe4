//! What a look-up says when it has no value.

use std::fmt;

use flyte_secrets_core::encoded_id::SecretId;

use crate::fetcher::{FailureClass, FetchError};

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

/// A look-up that found nothing: every question up to the one that decided, in their order. Only the last can be other
/// than "not found".
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
