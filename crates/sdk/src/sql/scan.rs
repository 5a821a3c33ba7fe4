//! Reads the SQL of a template as far as that tells where an input stands.

use std::collections::BTreeSet;

use super::template::{Part, Piece, TemplateError};

/// Whose SQL it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
    Mysql,
}

/// A template in pieces, and the names of all its inputs, those in comments too.
#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) pieces: Vec<Piece>,
    pub(super) names: BTreeSet<String>,
}

/// Words that make a literal of another type out of the string literal behind them.
const TYPED_LITERALS: &[&str] = &["DATE", "TIME", "TIMESTAMP", "TIMESTAMPTZ", "DATETIME", "INTERVAL", "JSON", "UUID"];
const WRITE_A_CAST: &str = "write CAST({{ .inputs.name }} AS type) instead";
const NO_NAMES: &str = "names of tables and columns are no values; choose between queries in the task instead";

pub(super) struct Scanner<'a> {
    rest: &'a str,
    line: usize,
    dialect: Dialect,
    sql: String,
    found: Scanned,
    /// A `;` was read, and nothing but white space and comments since.
    ended: bool,
    /// Inside of `CREATE TRIGGER`, whose body has statements of its own.
    trigger: bool,
    /// The first word was `CREATE`.
    create: bool,
    words: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(template: &'a str, dialect: Dialect) -> Self {
        let found = Scanned { pieces: Vec::new(), names: BTreeSet::new() };
        Self {
            rest: template,
            line: 1,
            dialect,
            sql: String::new(),
            found,
            ended: false,
            trigger: false,
            create: false,
            words: 0,
        }
    }

    pub(super) fn scan(mut self) -> Result<Scanned, TemplateError> {
        let mut empty = true;
        while let Some(next) = self.rest.chars().next() {
            if self.comment(next)? {
                continue;
            }
            if next.is_whitespace() {
                self.take(next.len_utf8());
                continue;
            }
            if next == ';' {
                self.ended = !self.trigger;
                self.take(1);
                continue;
            }
            if self.ended {
                return Err(TemplateError::SecondStatement(self.line));
            }
            empty = false;
            self.token(next)?;
        }
        if empty {
            return Err(TemplateError::Empty);
        }
        self.flush();
        Ok(self.found)
    }

    fn token(&mut self, next: char) -> Result<(), TemplateError> {
        match next {
            '\'' => self.string('\'', false),
            '"' if self.dialect == Dialect::Mysql => self.string('"', false),
            '"' => self.quoted_name('"'),
            '`' if self.dialect != Dialect::Postgres => self.quoted_name('`'),
            '[' if self.dialect == Dialect::Sqlite => self.quoted_name(']'),
            '{' if self.rest.starts_with("{{") => self.input(),
            '$' if self.dialect == Dialect::Postgres && dollar_tag(self.rest).is_some() => self.dollar_quotes(),
            '?' if self.dialect != Dialect::Postgres => self.parameter(),
            '$' if self.dialect != Dialect::Mysql => self.parameter(),
            ':' | '@' if self.dialect == Dialect::Sqlite => self.parameter(),
            _ if is_word(next) => self.word(),
            _ => {
                self.take(next.len_utf8());
                Ok(())
            }
        }
    }

    /// A word, and the string literal that is part of it: `E'…'`, `X'…'`, `DATE '…'`.
    fn word(&mut self) -> Result<(), TemplateError> {
        // A `$` inside of a word is part of it, and begins no dollar quotes.
        let length = self.rest.find(|next: char| !is_word(next) && next != '$').unwrap_or(self.rest.len());
        let word = self.rest[..length].to_ascii_uppercase();
        self.trigger |= self.dialect == Dialect::Sqlite && self.create && word == "TRIGGER";
        self.create |= self.words == 0 && word == "CREATE";
        self.words += 1;
        self.take(length);
        if self.rest.starts_with("&'") && word == "U" {
            self.take(1);
        } else if !self.is_prefix(&word) {
            return Ok(());
        }
        self.take(self.rest.len() - self.rest.trim_start().len());
        let escapes = word == "E" && self.dialect == Dialect::Postgres;
        let before = self.found.pieces.len();
        let line = self.line;
        self.string('\'', escapes)?;
        match self.found.pieces.get(before..).and_then(|new| new.iter().find_map(first_input)) {
            Some(input) => {
                Err(TemplateError::Place { line, input, place: "a literal with a prefix", advice: WRITE_A_CAST })
            }
            None => Ok(()),
        }
    }

    /// Does `word` make another kind of literal out of the string literal behind it?
    fn is_prefix(&self, word: &str) -> bool {
        let mysql = self.dialect == Dialect::Mysql;
        // To MySQL, `INTERVAL` takes any expression.
        let typed =
            TYPED_LITERALS.contains(&word) && !(mysql && word == "INTERVAL") || (mysql && word.starts_with('_'));
        self.rest.starts_with('\'') && matches!(word, "E" | "X" | "B" | "N")
            || typed && self.rest.trim_start().starts_with('\'')
    }

    /// `{{ .inputs.name }}` in the SQL.
    fn input(&mut self) -> Result<(), TemplateError> {
        let Some((name, length)) = input_at(self.rest) else { return Err(TemplateError::Braces(self.line)) };
        self.found.names.insert(name.to_owned());
        self.flush();
        self.found.pieces.push(Piece::Input(name.to_owned()));
        self.skip(length);
        Ok(())
    }

    /// A string literal; one piece of its own if it has inputs in it.
    fn string(&mut self, quote: char, escapes: bool) -> Result<(), TemplateError> {
        let escapes = escapes || self.dialect == Dialect::Mysql;
        let (line, begin) = (self.line, self.rest);
        let not_closed = || TemplateError::NotClosed { line, what: "a string literal" };
        let mut parts = Parts::default();
        let mut at = 1;
        loop {
            let rest = &begin[at..];
            let next = rest.chars().next().ok_or_else(not_closed)?;
            let behind = rest[next.len_utf8()..].chars().next();
            if next == quote && behind == Some(quote) {
                parts.text.push(quote);
                at += 2;
            } else if next == quote {
                break;
            } else if next == '\\' && escapes {
                let escaped = behind.ok_or_else(not_closed)?;
                parts.escaped(escaped);
                at += 1 + escaped.len_utf8();
            } else if let Some((name, length)) = input_at(rest) {
                self.found.names.insert(name.to_owned());
                parts.input(name);
                at += length;
            } else {
                parts.text.push(next);
                at += next.len_utf8();
            }
        }
        if !parts.any_input {
            self.take(at + 1);
            return Ok(());
        }
        self.flush();
        self.found.pieces.push(Piece::Literal(parts.finish()));
        self.skip(at + 1);
        Ok(())
    }

    /// The name of a table or a column, in quotes that end with `end`; doubled ends need no care: the second one begins a name again.
    fn quoted_name(&mut self, end: char) -> Result<(), TemplateError> {
        let line = self.line;
        let length = self.rest[1..].find(end).ok_or(TemplateError::NotClosed { line, what: "a quoted name" })? + 2;
        self.no_input(length, "a quoted name", NO_NAMES)?;
        self.take(length);
        Ok(())
    }

    /// `$$…$$` and `$tag$…$tag$`.
    fn dollar_quotes(&mut self) -> Result<(), TemplateError> {
        let tag = dollar_tag(self.rest).expect("looked at by the caller");
        let not_closed = TemplateError::NotClosed { line: self.line, what: "dollar quotes" };
        let length = self.rest[tag.len()..].find(tag).ok_or(not_closed)? + 2 * tag.len();
        self.no_input(length, "dollar quotes", "use single quotes, or no quotes at all")?;
        self.take(length);
        Ok(())
    }

    /// A parameter that the author wrote: its number would be one of ours.
    fn parameter(&mut self) -> Result<(), TemplateError> {
        let behind = &self.rest[1..];
        let length = behind.find(|next| !is_word(next)).unwrap_or(behind.len());
        let is_one = match self.dialect {
            Dialect::Postgres => behind.starts_with(|next: char| next.is_ascii_digit()),
            _ => self.rest.starts_with('?') || length > 0,
        };
        if is_one {
            return Err(TemplateError::Parameter { line: self.line, parameter: self.rest[..=length].to_owned() });
        }
        self.take(1);
        Ok(())
    }

    /// A comment, which is left as it is; inputs in it count as used. Says if there was one.
    fn comment(&mut self, next: char) -> Result<bool, TemplateError> {
        let mysql = self.dialect == Dialect::Mysql;
        let dashes = self.rest.starts_with("--")
            && (!mysql
                || self.rest[2..].chars().next().is_none_or(|behind| behind.is_whitespace() || behind.is_control()));
        let length = if dashes || (mysql && next == '#') {
            self.rest.find('\n').unwrap_or(self.rest.len())
        } else if self.rest.starts_with("/*") {
            let nested = self.dialect == Dialect::Postgres;
            block_comment(self.rest, nested).ok_or(TemplateError::NotClosed { line: self.line, what: "a comment" })?
        } else {
            return Ok(false);
        };
        if mysql && (self.rest.starts_with("/*!") || self.rest.starts_with("/*M!")) {
            self.no_input(length, "a comment that is executed", "write the SQL without the comment")?;
        }
        let names: Vec<_> = inputs_in(&self.rest[..length]).map(str::to_owned).collect();
        self.found.names.extend(names);
        self.take(length);
        Ok(true)
    }

    fn no_input(&self, length: usize, place: &'static str, advice: &'static str) -> Result<(), TemplateError> {
        match inputs_in(&self.rest[..length]).next() {
            None => Ok(()),
            Some(input) => Err(TemplateError::Place { line: self.line, input: input.to_owned(), place, advice }),
        }
    }

    /// Takes `length` bytes over into the SQL.
    fn take(&mut self, length: usize) {
        self.sql.push_str(&self.rest[..length]);
        self.skip(length);
    }

    fn skip(&mut self, length: usize) {
        self.line += self.rest[..length].matches('\n').count();
        self.rest = &self.rest[length..];
    }

    fn flush(&mut self) {
        if !self.sql.is_empty() {
            self.found.pieces.push(Piece::Sql(std::mem::take(&mut self.sql)));
        }
    }
}

