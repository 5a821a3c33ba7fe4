//! A YAML document as a tree in which everything knows its place.

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) value: NodeValue,
    /// Whether the scalar is a truth value or a number: without quotation marks, and nothing else in YAML.
    pub(crate) is_plain: bool,
    /// From 1; of the use, where the value came by an alias.
    pub(crate) line: u32,
    /// From 1, in characters.
    pub(crate) column: u32,
}

/// A value. Scalars stay the text that was written: what kind they shall be, the key says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NodeValue {
    /// Nothing, `~` or `null`: as if the key were not there.
    Null,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A member of a mapping.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) value: Node,
}

/// How much of a wrong value an error repeats, in characters.
const SHOWN: usize = 80;

impl Node {
    /// A text that did not come from YAML: a flag, a variable.
    pub(crate) fn scalar(text: &str) -> Self {
        Self { value: NodeValue::Scalar(text.to_owned()), is_plain: false, line: 0, column: 0 }
    }

    /// What was given, for an error.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            NodeValue::Null => "nothing".to_owned(),
            NodeValue::Scalar(text) if text.chars().count() > SHOWN => {
                let start: String = text.chars().take(SHOWN).collect();
                format!("`{}…`", start.escape_debug())
            }
            NodeValue::Scalar(text) => format!("`{}`", text.escape_debug()),
            NodeValue::List(_) => "a list".to_owned(),
            NodeValue::Map(_) => "a mapping".to_owned(),
        }
    }
}
