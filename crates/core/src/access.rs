//! The access policy: whether a pod may have what its labels claim, where the webhook's own identity reads the values.
//!
//! Labels are claims: whoever creates a pod writes them. What can be checked is where the pod stands and who created
//! it. Flyte runs the pods of a project and domain in a namespace of their own (`{project}-{domain}`; in Flyte 2 all may
//! share one), and nobody else creates pods there, if RBAC is set up like that. So the namespace has to be one that
//! Flyte uses for the project and domain that are claimed.

mod template;
mod warnings;

use std::fmt;

use crate::outline::PodOutline;
use crate::settings::AccessSettings;

pub use template::{Place, Template, TemplateError, Variable};
pub use warnings::warnings;

/// What a pod says of itself, and what the API server says of it.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The pod's namespace, from the review.
    pub namespace: &'a str,
    /// Who creates the pod: `userInfo.username` of the review.
    pub creator: &'a str,
    /// The label `organization`; Flyte 1 has none.
    pub organization: Option<&'a str>,
    /// The label `project`.
    pub project: Option<&'a str>,
    /// The label `domain`.
    pub domain: Option<&'a str>,
}

impl<'a> Claim<'a> {
    /// What a pod claims; an empty label claims nothing.
    #[must_use]
    pub fn of(pod: &'a PodOutline<'_>, namespace: &'a str, creator: &'a str) -> Self {
        let label = |name| pod.metadata.labels.get(name).filter(|value| !value.is_empty());
        let [organization, project, domain] = [label("organization"), label("project"), label("domain")];
        Self { namespace, creator, organization, project, domain }
    }

    fn get(&self, variable: Variable) -> Option<&'a str> {
        match variable {
            Variable::Organization => self.organization,
            Variable::Project => self.project,
            Variable::Domain => self.domain,
        }
    }
}

/// The rules of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// The organization is one of `webhook.accessPolicy.organizations`.
    Organization,
    /// The namespace is one that Flyte uses for the project and domain.
    Namespace,
    /// The pod's creator is one of `webhook.accessPolicy.trustedCreators`, if there are any.
    Creator,
}

impl Rule {
    /// All rules, in the order in which they are checked.
    pub const ALL: [Self; 3] = [Self::Organization, Self::Namespace, Self::Creator];

    /// The name in messages and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Namespace => "namespace",
            Self::Creator => "creator",
        }
    }
}

/// A claim that is not believed. Its text is a sentence without its subject, such as "does not serve …": what was
/// claimed and where, the rule, and the line of the configuration that would allow it. It holds names only.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Breach {
    /// The rule that is broken.
    pub rule: Rule,
    text: String,
}

impl Breach {
    fn new(rule: Rule, what: fmt::Arguments<'_>, why: fmt::Arguments<'_>, allowed_by: fmt::Arguments<'_>) -> Self {
        let name = rule.name();
        let text =
            format!("does not serve {what} (rule {name} of the access policy: {why}); to allow it, set {allowed_by}");
        Self { rule, text }
    }
}

/// Checks a claim, whatever [`AccessSettings::mode`] says: what is done about a breach is the caller's.
///
/// # Errors
/// The first rule that is broken.
pub fn check(settings: &AccessSettings, claim: &Claim<'_>) -> Result<(), Breach> {
    check_organization(settings, claim)?;
    check_namespace(settings, claim)?;
    check_creator(settings, claim)
}

fn check_organization(settings: &AccessSettings, claim: &Claim<'_>) -> Result<(), Breach> {
    let Some(organization) = claim.organization else { return Ok(()) };
    if settings.organizations.iter().any(|known| known == organization) {
        return Ok(());
    }
    Err(Breach::new(
        Rule::Organization,
        format_args!("the organization {}, claimed in the namespace {}", Name(organization), Name(claim.namespace)),
        format_args!("it is none of this installation's"),
        format_args!("{}", Line("organizations", &settings.organizations, organization)),
    ))
}

fn check_namespace(settings: &AccessSettings, claim: &Claim<'_>) -> Result<(), Breach> {
    let place = match place(settings, claim.namespace) {
        Some(place) if place.is_of(claim) => return Ok(()),
        place => place,
    };
    let what = format_args!("{}, claimed in the namespace {}", Claimed(claim), Name(claim.namespace));
    let domain = claim.domain.filter(|_| would_be_of(settings, claim));
    let why = Why { claim, place, domain };
    Err(match domain {
        Some(domain) => {
            let line = Line("domains", &settings.domains, domain);
            Breach::new(Rule::Namespace, what, format_args!("{why}"), format_args!("{line}"))
        }
        None => {
            let line = Line("namespaces", &settings.namespaces, claim.namespace);
            let trust = "which lets every pod in that namespace claim any project";
            Breach::new(Rule::Namespace, what, format_args!("{why}"), format_args!("{line}, {trust}"))
        }
    })
}

