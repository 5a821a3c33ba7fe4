//! The protobuf text format of a [`Secret`], as found in a pod's annotations.
//!
//! Writers differ (one field a line, all on one line, one space or two), so [`parse`] takes the whole grammar:
//! comments, `,` and `;` after a field, both quotes, adjacent strings, every escape, fields in any order.
//! [`write`] writes as Flyte does. The grammar is that of Go's `github.com/golang/protobuf`, which Flyte reads
//! with; `docs/differences.md` says where [`parse`] is stricter or more lenient.

mod error;
mod lexer;
mod literal;
mod number;
mod writer;

pub(crate) use error::excerpt;
pub use error::{Problem, TextFormatError};
pub use writer::write;

use crate::secret::{MountRequirement, Secret};
use error::Fault;
use lexer::{Lexer, Token};

/// Reads one request. The empty text is the empty request.
///
/// Time and memory grow with the length of the text; nothing nests.
///
/// # Errors
/// If the text is not of the grammar, or holds a field that is unknown, given twice or of the wrong type. The error
/// says where and what was expected.
pub fn parse(text: &[u8]) -> Result<Secret, TextFormatError> {
    let mut reader = Reader { lexer: Lexer::new(text), field: None };
    reader.secret().map_err(|fault| TextFormatError::new(text, fault, reader.field.map(Field::name)))
}

/// The fields of `flyteidl.core.Secret`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Group,
    GroupVersion,
    Key,
    MountRequirement,
    EnvVar,
}

impl Field {
    const ALL: [Self; 5] = [Self::Group, Self::GroupVersion, Self::Key, Self::MountRequirement, Self::EnvVar];

    fn name(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::GroupVersion => "group_version",
            Self::Key => "key",
            Self::MountRequirement => "mount_requirement",
            Self::EnvVar => "env_var",
        }
    }
}

struct Reader<'a> {
    lexer: Lexer<'a>,
    /// The field that is being read, for the error.
    field: Option<Field>,
}

impl Reader<'_> {
    fn secret(&mut self) -> Result<Secret, Fault> {
        let mut secret = Secret::default();
        let mut seen = Vec::with_capacity(Field::ALL.len());
        while let Some(field) = self.field_name()? {
            self.field = Some(field);
            if seen.contains(&field) {
                return Err(self.lexer.fault_at_last_token(Problem::RepeatedField));
            }
            seen.push(field);
            self.colon()?;
            match field {
                Field::Group => secret.group = self.string()?,
                Field::GroupVersion => secret.group_version = self.string()?,
                Field::Key => secret.key = self.string()?,
                Field::MountRequirement => secret.mount_requirement = self.mount_requirement()?,
                Field::EnvVar => secret.env_var = self.string()?,
            }
            self.field = None;
            self.lexer.skip_separator();
        }
        Ok(secret)
    }

    /// The next field's name; `None` at the end of the text.
    fn field_name(&mut self) -> Result<Option<Field>, Fault> {
        let token = self.lexer.next()?;
        match token {
            Token::End => Ok(None),
            Token::Word(word) => match Field::ALL.into_iter().find(|field| field.name() == word) {
                Some(field) => Ok(Some(field)),
                None => {
                    let name = excerpt(word.as_bytes());
                    Err(self.lexer.fault_at_last_token(Problem::UnknownField { name }))
                }
            },
            _ => Err(self.expected("the name of a field", token)),
        }
    }

    fn colon(&mut self) -> Result<(), Fault> {
        match self.lexer.next()? {
            Token::Symbol(b':') => Ok(()),
            token => Err(self.expected("`:`", token)),
        }
    }

    fn string(&mut self) -> Result<String, Fault> {
        match self.lexer.next()? {
            Token::Quote => self.lexer.string(),
            token => Err(self.expected("a string in quotes", token)),
        }
    }

    fn mount_requirement(&mut self) -> Result<MountRequirement, Fault> {
        let token = self.lexer.next()?;
        let found = match token {
            Token::Word(word) => {
                MountRequirement::from_name(word).or_else(|| number::parse(word).map(MountRequirement::from_number))
            }
            _ => None,
        };
        found.ok_or_else(|| self.expected("ANY, ENV_VAR, FILE or a number of 32 bits", token))
    }

    fn expected(&self, expected: &'static str, found: Token<'_>) -> Fault {
        self.lexer.fault_at_last_token(Problem::Expected { expected, found: found.to_string() })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_where_and_what_was_expected() {
        let cases = [
            ("key: 5", "line 1, column 6, field key: expected a string in quotes, found `5`"),
            (
                "group: \"ü\"\n  kye: \"k\"",
                "line 2, column 3: unknown field `kye`; a secret has group, group_version, key, mount_requirement and env_var",
            ),
            ("key: \"ü\" key: \"k\"", "line 1, column 10, field key: the field is given twice"),
            ("key \"k\"", "line 1, column 5, field key: expected `:`, found a quote"),
            ("key:", "line 1, column 5, field key: expected a string in quotes, found the end of the text"),
            ("key: \"a\\qb\"", "line 1, column 8, field key: `\\q` is no escape; write a backslash as `\\\\`"),
            (
                "mount_requirement: file",
                "line 1, column 20, field mount_requirement: expected ANY, ENV_VAR, FILE or a number of 32 bits, found `file`",
            ),
            (
                "\u{b}",
                "line 1, column 1: unexpected byte 0x0B; between fields only space, tab, CR, LF and comments may stand",
            ),
            ("{ key: \"k\" }", "line 1, column 1: expected the name of a field, found `{`"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text.as_bytes()).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn an_error_repeats_little_of_the_text() {
        let long = "x".repeat(100_000);
        for text in
            [long.clone(), format!("key: {long}"), format!("key: \"\\{long}\""), format!("mount_requirement: {long}")]
        {
            assert!(parse(text.as_bytes()).unwrap_err().to_string().len() < 250);
        }
    }

    #[test]
    fn numbers_are_those_of_go() {
        let cases = [
            ("+2", Some(2)),
            ("-2147483648", Some(i32::MIN)),
            ("0b10", Some(2)),
            ("0O17", Some(15)),
            ("1_000", Some(1000)),
            ("0x_f", Some(15)),
            ("0_7", Some(7)),
            ("00", Some(0)),
            ("2147483648", None),
            ("08", None),
            ("0x", None),
            ("1__0", None),
            ("_1", None),
            ("1_", None),
            ("--1", None),
            ("-+1", None),
            ("1.0", None),
            ("-", None),
            ("0b2", None),
            ("0x1g", None),
        ];
        for (word, expected) in cases {
            assert_eq!(number::parse(word), expected, "{word}");
        }
    }
}
