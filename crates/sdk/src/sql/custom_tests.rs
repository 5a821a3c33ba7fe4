#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;

#[test]
fn what_flytekit_serialises_is_read() {
    let custom = json!({
        "query_template": "SELECT '{{ .inputs.a }}', 1\\::int",
        "uri": "postgresql://h/d",
        "connect_args": {"port": 5432.0},
        "secret_connect_args": {
            "password": {"group": "g", "key": "k", "group_version": "v", "mount_requirement": 2.0},
            "user": {"group": "g", "key": "u", "group_version": null, "mount_requirement": 0},
        },
    });
    let (query, config) = parse(&custom).unwrap();
    assert_eq!(query, "SELECT '{{ .inputs.a }}', 1::int");
    assert_eq!((config.uri.as_str(), &config.connect_args["port"]), ("postgresql://h/d", &json!(5432.0)));
    let password = &config.secret_connect_args["password"];
    assert_eq!(password.to_string(), r#"group:"g" group_version:"v" key:"k" mount_requirement:FILE"#);
    assert_eq!(config.secret_connect_args["user"].to_string(), r#"group:"g" key:"u""#);
}

#[test]
fn members_that_may_be_missing_may_be_null() {
    for secrets in [json!(null), json!({})] {
        let custom =
            json!({"query_template": "q", "uri": "u", "connect_args": null, "secret_connect_args": secrets, "new": 1});
        assert!(parse(&custom).unwrap().1.secret_connect_args.is_empty());
    }
}

#[test]
fn a_member_of_another_type_is_named() {
    let secret = |secret| json!({"query_template": "q", "uri": "u", "secret_connect_args": {"password": secret}});
    for (custom, member) in [
        (json!([]), ""),
        (json!({"uri": "u"}), "query_template"),
        (json!({"query_template": "q"}), "uri"),
        (json!({"query_template": "q", "uri": "u", "connect_args": []}), "connect_args"),
        (secret(json!("planted")), "secret_connect_args.password"),
        (secret(json!({"group": 1})), "secret_connect_args.password.group"),
        (secret(json!({"mount_requirement": 1.5})), "secret_connect_args.password.mount_requirement"),
    ] {
        let error = parse(&custom).unwrap_err();
        assert_eq!(error.member, member);
        assert!(!error.to_string().contains("planted"));
    }
}
