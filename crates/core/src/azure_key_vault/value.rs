//! Values: `{"type": "STRING" | "BINARY", "value": …}`, a binary value in base64.

use std::fmt;
use std::fmt::Write as _;
use std::sync::LazyLock;

use data_encoding::{BASE64, Encoding};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use zeroize::Zeroizing;

use crate::value::SecretValue;

/// Why what Key Vault holds is no value. Never holds a piece of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AzureValueError {
    /// Not the JSON document that [`encode_value`] writes.
    #[error(
        "the stored value is not JSON of the form {{\"type\": \"STRING\" or \"BINARY\", \"value\": \"…\"}} (line {line}, column {column}); store it with Flyte, or in this form"
    )]
    Json {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// A binary value that is not base64.
    #[error("the stored value is BINARY and not base64 (RFC 4648, section 4, with padding)")]
    Base64,
}

/// Base64 as Go's `encoding/base64` reads it: line ends are ignored, spare bits accepted.
static LENIENT_BASE64: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = BASE64.specification();
    specification.check_trailing_bits = false;
    specification.ignore.push_str("\r\n");
    specification.encoding().expect("standard base64 that ignores line ends")
});

/// What Key Vault is to hold for the value.
#[must_use]
pub fn encode_value(value: &SecretValue) -> SecretString {
    let (kind, text) = match value {
        SecretValue::Text(text) => ("STRING", Zeroizing::new(text.expose_secret().to_owned())),
        SecretValue::Binary(bytes) => ("BINARY", Zeroizing::new(BASE64.encode(bytes.expose_secret()))),
    };
    // Large enough for any escaping, so that no copy is left behind by growing.
    let mut document = Zeroizing::new(String::with_capacity(text.len() * 6 + 32));
    document.extend(["{\"type\":\"", kind, "\",\"value\":\""]);
    text.chars().for_each(|c| escape(&mut document, c));
    document.push_str("\"}");
    SecretString::from(document.as_str())
}

/// JSON as Go's `encoding/json` writes it: also escapes what HTML or JavaScript could misread.
fn escape(document: &mut String, c: char) {
    match c {
        '"' => document.push_str("\\\""),
        '\\' => document.push_str("\\\\"),
        '\u{8}' => document.push_str("\\b"),
        '\u{c}' => document.push_str("\\f"),
        '\n' => document.push_str("\\n"),
        '\r' => document.push_str("\\r"),
        '\t' => document.push_str("\\t"),
        '\0'..'\u{20}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
            write!(document, "\\u{:04x}", u32::from(c)).expect("writing to a String cannot fail");
        }
        _ => document.push(c),
    }
}

/// The value that Key Vault holds.
///
/// Members are found in any case; other members are ignored. A missing or `null` value is the empty one, a missing
/// type is `STRING`, and of a member that is given twice the later one counts.
///
/// # Errors
/// If the document is not of this form, or a binary value is not base64.
pub fn decode_value(stored: &str) -> Result<SecretValue, AzureValueError> {
    // Only the place is kept of serde's error: its text repeats the value.
    let envelope: Option<Envelope> = serde_json::from_str(stored)
        .map_err(|error| AzureValueError::Json { line: error.line(), column: error.column() })?;
    let Envelope { kind, value } = envelope.unwrap_or_default();
    match kind {
        Kind::String => Ok(SecretValue::Text(SecretString::from(value.as_str()))),
        Kind::Binary => Ok(SecretValue::Binary(SecretSlice::from(decode_base64(&value)?.to_vec()))),
    }
}

fn decode_base64(text: &str) -> Result<Zeroizing<Vec<u8>>, AzureValueError> {
    // The library also takes several padded texts in a row.
    let padding_inside = text.trim_end_matches(['=', '\r', '\n']).contains('=');
    let decoded = LENIENT_BASE64.decode(text.as_bytes()).map(Zeroizing::new).map_err(|_| AzureValueError::Base64)?;
    if padding_inside { Err(AzureValueError::Base64) } else { Ok(decoded) }
}

#[derive(Clone, Copy, Default)]
enum Kind {
    #[default]
    String,
    Binary,
}

impl Kind {
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "STRING" => Some(Self::String),
            "BINARY" => Some(Self::Binary),
            _ => None,
        }
    }
}

#[derive(Default)]
struct Envelope {
    kind: Kind,
    value: Zeroizing<String>,
}

impl<'de> Deserialize<'de> for Envelope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EnvelopeVisitor)
    }
}

struct EnvelopeVisitor;

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = Envelope;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with type and value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Envelope, A::Error> {
        let mut envelope = Envelope::default();
        while let Some(member) = members.next_key()? {
            match member {
                Member::Type => {
                    let name = Zeroizing::new(members.next_value::<String>()?);
                    envelope.kind = Kind::from_name(&name).ok_or_else(|| A::Error::custom("unknown type"))?;
                }
                Member::Value => {
                    if let Some(value) = members.next_value::<Option<String>>()? {
                        envelope.value = Zeroizing::new(value);
                    }
                }
                Member::Other => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(envelope)
    }
}

enum Member {
    Type,
    Value,
    Other,
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(MemberVisitor)
    }
}

struct MemberVisitor;

impl Visitor<'_> for MemberVisitor {
    type Value = Member;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Member, E> {
        Ok(match name {
            _ if name.eq_ignore_ascii_case("type") => Member::Type,
            _ if name.eq_ignore_ascii_case("value") => Member::Value,
            _ => Member::Other,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_later_of_two_members_counts_and_null_changes_nothing() {
        let value = |stored: &str| decode_value(stored).unwrap().expose_text().unwrap().to_owned();
        assert_eq!(value(r#"{"value":"a","VALUE":"b"}"#), "b");
        assert_eq!(value(r#"{"value":"a","Value":null}"#), "a");
        assert_eq!(value(r#"{"value":null}"#), "");
    }

    #[test]
    fn a_type_that_is_no_string_is_an_error() {
        for stored in [r#"{"type":null}"#, r#"{"type":{"STRING":null}}"#, r#"{"type":["STRING"]}"#, r#"{"type":""}"#] {
            assert!(decode_value(stored).is_err(), "{stored}");
        }
    }

    #[test]
    fn binary_is_base64_with_padding_and_nothing_behind_it() {
        let bytes = |text: &str| decode_base64(text).ok().map(|bytes| bytes.to_vec());
        assert_eq!(bytes("AA==\r\n"), Some(vec![0]));
        assert_eq!(bytes("A\nB="), None);
        assert_eq!(bytes("AB=="), Some(vec![0]));
        for text in ["AA", "AA=", "AA==AA==", "A", "=", "AA== "] {
            assert_eq!(bytes(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_error_repeats_nothing_of_the_value() {
        for stored in [
            r#"{"type":"hunter2"}"#,
            r#"{"value":["hunter2"]}"#,
            r#""hunter2""#,
            "hunter2",
            r#"{"type":"BINARY","value":"hunter2"}"#,
        ] {
            let error = decode_value(stored).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn what_html_could_misread_is_escaped() {
        let value = SecretValue::text("<>&\u{2028}\u{2029}\u{8}\u{c}\u{1}\u{7f}/\\".to_owned());
        let expected =
            r#"{"type":"STRING","value":"\u003c\u003e\u0026\u2028\u2029\b\f\u0001"#.to_owned() + "\u{7f}/\\\\\"}";
        assert_eq!(encode_value(&value).expose_secret(), expected);
    }
}
