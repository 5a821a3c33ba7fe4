//! What has been put into an object, as JSON patch operations (RFC 6902).

use serde::Serialize;
use serde_json::Value;

use super::path::escaped;

/// One operation of a JSON patch.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Operation {
    /// Something new.
    Add {
        /// Where: a JSON pointer.
        path: String,
        /// What.
        value: Value,
    },
    /// Something else instead of what was there.
    Replace {
        /// Where: a JSON pointer.
        path: String,
        /// What.
        value: Value,
    },
    /// Something goes.
    Remove {
        /// Where: a JSON pointer.
        path: String,
    },
}

/// The operations that make `after` of `before`. Lists that have become shorter are replaced as a whole.
#[must_use]
pub fn difference(before: &Value, after: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    compare(before, after, "", &mut operations);
    operations
}

fn compare(before: &Value, after: &Value, path: &str, operations: &mut Vec<Operation>) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            for name in old.keys().filter(|name| !new.contains_key(*name)) {
                operations.push(Operation::Remove { path: format!("{path}/{}", escaped(name)) });
            }
            for (name, value) in new {
                let path = format!("{path}/{}", escaped(name));
                match old.get(name) {
                    Some(before) => compare(before, value, &path, operations),
                    None => operations.push(Operation::Add { path, value: value.clone() }),
                }
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() <= new.len() => {
            for (index, (before, after)) in old.iter().zip(new).enumerate() {
                compare(before, after, &format!("{path}/{index}"), operations);
            }
            for value in &new[old.len()..] {
                operations.push(Operation::Add { path: format!("{path}/-"), value: value.clone() });
            }
        }
        _ if before == after => {}
        _ => operations.push(Operation::Replace { path: path.to_owned(), value: after.clone() }),
    }
}
