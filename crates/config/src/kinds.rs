//! The kinds of values: what each accepts, and how it reads it.

use std::time::Duration;

use crate::access_rules;
use crate::durations;
use crate::errors::ConfigError;
use crate::items::Item;
use crate::keys::Key;
use crate::node::{Node, NodeValue};
use crate::origin::Source;
use crate::patterns;
use crate::structures;
use crate::values::Value;
use crate::yaml;

/// What a key accepts.
#[derive(Debug)]
pub(crate) enum Kind {
    Bool,
    /// Any text.
    Text,
    /// A text that is not empty, and what would happen if it were.
    NonEmpty(&'static str),
    /// A path in which variables of the environment are replaced.
    Path,
    /// An image reference.
    Image,
    /// A Kubernetes name.
    Name,
    /// A Kubernetes name, or nothing.
    OptionalName,
    /// `namespace/name`, or nothing.
    OptionalNamespacedName,
    /// An `https://` URL, or nothing.
    HttpsUrl,
    /// An `https://` or `http://` URL, or nothing.
    Url,
    Port,
    /// A port, or 0.
    PortOrOff,
    /// A whole number.
    Count,
    /// A whole number that is not zero.
    Positive,
    /// A Kubernetes quantity of bytes.
    Bytes,
    /// Zero, or from a millisecond to an hour.
    Duration,
    /// From one duration to another.
    DurationIn(Duration, Duration),
    /// Whole seconds, as many as the API server waits.
    Seconds,
    /// One of these. `name|alias|alias`: the name stands for its aliases.
    Choice(&'static [&'static str]),
    /// The same, or nothing.
    OptionalChoice(&'static [&'static str]),
    /// A list of these.
    Choices(&'static [&'static str]),
    /// One secret manager, built in or described in configuration.
    Manager,
    /// A list of these.
    Managers,
    /// Descriptions of secret managers.
    CustomManagers,
    /// A list of texts.
    List(Item),
    /// A mapping from names to texts.
    Annotations,
    /// Kubernetes' ResourceRequirements.
    Resources,
    /// Kubernetes' LabelSelector.
    LabelSelector,
    /// Kubernetes' MatchConditions of a webhook.
    MatchConditions,
    /// Who may do what.
    AccessRules,
    /// Anything, without effect.
    Ignored,
}

/// The secret managers that are built in.
pub(crate) const MANAGERS: &[&str] = &["Global", "K8s", "AWS", "GCP", "Azure", "Vault", "Embedded"];

/// Longest list, longest text: nobody needs more.
const MAX_ITEMS: usize = 100;
const MAX_TEXT: usize = 4096;

/// What the API server allows for `timeoutSeconds` of a webhook.
const WEBHOOK_SECONDS: std::ops::RangeInclusive<u64> = 1..=30;
const DURATIONS: std::ops::RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3600);
/// What a `Positive` is at most.
const MAX_POSITIVE: u32 = 100_000;
/// What `Bytes` are at most: a tebibyte.
const MAX_BYTES: u64 = 1 << 40;

