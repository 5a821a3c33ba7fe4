//! The rules of the configuration: what none of them permits is refused.

use flyte_secrets_config::{AccessRule, AccessSubject, AccessVerb, ScopePattern};
use flyte_secrets_core::encoded_id::SecretId;

use super::{AccessPolicy, Action, Identity};

/// Who may do what, by rules (`secret.authorization.rules`).
#[derive(Clone, Debug, Default)]
pub struct Rules(Vec<AccessRule>);

impl Rules {
    /// A policy of these rules; without any, nobody may do anything.
    #[must_use]
    pub fn new(rules: Vec<AccessRule>) -> Self {
        Self(rules)
    }
}

impl AccessPolicy for Rules {
    fn permits(&self, identity: &Identity, action: Action, id: &SecretId) -> bool {
        self.0.iter().any(|rule| {
            rule.verbs.contains(&action.verb())
                && rule.subjects.iter().any(|subject| is_about(subject, identity))
                && if action == Action::List { overlaps(rule, id) } else { is_in(rule, id) }
        })
    }
}

fn is_about(subject: &AccessSubject, identity: &Identity) -> bool {
    match (subject, identity) {
        (_, Identity::Anonymous) => false,
        (AccessSubject::Everybody, _) => true,
        (AccessSubject::ServiceAccount { namespace, name }, Identity::ServiceAccount { namespace: of, name: one }) => {
            namespace == of && name.as_ref().is_none_or(|name| name == one)
        }
        (AccessSubject::User(user), Identity::User { name, .. }) => user == name,
        (AccessSubject::Group(group), Identity::User { groups, .. }) => groups.contains(group),
        (AccessSubject::ServiceAccount { .. } | AccessSubject::User(_) | AccessSubject::Group(_), _) => false,
    }
}

/// Whether the rule is about this secret.
fn is_in(rule: &AccessRule, id: &SecretId) -> bool {
    rule.domain.takes(&id.domain) && rule.project.takes(&id.project)
}

/// Whether the rule is about any secret of a scope or of the scopes within it: the organization holds the domains, a domain its
/// projects.
fn overlaps(rule: &AccessRule, scope: &SecretId) -> bool {
    let part = |pattern: &ScopePattern, name: &str| name.is_empty() || pattern.takes(name);
    part(&rule.domain, &scope.domain) && part(&rule.project, &scope.project)
}

impl Action {
    /// What a rule has to permit for it.
    #[must_use]
    pub const fn verb(self) -> AccessVerb {
        match self {
            Self::Create | Self::Update | Self::Delete => AccessVerb::Write,
            Self::Get | Self::List => AccessVerb::Read,
        }
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
