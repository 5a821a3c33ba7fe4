//! Names that try to leave their place.

use serde_json::json;

use crate::support::{Service, code, named, secret};

#[tokio::test]
async fn a_name_is_stored_and_found_exactly_or_refused_by_every_method() {
    let service = Service::new();
    let long = "x".repeat(300);
    for name in ["a__b", "__", "_", "a__key__b", "a.b", "...", "A", "a", "-", long.as_str()] {
        service.done("CreateSecret", &secret(name, &format!("value of {name}"))).await;
    }
    for name in ["a__b", "__", "_", "a__key__b", "a.b", "...", "A", "a", "-", long.as_str()] {
        assert_eq!(service.stored(name).unwrap(), format!("value of {name}"));
        assert_eq!(service.done("GetSecret", &named(name)).await["secret"]["id"]["name"], name);
    }
    let before = service.store.list().unwrap();
    service.told();
    let huge = "x".repeat(5000);
    for name in [
        "",
        ".",
        "..",
        "/",
        "../a",
        "a/../b",
        "%2f",
        "a%2fb",
        "a b",
        "ä",
        "日本",
        "a\n",
        "a\u{0}",
        "a:b",
        huge.as_str(),
    ] {
        for method in ["CreateSecret", "UpdateSecret", "GetSecret", "DeleteSecret"] {
            assert_eq!(
                code(&service.call(method, &secret_or_name(method, name)).await),
                "invalid_argument",
                "{method} {name:?}"
            );
        }
    }
    assert_eq!(service.store.list().unwrap(), before);
    assert_eq!(service.told(), 0, "refused before any call");
}

#[tokio::test]
async fn a_scope_whose_encoded_id_means_another_is_refused() {
    let service = Service::new();
    for (domain, project) in
        [("", "p"), ("d__x", ""), ("d", "p__key__a"), ("d_", "p"), ("d", ".."), ("a/b", ""), ("ä", "")]
    {
        let id = json!({"name": "a", "domain": domain, "project": project});
        let answer = service.call("CreateSecret", &json!({"id": id, "secretSpec": {"stringValue": "v"}})).await;
        assert_eq!(code(&answer), "invalid_argument", "{domain:?} {project:?}: {}", answer.1);
    }
    assert!(service.store.list().unwrap().is_empty());
}

fn secret_or_name(method: &str, name: &str) -> serde_json::Value {
    if matches!(method, "CreateSecret" | "UpdateSecret") { secret(name, "v") } else { named(name) }
}
