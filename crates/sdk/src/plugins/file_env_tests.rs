#![allow(clippy::unwrap_used)]

use std::os::unix::ffi::OsStringExt;

use futures::executor::block_on;
use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::*;

struct Place {
    folder: TempDir,
    manager: FileEnvSecretManager,
}

fn place(variables: &'static [(&'static str, &'static [u8])]) -> Place {
    let folder = TempDir::new().unwrap();
    let mut manager = FileEnvSecretManager::new("FLYTE_SECRET_", folder.path()).unwrap();
    manager.variable = Arc::new(move |name| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| OsString::from_vec(value.to_vec()))
    });
    Place { folder, manager }
}

impl Place {
    fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn get(&self, key: &str) -> Result<String, SecretManagerError> {
        block_on(self.manager.get(key)).map(|value| value.expose_secret().to_owned())
    }
}

#[test]
fn the_variable_has_the_key_in_its_own_case_and_wins_over_the_file() {
    let place = place(&[("FLYTE_SECRET_Api-key", b"from the variable")]);
    place.file("Api-key", "from the file");
    place.file("api-key", "another file");
    assert_eq!(place.get("Api-key").unwrap(), "from the variable");
    assert_eq!(place.get("api-key").unwrap(), "another file");
    assert!(matches!(place.get("API-KEY"), Err(SecretManagerError::NotFound { .. })));
}

#[test]
fn values_are_taken_as_they_are() {
    let place = place(&[("FLYTE_SECRET_empty", b""), ("FLYTE_SECRET_spaces", b" v \n")]);
    place.file("line", "value\r\n");
    place.file("nothing", "");
    for (key, value) in [("empty", ""), ("spaces", " v \n"), ("line", "value\r\n"), ("nothing", "")] {
        assert_eq!(place.get(key).unwrap(), value, "{key}");
    }
}

#[test]
fn a_key_may_name_a_file_of_a_folder_below() {
    let place = place(&[]);
    place.file("group/key", "value");
    assert_eq!(place.get("group/key").unwrap(), "value");
    assert!(matches!(place.get("group"), Err(SecretManagerError::NotFound { .. })), "a folder is no value");
}

#[test]
fn a_file_that_changes_counts_at_the_next_call() {
    let place = place(&[]);
    for value in ["old", "new"] {
        place.file("key", value);
        assert_eq!(place.get("key").unwrap(), value);
    }
}

#[test]
fn a_missing_secret_names_the_variable_and_the_file() {
    let place = place(&[]);
    let file = place.folder.path().join("jobs_api_key");
    let expected = format!(
        "no secret \"jobs_api_key\": looked for the variable FLYTE_SECRET_jobs_api_key and the file {}",
        file.display()
    );
    let error = place.get("jobs_api_key").unwrap_err();
    assert_eq!(error.to_string(), expected);
    assert!(!error.retryable());
}

#[test]
fn a_key_that_leaves_the_folder_is_refused_and_nothing_is_read() {
    let place = place(&[("FLYTE_SECRET_../outside", b"value")]);
    for key in ["", "/etc/passwd", "../outside", "a/../../outside", "a\0b", "a\nb"] {
        let error = place.get(key).unwrap_err();
        assert!(matches!(error, SecretManagerError::InvalidKey { .. }), "{key:?}: {error}");
    }
}

#[test]
fn a_value_that_is_no_text_is_an_error_without_the_value() {
    let place = place(&[("FLYTE_SECRET_variable", b"planted\xff")]);
    place.file("file", b"planted\xff");
    for (key, named) in [("variable", "variable FLYTE_SECRET_variable"), ("file", "/file)")] {
        let error = place.get(key).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(matches!(error, SecretManagerError::NotText { .. }), "{text}");
        assert!(text.contains(named) && !text.contains("planted"), "{text}");
    }
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let place = place(&[]);
    place.file("exact", vec![b'x'; 1 << 20]);
    place.file("large", vec![b'x'; (1 << 20) + 1]);
    assert_eq!(place.get("exact").unwrap().len(), 1 << 20);
    assert!(place.get("large").unwrap_err().to_string().contains("larger than 1048576 bytes"));
}

#[test]
fn long_keys_are_cut_in_messages() {
    let place = place(&[]);
    let error = place.get(&"k".repeat(10_000)).unwrap_err();
    assert!(matches!(error, SecretManagerError::NotFound { .. }));
    assert!(error.to_string().len() < 2_000 && error.key().len() == 300);
}

#[test]
fn an_empty_prefix_would_open_every_variable() {
    assert_eq!(FileEnvSecretManager::new("", "/etc/secrets").unwrap_err(), EmptyEnvPrefix);
}

#[test]
fn the_prefixes_are_those_of_flyte() {
    let shown = format!("{:?}", FileEnvSecretManager::default());
    assert!(shown.contains("\"FLYTE_SECRET_\"") && shown.contains("\"/etc/secrets\""), "{shown}");
}
