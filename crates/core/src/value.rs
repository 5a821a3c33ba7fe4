//! A secret's value: never printed, wiped when dropped.

use secrecy::{ExposeSecret, SecretSlice, SecretString};

/// What a store holds for one id. `Debug` shows the form and never the value.
#[derive(Clone, Debug)]
pub enum SecretValue {
    /// Text, as AWS and Azure tell it apart from binary.
    Text(SecretString),
    /// Bytes, which may or may not be UTF-8.
    Binary(SecretSlice<u8>),
}

impl SecretValue {
    /// A text value.
    #[must_use]
    pub fn text(value: String) -> Self {
        Self::Text(SecretString::from(value))
    }

    /// A binary value.
    #[must_use]
    pub fn binary(value: Vec<u8>) -> Self {
        Self::Binary(SecretSlice::from(value))
    }

    /// The value's bytes, for a file.
    #[must_use]
    pub fn expose_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.expose_secret().as_bytes(),
            Self::Binary(bytes) => bytes.expose_secret(),
        }
    }

    /// The value as text, for an environment variable; `None` if it is not UTF-8.
    #[must_use]
    pub fn expose_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.expose_secret()),
            Self::Binary(bytes) => std::str::from_utf8(bytes.expose_secret()).ok(),
        }
    }
}
