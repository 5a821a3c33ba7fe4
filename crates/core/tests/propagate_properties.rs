//! Properties of passing requests on, for any JSON.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;

use flyte_secrets_core::Secret;
use flyte_secrets_core::annotations::PREFIX;
use flyte_secrets_core::propagate::{KINDS, Place, PodMetadata, difference, propagate};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Names that the paths of the table go through, and others.
fn name() -> impl Strategy<Value = String> {
    let of_table: Vec<String> = KINDS
        .iter()
        .flat_map(|row| row.places)
        .flat_map(|place| place.to_string().split(['.', '[', ']', '=']).map(str::to_owned).collect::<Vec<_>>())
        .chain(
            ["metadata", "labels", "annotations", "flyte.secrets/s0", "flyte.secrets/s7", "a/b~c"].map(str::to_owned),
        )
        .collect();
    prop_oneof![8 => proptest::sample::select(of_table), 1 => "[a-z~/]{0,4}"]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(8, 32, 5, |inner| {
        prop_oneof![
            1 => proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            3 => proptest::collection::vec((name(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// An object of a kind of the table. Members on the way to its pods are there, and anything else beside them.
fn object() -> impl Strategy<Value = Value> {
    (proptest::sample::select(KINDS.iter().collect::<Vec<_>>()), any_json(), any_json()).prop_map(|(row, rest, pod)| {
        let mut object = if rest.is_object() { rest } else { json!({}) };
        for place in row.places {
            grow(&mut object, &place.to_string(), &pod);
        }
        if let Some(member) = row.only_with {
            grow(&mut object, &format!("spec.{member}[]"), &pod);
        }
        let version = if row.group.is_empty() { "v1".to_owned() } else { format!("{}/v1", row.group) };
        object["apiVersion"] = version.into();
        object["kind"] = row.kind.into();
        object
    })
}

/// Puts something where a path leads, as far as its way is free.
fn grow(object: &mut Value, path: &str, leaf: &Value) {
    let (step, rest) = path.split_once('.').unwrap_or((path, ""));
    let Some(members) = object.as_object_mut().filter(|_| !step.is_empty() && !step.contains(' ')) else { return };
    let (name, list) = step.split_once('[').map_or((step, false), |(name, _)| (name, true));
    let member = members
        .entry(if name == "*" { "Worker" } else { name })
        .or_insert_with(|| if list { json!([{}]) } else { Value::Object(Map::new()) });
    let member = if list { member.get_mut(0) } else { Some(member) };
    match member {
        Some(member) if rest.is_empty() => *member = leaf.clone(),
        Some(member) => grow(member, rest, leaf),
        None => {}
    }
}

fn metadata() -> impl Strategy<Value = PodMetadata> {
    let map = || proptest::collection::btree_map("[a-c]", "[a-z]{0,3}", 0..3);
    (map(), map(), 0..3usize).prop_map(|(labels, annotations, requests)| {
        let secret = |number| Secret { key: format!("key{number}"), ..Secret::default() };
        let requests: Vec<_> = (0..requests).map(secret).collect();
        PodMetadata::asking_for(&requests).unwrap().and(PodMetadata { labels, annotations })
    })
}

/// The value without what may have been written at these places.
fn without(value: &Value, metadata: &PodMetadata, places: &[String]) -> Value {
    let mut value = value.clone();
    for place in places {
        for inner in ["", "/metadata"] {
            for (member, written) in [("labels", &metadata.labels), ("annotations", &metadata.annotations)] {
                strip(&mut value, &format!("{place}{inner}"), member, written, metadata.asks());
            }
        }
    }
    empty_is_nothing(&mut value);
    value
}

fn strip(value: &mut Value, holder: &str, member: &str, written: &BTreeMap<String, String>, asks: bool) {
    let Some(members) =
        value.pointer_mut(holder).and_then(|holder| holder.get_mut(member)).and_then(Value::as_object_mut)
    else {
        return;
    };
    members.retain(|name, _| !(written.contains_key(name) || (asks && name.starts_with(PREFIX))));
}

/// Members that were made only to hold what was written are nothing without it.
fn empty_is_nothing(value: &mut Value) {
    match value {
        Value::Array(elements) => {
            elements.iter_mut().for_each(empty_is_nothing);
            elements.retain(|element| !is_empty(element));
        }
        Value::Object(members) => {
            members.values_mut().for_each(empty_is_nothing);
            members.retain(|_, member| !is_empty(member));
            // The names by which a made element of a list is found.
            let made = [("manager", "flyte.org/secrets"), ("name", "node")];
            if members.len() == 1 && made.iter().any(|(name, value)| members.get(*name) == Some(&json!(value))) {
                members.clear();
            }
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

proptest! {
    #[test]
    fn a_second_call_changes_nothing(object in object(), metadata in metadata()) {
        let mut once = object;
        if let Ok(places) = propagate(&mut once, &metadata, &[]) {
            let mut twice = once.clone();
            prop_assert_eq!(propagate(&mut twice, &metadata, &[]).unwrap(), places);
            prop_assert_eq!(twice.to_string(), once.to_string());
        }
    }

    #[test]
    fn nothing_else_is_touched_and_nothing_at_all_on_an_error(object in object(), metadata in metadata()) {
        let mut after = object.clone();
        match propagate(&mut after, &metadata, &[]) {
            Ok(places) => prop_assert_eq!(without(&after, &metadata, &places), without(&object, &metadata, &places)),
            Err(_) => prop_assert_eq!(after, object),
        }
    }

    #[test]
    fn the_difference_is_a_patch_from_one_to_the_other(before in any_json(), after in any_json()) {
        let operations = serde_json::to_value(difference(&before, &after)).unwrap();
        let patch: json_patch::Patch = serde_json::from_value(operations).unwrap();
        let mut patched = before;
        json_patch::patch(&mut patched, &patch).unwrap();
        prop_assert_eq!(patched, after);
    }

    #[test]
    fn no_path_and_no_json_make_it_panic(object in any_json(), path in "[a-b.\\*\\[\\]=]{0,12}", metadata in metadata()) {
        let mut after = object;
        let places: Vec<_> = [Place::template(&path), Place::metadata(&path)].into_iter().flatten().collect();
        let _ = propagate(&mut after, &metadata, &places);
        let _ = PodMetadata::of(&after);
    }
}

#[test]
fn most_of_the_objects_that_are_made_up_here_have_pods() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let served = (0..200).filter(|_| {
        let mut object = object().new_tree(&mut runner).unwrap().current();
        propagate(&mut object, &PodMetadata::asking_for(&[]).unwrap(), &[]).is_ok()
    });
    assert!(served.count() > 60);
}