impl Kind {
    /// What is accepted, for errors and the reference.
    pub(crate) fn accepted(&self) -> String {
        let fixed = match self {
            Self::Bool => "true or false",
            Self::Text => "a text",
            Self::NonEmpty(_) => "a text that is not empty",
            Self::Path => "a path",
            Self::Image => "an image reference",
            Self::Name => "a Kubernetes name (lower-case letters, digits, `-` and `.`)",
            Self::OptionalName => "a Kubernetes name (lower-case letters, digits, `-` and `.`), or nothing",
            Self::OptionalNamespacedName => "`namespace/name`, or nothing",
            Self::HttpsUrl => "a URL that starts with https:// and has no user, query or fragment",
            Self::Url => "a URL that starts with https:// or http:// and has no user, query or fragment",
            Self::Port => "a port from 1 to 65535",
            Self::PortOrOff => "a port from 1 to 65535, or 0",
            Self::Count => "a whole number",
            Self::Positive => return format!("a whole number from 1 to {MAX_POSITIVE}"),
            Self::Bytes => "a Kubernetes quantity of bytes such as 100M or 64Mi, up to 1Ti",
            Self::DurationIn(least, most) => {
                let [least, most] = [least, most].map(|bound| durations::format(*bound));
                return format!("a duration with a unit, such as 30s, 1m30s or 24h, from {least} to {most}");
            }
            Self::Duration => "a duration with a unit, such as 30s, 1m30s or 100ms, of at most 1h",
            Self::Seconds => "1 to 30 whole seconds, such as 10 or 10s (the limit is the API server's)",
            Self::Choice(choices) => return one_of(choices),
            Self::OptionalChoice(choices) => return format!("{}, or nothing", one_of(choices)),
            Self::Choices(choices) => return format!("a list of {}", names(choices).join(", ")),
            Self::Manager => {
                return format!("one of {}, or a name in `customSecretManagers`", names(MANAGERS).join(", "));
            }
            Self::Managers => {
                return format!("a list of {}, and names in `customSecretManagers`", names(MANAGERS).join(", "));
            }
            Self::CustomManagers => "a list of managers: `name`, and `file` or `envVar`",
            Self::List(item) => item.accepted(),
            Self::Annotations => "a mapping from annotation names to texts",
            Self::Resources => "Kubernetes resources: `limits` and `requests`",
            Self::LabelSelector => "a Kubernetes label selector: `matchLabels` and `matchExpressions`",
            Self::MatchConditions => "a list of match conditions of Kubernetes: `name` and `expression`",
            Self::AccessRules => access_rules::ACCEPTED,
            Self::Ignored => "anything",
        };
        fixed.to_owned()
    }

    /// Whether two members whose names differ in case only are two.
    pub(crate) const fn is_case_sensitive(&self) -> bool {
        matches!(self, Self::Annotations | Self::LabelSelector | Self::MatchConditions)
    }

    /// Whether the value is a list.
    pub(crate) const fn is_list(&self) -> bool {
        matches!(self, Self::Choices(_) | Self::Managers | Self::List(_))
    }

    /// Whether the value has members, which are merged one by one.
    pub(crate) const fn has_members(&self) -> bool {
        matches!(
            self,
            Self::Annotations | Self::Resources | Self::LabelSelector | Self::MatchConditions | Self::CustomManagers
        )
    }
}

fn one_of(choices: &'static [&'static str]) -> String {
    match choices {
        [only] => (*only).to_owned(),
        _ => format!("one of {}", names(choices).join(", ")),
    }
}

fn names(choices: &'static [&'static str]) -> Vec<&'static str> {
    choices.iter().map(|choice| choice.split('|').next().unwrap_or(choice)).collect()
}

/// Reads a value; nothing given is no value. What is wrong goes to `errors`.
pub(crate) fn read(key: &'static Key, node: &Node, source: &Source, errors: &mut Vec<ConfigError>) -> Option<Value> {
    if matches!(node.value, NodeValue::Null) || matches!(key.kind, Kind::Ignored) {
        return None;
    }
    if key.kind.has_members() {
        return Some(Value::Members(structures::read(key, node, source, errors)));
    }
    if matches!(key.kind, Kind::AccessRules) {
        return Some(Value::Rules(access_rules::read(key, node, source, errors)));
    }
    let read = match &key.kind {
        Kind::Choices(choices) => list(node, |text| choice(choices, text)),
        Kind::Managers => list(node, |text| Ok(manager(text))),
        Kind::List(item) => list(node, |text| item.accepts(text).then(|| text.to_owned()).ok_or(Refused::Kind)),
        _ => match &node.value {
            NodeValue::Scalar(text) => scalar(&key.kind, text).map_err(|refused| vec![(node, refused)]),
            _ => Err(vec![(node, Refused::Kind)]),
        },
    };
    match read {
        Ok(value) => {
            if matches!(key.kind, Kind::Manager | Kind::Managers) {
                errors.extend(missing_managers(key, node, &value, source));
            }
            Some(value)
        }
        Err(wrong) => {
            errors.extend(wrong.into_iter().map(|(node, refused)| {
                let origin = source.at(node.line, node.column);
                ConfigError::new(origin, key.path, refused.message(&key.kind, node))
            }));
            None
        }
    }
}

/// Reads a value from plain text, as flags and variables give it: lists with commas, structures as YAML.
pub(crate) fn read_text(
    key: &'static Key,
    text: &str,
    source: &Source,
    errors: &mut Vec<ConfigError>,
) -> Option<Value> {
    if !key.kind.has_members() && !matches!(key.kind, Kind::AccessRules) {
        return read(key, &Node::scalar(text), source, errors);
    }
    match yaml::parse(text) {
        Ok(node) => read(key, &node, source, errors),
        Err(error) => {
            errors.push(ConfigError::new(source.at(0, 0), key.path, error.message));
            None
        }
    }
}

