#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn id(name: &str) -> SecretId {
    SecretId { name: name.to_owned(), ..SecretId::default() }
}

#[test]
fn odd_names_are_encoded_in_one_segment() {
    for (name, expected) in [
        ("a/b", "a%2Fb"),
        ("..", ".."),
        ("../../x", "..%2F..%2Fx"),
        ("%2f", "%252f"),
        ("%2e%2e", "%252e%252e"),
        ("a?b#c", "a%3Fb%23c"),
        ("a\nb\t\0", "a%0Ab%09%00"),
        ("ü", "%C3%BC"),
        ("a b+c", "a%20b%2Bc"),
        ("a;b=c&d", "a%3Bb%3Dc%26d"),
        ("a\\b", "a%5Cb"),
    ] {
        assert_eq!(encoded_segment(&id(name)), format!("u__org____domain____project____key__{expected}"), "{name}");
    }
}

proptest! {
    #[test]
    fn every_id_is_one_segment_of_a_url_and_comes_back_from_it(org in ".*", project in ".*", name in ".*") {
        let id = SecretId { org, domain: String::new(), project, name };
        let url = Url::parse(&format!("https://h/v1/secrets/{}", encoded_segment(&id))).unwrap();
        let segments: Vec<_> = url.path_segments().unwrap().collect();
        prop_assert_eq!(&segments[..2], ["v1", "secrets"]);
        prop_assert_eq!(segments.len(), 3);
        prop_assert!(url.query().is_none() && url.fragment().is_none());
        let decoded = percent_encoding::percent_decode_str(segments[2]).decode_utf8().unwrap();
        prop_assert_eq!(decoded, id.to_string());
    }
}

#[test]
fn an_address_is_https_or_http_and_nothing_but_an_address() {
    for (address, expected) in [
        ("https://vault:8200", "https://vault:8200/"),
        ("https://vault:8200/", "https://vault:8200/"),
        ("https://h/team/a/", "https://h/team/a"),
        ("http://127.0.0.1:8200", "http://127.0.0.1:8200/"),
        (" https://h\n", "https://h/"),
    ] {
        assert_eq!(base_url("address", address).unwrap().as_str(), expected);
    }
    for address in ["", "vault:8200", "vault", "ftp://h", "https://u:hunter2@h", "https://h?x", "https://h#x", "/x"] {
        let error = base_url("address", address).unwrap_err();
        assert!(error.to_string().starts_with("address: "), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn a_path_of_the_settings_keeps_its_segments() {
    for (path, expected) in [("", ""), ("secret", "secret"), ("team/kv", "team/kv"), ("a b/c%", "a%20b/c%25")] {
        assert_eq!(encoded_path("mount", path).unwrap(), expected);
    }
    for path in ["/", "/a", "a/", "a//b", ".", "a/../b", "a\nb"] {
        assert!(encoded_path("mount", path).is_err(), "{path}");
    }
}
