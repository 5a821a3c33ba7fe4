//! What a text of the pod is, and so what a template in it may hold and how it is filled.

use std::borrow::Cow;

use super::fields::Values;
use super::script;
use super::template::{Form, Piece, Placeholder, Template};
use crate::annotations;
use crate::expansion::{escape_dollars, is_env_var_name};
use crate::injectors::Decline;
use crate::paths::check_part;

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing may come from a request.
    Fixed,
    /// Whoever reads it knows.
    Text,
    /// An element of a command: it can be taken for an option.
    Argument,
    /// A script for a POSIX shell.
    Script,
    /// A program text for another interpreter.
    Code,
    /// A path below some folder.
    Path,
    /// An absolute path.
    FilePath,
    /// An absolute path without `:`, where a volume is mounted.
    MountPath,
    /// A volume's or a container's name: a label of RFC 1123.
    Label,
    /// A variable's name.
    Variable,
    /// An annotation's name.
    Annotation,
}

/// A text that may hold placeholders.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Text {
    pub(super) template: Template,
    pub(super) kind: Kind,
    /// Whether the kubelet expands `$(NAME)` in it.
    expanded: bool,
}

impl Text {
    /// Reads a text that stands at such a place; an error is a sentence.
    pub(super) fn new(text: &str, kind: Kind, expanded: bool) -> Result<Self, String> {
        let mut template = Template::parse(text)?;
        match kind {
            Kind::Fixed if !template.is_fixed() => {
                return Err("nothing from a request may stand here: it says what runs, or as what".to_owned());
            }
            Kind::Script => script::check(&template)?,
            Kind::Code => check_code(&template)?,
            _ => check_text(&template)?,
        }
        if expanded {
            keep_references(&mut template)?;
        }
        Ok(Self { template, kind, expanded })
    }

    /// The text for a request.
    pub(super) fn fill(&self, values: &Values<'_>) -> Result<String, Decline> {
        let mut text = String::new();
        for piece in &self.template.pieces {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Placeholder(placeholder) => {
                    let filled = placeholder.fill(values)?;
                    self.check(placeholder, &filled, &text)?;
                    text.push_str(&if self.expanded { escape_dollars(&filled) } else { filled });
                }
            }
        }
        match self.kind.objection(&text) {
            None => Ok(text),
            Some(objection) if self.template.is_fixed() => Err(Decline(format!("{text:?} {objection}"))),
            Some(objection) => Err(Decline(format!("would make {text:?} of the request, which {objection}"))),
        }
    }

    /// Checks what a placeholder gives, behind what stands `before`.
    fn check(&self, placeholder: &Placeholder, filled: &str, before: &str) -> Result<(), Decline> {
        if placeholder.form() == Form::Raw && filled.chars().any(char::is_control) {
            return Err(placeholder.decline(filled, "holds a control character"));
        }
        let is_path = matches!(self.kind, Kind::Path | Kind::FilePath | Kind::MountPath);
        if is_path && let Err(error) = check_part(filled) {
            return Err(placeholder.decline(filled, &error.to_string()));
        }
        let begins_a_word = match self.kind {
            Kind::Argument => before.is_empty(),
            Kind::Script => before.ends_with(|character: char| character.is_whitespace()),
            _ => false,
        };
        if begins_a_word && filled.trim_start_matches('\'').starts_with('-') {
            return Err(placeholder.decline(filled, "begins with '-' and would be taken for an option"));
        }
        Ok(())
    }
}

impl Kind {
    /// Why Kubernetes would refuse a text of this kind: a predicate.
    fn objection(self, text: &str) -> Option<&'static str> {
        match self {
            Self::Label if !is_label(text) => Some(
                "cannot name a volume or a container (lower-case letters, digits and '-', 63 characters at most); \
                 {{id}} and |dns always can",
            ),
            Self::Variable if !is_env_var_name(text) => {
                Some("cannot name a variable (printable ASCII without '=' only); |env always can")
            }
            Self::FilePath | Self::MountPath if !text.starts_with('/') => Some("is no absolute path"),
            Self::MountPath if text.contains(':') => Some("holds a ':', which no mount can"),
            Self::Path if text.starts_with('/') || text.split('/').any(|segment| segment == "..") => {
                Some("would leave its folder")
            }
            Self::Annotation if text.starts_with(annotations::PREFIX) => Some("is an annotation of requests"),
            Self::Annotation if !is_qualified_name(text) => {
                Some("cannot name an annotation (letters, digits, '-', '_', '.', 63 at most behind at most one '/')")
            }
            _ => None,
        }
    }
}

/// A label of RFC 1123.
fn is_label(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = text.bytes().next().is_some_and(allowed) && text.bytes().last().is_some_and(allowed);
    ends && text.len() <= 63 && text.bytes().all(|byte| allowed(byte) || byte == b'-')
}

