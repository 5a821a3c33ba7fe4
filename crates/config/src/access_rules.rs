//! The rules of who may read and write which secrets (`secret.authorization.rules`).

use serde_json::{Value as Json, json};

use crate::errors::ConfigError;
use crate::keys::Key;
use crate::node::{Entry, Node, NodeValue};
use crate::origin::Source;
use crate::patterns;

/// What is accepted, for errors and the reference.
pub(crate) const ACCEPTED: &str = "a list of rules: `subjects`, `domain`, `project`, `verbs`";

/// Most rules, and most subjects of one.
const MAX_RULES: usize = 1000;
const MAX_SUBJECTS: usize = 1000;
const MEMBERS: [&str; 4] = ["subjects", "domain", "project", "verbs"];

/// One rule: each of `subjects` may do each of `verbs` to the secrets of a domain and project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRule {
    /// Whom it is about.
    pub subjects: Vec<AccessSubject>,
    /// The domain.
    pub domain: ScopePattern,
    /// The project.
    pub project: ScopePattern,
    /// What is permitted.
    pub verbs: Vec<AccessVerb>,
}

/// Whom a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessSubject {
    /// `*`: everybody who has shown who it is.
    Everybody,
    /// `serviceaccount:<namespace>/<name>`, or `serviceaccount:<namespace>/*` for all of a namespace.
    ServiceAccount {
        /// The namespace.
        namespace: String,
        /// The name; `None` for all.
        name: Option<String>,
    },
    /// `user:<name>`: the user of that name at the issuer of OpenID Connect.
    User(String),
    /// `group:<name>`: the users of that group there.
    Group(String),
}

/// What a rule says of a domain or project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScopePattern {
    /// `*`: any, and none.
    Any,
    /// This one. The empty one is none: secrets of a whole domain, or of the organization.
    Exactly(String),
}

/// What may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessVerb {
    /// See that a secret is there, and what is known of it; never its value.
    Read,
    /// Create, update and delete.
    Write,
}

impl AccessRule {
    pub(crate) fn to_json(&self) -> Json {
        let subjects: Vec<String> = self.subjects.iter().map(AccessSubject::text).collect();
        let verbs: Vec<&str> = self.verbs.iter().map(|verb| verb.name()).collect();
        json!({"subjects": subjects, "domain": self.domain.text(), "project": self.project.text(), "verbs": verbs})
    }
}

impl AccessSubject {
    fn read(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Everybody);
        }
        let (kind, name) = text.split_once(':')?;
        let is_name = !name.is_empty() && name != "*" && name.len() <= 256 && !name.contains(char::is_control);
        match kind {
            "serviceaccount" => {
                let (namespace, one) = name.split_once('/')?;
                let all = one == "*";
                let is_one = patterns::is_service_account(
                    if all { format!("{namespace}/all") } else { name.to_owned() }.as_str(),
                );
                is_one.then(|| Self::ServiceAccount {
                    namespace: namespace.to_owned(),
                    name: (!all).then(|| one.to_owned()),
                })
            }
            "user" if is_name => Some(Self::User(name.to_owned())),
            "group" if is_name => Some(Self::Group(name.to_owned())),
            _ => None,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Everybody => "*".to_owned(),
            Self::ServiceAccount { namespace, name } => {
                format!("serviceaccount:{namespace}/{}", name.as_deref().unwrap_or("*"))
            }
            Self::User(name) => format!("user:{name}"),
            Self::Group(name) => format!("group:{name}"),
        }
    }
}

impl ScopePattern {
    fn read(text: &str) -> Option<Self> {
        match text {
            "*" => Some(Self::Any),
            _ if patterns::is_label_value(text) => Some(Self::Exactly(text.to_owned())),
            _ => None,
        }
    }

    /// Whether it takes this domain or project.
    #[must_use]
    pub fn takes(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(exactly) => exactly == name,
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Any => "*",
            Self::Exactly(name) => name,
        }
    }

    fn is_none(&self) -> bool {
        matches!(self, Self::Exactly(name) if name.is_empty())
    }
}

impl AccessVerb {
    fn read(text: &str) -> Option<Self> {
        [Self::Read, Self::Write].into_iter().find(|verb| verb.name() == text)
    }

