//! What can be wrong with a text, and where.

use std::fmt;

/// How many characters of the text an error repeats.
const EXCERPT: usize = 40;

/// Why a text is no request: where, and what was expected there.
///
/// The message repeats at most 40 characters of the text, which holds names and never a secret's value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct TextFormatError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The field that was being read, if any.
    pub field: Option<&'static str>,
    /// What is wrong there.
    pub problem: Problem,
}

impl fmt::Display for TextFormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)?;
        if let Some(field) = self.field {
            write!(f, ", field {field}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Something else belongs here.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What belongs here.
        expected: &'static str,
        /// The beginning of what stands here.
        found: String,
    },
    /// The message `Secret` has no such field.
    #[error("unknown field `{name}`; a secret has group, group_version, key, mount_requirement and env_var")]
    UnknownField {
        /// The beginning of its name.
        name: String,
    },
    /// A field that may be given once is given again.
    #[error("the field is given twice")]
    RepeatedField,
    /// A byte that begins nothing in the grammar.
    #[error("unexpected byte 0x{byte:02X}; between fields only space, tab, CR, LF and comments may stand")]
    UnexpectedByte {
        /// The byte.
        byte: u8,
    },
    /// A string without its closing quote.
    #[error("the string that begins here has no closing quote")]
    Unterminated,
    /// A line end inside a string.
    #[error("a line ends inside a string; write `\\n`")]
    LineEndInString,
    /// A NUL byte inside a string.
    #[error("a NUL byte inside a string; write `\\000`")]
    NulInString,
    /// An escape that is none, or is incomplete or out of range.
    #[error("`{escape}` {problem}")]
    BadEscape {
        /// The escape, as far as it was read.
        escape: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Bytes that are no text.
    #[error("the string that begins here is not UTF-8")]
    NotUtf8,
}

/// A problem and the byte offset it stands at; line and column are counted only once it becomes an error.
pub(super) struct Fault {
    pub(super) offset: usize,
    pub(super) problem: Problem,
}

impl TextFormatError {
    pub(super) fn new(text: &[u8], Fault { offset, problem }: Fault, field: Option<&'static str>) -> Self {
        let before = &text[..offset];
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |line_end| line_end + 1);
        let is_first_of_character = |byte: &&u8| !matches!(**byte, 0x80..=0xBF);
        Self {
            line: 1 + before.iter().filter(|&&byte| byte == b'\n').count(),
            column: 1 + before[line_start..].iter().filter(is_first_of_character).count(),
            field,
            problem,
        }
    }
}

/// The beginning of a text, printable, for an error message.
pub(crate) fn excerpt(text: &[u8]) -> String {
    let beginning = String::from_utf8_lossy(&text[..text.len().min(EXCERPT * 4)]);
    let mut printable: String = beginning.chars().take(EXCERPT).flat_map(char::escape_debug).collect();
    if beginning.chars().nth(EXCERPT).is_some() {
        printable.push('…');
    }
    printable
}