/// A string literal's parts, as they are read.
#[derive(Default)]
struct Parts {
    parts: Vec<Part>,
    text: String,
    any_input: bool,
}

impl Parts {
    fn input(&mut self, name: &str) {
        self.any_input = true;
        self.flush();
        self.parts.push(Part::Input(name.to_owned()));
    }

    /// What stands behind a backslash, as MySQL and PostgreSQL's `E'…'` read it; `\%` and `\_` keep their backslash, for `LIKE`.
    fn escaped(&mut self, escaped: char) {
        match escaped {
            '0' => self.text.push('\0'),
            'b' => self.text.push('\u{8}'),
            'n' => self.text.push('\n'),
            'r' => self.text.push('\r'),
            't' => self.text.push('\t'),
            'Z' => self.text.push('\u{1a}'),
            '%' | '_' => self.text.extend(['\\', escaped]),
            other => self.text.push(other),
        }
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.parts.push(Part::Text(std::mem::take(&mut self.text)));
        }
    }

    fn finish(mut self) -> Vec<Part> {
        self.flush();
        self.parts
    }
}

fn first_input(piece: &Piece) -> Option<String> {
    let Piece::Literal(parts) = piece else { return None };
    parts.iter().find_map(|part| match part {
        Part::Input(name) => Some(name.clone()),
        Part::Text(_) => None,
    })
}

