//! What is wrong with JSON that cannot be read, in words that name the member and never repeat what stands there: a
//! pod of a later pass holds values.

use serde::Deserialize;
use serde_json::error::Category;

use crate::admission::wording::plain;

/// The longest path to a member, in bytes.
const MAX_PATH: usize = 512;

/// Why `json` is no `T`.
pub(super) fn problem<'a, T: Deserialize<'a>>(json: &'a [u8]) -> String {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    // Read once more, with an eye on the way: the first reading is the quick one.
    let (path, error) = match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Ok(_) => return deserializer.end().map_or_else(|error| error.to_string(), |()| String::new()),
        Err(error) => (plain(&error.path().to_string(), MAX_PATH), error.into_inner()),
    };
    if error.classify() != Category::Data {
        return format!("no JSON: {error}");
    }
    let message = error.to_string();
    let (message, place) = message.rfind(" at line ").map_or((&*message, ""), |at| message.split_at(at));
    let what = mistaken(message).unwrap_or_else(|| message.to_owned());
    if path == "." { format!("{what}{place}") } else { format!("{path}: {what}{place}") }
}

/// `invalid type: string "hunter2", expected a sequence` without what was found: `a string stands where a list belongs`.
fn mistaken(message: &str) -> Option<String> {
    let rest = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "))?;
    let (found, expected) = rest.rsplit_once(", expected ")?;
    let found = match found.split([' ', '`', '"']).next().unwrap_or_default() {
        "sequence" => "a list",
        "map" => "an object",
        "string" => "a string",
        "integer" | "floating" => "a number",
        "boolean" => "true or false",
        "null" => "null",
        _ => "something else",
    };
    let expected = match expected {
        "a sequence" => "a list",
        "a boolean" => "true or false",
        "a string" => "a string",
        _ => "an object",
    };
    Some(format!("{found} stands where {expected} belongs"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use flyte_secrets_core::outline::PodOutline;

    use super::*;

    fn of_pod(json: &str) -> String {
        problem::<PodOutline<'_>>(json.as_bytes())
    }

    #[test]
    fn the_member_is_named_and_what_stands_there_is_not() {
        for (json, expected) in [
            (
                r#"{"spec":{"containers":[{},{"env":"hunter2"}]}}"#,
                "spec.containers[1].env: a string stands where a list belongs",
            ),
            (r#"{"metadata":{"labels":{"a":5}}}"#, "metadata.labels.a: a number stands where a string belongs"),
            (r#"{"spec":{"volumes":[null]}}"#, "spec.volumes[0]: null stands where an object belongs"),
            (r#"{"metadata":[1]}"#, "metadata: a list stands where an object belongs"),
            (r#"{"metadata":{"labels":true}}"#, "metadata.labels: true or false stands where an object belongs"),
            ("5", "a number stands where an object belongs"),
            ("{} x", "trailing characters"),
            (r#"{"spec""#, "no JSON: EOF while parsing an object"),
            (r#"{"spec":{},"spec":{}}"#, "duplicate field `spec`"),
        ] {
            let found = of_pod(json);
            let (what, place) = found.split_once(" at line ").unwrap();
            assert_eq!(what, expected, "{json}");
            assert!(place.starts_with("1 column "), "{place}");
        }
    }

    #[test]
    fn a_text_that_looks_like_our_words_is_not_repeated_either() {
        let found = of_pod(r#"{"spec":", expected hunter2 at line 7"}"#);
        assert_eq!(found, "spec: a string stands where an object belongs at line 1 column 38");
    }
}
