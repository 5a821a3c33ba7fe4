//! From bytes to the tokens of the text format.

use std::fmt;

use super::error::{Fault, Problem, excerpt};
use super::literal;

/// The smallest piece of a text. A string is announced by its quote and read by [`Lexer::string`].
#[derive(Clone, Copy)]
pub(super) enum Token<'a> {
    /// A name or a number: letters, digits and `-+._`.
    Word(&'a str),
    /// Punctuation.
    Symbol(u8),
    /// The opening quote of a string.
    Quote,
    /// Nothing is left.
    End,
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Word(word) => write!(f, "`{}`", excerpt(word.as_bytes())),
            Self::Symbol(symbol) => write!(f, "`{}`", char::from(symbol)),
            Self::Quote => f.write_str("a quote"),
            Self::End => f.write_str("the end of the text"),
        }
    }
}

pub(super) struct Lexer<'a> {
    text: &'a [u8],
    /// Where reading goes on.
    offset: usize,
    /// Where the last token began.
    token: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, offset: 0, token: 0 }
    }

    pub(super) fn fault_at_last_token(&self, problem: Problem) -> Fault {
        Fault { offset: self.token, problem }
    }

    pub(super) fn next(&mut self) -> Result<Token<'a>, Fault> {
        self.skip_blanks();
        self.token = self.offset;
        let Some(&byte) = self.text.get(self.offset) else { return Ok(Token::End) };
        match byte {
            b'"' | b'\'' => {
                self.offset += 1;
                Ok(Token::Quote)
            }
            b'<' | b'>' | b'{' | b'}' | b':' | b'[' | b']' | b';' | b',' | b'/' => {
                self.offset += 1;
                Ok(Token::Symbol(byte))
            }
            _ => self.word(byte),
        }
    }

    fn word(&mut self, first: u8) -> Result<Token<'a>, Fault> {
        let rest = &self.text[self.offset..];
        let length = rest.iter().position(|&byte| !is_word_byte(byte)).unwrap_or(rest.len());
        if length == 0 {
            return Err(self.fault_at_last_token(Problem::UnexpectedByte { byte: first }));
        }
        self.offset += length;
        Ok(Token::Word(std::str::from_utf8(&rest[..length]).expect("a word is ASCII")))
    }

    /// The string whose opening quote [`Lexer::next`] has just read, joined with the strings that follow it.
    pub(super) fn string(&mut self) -> Result<String, Fault> {
        let mut joined = Vec::new();
        let mut opening = self.token;
        loop {
            self.offset = literal::read(self.text, opening, &mut joined)?;
            self.skip_blanks();
            match self.text.get(self.offset) {
                Some(b'"' | b'\'') => opening = self.offset,
                _ => break,
            }
        }
        // Two halves of a character may come from two literals, so only the whole is checked.
        String::from_utf8(joined).map_err(|_| self.fault_at_last_token(Problem::NotUtf8))
    }

    /// Skips the one `,` or `;` that may follow a field.
    pub(super) fn skip_separator(&mut self) {
        self.skip_blanks();
        if matches!(self.text.get(self.offset), Some(b',' | b';')) {
            self.offset += 1;
        }
    }

    /// Skips white space and comments.
    fn skip_blanks(&mut self) {
        let mut in_comment = false;
        let is_blank = |byte: &&u8| {
            in_comment = **byte != b'\n' && (in_comment || **byte == b'#');
            in_comment || matches!(**byte, b' ' | b'\t' | b'\r' | b'\n')
        };
        self.offset += self.text[self.offset..].iter().take_while(is_blank).count();
    }
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.' | b'_')
}
