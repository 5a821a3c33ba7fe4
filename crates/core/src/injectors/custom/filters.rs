//! What stands behind a `|` in a placeholder: other forms of a text, for other places.

use std::borrow::Cow;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::case;
use crate::expansion::is_plain_word;
use crate::paths::check_part;

/// A form of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    /// In lower case.
    Lower,
    /// In upper case.
    Upper,
    /// As the name of a variable: upper case, everything but letters and digits is `_`.
    Env,
    /// As part of a name of Kubernetes.
    Dns,
    /// Checked to stay below a folder.
    Path,
    /// Checked to be letters, digits, `.`, `_` and `-`.
    Plain,
    /// As one word for a POSIX shell.
    Sh,
    /// As a JSON string, with its quotation marks; YAML takes it too.
    Json,
    /// As part of a path or query of a URL.
    Url,
}

/// Most of a text that stays readable in [`Filter::Dns`].
const READABLE: usize = 24;

impl Filter {
    pub(super) const ALL: [Self; 9] =
        [Self::Lower, Self::Upper, Self::Env, Self::Dns, Self::Path, Self::Plain, Self::Sh, Self::Json, Self::Url];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Lower => "lower",
            Self::Upper => "upper",
            Self::Env => "env",
            Self::Dns => "dns",
            Self::Path => "path",
            Self::Plain => "plain",
            Self::Sh => "sh",
            Self::Json => "json",
            Self::Url => "url",
        }
    }

    /// Whether it may stand behind `before`: cases first, because a quoted text must not change any more, and `sh` last.
    pub(super) const fn may_follow(self, before: Self) -> bool {
        match (before, self) {
            (Self::Lower | Self::Upper, _) => true,
            (_, Self::Lower | Self::Upper) | (Self::Sh, _) => false,
            (_, Self::Sh) => true,
            (Self::Path, Self::Json | Self::Url) => true,
            _ => false,
        }
    }

    /// The text in this form, or why it has none: a predicate such as "is empty".
    pub(super) fn apply<'t>(self, text: Cow<'t, str>) -> Result<Cow<'t, str>, String> {
        match self {
            Self::Lower => Ok(Cow::Owned(case::lower(&text))),
            Self::Upper => Ok(Cow::Owned(case::upper(&text))),
            Self::Env => Ok(Cow::Owned(text.chars().map(env_char).collect())),
            Self::Dns => Ok(Cow::Owned(dns(&text))),
            Self::Path => check_part(&text).map(|()| text).map_err(|error| error.to_string()),
            Self::Plain => is_plain(&text).then_some(text).ok_or_else(|| {
                "may only hold letters, digits, '.', '_' and '-' here, at least one, and none but a letter, a digit or \
                 '_' in front"
                    .to_owned()
            }),
            Self::Sh if text.contains('\0') => Err("holds a NUL character, which no shell takes".to_owned()),
            Self::Sh => Ok(if is_plain_word(&text) { text } else { Cow::Owned(quoted(&text)) }),
            Self::Json => serde_json::to_string(&text).map(Cow::Owned).map_err(|error| error.to_string()),
            Self::Url if matches!(&*text, "." | "..") => {
                Err("is a '.' or '..', which a URL would resolve away".to_owned())
            }
            Self::Url => Ok(Cow::Owned(percent_encoded(&text))),
        }
    }
}

fn env_char(character: char) -> char {
    let upper = character.to_ascii_uppercase();
    if upper.is_ascii_alphanumeric() { upper } else { '_' }
}

fn is_plain(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// A label of RFC 1123 of at most 33 characters. What has to be changed gets a digest, so that two texts stay two.
fn dns(text: &str) -> String {
    let readable: String = text
        .chars()
        .take(READABLE)
        .map(|character| if character.is_ascii_alphanumeric() { character.to_ascii_lowercase() } else { '-' })
        .collect();
    let readable = readable.trim_matches('-');
    if readable == text && !text.is_empty() {
        return readable.to_owned();
    }
    let digest = &HEXLOWER.encode(&Sha256::digest(text)[..4]);
    if readable.is_empty() { digest.clone() } else { format!("{readable}-{digest}") }
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Everything but RFC 3986's unreserved characters as `%XX`; `~` too, which shells expand.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
