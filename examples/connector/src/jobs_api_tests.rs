#![allow(clippy::unwrap_used)]

use super::*;

fn key(value: &str) -> Option<Bearer> {
    Bearer::of(&SecretString::from(value.to_owned()))
}

fn raw(body: &str) -> Raw {
    Raw { status: StatusCode::FORBIDDEN, body: body.as_bytes().to_vec() }
}

#[test]
fn a_key_is_one_line_of_characters_that_headers_can_hold() {
    let bearer = key("token\r\n").unwrap();
    assert_eq!(bearer.header.to_str().unwrap(), "Bearer token");
    assert!(bearer.is(&key("token").unwrap()));
    for wrong in ["", "\n", "a\nb", "a\0"] {
        assert!(key(wrong).is_none(), "{wrong:?}");
    }
}

#[test]
fn a_header_does_not_print_the_key() {
    let bearer = key("planted").unwrap();
    assert!(!format!("{:?}", bearer.header).contains("planted"));
}

#[test]
fn little_is_repeated_of_an_answer_and_never_the_key() {
    let key = key("planted").unwrap();
    for (body, said) in [
        (r#"{"reason": "Forbidden", "message": "no\nway"}"#, "Forbidden no way"),
        (r#"{"message": "you sent planted"}"#, "no reason given"),
        ("<html>planted</html>", "no reason given"),
        ("", "no reason given"),
    ] {
        assert_eq!(raw(body).said(&key), said);
    }
    let long = format!(r#"{{"message": "{}"}}"#, "x".repeat(10_000));
    assert_eq!(raw(&long).said(&key).len(), MAX_SAID);
}

#[test]
fn keys_travel_over_tls_or_stay_on_this_machine() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    for (url, taken) in [
        ("https://example.com", true),
        ("http://127.0.0.1:8001", true),
        ("http://example.com", false),
        ("https://user:password@example.com", false),
        ("https://example.com/?key=v", false),
        ("ftp://example.com", false),
    ] {
        assert_eq!(JobsApi::new(&url.parse().unwrap(), None).is_ok(), taken, "{url}");
    }
}
