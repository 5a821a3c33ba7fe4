#![allow(clippy::unwrap_used)]

use super::binary::cell;
use super::*;

#[test]
fn options_are_taken_apart_as_libpq_does() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    for (options, pairs) in [
        ("", vec![]),
        ("-c geqo=off", vec![pair("geqo", "off")]),
        ("-cgeqo=off  --work_mem=1MB", vec![pair("geqo", "off"), pair("work_mem", "1MB")]),
        (r"-c search_path=a,\ b\\", vec![pair("search_path", r"a, b\")]),
    ] {
        assert_eq!(server_options(options), Some(pairs), "{options}");
    }
    for options in ["-c", "geqo=off", "-c geqo", "-x a=b", "-c a=b\\"] {
        assert_eq!(server_options(options), None, "{options}");
    }
}

#[test]
fn malformed_values_are_errors() {
    for (kind, name, bytes) in [
        (Type::Boolean, "BOOL", &[][..]),
        (Type::Integer, "INT4", &[1, 2, 3]),
        (Type::Text, "NUMERIC", &[0, 1, 0, 0, 0, 0, 0, 0]),
        (Type::Text, "NUMERIC", &[0, 0, 0, 0, 0x12, 0x34, 0, 0]),
        (Type::Text, "UUID", &[0; 15]),
        (Type::Text, "JSONB", b"\x02{}"),
        (Type::Text, "TEXT", &[0xff]),
        (Type::Date, "DATE", &[0; 8]),
    ] {
        assert!(cell(kind, name, bytes).is_err(), "{name}: {bytes:?}");
    }
}

#[test]
fn dates_at_the_ends_of_the_range_are_infinities() {
    assert!(cell(Type::Date, "DATE", &i32::MAX.to_be_bytes()).is_err());
    assert!(cell(Type::Date, "DATE", &i32::MIN.to_be_bytes()).is_err());
    assert!(cell(Type::Timestamp, "TIMESTAMP", &i64::MIN.to_be_bytes()).is_err());
    assert!(
        cell(Type::Timestamp, "TIMESTAMP", &(i64::MAX - 1).to_be_bytes()).is_err(),
        "no infinity, and too far away"
    );
    assert!(matches!(cell(Type::Date, "DATE", &[0; 4]), Ok(Cell::Date(10_957))));
}
