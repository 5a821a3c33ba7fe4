//! The Secret's form.

use std::time::SystemTime;

use serde_json::Value;

use super::super::timeline::Lifetimes;
use super::*;

fn authorities() -> Vec<Authority> {
    let now = SystemTime::now();
    let mut made = Vec::from_iter((0..2).map(|_| Authority::new(now, &Lifetimes::default()).unwrap()));
    made[0].life.announced = Some(made[0].life.created + std::time::Duration::from_millis(1500));
    made[0].life.retired = Some(Timestamp::now());
    made
}

fn list(secret: &Secret) -> Value {
    serde_json::from_slice(&secret.data.as_ref().unwrap()[LIST].0).unwrap()
}

#[test]
fn what_was_written_is_read_again() {
    let authorities = authorities();
    let secret = write(None, "cas", &authorities);
    let read = read(&secret).unwrap();
    for (read, written) in read.iter().zip(&authorities) {
        assert_eq!(read.life, written.life);
        assert_eq!(read.certificate, written.certificate);
        assert!(read.key.expose_bytes() == written.key.expose_bytes());
    }
    assert_eq!(read.len(), 2);
    assert_eq!(secret.metadata.labels.unwrap()["app.kubernetes.io/managed-by"], "flyte-secrets");
}

#[test]
fn what_others_put_beside_it_stays_and_cas_that_are_gone_go() {
    let authorities = authorities();
    let mut secret = write(None, "cas", &authorities);
    secret.data.as_mut().unwrap().insert("note".to_owned(), ByteString(b"by hand".to_vec()));
    let secret = write(Some(secret), "cas", &authorities[1..]);
    assert_eq!(read(&secret).unwrap().len(), 1);
    assert_eq!(secret.data.unwrap().len(), 4, "the list, a certificate, a key and the note");
}

#[test]
fn an_empty_secret_holds_no_cas() {
    assert!(read(&Secret::default()).unwrap().is_empty());
}

#[test]
fn what_cannot_be_read_is_said_without_repeating_it() {
    let good = write(None, "cas", &authorities());
    let name = list(&good)[0]["name"].as_str().unwrap().to_owned();
    let other = list(&good)[1]["name"].as_str().unwrap().to_owned();
    let with = |key: &str, value: Option<&[u8]>| {
        let mut secret = good.clone();
        let data = secret.data.as_mut().unwrap();
        match value {
            Some(value) => drop(data.insert(key.to_owned(), ByteString(value.to_vec()))),
            None => drop(data.remove(key)),
        }
        read(&secret).unwrap_err()
    };
    let of_other = good.data.as_ref().unwrap()[&format!("{other}.key")].0.clone();
    let cases = [
        (with(LIST, None), "and no authorities.json"),
        (with(LIST, Some(b"planted")), "authorities.json is no list"),
        (with(LIST, Some(br#"[{"name": "ca-1", "created": "yesterday"}]"#)), "ca-1.crt is missing"),
        (with(&format!("{name}.key"), None), ".key is missing"),
        (with(&format!("{name}.key"), Some(b"planted")), "are not a CA's"),
        (with(&format!("{name}.key"), Some(&of_other)), "the key is not that of the certificate"),
        (with(&format!("{name}.crt"), Some(&[0xff])), ".crt is no text"),
        (with(&format!("{name}.crt"), Some(b"planted")), "not one certificate in PEM"),
    ];
    for (told, expected) in cases {
        assert!(told.contains(expected), "{told}");
        assert!(!told.contains("planted"), "{told}");
    }
}

#[test]
fn no_time_and_too_many_cas_are_refused() {
    let good = write(None, "cas", &authorities());
    let with_list = |list: Value| {
        let mut secret = good.clone();
        secret.data.as_mut().unwrap().insert(LIST.to_owned(), ByteString(list.to_string().into_bytes()));
        read(&secret).unwrap_err()
    };
    let mut odd = list(&good);
    odd[0]["created"] = "yesterday".into();
    assert!(with_list(odd).contains("a time of ca-"));
    let many = vec![list(&good)[0].clone(); MOST + 1];
    assert!(with_list(many.into()).contains("more than 16"));
}

#[test]
fn keys_are_not_part_of_what_is_printed() {
    let authorities = authorities();
    let key = authorities[0].key.expose_text().unwrap();
    assert!(!format!("{authorities:?}").contains(key.lines().nth(1).unwrap()));
}
