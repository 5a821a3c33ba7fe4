#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;

fn config(uri: &str, connect_args: Value) -> SqlConfig {
    let connect_args = connect_args.as_object().unwrap().clone().into_iter().collect();
    SqlConfig { uri: uri.to_owned(), connect_args, ..SqlConfig::default() }
}

#[test]
fn an_argument_takes_the_place_of_the_uri_and_a_secret_takes_its_place_under_any_name() {
    let config = config("postgresql://u:p@h/d", json!({"dbname": "other", "port": 5433.0, "sslmode": null}));
    let mut settings = Settings::new(&config).unwrap();
    settings.set_secret("password", &SecretValue::text("looked up".to_owned())).unwrap();
    settings.set_secret("host", &SecretValue::binary(b"bytes".to_vec())).unwrap();
    let texts = [Meaning::User, Meaning::Password, Meaning::Host, Meaning::Port, Meaning::Database, Meaning::SslMode];
    let texts = texts.map(|meaning| settings.text(meaning));
    assert_eq!(texts, [Some("u"), Some("looked up"), Some("bytes"), Some("5433"), Some("other"), None]);
    assert_eq!(settings.target(), "the PostgreSQL database other at (secret):5433");
}

#[test]
fn an_argument_that_is_not_known_is_named_with_the_nearest_one_and_without_its_value() {
    for (uri, argument, expected) in [
        (
            "postgresql://h",
            json!({"ssl_mode": "planted"}),
            "`ssl_mode` is not known for PostgreSQL: did you mean `sslmode`?",
        ),
        ("postgresql://h", json!({"passwort": "planted"}), "did you mean `password`?"),
        ("postgresql://h?qqq=planted", json!({}), "`qqq` is not known for PostgreSQL"),
        ("mysql://h", json!({"ssl": {"cipher": "planted"}}), "`ssl_cipher` is not known for MySQL"),
        ("sqlite://", json!({"check_same_threads": true}), "did you mean `check_same_thread`?"),
        ("postgresql://h", json!({"port": {"a": "planted"}}), "`port` must be a text, a number or a boolean"),
    ] {
        let error = Settings::new(&config(uri, argument)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!format!("{error} {error:?}").contains("planted"), "{error}");
    }
}

#[test]
fn a_secret_for_an_argument_that_is_not_known_is_refused_before_it_is_looked_up() {
    let mut config = config("postgresql://h", json!({}));
    config.secret_connect_args.insert("pasword".to_owned(), Secret::default());
    assert!(Settings::new(&config).unwrap_err().to_string().contains("did you mean `password`?"));
}

#[test]
fn neither_configuration_nor_settings_show_what_is_in_them() {
    let mut config = config("postgresql://u:planted@h", json!({"application_name": "planted"}));
    config.secret_connect_args.insert("password".to_owned(), Secret { key: "k".to_owned(), ..Secret::default() });
    let mut settings = Settings::new(&config).unwrap();
    settings.set_secret("user", &SecretValue::text("planted".to_owned())).unwrap();
    let shown = format!("{config:?} {settings:?} {}", settings.target());
    assert!(!shown.contains("planted"), "{shown}");
    let error = settings.set_secret("password", &SecretValue::binary(vec![0xff])).unwrap_err();
    assert_eq!(error.to_string(), "the connect argument `password` must be text: the secret's value is not UTF-8");
}

#[test]
fn ports_and_times_have_bounds() {
    let with = |argument| Settings::new(&config("postgresql://h", argument)).unwrap();
    for port in [json!(0), json!(65536), json!("x"), json!(-1), json!(1.5)] {
        assert!(with(json!({"port": port})).port().is_err(), "{port}");
    }
    assert_eq!(with(json!({"port": "65535"})).port().unwrap(), Some(65535));
    let seconds = |value: Value| with(json!({"connect_timeout": value})).seconds(Meaning::ConnectTimeout);
    assert_eq!(seconds(json!(1.5)).unwrap(), Some(Duration::from_millis(1500)));
    assert_eq!(seconds(json!("0")).unwrap(), None, "no limit, to the drivers");
    for value in ["-1", "nan", "inf", "3601", "1s"] {
        assert!(seconds(json!(value)).is_err(), "{value}");
    }
}
