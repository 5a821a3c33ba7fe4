#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

#[test]
fn text_is_stripped_of_what_python_calls_white_space() {
    let stripped: Vec<u32> = ('\0'..=char::MAX).filter(|c| strip(&c.to_string()).is_empty()).map(u32::from).collect();
    let mut expected: Vec<u32> = (0x09..=0x0d).chain(0x1c..=0x20).chain([0x85, 0xa0, 0x1680]).collect();
    expected.extend((0x2000..=0x200a).chain([0x2028, 0x2029, 0x202f, 0x205f, 0x3000]));
    assert_eq!(stripped, expected);
}

#[test]
fn bytes_are_stripped_of_six_of_them_only() {
    let stripped: Vec<u8> = (0..=255).filter(|byte| strip_bytes(&[*byte]).is_empty()).collect();
    assert_eq!(stripped, [9, 10, 11, 12, 13, 32]);
}

#[test]
fn bytes_that_are_no_text_end_the_white_space() {
    for (bytes, expected) in [
        (&b" \xff "[..], &b"\xff"[..]),
        (b"\xff \n", b"\xff"),
        (b"\n \xfe", b"\xfe"),
        (b" a \xff b ", b"a \xff b"),
        (b"\x1c\xe2\x80\x80x\xe2\x80\x80", b"x"),
        (b"\xe2\x80 ", b"\xe2\x80"),
        (b"", b""),
        (b" \n ", b""),
    ] {
        assert_eq!(strip_lossy(bytes), expected, "{bytes:?}");
    }
}

#[test]
fn every_line_end_becomes_a_line_feed() {
    for (text, expected) in
        [("a\r\nb\rc\nd", "a\nb\nc\nd"), ("\r\r\n\n", "\n\n\n"), ("", ""), ("\r", "\n"), ("a\u{85}b", "a\u{85}b")]
    {
        assert_eq!(*universal_newlines(text), expected, "{text:?}");
    }
}

#[test]
fn an_absolute_part_drops_what_stands_before_it() {
    for (folder, parts, expected) in [
        ("/etc/secrets", &["g", "k"][..], "/etc/secrets/g/k"),
        ("/etc/secrets/", &["g", "k"], "/etc/secrets/g/k"),
        ("/etc", &["/g", "k"], "/g/k"),
        ("", &["g", "k"], "g/k"),
        ("d", &["a//b", "../k"], "d/a//b/../k"),
        ("d", &["g/", "k"], "d/g/k"),
    ] {
        let parts: Vec<String> = parts.iter().map(|&part| part.to_owned()).collect();
        assert_eq!(join(folder, &parts).to_str().unwrap(), expected);
    }
}

proptest! {
    #[test]
    fn for_text_stripping_bytes_is_stripping_text(text in r"[\s\x1c-\x1f]{0,3}\PC{0,5}[\s\x1c-\x1f]{0,3}") {
        prop_assert_eq!(strip_lossy(text.as_bytes()), strip(&text).as_bytes());
    }
}
