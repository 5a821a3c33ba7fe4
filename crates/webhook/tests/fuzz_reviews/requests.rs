//! Values of annotations: mostly of the text format's grammar, sometimes beside it, in base32 that is mostly right.

use std::sync::LazyLock;

use data_encoding::{Encoding, Specification};
use flyte_secrets_core::annotations::PREFIX;

use crate::random::Random;

/// Names that most managers take; few enough that two requests of a pod often meet in one place.
const NAMES: [&str; 8] = ["a", "a", "A", "b", "My_Key", "b.c", "binary", "a b"];
/// Names with which much can go wrong.
const ODD_NAMES: [&str; 18] = [
    "my_key",
    "binary-2",
    "empty",
    "denied",
    "large",
    "x/y",
    "..",
    "../up",
    "/root",
    "ü",
    "ß",
    "$HOME",
    "$(id)",
    "a=b",
    "{{",
    "with\nline",
    "u__org__x__domain__y__project____key__z",
    "arn:aws:secretsmanager:us-east-1:123456789012:secret:s",
];
/// A name for which the store fails.
const DOWN: &str = "down";

fn name(random: &mut Random) -> &'static str {
    match random.below(20) {
        0 | 1 => ODD_NAMES[random.below(ODD_NAMES.len())],
        2 => DOWN,
        _ => NAMES[random.below(NAMES.len())],
    }
}

/// The name of an annotation that asks for a secret.
pub fn annotation(random: &mut Random, number: usize) -> String {
    let suffix = match random.below(20) {
        0 => random.pick(&["", "x", "-1", "+1", "٣", "0x1", " 1", "1a", "~1/2", "\n", "\u{1b}[31m"]).to_owned(),
        1 => format!("00{number}"),
        2 => format!("99999999999999999999999{number}"),
        3 => "s".repeat(random.below(400)),
        _ => number.to_string(),
    };
    format!("{PREFIX}{suffix}")
}

/// The value of an annotation for which every store fails.
pub fn down() -> String {
    BASE32.encode(format!("key: \"{DOWN}\"").as_bytes())
}

/// The value of an annotation.
pub fn value(random: &mut Random) -> String {
    let text = match random.below(150) {
        0 => (0..random.below(60)).map(|_| random.next().to_le_bytes()[0]).collect(),
        1 => Vec::new(),
        _ => message(random),
    };
    let mut value = BASE32.encode(&text);
    if random.once_in(150) {
        let at = random.below(value.len() + 1);
        value.insert_str(at, random.pick(&["=", "\n", "\r\n", "A", "7", " ", "ü", "\0", "a"]));
    }
    if random.once_in(150) {
        let _ = value.pop();
    }
    value
}

static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("abcdefghijklmnopqrstuvwxyz123456");
    specification.encoding().unwrap()
});

fn message(random: &mut Random) -> Vec<u8> {
    let mut text = Vec::new();
    for field in ["group", "key", "group_version", "mount_requirement", "env_var"] {
        let likely = matches!(field, "group" | "key" | "mount_requirement");
        if random.once_in(if likely { 12 } else { 2 }) {
            continue;
        }
        for _ in 0..if random.once_in(300) { 2 } else { 1 } {
            space(random, &mut text);
            text.extend_from_slice(field.as_bytes());
            space(random, &mut text);
            text.push(b':');
            space(random, &mut text);
            let content = match field {
                "mount_requirement" => requirement(random),
                "env_var" => variable(random),
                "group_version" => version(random),
                _ => name(random),
            };
            if field == "mount_requirement" {
                text.extend_from_slice(content.as_bytes());
            } else {
                literal(random, content, &mut text);
            }
            text.extend_from_slice(random.pick(&[&b"\n"[..], b" ", b",", b";", b" # comment\n"]));
        }
    }
    if random.once_in(150) {
        let junk =
            random.pick(&["kee: \"a\"", "key", "key {", "[a.b]: 1", "key: [\"a\"]", "}", "\u{b}", "key: 5", "<", "/*"]);
        text.extend_from_slice(junk.as_bytes());
    }
    text
}

fn version(random: &mut Random) -> &'static str {
    if random.once_in(10) {
        return random.pick(&["..", "V 1", "\u{1}", "a/b"]);
    }
    random.pick(&["v1", "1", "kv1", "kv2", "db", "", "latest"])
}

fn variable(random: &mut Random) -> &'static str {
    if random.once_in(10) {
        return random.pick(&["A=B", "ü", "FLYTE_SECRETS_ENV_PREFIX", "FLYTE_SECRETS_DEFAULT_DIR"]);
    }
    random.pick(&["TOKEN", "OTHER", "MINE", "", "SECRETS", "$(A)"])
}

fn requirement(random: &mut Random) -> &'static str {
    if random.once_in(25) {
        return random.pick(&["7", "-1", "99999999999", "any", "\"FILE\""]);
    }
    random.pick(&["ANY", "ENV_VAR", "FILE", "0", "1", "2", "0x2"])
}

fn space(random: &mut Random, text: &mut Vec<u8>) {
    if random.once_in(3) {
        text.extend_from_slice(random.pick(&[&b" "[..], b"  ", b"\t", b"\n", b"\r\n", b"# a: \"b\"\n"]));
    }
}

/// A string in one of the ways in which it can be written.
fn literal(random: &mut Random, content: &str, text: &mut Vec<u8>) {
    let quote = *random.pick(&[b"\"", b"'"]);
    text.push(quote[0]);
    for byte in content.bytes() {
        match byte {
            b'\n' => text.extend_from_slice(b"\\n"),
            b'"' | b'\'' | b'\\' => text.extend_from_slice(&[b'\\', byte]),
            _ if random.once_in(12) => {
                let escape = if random.once_in(2) { format!("\\{byte:03o}") } else { format!("\\x{byte:02x}") };
                text.extend_from_slice(escape.as_bytes());
            }
            _ if random.once_in(40) => text.extend_from_slice(&[quote[0], b' ', quote[0], byte]),
            _ => text.push(byte),
        }
    }
    if random.once_in(400) {
        let odd =
            [&b"\\u00fc"[..], b"\\U0001F600", b"\\ud83d\\ude00", b"\\ud800", b"\\q", b"\xff", b"\n", b"\0", b"\\"];
        text.extend_from_slice(random.pick(&odd));
    }
    text.push(quote[0]);
}
