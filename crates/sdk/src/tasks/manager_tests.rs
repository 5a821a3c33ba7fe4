#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::*;
use crate::testing::secrets_of;

const VALUE: &str = "planted-value";
/// Set in every task's container.
const IN_TASK: (&str, &str) = ("FLYTE_INTERNAL_EXECUTION_ID", "x");

fn seeing(variables: &[(&str, &str)]) -> SecretsManager {
    seeing_in("/nowhere", variables)
}

fn seeing_in(folder: &str, variables: &[(&str, &str)]) -> SecretsManager {
    let mut variables: Vec<_> = variables.iter().map(|&(name, value)| (name.to_owned(), value.into())).collect();
    variables.push((SecretsConfig::DEFAULT_DIR.to_owned(), folder.into()));
    secrets_of(variables, folder)
}

/// A folder with one file, `g/k`.
fn folder(content: &[u8]) -> (TempDir, SecretsManager) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("g")).unwrap();
    fs::write(folder.path().join("g/k"), content).unwrap();
    let secrets = seeing_in(folder.path().to_str().unwrap(), &[IN_TASK]);
    (folder, secrets)
}

fn text(secrets: &SecretsManager) -> Result<String, SecretError> {
    secrets.get("g", "k", None).map(|value| value.expose_secret().to_owned())
}

#[test]
fn a_variable_goes_before_a_file() {
    let (folder, secrets) = folder(b"of the file");
    assert_eq!(text(&secrets).unwrap(), "of the file");
    let secrets = seeing_in(folder.path().to_str().unwrap(), &[("_FSEC_G_K", " of the variable\n")]);
    assert_eq!(text(&secrets).unwrap(), "of the variable");
}

#[test]
fn a_variable_without_the_prefix_counts_in_a_local_execution_only_and_last() {
    assert_eq!(text(&seeing(&[("G_K", VALUE)])).unwrap(), VALUE);
    assert_eq!(text(&seeing(&[("G_K", "no"), ("_FSEC_G_K", VALUE)])).unwrap(), VALUE);
    assert!(text(&seeing(&[("G_K", VALUE), IN_TASK])).is_err());
    assert!(text(&seeing(&[("G_K", VALUE), ("_F_NM", "")])).is_err());
}

