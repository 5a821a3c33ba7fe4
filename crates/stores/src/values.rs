//! A store made from a document: for commands and tests that work without a real store.
//!
//! ```yaml
//! u__org__flyte__domain__development__project__flytesnacks__key__token: a text value
//! u__org__flyte__domain__development__project____key__certificate: {binary_base64: AAEC}
//! u__org__flyte__domain____project____key__broken: {error: denied}
//! ```

use std::collections::BTreeMap;
use std::fmt;

use data_encoding::BASE64;
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::value::SecretValue;
use futures::future::{BoxFuture, ready};
use secrecy::ExposeSecret;
use serde_saphyr::Spanned;

use self::raw::{Pairs, Raw};
use crate::fetcher::{FailureClass, FetchError, SecretFetcher};

mod raw;

/// The largest document, in bytes.
const MAX_DOCUMENT: usize = 64 << 20;
/// The most problems that are reported; the rest is counted.
const MAX_PROBLEMS: usize = 100;

/// A store over a document: encoded id → value or failure. What is not in it is "not found".
#[derive(Clone, Debug, Default)]
pub struct Values {
    answers: BTreeMap<String, Result<SecretValue, FetchError>>,
}

impl Values {
    /// Reads a YAML or JSON document that maps encoded ids to one of
    ///
    /// * a string, or `{string: text}`: a text value;
    /// * `{binary_base64: text}`: a binary value, in RFC 4648 base64 with padding;
    /// * `{error: text}`: a failure of the class `denied`, `throttled`, `late`, `malformed`, `empty` (or
    ///   `nil`); every other text is [`FailureClass::Unavailable`] with that text as its detail.
    ///
    /// An empty document is a store that holds nothing. At most 64 MiB.
    ///
    /// # Errors
    ///
    /// [`ValuesError`] with all problems at once; it holds no value and, where a key is no encoded id, no key.
    pub fn parse(document: &str) -> Result<Self, ValuesError> {
        let entries = read(document).map_err(|problem| ValuesError { problems: vec![problem], more: 0 })?;
        let (mut answers, mut problems) = (BTreeMap::new(), Vec::new());
        for (number, Entry { line, key, raw }) in entries.into_iter().enumerate() {
            let mut report = |id: Option<String>, text: &'static str| {
                problems.push(ValuesProblem { entry: Some(number + 1), line, id, text });
            };
            if !has_the_form_of_an_id(&key) {
                report(None, NOT_AN_ID);
                continue;
            }
            match answer(&raw) {
                Err(text) => report(Some(key), text),
                Ok(_) if answers.contains_key(&key) => report(Some(key), "the id stands here for the second time"),
                Ok(answer) => {
                    answers.insert(key, answer);
                }
            }
        }
        if problems.is_empty() {
            return Ok(Self { answers });
        }
        let more = problems.len().saturating_sub(MAX_PROBLEMS);
        problems.truncate(MAX_PROBLEMS);
        Err(ValuesError { problems, more })
    }

    /// The ids in the document, in their order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.answers.keys().map(String::as_str)
    }
}

impl SecretFetcher for Values {
    fn name(&self) -> &'static str {
        "values"
    }

    fn get<'a>(&'a self, id: &'a SecretId) -> BoxFuture<'a, Result<SecretValue, FetchError>> {
        let missing = || Err(FetchError::new(FailureClass::NotFound, "not in the document"));
        Box::pin(ready(self.answers.get(&id.to_string()).cloned().unwrap_or_else(missing)))
    }
}

/// Everything that is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValuesError {
    /// The problems in the order of the document, at most 100.
    pub problems: Vec<ValuesProblem>,
    /// How many more there are.
    pub more: usize,
}

impl std::error::Error for ValuesError {}

impl fmt::Display for ValuesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            let line_end = if number == 0 { "" } else { "\n" };
            write!(f, "{line_end}{problem}")?;
        }
        if self.more > 0 {
            write!(f, "\nand {} more", self.more)?;
        }
        Ok(())
    }
}

/// One thing that is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValuesProblem {
    /// The number of the entry, from 1; `None` if the document as a whole is wrong.
    pub entry: Option<usize>,
    /// The line, from 1, if it is known (YAML).
    pub line: Option<u64>,
    /// The encoded id; `None` if the entry's key is none.
    pub id: Option<String>,
    /// What is wrong and what to write instead.
    pub text: &'static str,
}