/// Why a text is refused.
enum Refused {
    /// It is not what the kind accepts.
    Kind,
    /// For this reason.
    Because(String),
}

impl Refused {
    fn message(&self, kind: &Kind, node: &Node) -> String {
        match self {
            Self::Kind => format!("expected {}, got {}", kind.accepted(), node.describe()),
            Self::Because(reason) => reason.clone(),
        }
    }
}

type Wrong<'a> = Vec<(&'a Node, Refused)>;

/// A list, or one text with commas (as Flyte reads it).
fn list(node: &Node, item: impl Fn(&str) -> Result<String, Refused>) -> Result<Value, Wrong<'_>> {
    let texts: Vec<(&Node, &str)> = match &node.value {
        NodeValue::Scalar(text) if text.trim().is_empty() => Vec::new(),
        NodeValue::Scalar(text) => text.split(',').map(|part| (node, part.trim())).collect(),
        NodeValue::List(nodes) => nodes.iter().map(|node| (node, text_of(node))).collect(),
        NodeValue::Null | NodeValue::Map(_) => return Err(vec![(node, Refused::Kind)]),
    };
    if texts.len() > MAX_ITEMS {
        return Err(vec![(node, Refused::Because(format!("a list of more than {MAX_ITEMS}")))]);
    }
    let (mut good, mut wrong) = (Vec::new(), Vec::new());
    for (node, text) in texts {
        match item(text) {
            Ok(value) => good.push(value),
            Err(refused) => wrong.push((node, refused)),
        }
    }
    if wrong.is_empty() { Ok(Value::List(good)) } else { Err(wrong) }
}

/// The text of a scalar; the empty one, which no list takes, for anything else.
fn text_of(node: &Node) -> &str {
    if let NodeValue::Scalar(text) = &node.value { text.trim() } else { "" }
}

fn scalar(kind: &Kind, text: &str) -> Result<Value, Refused> {
    if text.len() > MAX_TEXT {
        return Err(Refused::Because(format!("a text of more than {MAX_TEXT} bytes")));
    }
    let trimmed = text.trim();
    let when = |good: bool, text: &str| if good { Ok(Value::Text(text.to_owned())) } else { Err(Refused::Kind) };
    match kind {
        Kind::Bool => boolean(trimmed),
        Kind::NonEmpty(otherwise) if text.is_empty() => {
            Err(Refused::Because(format!("must not be empty: {otherwise}")))
        }
        Kind::Text | Kind::NonEmpty(_) | Kind::Path => Ok(Value::Text(text.to_owned())),
        Kind::Image => when(!trimmed.is_empty() && !trimmed.contains(char::is_whitespace), trimmed),
        Kind::Name => when(patterns::is_name(trimmed), trimmed),
        Kind::OptionalName => when(trimmed.is_empty() || patterns::is_name(trimmed), trimmed),
        Kind::OptionalNamespacedName => when(trimmed.is_empty() || patterns::is_service_account(trimmed), trimmed),
        Kind::HttpsUrl => when(trimmed.is_empty() || patterns::is_https_url(trimmed), trimmed),
        Kind::Url => when(trimmed.is_empty() || patterns::is_url(trimmed), trimmed),
        Kind::Bytes => when(patterns::bytes(trimmed).is_some_and(|bytes| bytes <= MAX_BYTES), trimmed),
        Kind::Port => number(trimmed, 1, 65_535),
        Kind::PortOrOff => number(trimmed, 0, 65_535),
        Kind::Count => number(trimmed, 0, 1_000_000),
        Kind::Positive => number(trimmed, 1, MAX_POSITIVE),
        Kind::Duration => duration(trimmed, |duration| duration.is_zero() || DURATIONS.contains(&duration)),
        Kind::DurationIn(least, most) => duration(trimmed, |duration| (*least..=*most).contains(&duration)),
        Kind::Seconds => seconds(trimmed),
        Kind::OptionalChoice(_) if trimmed.is_empty() => Ok(Value::Text(String::new())),
        Kind::Choice(choices) | Kind::OptionalChoice(choices) => choice(choices, trimmed).map(Value::Text),
        Kind::Manager => Ok(Value::Text(manager(trimmed))),
        Kind::Choices(_) | Kind::Managers | Kind::List(_) | Kind::Annotations | Kind::CustomManagers => {
            Err(Refused::Kind)
        }
        Kind::Resources | Kind::LabelSelector | Kind::MatchConditions => Err(Refused::Kind),
        Kind::AccessRules | Kind::Ignored => Err(Refused::Kind),
    }
}

