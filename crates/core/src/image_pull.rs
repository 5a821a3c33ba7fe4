//! The Kubernetes Secret that mirrors an image-pull secret: its name and its labels.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::encoded_id::SecretId;

/// What every such Secret's name starts with; 16 hex digits follow.
const PREFIX: &str = "img-pull-";
const DIGITS: usize = 16;
/// The longest label value that Kubernetes takes, in characters.
const MAX_LABEL_VALUE: usize = 63;

/// The name of the image-pull Secret for the scope in which the value was found: `img-pull-` and the first 16 hex
/// digits of SHA-256 of `org:domain:project:name`.
#[must_use]
pub fn secret_name(id: &SecretId) -> String {
    let SecretId { org, domain, project, name } = id;
    let digest = Sha256::digest(format!("{org}:{domain}:{project}:{name}"));
    format!("{PREFIX}{}", HEXLOWER.encode(&digest[..DIGITS / 2]))
}

/// Whether a Secret of this name is, or could be, an image-pull Secret of Flyte.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    name.strip_prefix(PREFIX)
        .is_some_and(|rest| rest.len() == DIGITS && rest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
}

/// The labels of the image-pull Secret, as name and value. Values are made valid for Kubernetes.
#[must_use]
pub fn labels(id: &SecretId) -> [(&'static str, String); 5] {
    [
        ("union.ai/secret-type", "image-pull-secret".to_owned()),
        ("union.ai/org", label_value(&id.org)),
        ("union.ai/project", label_value(&id.project)),
        ("union.ai/domain", label_value(&id.domain)),
        ("union.ai/secret-name", label_value(&id.name)),
    ]
}

/// Any text as a label value: at most 63 of `A-Za-z0-9._-`, alphanumeric at both ends; `none` for the empty text.
fn label_value(text: &str) -> String {
    if text.is_empty() {
        return "none".to_owned();
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let mut value: Vec<char> = text.chars().take(MAX_LABEL_VALUE).map(|c| if allowed(c) { c } else { '-' }).collect();
    let last = value.len() - 1;
    for end in [0, last] {
        if !value[end].is_ascii_alphanumeric() {
            value[end] = 'x';
        }
    }
    value.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_recognised() {
        assert!(is_secret_name(&secret_name(&SecretId::default())));
        for name in ["img-pull-", "img-pull-of-mine", "img-pull-0123456789abcdeF", "img-pull-0123456789abcdef0"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn a_label_value_is_always_valid() {
        let long = format!("{}-tail", "x".repeat(62));
        let cases = [
            ("", "none"),
            ("-", "x"),
            ("a", "a"),
            ("_ü_", "x-x"),
            ("a b", "a-b"),
            (&long, &format!("{}x", "x".repeat(62))),
        ];
        for (text, expected) in cases {
            assert_eq!(label_value(text), expected, "{text:?}");
        }
    }
}
