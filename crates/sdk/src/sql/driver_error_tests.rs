#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn a_looked_up_value_is_left_out_in_every_form_that_servers_quote_it_in() {
    let secret = || [SecretString::from(r#"p'w"d\ x"#.to_owned())];
    for message in [r#"p'w"d\ x"#, r#"p''w"d\ x"#, r#"p'w""d\ x"#, r#"p\'w"d\\ x"#, r#"p'w\"d\\ x"#] {
        assert_eq!(shown(&format!("<{message}>"), &secret()), "<…>");
    }
}

#[test]
fn with_a_short_value_there_are_no_words() {
    let secrets = [SecretString::from("ab".to_owned()), SecretString::from(String::new())];
    assert_eq!(shown("a table", &secrets), "(the server's words hold a looked-up value)");
    assert_eq!(shown("nothing", &secrets), "nothing");
}

#[test]
fn messages_are_one_line_and_short() {
    assert_eq!(shown("a\nb\u{1b}[31m", &[]), "a b [31m");
    assert_eq!(shown(&"x".repeat(1000), &[]).len(), MAX_MESSAGE);
}

#[test]
fn a_certificate_error_is_found_wherever_the_driver_puts_it() {
    let certificate = || rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
    for error in [
        sqlx::Error::Tls(Box::new(certificate())),
        sqlx::Error::Io(io::Error::new(io::ErrorKind::InvalidData, certificate())),
    ] {
        assert!(no_connection(&error).contains("not from a CA that is trusted"));
    }
    assert!(!no_connection(&sqlx::Error::Io(io::ErrorKind::ConnectionRefused.into())).contains("CA"));
}

#[test]
fn the_drivers_words_are_never_in_an_error() {
    for error in [
        sqlx::Error::Protocol("planted".to_owned()),
        sqlx::Error::Configuration("planted".into()),
        sqlx::Error::Tls("planted".into()),
        sqlx::Error::Io(io::Error::other("planted")),
        sqlx::Error::Encode("planted".into()),
        sqlx::Error::Decode("planted".into()),
        sqlx::Error::InvalidArgument("planted".to_owned()),
    ] {
        for backend in [Backend::Sqlite, Backend::Postgres, Backend::Mysql] {
            let errors = [
                connect(&error, backend, "it".to_owned()),
                statement(&error, backend, &[], true),
                execution(&error, backend, &[], &[]),
            ];
            let shown = format!("{errors:?} {} {} {}", errors[0], errors[1], errors[2]);
            assert!(!shown.contains("planted"), "{shown}");
        }
    }
}
