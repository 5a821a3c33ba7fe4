//! Properties of the codecs, and our reader of the text format against an independent one.
#![allow(clippy::unwrap_used)]

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use flyte_secrets_core::annotations;
use flyte_secrets_core::azure_key_vault::{decode_name, decode_value, encode_name, encode_value};
use flyte_secrets_core::case::{lower, upper};
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::text_format::{Problem, TextFormatError, parse, write};
use flyte_secrets_core::value::SecretValue;
use flyte_secrets_core::{MountRequirement, Secret};
use proptest::prelude::*;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, Value};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    FileDescriptorSet,
};
use secrecy::ExposeSecret;

/// Any text, with the characters that need care more often than chance would have them.
fn any_text() -> impl Strategy<Value = String> {
    let special = "[\"'\\\\?\n\r\t\0\u{7}\u{b}\u{c}\u{7f}#:;,{}<>\\[\\] üß日\u{2028}\u{FEFF}😀0-9a-fxuUX-]{0,12}";
    prop_oneof![any::<String>(), special.boxed()]
}

fn any_secret() -> impl Strategy<Value = Secret> {
    let number = prop_oneof![0..3i32, any::<i32>()];
    let texts = (any_text(), any_text(), any_text(), any_text());
    (texts, number).prop_map(|((group, group_version, key, env_var), number)| Secret {
        group,
        group_version,
        key,
        mount_requirement: MountRequirement::from_number(number),
        env_var,
    })
}

/// Pieces of the grammar in any order: mostly wrong as a whole, always close to right.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "key",
        "group",
        "group_version",
        "env_var",
        "mount_requirement",
        "kye",
        "3",
        ":",
        ":",
        ":",
        " ",
        "\n",
        "\t",
        "\r",
        "\u{b}",
        "\u{c}",
        "# c\n",
        "#",
        ",",
        ";",
        "{",
        "}",
        "<",
        ">",
        "[",
        "]",
        "/",
        "\"k\"",
        "'k'",
        "\"",
        "'",
        "\"\"",
        "\"a#b\"",
        "FILE",
        "ENV_VAR",
        "ANY",
        "file",
        "0",
        "1",
        "2",
        "-1",
        "- 1",
        "+1",
        "0x1",
        "01",
        "08",
        "0b1",
        "0o1",
        "1_0",
        "1.0",
        "1f",
        "2147483648",
        "-2147483648",
        "\u{feff}",
        "ü",
        "\0",
        "\"\\",
        "\\",
        "\"\\1\"",
        "\"\\x4\"",
        "\"\\777\"",
        "\"\\ud83d\\ude00\"",
        "\"\\xc3\" '\\xbc'",
        "\"\\ud83d\"",
        "\"\\U0001F600\"",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// Whole fields, then one piece put in at any place.
fn fields_with_a_mistake() -> impl Strategy<Value = String> {
    let field = prop::sample::select(vec![
        "key: \"k\"",
        "group:'g'",
        "group_version : \"a\" 'b'",
        "env_var: \"E\"",
        "mount_requirement: FILE",
        "mount_requirement:-7",
        "key: \"\\303\\274\\x41\\u00fc\\n\"",
    ]);
    let separator = prop::sample::select(vec!["\n", " ", ", ", ";\t", "\r\n", " # c\n", ""]);
    let text = prop::collection::vec((field, separator), 0..5)
        .prop_map(|fields| fields.into_iter().flat_map(|(field, separator)| [field, separator]).collect::<String>());
    (text, any::<prop::sample::Index>(), pieces()).prop_map(|(mut text, place, piece)| {
        let places: Vec<usize> = (0..=text.len()).filter(|&place| text.is_char_boundary(place)).collect();
        text.insert_str(*place.get(&places), &piece);
        text
    })
}

