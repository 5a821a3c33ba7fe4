//! Kubernetes' LabelSelector, evaluated here: whom would the API server select?
//! (<https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors>)

use std::collections::BTreeMap;

use serde_json::Value;

/// Labels of an object.
pub(super) type Labels = BTreeMap<String, String>;

/// Whether `selector` selects something with these labels; an absent or empty one selects everything. What is no
/// selector selects nothing.
pub(super) fn selects(selector: &Value, labels: &Labels) -> bool {
    let mut exact = selector["matchLabels"].as_object().into_iter().flatten();
    let mut expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    exact.all(|(key, value)| labels.get(key).map(String::as_str) == value.as_str())
        && expressions.all(|expression| expression_fits(expression, labels))
}

/// Whether the selector speaks of this label at all.
pub(super) fn mentions(selector: &Value, label: &str) -> bool {
    let mut expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    selector["matchLabels"].get(label).is_some() || expressions.any(|expression| expression["key"] == label)
}

fn expression_fits(expression: &Value, labels: &Labels) -> bool {
    let label = expression["key"].as_str().and_then(|key| labels.get(key));
    let values = || expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str);
    match expression["operator"].as_str() {
        Some("In") => label.is_some_and(|label| values().any(|value| value == label)),
        Some("NotIn") => label.is_none_or(|label| values().all(|value| value != label)),
        Some("Exists") => label.is_some(),
        Some("DoesNotExist") => label.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_selector_selects_what_the_api_server_would() {
        let a = labels(&[("a", "1"), ("b", "2")]);
        let expression = |key: &str, operator: &str, values: &[&str]| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        for (selector, selected) in [
            (Value::Null, true),
            (json!({}), true),
            (json!({"matchLabels": {"a": "1"}}), true),
            (json!({"matchLabels": {"a": "1", "b": "3"}}), false),
            (json!({"matchLabels": {"c": "1"}}), false),
            (expression("a", "In", &["0", "1"]), true),
            (expression("a", "In", &["0"]), false),
            (expression("c", "In", &["0"]), false),
            (expression("a", "NotIn", &["0"]), true),
            (expression("a", "NotIn", &["1"]), false),
            (expression("c", "NotIn", &["1"]), true),
            (expression("a", "Exists", &[]), true),
            (expression("c", "Exists", &[]), false),
            (expression("c", "DoesNotExist", &[]), true),
            (expression("a", "DoesNotExist", &[]), false),
            (expression("a", "Newer", &[]), false),
            (json!({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "DoesNotExist"}]}), false),
        ] {
            assert_eq!(selects(&selector, &a), selected, "{selector}");
        }
    }

    #[test]
    fn a_selector_mentions_the_labels_that_it_compares() {
        assert!(mentions(&json!({"matchLabels": {"a": "1"}}), "a"));
        assert!(mentions(&json!({"matchExpressions": [{"key": "a", "operator": "Exists"}]}), "a"));
        assert!(!mentions(&json!({"matchLabels": {"b": "1"}}), "a"));
        assert!(!mentions(&Value::Null, "a"));
    }
}
