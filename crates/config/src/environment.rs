//! Keys from environment variables.

use crate::keys::{KEYS, Key};
use crate::kinds::{self, Kind};
use crate::origin::Source;
use crate::sections::{Assignment, Read};

/// The value of a variable; one that is set but empty counts as not set.
pub(crate) fn variable<'a>(environment: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let (_, value) = environment.iter().rev().find(|(known, _)| known == name)?;
    (!value.is_empty()).then_some(value.as_str())
}

/// The two names of a key's variable: Flyte's own with the dots, and one that shells can set.
pub(crate) fn names(key: &Key) -> [String; 2] {
    let dotted = key.path.to_ascii_uppercase().replace('-', "_");
    let plain = dotted.replace('.', "_");
    [dotted, plain]
}

/// Reads the variables of all keys.
pub(crate) fn read(environment: &[(String, String)], read: &mut Read) {
    for key in KEYS {
        let [dotted, plain] = names(key);
        let found = variable(environment, &dotted).map(|text| (dotted, text));
        let plain =
            || variable(environment, &plain).filter(|text| !is_service_link(key, text)).map(|text| (plain, text));
        let Some((name, text)) = found.or_else(plain) else { continue };
        let source = Source::Environment(name.into());
        if let Some(value) = kinds::read_text(key, text, &source, &mut read.errors) {
            read.assignments.push(Assignment { key, value, origin: source.at(0, 0) });
        }
    }
}

/// Kubernetes sets `SECRET_SERVER_PORT=tcp://…` in every pod beside a Service called `secret-server`.
fn is_service_link(key: &Key, text: &str) -> bool {
    matches!(key.kind, Kind::Port | Kind::PortOrOff) && text.contains("://")
}