/// A written request of which some bytes are others.
fn mutated_request() -> impl Strategy<Value = Vec<u8>> {
    let mutations = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (any_secret(), mutations).prop_map(|(secret, mutations)| {
        let mut text = write(&secret).into_bytes();
        for (place, byte) in mutations {
            if !text.is_empty() {
                *place.get_mut(&mut text) = byte;
            }
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_written_is_read_back(secret in any_secret()) {
        prop_assert_eq!(parse(write(&secret).as_bytes()), Ok(secret.clone()));
        if let Ok(value) = annotations::encode(&secret) {
            prop_assert_eq!(annotations::decode(&value), Ok(secret));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), text in any_text()) {
        let errors = [parse(&bytes).err(), parse(text.as_bytes()).err()];
        for error in errors.into_iter().flatten() {
            prop_assert!(error.line >= 1 && error.column >= 1);
            prop_assert!(error.to_string().len() < 500);
        }
        let _ = annotations::decode(&text);
        let _ = annotations::decode(&annotations::base32_name(&text));
        let _ = decode_value(&text);
        let _ = decode_name(&text);
        let _ = SecretId::decode(&text);
    }

    #[test]
    fn pieces_of_the_grammar_are_read_as_by_prost_reflect(text in pieces()) {
        compare(&text)?;
    }

    #[test]
    fn fields_with_a_mistake_are_read_as_by_prost_reflect(text in fields_with_a_mistake()) {
        compare(&text)?;
    }

    #[test]
    fn mutated_requests_are_read_as_by_prost_reflect(bytes in mutated_request()) {
        if let Ok(text) = std::str::from_utf8(&bytes) {
            compare(text)?;
        } else {
            let _ = parse(&bytes);
        }
    }

    #[test]
    fn what_is_written_is_read_by_prost_reflect(secret in any_secret()) {
        let read = prost_reflect_parse(&write(&secret));
        prop_assert_eq!(read, Some(secret));
    }

    #[test]
    fn case_is_mapped_one_code_point_at_a_time(text in any_text()) {
        prop_assert_eq!(upper(&text), text.chars().map(|c| upper(&c.to_string())).collect::<String>());
        prop_assert_eq!(lower(&text), text.chars().map(|c| lower(&c.to_string())).collect::<String>());
        prop_assert_eq!(upper(&text).chars().count(), text.chars().count());
    }

    #[test]
    fn names_in_azure_key_vault_come_back(org in "[a-z0-]{0,8}", domain in any_text(), project in "[-01]{0,6}", name in any_text()) {
        let id = SecretId { org, domain, project, name };
        if let Ok(name) = encode_name(&id) {
            prop_assert!(name.len() <= 127);
            prop_assert_eq!(decode_name(&name), Ok(id));
        }
    }

    #[test]
    fn values_in_azure_key_vault_come_back(text in any_text(), bytes in any::<Vec<u8>>()) {
        let text_back = decode_value(encode_value(&SecretValue::text(text.clone())).expose_secret()).unwrap();
        prop_assert_eq!(text_back.expose_text(), Some(text.as_str()));
        let bytes_back = decode_value(encode_value(&SecretValue::binary(bytes.clone())).expose_secret()).unwrap();
        prop_assert!(matches!(bytes_back, SecretValue::Binary(_)));
        prop_assert_eq!(bytes_back.expose_bytes(), bytes);
    }

    #[test]
    fn unambiguous_ids_come_back(org in "[a-z_]{0,6}", domain in "[a-z_]{0,6}", project in any_text(), name in "[a-z_]{0,9}") {
        let id = SecretId { org, domain, project, name };
        if id.check_components().is_ok() {
            prop_assert_eq!(SecretId::decode(&id.to_string()), Ok(id));
        }
    }
}

/// Both readers agree, or differ in one of the ways listed in [`differs_on_purpose`].
fn compare(text: &str) -> Result<(), TestCaseError> {
    let ours = parse(text.as_bytes());
    let theirs = prost_reflect_parse(text);
    if ours.as_ref().ok() != theirs.as_ref() {
        prop_assert!(differs_on_purpose(text, &ours), "{text:?}\n ours: {ours:?}\n theirs: {theirs:?}");
    }
    Ok(())
}

/// Where prost-reflect does not read as Flyte does.
fn differs_on_purpose(text: &str, ours: &Result<Secret, TextFormatError>) -> bool {
    match ours {
        // It takes VT and FF as white space, and blanks between a minus and its number.
        Err(TextFormatError { problem: Problem::UnexpectedByte { byte: 0x0B | 0x0C }, .. }) => true,
        Err(TextFormatError { problem: Problem::Expected { found, .. }, .. }) => found == "`-`",
        Err(_) => false,
        // It joins no surrogate pairs, and does not know every notation of a number.
        Ok(_) => ["\\ud", "+", "_0", "0b1", "0o1"].iter().any(|only_ours| text.contains(only_ours)),
    }
}

fn prost_reflect_parse(text: &str) -> Option<Secret> {
    let message = DynamicMessage::parse_text_format(DESCRIPTOR.clone(), text).ok()?;
    let string = |name| message.get_field_by_name(name).unwrap().as_str().unwrap().to_owned();
    let Value::EnumNumber(number) = *message.get_field_by_name("mount_requirement").unwrap() else { panic!("no enum") };
    Some(Secret {
        group: string("group"),
        group_version: string("group_version"),
        key: string("key"),
        mount_requirement: MountRequirement::from_number(number),
        env_var: string("env_var"),
    })
}

/// The message `Secret`. Its syntax is proto2, so that a field given twice is noticed even if it is empty.
static DESCRIPTOR: LazyLock<MessageDescriptor> = LazyLock::new(|| {
    let field = |name: &str, number, kind: Type| FieldDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        label: Some(Label::Optional.into()),
        r#type: Some(kind.into()),
        type_name: (kind == Type::Enum).then(|| ".core.Secret.MountType".to_owned()),
        ..Default::default()
    };
    let value = |(number, name): (i32, &str)| EnumValueDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        ..Default::default()
    };
    let secret = DescriptorProto {
        name: Some("Secret".to_owned()),
        field: vec![
            field("group", 1, Type::String),
            field("group_version", 2, Type::String),
            field("key", 3, Type::String),
            field("mount_requirement", 4, Type::Enum),
            field("env_var", 5, Type::String),
        ],
        enum_type: vec![EnumDescriptorProto {
            name: Some("MountType".to_owned()),
            value: [(0, "ANY"), (1, "ENV_VAR"), (2, "FILE")].into_iter().map(value).collect(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let file = FileDescriptorProto {
        name: Some("secret.proto".to_owned()),
        package: Some("core".to_owned()),
        syntax: Some("proto2".to_owned()),
        message_type: vec![secret],
        ..Default::default()
    };
    let pool = DescriptorPool::from_file_descriptor_set(FileDescriptorSet { file: vec![file] }).unwrap();
    pool.get_message_by_name("core.Secret").unwrap()
});

#[test]
fn the_longest_annotation_is_read_in_linear_time() {
    // In quadratic time each of these would take minutes, and a recursive reader would overflow its stack.
    let size = 160_000;
    let hostile = ["{", "#\n", "key:", "\"\"", "key: \"", "\\", ",", "mount_requirement:0_0", " ", "\u{feff}", "[a/"];
    let started = Instant::now();
    for piece in hostile {
        let many = piece.repeat(size / piece.len());
        for beginning in ["key: \"", "key: \"\" }", "mount_requirement: x"] {
            let value = annotations::base32_name(&format!("{beginning}{many}"));
            assert!(value.len() <= annotations::MAX_ENCODED_LENGTH);
            let error = annotations::decode(&value).unwrap_err();
            assert!(error.to_string().len() < 500, "{beginning}{piece}…: {error}");
        }
    }
    assert!(started.elapsed() < Duration::from_secs(60));
}
