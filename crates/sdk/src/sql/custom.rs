//! The `custom` of a task template, as flytekit's SQLAlchemy plugin serialises it.

use std::collections::BTreeMap;

use flyte_secrets_core::secret::{MountRequirement, Secret};
use serde_json::{Map, Value};
use thiserror::Error;

use super::settings::SqlConfig;

/// A `custom` that is none of a SQLAlchemy task.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`custom` of the task template: `{member}` must be {expected}")]
pub struct CustomError {
    /// The member, as a path.
    pub member: String,
    /// What it must be.
    pub expected: &'static str,
}

/// The query and the configuration in a `custom`. Members that are not known are left alone: other versions may have more.
pub(super) fn parse(custom: &Value) -> Result<(String, SqlConfig), CustomError> {
    let members = custom.as_object().ok_or_else(|| wrong("", "an object"))?;
    let text = |name: &str| members.get(name).and_then(Value::as_str).ok_or_else(|| wrong(name, "a text"));
    let query = unescaped_colons(text("query_template")?);
    let connect_args =
        object(members, "connect_args")?.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let secrets = object(members, "secret_connect_args")?.into_iter();
    let secret_connect_args: Result<BTreeMap<_, _>, _> = secrets
        .map(|(name, value)| Ok((name.clone(), secret(&format!("secret_connect_args.{name}"), value)?)))
        .collect();
    Ok((query, SqlConfig { uri: text("uri")?.to_owned(), connect_args, secret_connect_args: secret_connect_args? }))
}

/// The members of an object that may be missing or null.
fn object<'a>(members: &'a Map<String, Value>, name: &str) -> Result<Vec<(&'a String, &'a Value)>, CustomError> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Object(object)) => Ok(object.iter().collect()),
        Some(_) => Err(wrong(name, "an object or null")),
    }
}

fn secret(path: &str, value: &Value) -> Result<Secret, CustomError> {
    let members = value.as_object().ok_or_else(|| wrong(path, "a secret: an object with group and key"))?;
    let text = |name: &str| match members.get(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(wrong(&format!("{path}.{name}"), "a text")),
    };
    // A number of a protobuf struct is a float.
    let number = match members.get("mount_requirement") {
        None | Some(Value::Null) => 0,
        Some(value) => value
            .as_f64()
            .and_then(|number| [0, 1, 2].into_iter().find(|known| f64::from(*known) == number))
            .ok_or_else(|| wrong(&format!("{path}.mount_requirement"), "0 (ANY), 1 (ENV_VAR) or 2 (FILE)"))?,
    };
    Ok(Secret {
        group: text("group")?,
        key: text("key")?,
        group_version: text("group_version")?,
        mount_requirement: MountRequirement::from_number(number),
        env_var: text("env_var")?,
    })
}

fn wrong(member: &str, expected: &'static str) -> CustomError {
    CustomError { member: member.to_owned(), expected }
}

/// `\:` is how a query of SQLAlchemy's `text()` writes a colon that begins no parameter of its own.
fn unescaped_colons(query: &str) -> String {
    query.replace("\\:", ":")
}

#[cfg(test)]
#[path = "custom_tests.rs"]
mod tests;
