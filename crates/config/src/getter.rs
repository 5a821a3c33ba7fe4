//! Reads resolved values by path and kind.

use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::access_rules::AccessRule;
use crate::origin::Origin;
use crate::settings::KubeClientSettings;
use crate::typed::Values;
use crate::values::{Member, Value, nested};

/// The variant of a name that a `Choice` accepted.
pub(crate) fn named<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_value(Json::from(name)).expect("the names in the table of keys are those of the types")
}

/// Reads values by path and kind. A path that is not in the table, or of another kind, reads as not
/// set: the tests hold every setting against its default.
#[derive(Clone, Copy)]
pub(crate) struct Getter<'a>(pub(crate) &'a Values);

impl<'a> Getter<'a> {
    fn value(&self, path: &str) -> Option<&'a Value> {
        self.0.get(path).and_then(|resolved| resolved.value.as_ref())
    }

    pub(crate) fn origin(&self, path: &str) -> Origin {
        self.0.get(path).map_or(Origin::Default, |resolved| resolved.origin.clone())
    }

    pub(crate) fn text(&self, path: &str) -> String {
        self.optional_text(path).unwrap_or_default()
    }

    /// `None` where it is empty.
    pub(crate) fn optional_text(&self, path: &str) -> Option<String> {
        match self.value(path) {
            Some(Value::Text(text)) if !text.is_empty() => Some(text.clone()),
            _ => None,
        }
    }

    pub(crate) fn bool(&self, path: &str) -> bool {
        matches!(self.value(path), Some(Value::Bool(true)))
    }

    pub(crate) fn integer(&self, path: &str) -> Option<u32> {
        if let Some(Value::Integer(number)) = self.value(path) { Some(*number) } else { None }
    }

    pub(crate) fn port(&self, path: &str) -> u16 {
        let port = self.integer(path).unwrap_or_default();
        u16::try_from(port).expect("ports are read as at most 65535")
    }

    pub(crate) fn duration(&self, path: &str) -> Option<Duration> {
        if let Some(Value::Duration(duration)) = self.value(path) { Some(*duration) } else { None }
    }

    /// A number that always has one.
    pub(crate) fn count(&self, path: &str) -> u32 {
        self.integer(path).unwrap_or_default()
    }

    /// `None` where it is empty.
    pub(crate) fn path(&self, path: &str) -> Option<PathBuf> {
        self.optional_text(path).map(PathBuf::from)
    }

    pub(crate) fn list(&self, path: &str) -> Vec<String> {
        if let Some(Value::List(list)) = self.value(path) { list.clone() } else { Vec::new() }
    }

    pub(crate) fn rules(&self, path: &str) -> Vec<AccessRule> {
        if let Some(Value::Rules(rules)) = self.value(path) { rules.clone() } else { Vec::new() }
    }

    pub(crate) fn structure(&self, path: &str) -> Json {
        if let Some(Value::Members(members)) = self.value(path) { nested(members) } else { nested(&[]) }
    }

    /// The members of a structure.
    pub(crate) fn members(&self, path: &str) -> &'a [Member] {
        if let Some(Value::Members(members)) = self.value(path) { members } else { &[] }
    }

    pub(crate) fn named<T: DeserializeOwned>(&self, path: &str) -> T {
        named(&self.text(path))
    }

    /// The limits at `path`; `otherwise` for each that is 0 or not set.
    pub(crate) fn kube_client(&self, path: &str, otherwise: KubeClientSettings) -> KubeClientSettings {
        let number = |name: &str| self.integer(&format!("{path}.{name}")).filter(|number| *number != 0);
        let timeout = self.duration(&format!("{path}.timeout")).filter(|timeout| !timeout.is_zero());
        KubeClientSettings {
            qps: number("qps").unwrap_or(otherwise.qps),
            burst: number("burst").unwrap_or(otherwise.burst),
            timeout: timeout.unwrap_or(otherwise.timeout),
        }
    }
}
