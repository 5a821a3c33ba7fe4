#![allow(clippy::unwrap_used)]

use super::*;

fn parsed(uri: &str) -> (Backend, Vec<(String, String)>) {
    let Uri { backend, arguments } = Uri::parse(uri).unwrap();
    (backend, arguments)
}

#[test]
fn uris_are_read_as_sqlalchemy_reads_them() {
    for (uri, backend, arguments) in [
        ("postgresql://h/d", Backend::Postgres, &[("host", "h"), ("database", "d")][..]),
        (
            "postgresql+psycopg2://u:p@h:5433/d",
            Backend::Postgres,
            &[("user", "u"), ("password", "p"), ("host", "h"), ("port", "5433"), ("database", "d")],
        ),
        (
            "mysql+pymysql://u%40x:p%2F%3A%20+/?#@h/d?charset=utf8mb4&ssl_ca=%2Fa+b",
            Backend::Mysql,
            &[
                ("user", "u@x"),
                ("password", "p/: +/?#"),
                ("host", "h"),
                ("database", "d"),
                ("charset", "utf8mb4"),
                ("ssl_ca", "/a b"),
            ],
        ),
        (
            "postgresql://u@[::1]:5433/d",
            Backend::Postgres,
            &[("user", "u"), ("host", "::1"), ("port", "5433"), ("database", "d")],
        ),
        ("postgresql:///d?host=/tmp", Backend::Postgres, &[("database", "d"), ("host", "/tmp")]),
        ("postgresql://h/d?options=a@b", Backend::Postgres, &[("host", "h"), ("database", "d"), ("options", "a@b")]),
        (
            "postgresql://u:@h/d%20d",
            Backend::Postgres,
            &[("user", "u"), ("password", ""), ("host", "h"), ("database", "d%20d")],
        ),
        ("mariadb+mysqldb://h", Backend::Mysql, &[("host", "h")]),
        ("sqlite://", Backend::Sqlite, &[("database", ":memory:")]),
        ("sqlite:///", Backend::Sqlite, &[("database", ":memory:")]),
        ("sqlite:///a/b.db", Backend::Sqlite, &[("database", "a/b.db")]),
        ("sqlite+pysqlite:////a/b.db", Backend::Sqlite, &[("database", "/a/b.db")]),
        (
            "sqlite:///file:b.db?mode=ro&uri=true",
            Backend::Sqlite,
            &[("database", "b.db"), ("mode", "ro"), ("uri", "true")],
        ),
    ] {
        let arguments = arguments.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(parsed(uri), (backend, arguments), "{uri}");
    }
}

#[test]
fn what_is_no_uri_is_an_error_that_holds_none_of_it() {
    for (uri, expected) in [
        ("host=h password=planted", "none of SQLAlchemy's"),
        ("Planted-p@ss://h", "the scheme of the URI is not known"),
        ("oracle+cx_oracle://u:planted@h", "the scheme \"oracle+cx_oracle\" is not known"),
        ("sqlite+pysqlcipher://:planted@/f", "the scheme \"sqlite+pysqlcipher\" is not known"),
        ("sqlite://planted.db", "three slashes"),
        ("postgresql://u:planted%ff@h", "not UTF-8"),
    ] {
        let Err(error) = Uri::parse(uri) else { panic!("{uri}") };
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!format!("{error} {error:?}").to_lowercase().contains("planted"), "{error}");
    }
}