/// Kubernetes' qualified name: a name, and perhaps a DNS name and `/` in front.
fn is_qualified_name(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let is_end = |byte: u8| byte.is_ascii_alphanumeric();
    let is_name = name.len() <= 63
        && name.bytes().next().is_some_and(is_end)
        && name.bytes().last().is_some_and(is_end)
        && name.bytes().all(|byte| is_end(byte) || b"-_.".contains(&byte));
    is_name && prefix.is_none_or(|prefix| prefix.len() <= 253 && prefix.split('.').all(is_label))
}

fn check_code(template: &Template) -> Result<(), String> {
    match template.placeholders().find(|placeholder| placeholder.form() != Form::Harmless) {
        None => Ok(()),
        Some(placeholder) => Err(format!(
            "{placeholder} in a program text could break out of its string: hand it over as an argument or a variable, or \
             write {{{{{}|plain}}}}, which takes simple names only",
            placeholder.field.name()
        )),
    }
}

/// A text with quotation marks, braces or lines is read by some grammar: what comes from a request must be one string of it.
fn check_text(template: &Template) -> Result<(), String> {
    let literals = || {
        template.pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(literal) => Some(literal.as_str()),
            Piece::Placeholder(_) => None,
        })
    };
    let has_grammar = literals().any(|literal| literal.contains(['"', '\'', '`', '{', '}', '\n']));
    let (mut quote, mut is_url) = (None, false);
    for piece in &template.pieces {
        match piece {
            Piece::Literal(literal) => {
                quote = quote_behind(literal, quote);
                is_url |= literal.contains("://");
            }
            Piece::Placeholder(placeholder) => {
                let name = placeholder.field.name();
                match (placeholder.form(), quote) {
                    (Form::Raw, _) if has_grammar => {
                        return Err(format!(
                            "{placeholder} could break out of its string: the text has a grammar (quotation marks, braces \
                             or lines), so write {{{{{name}|json}}}}, a JSON string with its quotation marks"
                        ));
                    }
                    (Form::Raw, _) if is_url => {
                        return Err(format!(
                            "{placeholder} could change the structure of the URL: write {{{{{name}|url}}}}, or \
                             {{{{{name}|plain}}}}, which takes simple names only"
                        ));
                    }
                    (Form::JsonString | Form::ShellWord, Some(quote)) => {
                        return Err(format!(
                            "{placeholder} has quotation marks of its own and stands inside {quote}, where it could break \
                             out of its string: take those away"
                        ));
                    }
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

/// The quotation mark that is open behind a literal.
fn quote_behind(literal: &str, mut open: Option<char>) -> Option<char> {
    let mut escaped = false;
    for character in literal.chars() {
        match (open, character) {
            _ if std::mem::take(&mut escaped) => {}
            (Some('"'), '\\') => escaped = true,
            (Some(quote), _) if quote == character => open = None,
            (None, '"' | '\'' | '`') => open = Some(character),
            _ => {}
        }
    }
    open
}

/// Leaves the references `$(NAME)` that are written in a literal to the kubelet, and nothing else: what `$(` begins and
/// does not end in a name would swallow the `$$` of a placeholder behind it.
fn keep_references(template: &mut Template) -> Result<(), String> {
    let last = template.pieces.len();
    for (index, piece) in template.pieces.iter_mut().enumerate() {
        let Piece::Literal(literal) = piece else { continue };
        *literal = escaped(literal);
        let dollars = literal.bytes().rev().take_while(|byte| *byte == b'$').count();
        if dollars % 2 == 1 && index + 1 < last {
            return Err(
                "a `$` right in front of a placeholder: the kubelet would read both together; write `$$`".to_owned()
            );
        }
    }
    Ok(())
}

fn escaped(literal: &str) -> String {
    let (mut text, mut rest) = (String::with_capacity(literal.len()), literal);
    while let Some(at) = rest.find('$') {
        text.push_str(&rest[..at]);
        let (taken, written) = match &rest[at..] {
            dollar if dollar.starts_with("$$") => (2, Cow::Borrowed("$$")),
            dollar if dollar.starts_with("$(") => match reference(dollar) {
                Some(reference) => (reference.len(), Cow::Borrowed(reference)),
                None => (1, Cow::Borrowed("$$")),
            },
            _ => (1, Cow::Borrowed("$")),
        };
        text.push_str(&written);
        rest = &rest[at + taken..];
    }
    text + rest
}

/// `$(NAME)` at the start of a text.
fn reference(text: &str) -> Option<&str> {
    let end = text.find(')')?;
    let name = &text[2..end];
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    is_name.then(|| &text[..=end])
}