impl fmt::Display for ValuesProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.entry) {
            (Some(line), _) => write!(f, "line {line}: ")?,
            (None, Some(entry)) => write!(f, "entry {entry}: ")?,
            (None, None) => {}
        }
        if let Some(id) = &self.id {
            write!(f, "{id}: ")?;
        }
        f.write_str(self.text)
    }
}

const NOT_AN_ID: &str =
    "the key is no encoded id; write u__org__<org>__domain__<domain>__project__<project>__key__<name>";

struct Entry {
    line: Option<u64>,
    key: String,
    raw: Raw,
}

/// The entries of a document. The parsers' own messages quote the document, so only their position is used.
fn read(document: &str) -> Result<Vec<Entry>, ValuesProblem> {
    let problem = |line, text| ValuesProblem { entry: None, line, id: None, text };
    if document.len() > MAX_DOCUMENT {
        return Err(problem(None, "the document is larger than 64 MiB"));
    }
    // JSON is nearly YAML, but not where it escapes characters beyond U+FFFF.
    if document.trim_start().starts_with('{')
        && let Ok(Pairs(pairs)) = serde_json::from_str::<Pairs<Raw>>(document)
    {
        return Ok(pairs.into_iter().map(|(key, raw)| Entry { line: None, key, raw }).collect());
    }
    let options = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::PassThrough,
        with_snippet: false,
    };
    let read = serde_saphyr::from_str_with_options::<Option<Pairs<Spanned<Raw>>>>(document, options);
    let Pairs(pairs) = read
        .map_err(|error| {
            problem(error.location().map(|at| at.line()), "not a YAML or JSON map of encoded id to value")
        })?
        .unwrap_or_default();
    let entry = |(key, raw): (String, Spanned<Raw>)| Entry { line: Some(raw.referenced.line()), key, raw: raw.value };
    Ok(pairs.into_iter().map(entry).collect())
}

/// Tells an id from a slip of the pen. Ids with `__` in a component cannot be decoded, and nothing asks for them; a
/// document may hold them all the same.
fn has_the_form_of_an_id(key: &str) -> bool {
    key.strip_prefix("u__org__").is_some_and(|rest| rest.contains("__key__"))
}

/// What the store answers for an entry; the error says what is wrong with the entry.
fn answer(raw: &Raw) -> Result<Result<SecretValue, FetchError>, &'static str> {
    const FORM: &str = "write a string, or a map with exactly one of string, binary_base64, error";
    let (name, member) = match raw {
        Raw::Text(_) => ("string", raw),
        Raw::Map(members) => match members.as_slice() {
            [(name, member)] => (name.as_str(), member),
            _ => return Err(FORM),
        },
        Raw::Number => return Err("the value is a number; put it in quotes"),
        Raw::Boolean => return Err("the value is a boolean; put it in quotes"),
        Raw::Nothing => return Err("there is no value; for an empty one write \"\""),
        Raw::List => return Err(FORM),
    };
    let Raw::Text(text) = member else {
        return Err(match name {
            "string" | "binary_base64" | "error" => "the member is no string; put it in quotes",
            _ => FORM,
        });
    };
    let text = text.expose_secret();
    match name {
        "string" => Ok(Ok(SecretValue::text(text.to_owned()))),
        "binary_base64" => match BASE64.decode(text.as_bytes()) {
            Ok(bytes) => Ok(Ok(SecretValue::binary(bytes))),
            Err(_) => Err("binary_base64 is no base64 (RFC 4648, with padding)"),
        },
        "error" => Ok(Err(FetchError::new(failure_class(text), text))),
        _ => Err(FORM),
    }
}

fn failure_class(text: &str) -> FailureClass {
    match text {
        "denied" => FailureClass::Denied,
        "nil" | "empty" => FailureClass::Empty,
        "throttled" => FailureClass::Throttled,
        "late" => FailureClass::Late,
        "malformed" => FailureClass::Malformed,
        _ => FailureClass::Unavailable,
    }
}

#[cfg(test)]
#[path = "values_tests.rs"]
mod tests;