/// Whose namespace it is: a name that is listed as it is belongs to all; else the first template that can be read in
/// it decides, so that no namespace belongs to two projects.
fn place<'n>(settings: &AccessSettings, namespace: &'n str) -> Option<Place<'n>> {
    if settings.namespaces.iter().any(|listed| listed == namespace) {
        return Some(Place::default());
    }
    let templates = settings.namespaces.iter().filter_map(|listed| Template::parse(listed).ok());
    templates.filter(|template| !template.is_name()).find_map(|template| template.read(settings, namespace))
}

/// Whether the namespace would be that of the claim if only its domain were configured.
fn would_be_of(settings: &AccessSettings, claim: &Claim<'_>) -> bool {
    let mut known = settings.clone();
    known.domains.extend(claim.domain.map(str::to_owned));
    place(&known, claim.namespace).is_some_and(|place| place.is_of(claim))
}

fn check_creator(settings: &AccessSettings, claim: &Claim<'_>) -> Result<(), Breach> {
    let AccessSettings { trusted_creators, .. } = settings;
    if trusted_creators.is_empty() || trusted_creators.iter().any(|trusted| trusted == claim.creator) {
        return Ok(());
    }
    let proves_nothing = match warnings::is_controller(claim.creator) {
        true => "; it creates pods for whoever asks, so trusting it trusts everybody",
        false => "",
    };
    Err(Breach::new(
        Rule::Creator,
        format_args!("pods that {} creates in the namespace {}", Name(claim.creator), Name(claim.namespace)),
        format_args!("it is no trusted creator{proves_nothing}"),
        format_args!("{}", Line("trustedCreators", trusted_creators, claim.creator)),
    ))
}

/// A name, quoted, without control characters, and cut where it is longer than Kubernetes' names are.
struct Name<'a>(&'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 253;
        match self.0.char_indices().nth(MOST) {
            None => write!(f, "{:?}", self.0),
            Some((end, _)) => write!(f, "{:?}…", &self.0[..end]),
        }
    }
}

/// The project and domain of a claim, in words.
struct Claimed<'a>(&'a Claim<'a>);

impl fmt::Display for Claimed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.project, self.0.domain) {
            (Some(project), Some(domain)) => write!(f, "the project {} in the domain {}", Name(project), Name(domain)),
            (Some(project), None) => write!(f, "the project {} without a domain", Name(project)),
            (None, Some(domain)) => write!(f, "the domain {} without a project", Name(domain)),
            (None, None) => f.write_str("pods without the labels \"project\" and \"domain\""),
        }
    }
}

/// Why a namespace is none for a claim.
struct Why<'a> {
    claim: &'a Claim<'a>,
    place: Option<Place<'a>>,
    /// The domain claimed, where it only has to be configured.
    domain: Option<&'a str>,
}

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { claim, place, domain } = self;
        match place {
            None => f.write_str("it is none that Flyte uses for them")?,
            Some(place) => {
                f.write_str("it is the namespace of ")?;
                let known = Variable::ALL.into_iter().filter_map(|variable| Some((variable, place.get(variable)?)));
                for (index, (variable, value)) in known.enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{} {}", variable.name(), Name(value))?;
                }
                let is_missing = |one: &Variable| place.get(*one).is_some() && claim.get(*one).is_none();
                if let Some(missing) = Variable::ALL.into_iter().find(is_missing) {
                    write!(f, ", and the pod has no label {:?}", missing.name())?;
                }
            }
        }
        domain.map_or(Ok(()), |domain| write!(f, ", unless {} is a domain of this installation", Name(domain)))
    }
}

/// A line of the configuration with one more entry in a list.
struct Line<'a>(&'static str, &'a [String], &'a str);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 256;
        let Self(key, entries, new) = self;
        write!(f, "webhook.accessPolicy.{key}: [")?;
        if entries.iter().map(String::len).sum::<usize>() > MOST {
            // They stand in the configuration; here only the new one matters.
            f.write_str("…, ")?;
        } else {
            entries.iter().try_for_each(|entry| write!(f, "{entry:?}, "))?;
        }
        write!(f, "{}]", Name(new))
    }
}

#[cfg(test)]
mod tests;