#[test]
fn what_is_not_found_is_told_with_every_place_that_was_looked_at_and_what_to_change() {
    let secrets = seeing(&[("_FSEC_OTHER", VALUE)]);
    let error = secrets.get("My-Group", "Key", Some("v1")).unwrap_err().to_string();
    for part in [
        r#"group "My-Group", group version "v1", key "Key""#,
        r#"the variable "_FSEC_MY-GROUP_V1_KEY" nor the variable "MY-GROUP_V1_KEY""#,
        "the file /nowhere/my-group/v1/key",
        "secret_requests",
        "FLYTE_SECRETS_ENV_PREFIX",
    ] {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
    let in_task = seeing(&[IN_TASK]).get("g", "k", None).unwrap_err().to_string();
    assert!(!in_task.contains("\"G_K\""), "it was not looked for: {in_task}");
}

#[test]
fn nothing_is_not_asked_for() {
    let secrets = seeing(&[("_FSEC_", VALUE)]);
    assert!(matches!(secrets.get("", "", Some("")), Err(SecretError::NothingAsked)));
    assert!(matches!(secrets.get_secrets_file("", "", None), Err(SecretError::NothingAsked)));
}

#[test]
fn the_links_of_a_kubelets_volume_are_followed() {
    let (folder, secrets) = folder(b"old");
    fs::create_dir(folder.path().join("..2026")).unwrap();
    fs::write(folder.path().join("..2026/k"), VALUE).unwrap();
    symlink("../..2026", folder.path().join("g/..data")).unwrap();
    fs::remove_file(folder.path().join("g/k")).unwrap();
    symlink("..data/k", folder.path().join("g/k")).unwrap();
    assert_eq!(text(&secrets).unwrap(), VALUE);
}

#[test]
fn folders_pipes_and_devices_are_no_secrets() {
    let (folder, secrets) = folder(b"");
    let file = folder.path().join("g/k");
    fs::remove_file(&file).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    assert!(matches!(text(&secrets), Err(SecretError::NotAFile { .. })), "a pipe would be waited for");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert!(matches!(text(&secrets), Err(SecretError::NotAFile { .. })));
    fs::remove_dir(&file).unwrap();
    symlink("/dev/zero", &file).unwrap();
    assert!(matches!(text(&secrets), Err(SecretError::NotAFile { .. })));
}

#[test]
fn a_file_of_the_largest_size_is_read_and_a_larger_one_is_not() {
    let largest = vec![b'x'; 1 << 20];
    assert_eq!(text(&folder(&largest).1).unwrap().len(), largest.len());
    let error = text(&folder(&[&largest[..], b"x"].concat()).1).unwrap_err();
    assert!(matches!(error, SecretError::TooLarge { limit: MAX_VALUE_SIZE, .. }));
}

#[test]
fn a_file_that_cannot_be_read_is_told_apart_from_one_that_is_missing() {
    let (folder, secrets) = folder(b"");
    let file = folder.path().join("g/k");
    fs::remove_file(&file).unwrap();
    assert!(matches!(text(&secrets), Err(SecretError::NotFound { .. })));
    // Opened by anyone, and its first page can be read by nobody.
    symlink("/proc/self/mem", &file).unwrap();
    let error = text(&secrets).unwrap_err();
    assert!(matches!(error, SecretError::Unreadable { .. }), "{error}");
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
}

#[test]
fn text_and_bytes_of_a_file_are_those_of_python() {
    let (_folder, secrets) = folder(b"\x1c\n\xe2\x80\x80a\r\nb\r \x00 \n\t");
    assert_eq!(text(&secrets).unwrap(), "a\nb\n \0");
    let bytes = secrets.get_bytes("g", "k", None).unwrap();
    assert_eq!(bytes.expose_secret(), b"\x1c\n\xe2\x80\x80a\r\nb\r \x00");
    let found = secrets.find("g", "k", None).unwrap();
    assert!(found.exact_bytes().expose_secret().ends_with(b"\n\t"));
}

#[test]
fn what_is_not_utf_8_is_no_text_and_has_bytes() {
    let (_folder, secrets) = folder(b"\xff\xfe\n");
    let error = text(&secrets).unwrap_err();
    assert!(error.to_string().contains("get_bytes") && error.to_string().contains("g/k"), "{error}");
    assert_eq!(secrets.get_bytes("g", "k", None).unwrap().expose_secret(), b"\xff\xfe");
}

#[test]
fn a_group_gives_its_keys() {
    let secrets = seeing(&[("_FSEC_G_A", "1"), ("_FSEC_G_B", "2")]);
    let group = secrets.group("g");
    assert_eq!((group.get("a").unwrap().expose_secret(), group.get("b").unwrap().expose_secret()), ("1", "2"));
}

#[test]
fn a_declaration_is_looked_up_by_its_names() {
    let secrets = seeing(&[("_FSEC_G_V_K", VALUE)]);
    let declared = Secret::new("g", "k").unwrap().with_group_version("v");
    assert_eq!(secrets.get_declared(&declared).unwrap().expose_secret(), VALUE);
}

#[test]
fn a_value_is_in_nothing_that_is_printed() {
    let (_folder, secrets) = folder(format!("{VALUE}\u{ff}").as_bytes());
    let found = secrets.find("g", "k", None).unwrap();
    let bad = folder([VALUE.as_bytes(), b"\xff"].concat().as_slice());
    let error = bad.1.get("g", "k", None).unwrap_err();
    for printed in [
        format!("{found:?}"),
        format!("{:?} {:?}", found.text().unwrap(), found.bytes()),
        format!("{secrets:?}"),
        format!("{:?}", seeing(&[("_FSEC_G_K", VALUE)])),
        format!("{error} {error:?}"),
    ] {
        assert!(!printed.contains("planted") && !printed.contains("112, 108"), "{printed}");
    }
}

#[test]
fn settings_that_are_empty_are_the_defaults_and_others_are_stripped() {
    let empty = secrets_of([(SecretsConfig::ENV_PREFIX.to_owned(), vec![])], "/");
    assert_eq!(empty.config, SecretsConfig::default());
    let blank = secrets_of([(SecretsConfig::ENV_PREFIX.to_owned(), b" \n".to_vec())], "/");
    assert_eq!(blank.get_secrets_env_var("g", "k", None), "G_K");
    let config = SecretsConfig { file_prefix: " p- ".to_owned(), ..SecretsConfig::default() };
    let file = SecretsManager::new(config).get_secrets_file("G", "K", Some("V")).unwrap();
    assert_eq!(file.to_str().unwrap(), "/etc/secrets/g/v/p-k");
}
