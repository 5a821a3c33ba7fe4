//! Templates of namespaces, and how a namespace is read by one.

use super::Claim;
use crate::settings::AccessSettings;

/// The longest name of a namespace (RFC 1123 label).
const MAX_NAMESPACE: usize = 63;

/// What a template holds besides text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variable {
    /// `{organization}`
    Organization,
    /// `{project}`
    Project,
    /// `{domain}`
    Domain,
}

impl Variable {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Organization, Self::Project, Self::Domain];

    /// The name in templates, and of the pod's label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Project => "project",
            Self::Domain => "domain",
        }
    }
}

/// An entry of `webhook.accessPolicy.namespaces`: a name, or a name with variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(Variable),
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A `{` without its `}`.
    #[error("has a '{{' without a '}}'")]
    Unclosed,
    /// A name in braces that is none of ours.
    #[error("has the variable {{{0}}}; there are {{organization}}, {{project}} and {{domain}}")]
    UnknownVariable(String),
    /// A variable twice.
    #[error("has the variable {{{0}}} twice")]
    Twice(&'static str),
    /// Two variables with nothing between them.
    #[error("has two variables with nothing between them, so nobody can tell where one ends")]
    Adjacent,
    /// Text that no namespace can hold.
    #[error("is no name of a namespace: up to 63 of a-z, 0-9 and '-', with a letter or digit at both ends")]
    NoName,
}

impl Template {
    /// Reads an entry of `webhook.accessPolicy.namespaces`.
    ///
    /// # Errors
    /// What cannot be the name of a namespace (RFC 1123 label), whatever stands for the variables.
    pub fn parse(template: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut rest = template;
        while !rest.is_empty() {
            let (piece, behind) = piece(rest)?;
            match (pieces.last(), &piece) {
                (_, Piece::Variable(one)) if pieces.contains(&piece) => return Err(TemplateError::Twice(one.name())),
                (Some(Piece::Variable(_)), Piece::Variable(_)) => return Err(TemplateError::Adjacent),
                _ => pieces.push(piece),
            }
            rest = behind;
        }
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Variable(_) => "x".to_owned(),
        };
        if is_label(&pieces.iter().map(text).collect::<String>()) {
            Ok(Self(pieces))
        } else {
            Err(TemplateError::NoName)
        }
    }

    /// Whether it is a plain name.
    #[must_use]
    pub fn is_name(&self) -> bool {
        self.0.iter().all(|piece| matches!(piece, Piece::Text(_)))
    }

    /// Whether a variable stands in it.
    #[must_use]
    pub fn has(&self, variable: Variable) -> bool {
        self.0.contains(&Piece::Variable(variable))
    }

    /// Whether it is one variable and nothing else.
    pub(super) fn is_only(&self, variable: Variable) -> bool {
        self.0 == [Piece::Variable(variable)]
    }

    /// Reads a namespace by the template. There is one reading at most: an organization is one of the configured ones,
    /// the longest if there is a choice; a domain is the longest configured one that fits, else one without a `-`.
    ///
    /// So `{project}-{domain}` is read from its end, and of the projects and domains whose names come to the same
    /// namespace (`a-b` with `c`, and `a` with `b-c`) only one owns it.
    #[must_use]
    pub fn read<'n>(&self, settings: &AccessSettings, namespace: &'n str) -> Option<Place<'n>> {
        if !is_label(namespace) {
            return None;
        }
        let mut best: Option<((usize, usize), Place<'n>)> = None;
        let mut ambiguous = false;
        readings(&self.0, namespace, Place::default(), &mut |place| {
            let Some(rank) = rank(settings, place) else { return };
            match &best {
                Some((best_rank, _)) if *best_rank > rank => {}
                Some((best_rank, _)) if *best_rank == rank => ambiguous = true,
                _ => (best, ambiguous) = (Some((rank, place)), false),
            }
        });
        best.filter(|_| !ambiguous).map(|(_, place)| place)
    }
}

/// The first piece of a template, and what is behind it.
fn piece(template: &str) -> Result<(Piece, &str), TemplateError> {
    let Some(opened) = template.strip_prefix('{') else {
        let (text, behind) = template.split_at(template.find('{').unwrap_or(template.len()));
        return Ok((Piece::Text(text.to_owned()), behind));
    };
    let (name, behind) = opened.split_once('}').ok_or(TemplateError::Unclosed)?;
    let variable = Variable::ALL.into_iter().find(|variable| variable.name() == name);
    let unknown = || TemplateError::UnknownVariable(name.chars().take(MAX_NAMESPACE).collect());
    Ok((Piece::Variable(variable.ok_or_else(unknown)?), behind))
}

fn is_label(name: &str) -> bool {
    let end = |byte: Option<&u8>| byte.is_some_and(|byte| *byte != b'-');
    let bytes = name.as_bytes();
    let allowed = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    bytes.len() <= MAX_NAMESPACE && bytes.iter().all(allowed) && end(bytes.first()) && end(bytes.last())
}

/// Every way in which a name can be a template's; no variable is empty.
fn readings<'n>(pieces: &[Piece], name: &'n str, so_far: Place<'n>, found: &mut impl FnMut(Place<'n>)) {
    match pieces.split_first() {
        None if name.is_empty() => found(so_far),
        None => {}
        Some((Piece::Text(text), behind)) => {
            if let Some(rest) = name.strip_prefix(text.as_str()) {
                readings(behind, rest, so_far, found);
            }
        }
        Some((Piece::Variable(variable), [])) if !name.is_empty() => found(so_far.with(*variable, name)),
        Some((Piece::Variable(variable), behind)) => {
            for end in 1..name.len() {
                let (value, rest) = name.split_at(end);
                readings(behind, rest, so_far.with(*variable, value), found);
            }
        }
    }
}

/// How much speaks for a reading; `None` for one that is not considered.
fn rank(settings: &AccessSettings, place: Place<'_>) -> Option<(usize, usize)> {
    let domain = match place.domain {
        Some(domain) if settings.domains.iter().any(|known| known == domain) => domain.len(),
        Some(domain) if domain.contains('-') => return None,
        _ => 0,
    };
    match place.organization {
        Some(organization) if !settings.organizations.iter().any(|known| known == organization) => None,
        organization => Some((domain, organization.map_or(0, str::len))),
    }
}

/// Whose a namespace is; what is `None` may be anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place<'n> {
    /// The organization.
    pub organization: Option<&'n str>,
    /// The project.
    pub project: Option<&'n str>,
    /// The domain.
    pub domain: Option<&'n str>,
}

impl<'n> Place<'n> {
    fn with(mut self, variable: Variable, value: &'n str) -> Self {
        *match variable {
            Variable::Organization => &mut self.organization,
            Variable::Project => &mut self.project,
            Variable::Domain => &mut self.domain,
        } = Some(value);
        self
    }

    pub(super) fn get(&self, variable: Variable) -> Option<&'n str> {
        match variable {
            Variable::Organization => self.organization,
            Variable::Project => self.project,
            Variable::Domain => self.domain,
        }
    }

    /// Whether the claim is what the namespace says.
    pub(super) fn is_of(&self, claim: &Claim<'_>) -> bool {
        Variable::ALL.into_iter().all(|one| self.get(one).is_none() || self.get(one) == claim.get(one))
    }
}
