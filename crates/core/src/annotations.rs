//! Requests for secrets as a pod's annotations carry them.
//!
//! A pod asks with the label [`LABEL`] and one annotation a request: `flyte.secrets/s0`, `flyte.secrets/s1`, … Each
//! value is the text format of a [`Secret`] in base32 over `a-z1-6`.

use crate::base32;
use crate::secret::{MountRequirement, Secret};
use crate::text_format::{self, TextFormatError, excerpt};

/// The label of the pods that ask for secrets; the webhook is called for no others.
pub const LABEL: &str = "inject-flyte-secrets";
/// The value of [`LABEL`].
pub const LABEL_VALUE: &str = "true";
/// What the names of the annotations begin with; anything may follow.
pub const PREFIX: &str = "flyte.secrets/s";
/// The longest annotation value that is written, in bytes: what Kubernetes allows for all annotations of an object.
pub const MAX_ENCODED_LENGTH: usize = 262_144;
/// How many requests one pod may make. A limit of our own; no task comes near it.
pub const MAX_REQUESTS: usize = 1024;

/// One request of a pod, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The annotation's name.
    pub annotation: String,
    /// What it asks for.
    pub secret: Secret,
}

/// Why an annotation's value is no request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnnotationError {
    /// A character that is not of the base32 alphabet.
    #[error("not base32: {found:?} at byte {position} is not one of a-z and 1-6")]
    NotBase32 {
        /// Where the character begins in the value as written, in bytes from 1.
        position: usize,
        /// The character.
        found: char,
    },
    /// The decoded text is no request.
    #[error("not the text format of a secret: {0}")]
    Text(#[from] TextFormatError),
}

/// Why a request cannot be written as an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The mount requirement is none of those that have a name.
    #[error("mount requirement {} is not known; use ANY, ENV_VAR or FILE", .0.number())]
    MountRequirement(MountRequirement),
    /// The encoded form is longer than [`MAX_ENCODED_LENGTH`].
    #[error("the request takes {length} bytes as an annotation, {MAX_ENCODED_LENGTH} are allowed; shorten its names")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
}

/// Why the requests of a pod cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UndecodableRequest {
    /// One annotation is no request.
    #[error("annotation {}: {cause}", excerpt(.annotation.as_bytes()))]
    Annotation {
        /// The annotation's name.
        annotation: String,
        /// What is wrong with its value.
        cause: AnnotationError,
    },
    /// More than [`MAX_REQUESTS`] annotations.
    #[error("the pod has more than {MAX_REQUESTS} annotations that begin with {PREFIX}; ask for fewer secrets")]
    TooMany,
}

/// Reads one annotation's value. The empty value is the empty request.
///
/// # Errors
/// If the value is not base32 of the alphabet, or its text is no request.
pub fn decode(value: &str) -> Result<Secret, AnnotationError> {
    let text = base32::FLYTE
        .decode(value)
        .map_err(|base32::BadCharacter { position, found }| AnnotationError::NotBase32 { position, found })?;
    Ok(text_format::parse(&text)?)
}

/// Writes one annotation's value.
///
/// # Errors
/// If the mount requirement has no name, or the value would be longer than [`MAX_ENCODED_LENGTH`].
pub fn encode(secret: &Secret) -> Result<String, EncodeError> {
    if secret.mount_requirement.name().is_none() {
        return Err(EncodeError::MountRequirement(secret.mount_requirement));
    }
    let value = base32::FLYTE.encode(text_format::write(secret).as_bytes());
    if value.len() > MAX_ENCODED_LENGTH {
        return Err(EncodeError::TooLong { length: value.len() });
    }
    Ok(value)
}

/// The annotations that ask for the secrets, as name and value, in their order.
///
/// # Errors
/// If one of them cannot be encoded.
pub fn encode_all(secrets: &[Secret]) -> Result<Vec<(String, String)>, EncodeError> {
    let annotation = |(number, secret)| Ok((format!("{PREFIX}{number}"), encode(secret)?));
    secrets.iter().enumerate().map(annotation).collect()
}

/// The requests of a pod with these annotations (name and value): numbered ones first, in the order of their number,
/// then the others in byte order of the name.
///
/// # Errors
/// If one of them cannot be decoded, or there are more than [`MAX_REQUESTS`].
pub fn requests<'a>(annotations: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Vec<Request>, UndecodableRequest> {
    let ours = annotations.filter_map(|(name, value)| Some((Position::of(name)?, name, value)));
    let mut found: Vec<_> = ours.take(MAX_REQUESTS + 1).collect();
    if found.len() > MAX_REQUESTS {
        return Err(UndecodableRequest::TooMany);
    }
    found.sort_by_key(|&(position, name, _)| (position, name));
    // JSON may hold a name twice; the last one counts, as everywhere in Kubernetes.
    found.dedup_by(|later, earlier| {
        let same = later.1 == earlier.1;
        if same {
            *earlier = *later;
        }
        same
    });
    let request = |(_, name, value): (_, &str, &str)| match decode(value) {
        Ok(secret) => Ok(Request { annotation: name.to_owned(), secret }),
        Err(cause) => Err(UndecodableRequest::Annotation { annotation: name.to_owned(), cause }),
    };
    found.into_iter().map(request).collect()
}

