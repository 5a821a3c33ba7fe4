//! From YAML text to a located tree.

use std::cell::Cell;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, NonFiniteFloatPolicy, Spanned};

use crate::node::{Entry, Node, NodeValue};

/// Why a text is no YAML that can be read here.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct YamlError {
    /// From 1; 0 where it is not known.
    pub(crate) line: u32,
    /// From 1; 0 where it is not known.
    pub(crate) column: u32,
    pub(crate) message: String,
}

/// How deep mappings and lists may nest, aliases counted with what they stand for. The parser recurses,
/// and in a debug build one level takes tens of kilobytes of a thread's two megabytes of stack.
const MAX_DEPTH: usize = 32;

/// Reads one document; nothing at all is [`NodeValue::Null`].
pub(crate) fn parse(text: &str) -> Result<Node, YamlError> {
    let raw: Spanned<Raw> = serde_saphyr::from_str_with_options(text, options()).map_err(|error| located(&error))?;
    Ok(node(raw, text))
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        // Far above any real file, far below what would hurt: aliases count with what they stand for.
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: 100_000,
            max_aliases: 1_000,
            max_anchors: 100,
            max_recorded_anchor_events: 20_000,
            max_merge_keys: 1_000,
            max_total_scalar_bytes: 4 << 20,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 100_000,
            max_replay_stack_depth: 16,
        },
        strict_booleans: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        // Other sections of the same file may hold what no log should show.
        with_snippet: false,
    }
}

fn located(error: &serde_saphyr::Error) -> YamlError {
    let location = error.location().unwrap_or(Location::UNKNOWN);
    let text = error.to_string();
    let text =
        text.strip_suffix(&format!(" at line {}, column {}", location.line(), location.column())).unwrap_or(&text);
    let message = match error {
        serde_saphyr::Error::MultipleDocuments { .. } => {
            "a second YAML document starts here; write one document a file".to_owned()
        }
        serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("key `{}` is given twice in one mapping", key.escape_debug())
        }
        serde_saphyr::Error::DuplicateMappingKey { .. } => "a key is given twice in one mapping".to_owned(),
        serde_saphyr::Error::Budget { .. } | serde_saphyr::Error::AliasReplayLimitExceeded { .. } => {
            format!("too large or too deeply nested: {text}")
        }
        _ => format!("not valid YAML: {text}"),
    };
    YamlError { line: narrow(location.line()), column: narrow(location.column()), message }
}

fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// What serde hands over; the text of plain scalars is then taken from the source, because a number
/// has lost how it was written (`0.50`, `1e3`).
enum Raw {
    Null,
    Plain,
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

fn node(raw: Spanned<Raw>, source: &str) -> Node {
    let (line, column) = (narrow(raw.referenced.line()), narrow(raw.referenced.column()));
    let is_plain = matches!(raw.value, Raw::Plain);
    let value = match raw.value {
        Raw::Null => NodeValue::Null,
        Raw::Plain => NodeValue::Scalar(written(&raw.defined, source).to_owned()),
        Raw::Text(text) => NodeValue::Scalar(text),
        Raw::List(items) => NodeValue::List(items.into_iter().map(|item| node(item, source)).collect()),
        Raw::Map(entries) => NodeValue::Map(entries.into_iter().map(|entry| member(entry, source)).collect()),
    };
    Node { value, is_plain, line, column }
}

fn member((key, value): (Spanned<Raw>, Spanned<Raw>), source: &str) -> Entry {
    let key = node(key, source);
    let text = match key.value {
        NodeValue::Scalar(text) => text,
        _ => "null".to_owned(),
    };
    Entry { key: text, line: key.line, column: key.column, value: node(value, source) }
}

fn written<'a>(location: &Location, source: &'a str) -> &'a str {
    let span = location.span();
    let range = span.byte_offset().zip(span.byte_len()).and_then(|(offset, length)| {
        let start = usize::try_from(offset).ok()?;
        source.get(start..start.checked_add(usize::try_from(length).ok()?)?)
    });
    range.unwrap_or_default().trim()
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Some(_level) = Level::enter() else {
            return Err(D::Error::custom(format!("nested more than {MAX_DEPTH} levels deep")));
        };
        deserializer.deserialize_any(RawVisitor)
    }
}

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// One level of nesting. The parser's own limit does not see what stands behind aliases, and serde
/// gives [`Spanned`] no way to hand a count down.
struct Level;

impl Level {
    fn enter() -> Option<Self> {
        let depth = DEPTH.get();
        // The document itself and a scalar at the bottom are no nesting.
        (depth <= MAX_DEPTH).then(|| DEPTH.set(depth + 1))?;
        Some(Self)
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Raw, E> {
        Ok(Raw::Text(text))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some((key, value)) = entries.next_entry::<Spanned<Raw>, Spanned<Raw>>()? {
            if matches!(key.value, Raw::List(_) | Raw::Map(_)) {
                return Err(A::Error::custom("a key is a list or a mapping; quote it if it shall be a text"));
            }
            map.push((key, value));
        }
        Ok(Raw::Map(map))
    }
}
