//! Texts with placeholders: `{{field}}`, `{{field|filter|…}}`, and `{{"…"}}` for a text as it is.

use std::borrow::Cow;

use super::fields::{Field, Values};
use super::filters::Filter;
use crate::injectors::Decline;

/// A text with placeholders.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Template {
    pub(super) pieces: Vec<Piece>,
}

/// Part of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    Literal(String),
    Placeholder(Placeholder),
}

/// A field, and the form in which it shall stand.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Placeholder {
    pub(super) field: Field,
    pub(super) filters: Vec<Filter>,
}

/// What a placeholder's text can do to what it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing: letters, digits, `.`, `_`, `-`, `%`.
    Harmless,
    /// One word of a shell.
    ShellWord,
    /// One string of JSON or YAML.
    JsonString,
    /// Anything.
    Raw,
}

impl Placeholder {
    pub(super) fn form(&self) -> Form {
        match self.filters.last() {
            Some(Filter::Sh) => Form::ShellWord,
            Some(Filter::Json) => Form::JsonString,
            Some(Filter::Url | Filter::Dns | Filter::Env | Filter::Plain) => Form::Harmless,
            _ if self.field.is_harmless() => Form::Harmless,
            _ => Form::Raw,
        }
    }

    /// The text for a request.
    pub(super) fn fill<'v>(&self, values: &Values<'v>) -> Result<Cow<'v, str>, Decline> {
        let value = values.get(self.field);
        let mut text = value.clone();
        for filter in &self.filters {
            text = filter.apply(text).map_err(|wrong| self.decline(&value, &wrong))?;
        }
        Ok(text)
    }

    /// Declines because the field is not what its place needs.
    pub(super) fn decline(&self, value: &str, wrong: &str) -> Decline {
        Decline(format!("cannot put the {} {value:?} into {self}: it {wrong}", words(self.field)))
    }
}

/// As it is written in a template.
impl std::fmt::Display for Placeholder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{{{{{}", self.field.name())?;
        self.filters.iter().try_for_each(|filter| write!(f, "|{}", filter.name()))?;
        f.write_str("}}")
    }
}

/// What Flyte calls the field.
fn words(field: Field) -> &'static str {
    match field {
        Field::GroupVersion => "group version",
        Field::EnvVar => "env_var",
        other => other.name(),
    }
}

impl Template {
    /// Reads a template; an error is a sentence.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        let mut literal = String::new();
        while let Some(start) = rest.find("{{") {
            literal.push_str(&rest[..start]);
            let inside = rest[start + 2..].trim_start();
            if let Some(quoted) = inside.strip_prefix('"') {
                let end = quoted.find('"').ok_or("a `{{\"` without its second quotation mark")?;
                literal.push_str(&quoted[..end]);
                let behind = quoted[end + 1..].trim_start();
                rest = behind.strip_prefix("}}").ok_or("a `{{\"…\"` without its `}}`")?;
                continue;
            }
            let end = inside.find("}}").ok_or("a `{{` without its `}}`; a `{{` that shall stay is `{{\"{{\"}}`")?;
            let placeholder = placeholder(&inside[..end])?;
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Placeholder(placeholder));
            rest = &inside[end + 2..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Self { pieces })
    }

    pub(super) fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Placeholder(placeholder) => Some(placeholder),
            Piece::Literal(_) => None,
        })
    }

    pub(super) fn is_fixed(&self) -> bool {
        self.placeholders().next().is_none()
    }
}

fn placeholder(text: &str) -> Result<Placeholder, String> {
    let mut parts = text.split('|').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let field = Field::ALL.into_iter().find(|field| field.name() == name).ok_or_else(|| {
        let known = Field::ALL.map(Field::name);
        format!("`{{{{{text}}}}}` names no field: there are {}", known.join(", "))
    })?;
    let mut filters: Vec<Filter> = Vec::new();
    for name in parts {
        let filter = Filter::ALL.into_iter().find(|filter| filter.name() == name).ok_or_else(|| {
            let known = Filter::ALL.map(Filter::name);
            format!("`{name}` in `{{{{{text}}}}}` is no form: there are {}", known.join(", "))
        })?;
        if let Some(before) = filters.last().filter(|before| !filter.may_follow(**before)) {
            return Err(format!(
                "`{}` cannot stand behind `{}` in `{{{{{text}}}}}`: lower and upper come first, sh comes last",
                filter.name(),
                before.name()
            ));
        }
        filters.push(filter);
    }
    Ok(Placeholder { field, filters })
}