/// Any name in the alphabet of annotations: the volume names of the K8s manager.
#[must_use]
pub fn base32_name(name: &str) -> String {
    base32::FLYTE.encode(name.as_bytes())
}

/// Where a request stands among the others; the order of the variants counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Position<'a> {
    /// The number's digits, without leading zeros. Of two, the longer is the greater, so that no length overflows.
    Numbered(usize, &'a str),
    Named,
}

impl<'a> Position<'a> {
    /// `None` if the annotation is no request.
    fn of(name: &'a str) -> Option<Self> {
        let suffix = name.strip_prefix(PREFIX)?;
        if suffix.is_empty() || !suffix.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(Self::Named);
        }
        let digits = suffix.trim_start_matches('0');
        Some(Self::Numbered(digits.len(), digits))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn order(names: &[&str]) -> Vec<String> {
        let annotations = names.iter().map(|name| (*name, ""));
        requests(annotations).unwrap().into_iter().map(|request| request.annotation).collect()
    }

    #[test]
    fn numbered_requests_come_first_in_the_order_of_their_number() {
        let huge = "flyte.secrets/s99999999999999999999999999999999";
        let huger = "flyte.secrets/s100000000000000000000000000000000";
        let names = [
            "flyte.secrets/sx",
            huger,
            "flyte.secrets/s10",
            "flyte.secrets/s",
            huge,
            "flyte.secrets/s2",
            "flyte.secrets/s0",
        ];
        let expected = [
            "flyte.secrets/s0",
            "flyte.secrets/s2",
            "flyte.secrets/s10",
            huge,
            huger,
            "flyte.secrets/s",
            "flyte.secrets/sx",
        ];
        assert_eq!(order(&names), expected);
    }

    #[test]
    fn leading_zeros_do_not_change_a_number() {
        let names = ["flyte.secrets/s2", "flyte.secrets/s01", "flyte.secrets/s1", "flyte.secrets/s000"];
        assert_eq!(order(&names), ["flyte.secrets/s000", "flyte.secrets/s01", "flyte.secrets/s1", "flyte.secrets/s2"]);
    }

    #[test]
    fn a_suffix_that_is_no_decimal_number_stands_behind_in_byte_order() {
        let names =
            ["flyte.secrets/s-1", "flyte.secrets/s1a", "flyte.secrets/s٣", "flyte.secrets/s+1", "flyte.secrets/s7"];
        let expected =
            ["flyte.secrets/s7", "flyte.secrets/s+1", "flyte.secrets/s-1", "flyte.secrets/s1a", "flyte.secrets/s٣"];
        assert_eq!(order(&names), expected);
    }

    #[test]
    fn a_gap_in_the_numbers_is_no_error() {
        assert_eq!(order(&["flyte.secrets/s7", "flyte.secrets/s3"]), ["flyte.secrets/s3", "flyte.secrets/s7"]);
    }

    #[test]
    fn of_an_annotation_that_is_there_twice_the_last_one_counts() {
        let (first, last) = (base32_name("key: \"first\""), base32_name("key: \"last\""));
        let twice = [("flyte.secrets/s0", &*first), ("flyte.secrets/s1", ""), ("flyte.secrets/s0", &*last)];
        let keys: Vec<String> = requests(twice.into_iter()).unwrap().into_iter().map(|one| one.secret.key).collect();
        assert_eq!(keys, ["last", ""]);
    }

    #[test]
    fn other_annotations_are_no_requests() {
        assert_eq!(order(&["flyte.secrets/t0", "flyte.secrets/S0", "flyte.secrets", "s0"]), Vec::<String>::new());
    }

    #[test]
    fn an_undecodable_request_names_its_annotation_and_the_cause() {
        let bad_text = base32_name("key: 5");
        let cases = [
            ("A", "annotation flyte.secrets/s0: not base32: 'A' at byte 1 is not one of a-z and 1-6"),
            (
                &bad_text,
                "annotation flyte.secrets/s0: not the text format of a secret: line 1, column 6, field key: expected a string in quotes, found `5`",
            ),
        ];
        for (value, expected) in cases {
            let error = requests([("flyte.secrets/s0", value)].into_iter()).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn more_requests_than_the_limit_are_refused() {
        let names: Vec<String> = (0..=MAX_REQUESTS).map(|number| format!("{PREFIX}{number}")).collect();
        let pod = |count| requests(names[..count].iter().map(|name| (name.as_str(), "")));
        assert_eq!(pod(MAX_REQUESTS).unwrap().len(), MAX_REQUESTS);
        assert_eq!(pod(MAX_REQUESTS + 1), Err(UndecodableRequest::TooMany));
    }
}
