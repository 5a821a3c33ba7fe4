//! A query template, with its inputs found and taken out of the SQL.
//!
//! `{{ .inputs.name }}` is where flytekit's `SQLTask` pastes the text of an input. Here each becomes a parameter of the
//! statement, so that whatever the input holds is data. A template is read as its database reads it, as far as that
//! tells what an input's surroundings are:
//!
//! | the input stands | it becomes |
//! |---|---|
//! | in SQL: `WHERE id = {{ .inputs.id }}` | a parameter with the input's type |
//! | in a string literal: `'{{ .inputs.name }}'`, `LIKE '%{{ .inputs.part }}%'` | the whole literal is one parameter, a text |
//! | in a comment | nothing: the comment stays as it is |
//! | in a quoted name, in dollar quotes, in a literal with a prefix (`E'…'`, `DATE '…'`) | an error that says what to write |
//!
//! A template that this reads in another way than its database is refused by the database, at worst; no input can get
//! into the SQL, because there is no code that puts it there.

use thiserror::Error;

use super::input::{Input, Inputs};
use super::scan::{Dialect, Scanner};

/// What is wrong with a query template or with the inputs that it was given.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The template names an input that was not given.
    #[error("the query template asks for the input `{0}`, which was not given; inputs of this run: {1}")]
    MissingInput(String, String),
    /// An input was given that the template does not name.
    #[error(
        "the input `{0}` was given, and the query template has no {{{{ .inputs.{0} }}}}: remove one or add the other"
    )]
    UnusedInput(String),
    /// An input stands where no value can stand.
    #[error(
        "line {line} of the query template has the input `{input}` in {place}, where no value can be bound: {advice}"
    )]
    Place {
        /// The line, from 1.
        line: usize,
        /// The input's name.
        input: String,
        /// What the input stands in.
        place: &'static str,
        /// What to write.
        advice: &'static str,
    },
    /// Braces that are no input stand in the SQL.
    #[error("line {0} of the query template has braces that are no input: inputs are written {{{{ .inputs.name }}}}")]
    Braces(usize),
    /// A literal, a quoted name or a comment that is not closed.
    #[error("line {line} of the query template begins {what} that is not closed")]
    NotClosed {
        /// The line where it begins, from 1.
        line: usize,
        /// What is not closed.
        what: &'static str,
    },
    /// The template has a parameter of its own.
    #[error(
        "line {line} of the query template has a parameter of its own, `{parameter}`: write {{{{ .inputs.name }}}}"
    )]
    Parameter {
        /// The line, from 1.
        line: usize,
        /// The parameter as it stands there.
        parameter: String,
    },
    /// More than one statement.
    #[error("line {0} of the query template begins a second statement: a task runs one")]
    SecondStatement(usize),
    /// An input that has no text stands in a string literal.
    #[error(
        "the input `{input}` is {type_name} and stands in a string literal: write {{{{ .inputs.{input} }}}} without quotes"
    )]
    InputInLiteral {
        /// The input's name.
        input: String,
        /// Its type.
        type_name: &'static str,
    },
    /// The template has no statement.
    #[error("the query template is empty")]
    Empty,
    /// The template is too long.
    #[error("the query template has {0} bytes; the limit is {MAX_TEMPLATE}")]
    TooLong(usize),
}

/// Templates that are longer than this are refused.
pub(super) const MAX_TEMPLATE: usize = 1 << 20;

/// One piece of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    /// SQL as it was written.
    Sql(String),
    /// An input in the SQL, by name.
    Input(String),
    /// A string literal that has inputs in it.
    Literal(Vec<Part>),
}

/// A part of a string literal, with the quoting undone.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    Text(String),
    Input(String),
}

/// A statement with its parameters in order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Statement {
    /// The SQL around the parameters: always one more than there are parameters.
    between: Vec<String>,
    /// Their values.
    pub(super) parameters: Vec<Parameter>,
}

/// The value of one parameter.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parameter {
    pub(super) value: Input,
    /// It was a string literal, which takes the type that the database wants at its place.
    pub(super) literal: bool,
}

impl Statement {
    /// The statement of `template` with `inputs` as its parameters.
    ///
    /// # Errors
    /// The template cannot be read, or asks for other inputs than those that are given.
    pub(super) fn new(template: &str, dialect: Dialect, inputs: &Inputs) -> Result<Self, TemplateError> {
        if template.len() > MAX_TEMPLATE {
            return Err(TemplateError::TooLong(template.len()));
        }
        let scanned = Scanner::new(template, dialect).scan()?;
        let mut statement = Self { between: vec![String::new()], parameters: Vec::new() };
        for piece in scanned.pieces {
            match piece {
                Piece::Sql(sql) => statement.between.last_mut().expect("one more than parameters").push_str(&sql),
                Piece::Input(name) => statement.push(find(&name, inputs)?.clone(), false),
                Piece::Literal(parts) => statement.push(literal(&parts, dialect, inputs)?, true),
            }
        }
        match inputs.keys().find(|name| !scanned.names.contains(*name)) {
            Some(unused) => Err(TemplateError::UnusedInput(unused.clone())),
            None => Ok(statement),
        }
    }

    fn push(&mut self, value: Input, literal: bool) {
        self.parameters.push(Parameter { value, literal });
        self.between.push(String::new());
    }

    /// The SQL, with what `placeholder` gives for the number of each parameter, from 0.
    pub(super) fn sql(&self, placeholder: impl Fn(usize) -> String) -> String {
        let mut sql = self.between[0].clone();
        for (number, after) in self.between[1..].iter().enumerate() {
            sql.push_str(&placeholder(number));
            sql.push_str(after);
        }
        sql
    }
}

fn find<'a>(name: &str, inputs: &'a Inputs) -> Result<&'a Input, TemplateError> {
    inputs.get(name).ok_or_else(|| {
        let known: Vec<_> = inputs.keys().map(String::as_str).collect();
        TemplateError::MissingInput(name.to_owned(), if known.is_empty() { "none".into() } else { known.join(", ") })
    })
}

/// The value of a literal that has inputs in it. One that is an input and nothing else may be null.
fn literal(parts: &[Part], dialect: Dialect, inputs: &Inputs) -> Result<Input, TemplateError> {
    if let [Part::Input(name)] = parts
        && find(name, inputs)? == &Input::Null
    {
        return Ok(Input::Null);
    }
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Text(part) => text.push_str(part),
            Part::Input(name) => text.push_str(&find(name, inputs)?.to_text(name, dialect != Dialect::Mysql)?),
        }
    }
    Ok(Input::String(text))
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
