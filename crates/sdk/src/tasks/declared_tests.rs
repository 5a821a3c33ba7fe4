#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;

#[test]
fn a_group_or_a_key_is_needed() {
    assert!(Secret::new("g", "k").is_ok() && Secret::new("", "k").is_ok() && Secret::new("g", "").is_ok());
    assert_eq!(Secret::new("", ""), Err(InvalidSecret::NoName));
}

#[test]
fn a_variable_of_the_tasks_choice_has_a_portable_name() {
    let secret = Secret::new("g", "k").unwrap();
    for name in ["A", "_", "_1", "DB_PASSWORD", "A0"] {
        assert_eq!(secret.clone().with_env_var(name).unwrap().env_var(), name);
    }
    for name in ["", "a", "1A", "A-B", "A.B", "A B", "A=B", "Ä", "A\n", "A\0"] {
        let error = secret.clone().with_env_var(name).unwrap_err();
        assert_eq!(error, InvalidSecret::EnvVar(name.to_owned()));
    }
}

#[test]
fn mount_requirements_without_a_name_are_refused() {
    let secret = Secret::new("g", "k").unwrap();
    let error = secret.with_mount_requirement(MountRequirement::from_number(3)).unwrap_err();
    assert!(error.to_string().contains("use ANY, ENV_VAR or FILE"), "{error}");
}

#[test]
fn a_declaration_becomes_the_annotation_of_a_pod() {
    let secret = Secret::new("", "my_key").unwrap();
    assert_eq!(secret.to_annotation().unwrap(), "nnsxsoraejwxsx2lmv3secq");
    assert_eq!(Secret::try_from(annotations::decode("nnsxsoraejwxsx2lmv3secq").unwrap()).unwrap(), secret);
}

#[test]
fn documents_hold_it_in_full_and_are_checked() {
    let document =
        json!({"group": "g", "key": "k", "group_version": "v", "mount_requirement": "ENV_VAR", "env_var": "X"});
    let secret: Secret = serde_json::from_value(document.clone()).unwrap();
    assert_eq!(serde_json::to_value(secret).unwrap(), document);
    let short = json!({"key": "k"});
    assert_eq!(serde_json::to_value(serde_json::from_value::<Secret>(short.clone()).unwrap()).unwrap(), short);
    for wrong in [
        json!({}),
        json!({"key": "k", "env_var": "x"}),
        json!({"key": "k", "mount_requirement": "file"}),
        json!({"key": "k", "value": "x"}),
    ] {
        assert!(serde_json::from_value::<Secret>(wrong.clone()).is_err(), "{wrong}");
    }
}
