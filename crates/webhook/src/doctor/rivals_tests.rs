use serde_json::json;

use super::super::check::Level;
use super::super::test_installation::{ids, installation};
use super::*;
use crate::kubernetes::{ApiErrorKind, Verb};

fn webhook(name: &str, service: &str, object_selector: Value, namespace_selector: Value) -> Value {
    json!({"metadata": {"name": service}, "webhooks": [{
        "name": name,
        "clientConfig": {"service": {"namespace": "flyte", "name": service}},
        "objectSelector": object_selector,
        "namespaceSelector": namespace_selector,
    }]})
}

fn ours_label() -> Value {
    json!({"matchLabels": {"inject-flyte-secrets": "true"}})
}

fn namespaces() -> Namespaces {
    let team = |team: &str| Labels::from([("team".to_owned(), team.to_owned())]);
    Namespaces::from([("a".to_owned(), team("a")), ("b".to_owned(), team("b"))])
}

fn judged(other: Value, ours_selects: Value, namespaces: Result<Namespaces, ApiError>) -> Vec<(Id, Level)> {
    let mut ours = desired(&installation().registration, None);
    ours["webhooks"][0]["namespaceSelector"] = ours_selects;
    let configurations = Configurations { ours: Ok(Some(ours.clone())), all: Ok(vec![ours, other]) };
    ids(&judge(&installation(), &configurations, &namespaces))
}

#[test]
fn only_a_webhook_for_our_pods_at_another_server_in_one_of_our_namespaces_is_in_the_way() {
    let everything = json!({});
    let team = |team: &str| json!({"matchLabels": {"team": team}});
    let none = (Id::RivalsNone, Level::Ok);
    let active = (Id::RivalsActive, Level::Error);
    let elsewhere = (Id::RivalsElsewhere, Level::Info);
    for (what, other, ours_selects, expected) in [
        ("Flyte 2's own", webhook(WEBHOOK_NAME, "flyte", ours_label(), everything.clone()), everything.clone(), active),
        ("any name", webhook("x.example.com", "x", ours_label(), everything.clone()), everything.clone(), active),
        ("in one namespace", webhook("x.example.com", "x", ours_label(), team("a")), everything.clone(), active),
        ("in another namespace", webhook("x.example.com", "x", ours_label(), team("a")), team("b"), elsewhere),
        ("in no namespace", webhook(WEBHOOK_NAME, "flyte", ours_label(), team("c")), everything.clone(), elsewhere),
        ("for all pods", webhook("x.example.com", "x", json!({}), everything.clone()), everything.clone(), none),
        ("our server", webhook("x.example.com", "hook", ours_label(), everything.clone()), everything.clone(), none),
        (
            "for pods without our label",
            webhook(
                "x.example.com",
                "x",
                json!({"matchExpressions": [{"key": "inject-flyte-secrets", "operator": "DoesNotExist"}]}),
                everything.clone(),
            ),
            everything.clone(),
            none,
        ),
    ] {
        assert_eq!(judged(other, ours_selects, Ok(namespaces())), [expected], "{what}");
    }
}

#[test]
fn where_namespaces_may_not_be_listed_a_selector_is_in_doubt() {
    let forbidden = || {
        let object = core("namespaces", None, "");
        Err(ApiError { verb: Verb::List, object, kind: ApiErrorKind::Forbidden, message: String::new() })
    };
    let everywhere = webhook("x.example.com", "x", ours_label(), json!({}));
    assert_eq!(judged(everywhere, json!({}), forbidden()), [(Id::RivalsActive, Level::Error)]);
    let some = webhook("x.example.com", "x", ours_label(), json!({"matchLabels": {"team": "a"}}));
    assert_eq!(judged(some, json!({}), forbidden()), [(Id::RivalsElsewhere, Level::Warning)]);
}

#[test]
fn the_remedy_is_a_line_of_flyte_2s_configuration() {
    assert!(FLYTE_2.contains("webhook: {namespaceSelector: {matchLabels:"));
}