    /// The name in the configuration and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// Reads the rules that are right; what is wrong goes to `errors`.
pub(crate) fn read(key: &Key, node: &Node, source: &Source, errors: &mut Vec<ConfigError>) -> Vec<AccessRule> {
    let mut reader = Reader { key: key.path, source, errors };
    match &node.value {
        NodeValue::Null => Vec::new(),
        NodeValue::List(rules) if rules.len() <= MAX_RULES => {
            rules.iter().filter_map(|rule| reader.rule(rule)).collect()
        }
        NodeValue::List(_) => {
            reader.error(node, &format!("more than {MAX_RULES} rules"));
            Vec::new()
        }
        _ => {
            reader.expected(node, ACCEPTED);
            Vec::new()
        }
    }
}

struct Reader<'a> {
    key: &'a str,
    source: &'a Source,
    errors: &'a mut Vec<ConfigError>,
}

impl Reader<'_> {
    /// A rule; every member of it is needed, since each that were missing would permit more than was meant, or nothing.
    fn rule(&mut self, node: &Node) -> Option<AccessRule> {
        let NodeValue::Map(entries) = &node.value else {
            self.expected(node, "a rule: `subjects`, `domain`, `project`, `verbs`");
            return None;
        };
        self.unknown(entries);
        let subjects =
            self.member(node, entries, "subjects").map(|member| self.list(member, SUBJECTS, AccessSubject::read));
        let domain = self.member(node, entries, "domain").and_then(|member| self.scope(member));
        let project = self.member(node, entries, "project").and_then(|member| self.scope(member));
        let verbs = self.member(node, entries, "verbs").map(|member| self.list(member, VERBS, AccessVerb::read));
        let rule = AccessRule { subjects: subjects?, domain: domain?, project: project?, verbs: verbs? };
        if rule.domain.is_none() && !rule.project.is_none() && rule.project != ScopePattern::Any {
            self.error(node, "a project without a domain: no secret is there; name the domain, or `*`");
            return None;
        }
        Some(rule)
    }

    fn unknown(&mut self, entries: &[Entry]) {
        for entry in entries.iter().filter(|entry| !is_one_of(&entry.key, &MEMBERS)) {
            let origin = self.source.at(entry.line, entry.column);
            let message = format!("unknown key; known here: {}", MEMBERS.join(", "));
            self.errors.push(ConfigError::new(origin, format!("{}.{}", self.key, entry.key), message));
        }
    }

    fn member<'n>(&mut self, node: &Node, entries: &'n [Entry], name: &str) -> Option<&'n Node> {
        let found = entries.iter().find(|entry| entry.key.eq_ignore_ascii_case(name)).map(|entry| &entry.value);
        let found = found.filter(|value| !matches!(value.value, NodeValue::Null));
        if found.is_none() {
            self.error(node, &format!("`{name}` is missing"));
        }
        found
    }

    fn scope(&mut self, node: &Node) -> Option<ScopePattern> {
        let scope = if let NodeValue::Scalar(text) = &node.value { ScopePattern::read(text) } else { None };
        if scope.is_none() {
            self.expected(node, "a name, `*` for any, or \"\" for none");
        }
        scope
    }

    fn list<T>(&mut self, node: &Node, accepted: &str, one: fn(&str) -> Option<T>) -> Vec<T> {
        let NodeValue::List(items) = &node.value else {
            self.expected(node, accepted);
            return Vec::new();
        };
        if items.is_empty() || items.len() > MAX_SUBJECTS {
            self.error(node, &format!("expected {accepted}: 1 to {MAX_SUBJECTS} of them"));
        }
        let mut list = Vec::new();
        for item in items {
            let read = if let NodeValue::Scalar(text) = &item.value { one(text) } else { None };
            match read {
                Some(read) => list.push(read),
                None => self.expected(item, accepted),
            }
        }
        list
    }

    fn expected(&mut self, node: &Node, accepted: &str) {
        self.error(node, &format!("expected {accepted}, got {}", node.describe()));
    }

    fn error(&mut self, node: &Node, message: &str) {
        self.errors.push(ConfigError::new(self.source.at(node.line, node.column), self.key, message));
    }
}

const SUBJECTS: &str =
    "a list of `serviceaccount:<namespace>/<name>`, `serviceaccount:<namespace>/*`, `user:<name>`, `group:<name>`, `*`";
const VERBS: &str = "a list of read, write";

fn is_one_of(name: &str, known: &[&str]) -> bool {
    known.iter().any(|known| known.eq_ignore_ascii_case(name))
}