/// The spellings of Go's `strconv.ParseBool`, in any case.
fn boolean(text: &str) -> Result<Value, Refused> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "1" => Ok(Value::Bool(true)),
        "false" | "f" | "0" => Ok(Value::Bool(false)),
        _ => Err(Refused::Kind),
    }
}

fn number(text: &str, least: u32, most: u32) -> Result<Value, Refused> {
    let number: Option<u32> = text.parse().ok();
    number.filter(|number| (least..=most).contains(number)).map(Value::Integer).ok_or(Refused::Kind)
}

fn duration(text: &str, accepted: impl Fn(Duration) -> bool) -> Result<Value, Refused> {
    // A bare number is nanoseconds in Flyte: whoever wrote `30` meant something else.
    if let Ok(nanoseconds) = text.parse::<u64>() {
        let duration = Duration::from_nanos(nanoseconds);
        return if accepted(duration) {
            Ok(Value::Duration(duration))
        } else {
            Err(Refused::Because(format!(
                "{text} without a unit is {text} nanoseconds, as in Flyte; write {text}s if seconds are meant"
            )))
        };
    }
    let duration = durations::parse(text).filter(|duration| accepted(*duration));
    duration.map(Value::Duration).ok_or(Refused::Kind)
}

fn seconds(text: &str) -> Result<Value, Refused> {
    let duration = text.parse().ok().map(Duration::from_secs).or_else(|| durations::parse(text));
    let whole =
        duration.filter(|duration| duration.subsec_nanos() == 0 && WEBHOOK_SECONDS.contains(&duration.as_secs()));
    whole.map(Value::Duration).ok_or(Refused::Kind)
}

fn choice(choices: &'static [&'static str], text: &str) -> Result<String, Refused> {
    let known = choices.iter().find(|choice| choice.split('|').any(|name| name.eq_ignore_ascii_case(text)));
    let name = known.and_then(|choice| choice.split('|').next());
    name.map(str::to_owned).ok_or_else(|| {
        let meant = nearest(choices, text).map_or_else(String::new, |name| format!("; did you mean {name}?"));
        Refused::Because(format!("expected {}, got {}{meant}", one_of(choices), Node::scalar(text).describe()))
    })
}

/// The manager that is built in, as it is spelled; every other may be described somewhere.
fn manager(text: &str) -> String {
    choice(MANAGERS, text).unwrap_or_else(|_| text.to_owned())
}

/// An error for each manager that is not built in, in case that nobody describes it.
fn missing_managers(key: &Key, node: &Node, value: &Value, source: &Source) -> Vec<ConfigError> {
    let names = match value {
        Value::Text(name) => std::slice::from_ref(name),
        Value::List(names) => names,
        _ => &[],
    };
    let items = if let NodeValue::List(items) = &node.value { items.as_slice() } else { &[] };
    let missing = names.iter().enumerate().filter(|(_, name)| !MANAGERS.contains(&name.as_str()));
    let error = |(index, name): (usize, &String)| {
        let node = items.get(index).unwrap_or(node);
        let message = match choice(MANAGERS, name) {
            Err(Refused::Because(reason)) => {
                format!("{reason}; other managers are described in webhook.customSecretManagers")
            }
            _ => Refused::Kind.message(&key.kind, node),
        };
        let error = ConfigError::new(source.at(node.line, node.column), key.path, message);
        ConfigError { missing_manager: Some(name.clone()), ..error }
    };
    missing.map(error).collect()
}

fn nearest(choices: &'static [&'static str], text: &str) -> Option<&'static str> {
    let text = text.to_ascii_lowercase();
    let like = |name: &str| strsim::normalized_damerau_levenshtein(&name.to_ascii_lowercase(), &text);
    let best = names(choices).into_iter().max_by(|one, other| like(one).total_cmp(&like(other)))?;
    (like(best) >= 0.5).then_some(best)
}
