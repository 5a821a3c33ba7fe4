//! A request as Flyte's control plane writes it.

use std::fmt::Write as _;

use crate::secret::{MountRequirement, Secret};

/// Writes a request: one `field: value` a line, empty fields left out, everything but printable ASCII escaped.
///
/// Any request can be written; a mount requirement without a name is written as its number.
#[must_use]
pub fn write(secret: &Secret) -> String {
    let Secret { group, group_version, key, mount_requirement, env_var } = secret;
    let mut text = String::new();
    string(&mut text, "group", group);
    string(&mut text, "group_version", group_version);
    string(&mut text, "key", key);
    if *mount_requirement != MountRequirement::ANY {
        text += &format!("mount_requirement: {mount_requirement}\n");
    }
    string(&mut text, "env_var", env_var);
    text
}

fn string(text: &mut String, field: &str, value: &str) {
    if value.is_empty() {
        return;
    }
    text.reserve(field.len() + value.len() + 5);
    text.extend([field, ": \""]);
    value.bytes().for_each(|byte| escape(text, byte));
    text.push_str("\"\n");
}

fn escape(text: &mut String, byte: u8) {
    match byte {
        b'\n' => text.push_str("\\n"),
        b'\r' => text.push_str("\\r"),
        b'\t' => text.push_str("\\t"),
        b'"' => text.push_str("\\\""),
        b'\\' => text.push_str("\\\\"),
        b' '..=b'~' => text.push(char::from(byte)),
        _ => write!(text, "\\{byte:03o}").expect("writing to a String cannot fail"),
    }
}