/// What Python's `\w` takes, which flytekit's names of inputs are made of.
fn is_word(next: char) -> bool {
    next.is_alphanumeric() || next == '_'
}

/// The name of the input that `text` begins with, and the length of it all: flytekit's `{{\s*.inputs.(\w+)\s*}}`.
fn input_at(text: &str) -> Option<(&str, usize)> {
    let inside = text.strip_prefix("{{")?.trim_start();
    let prefix = inside.get(..8).filter(|prefix| prefix.eq_ignore_ascii_case(".inputs."))?;
    let behind = &inside[prefix.len()..];
    let name = &behind[..behind.find(|next| !is_word(next)).unwrap_or(behind.len())];
    let after = behind[name.len()..].trim_start().strip_prefix("}}")?;
    (!name.is_empty()).then(|| (name, text.len() - after.len()))
}

fn inputs_in(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("{{").filter_map(|(at, _)| input_at(&text[at..])).map(|(name, _)| name)
}

/// `$$` or `$tag$`, if `text` begins with one: a tag is a name without `$` that does not begin with a digit.
fn dollar_tag(text: &str) -> Option<&str> {
    let end = text[1..].find('$')? + 1;
    let tag = &text[1..end];
    let fits = tag.chars().all(is_word) && !tag.starts_with(|first: char| first.is_ascii_digit());
    fits.then(|| &text[..=end])
}

/// The length of the block comment at the beginning of `text`; PostgreSQL's nest.
fn block_comment(text: &str, nested: bool) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") && (nested || depth == 0) {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    None
}
