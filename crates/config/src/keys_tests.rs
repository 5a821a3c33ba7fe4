use super::*;
use crate::environment;
use crate::kinds;
use crate::origin::Source;
use std::collections::HashSet;

#[test]
fn every_default_is_a_value_that_its_key_accepts() {
    for key in KEYS {
        for profile in [Profile::Flyte1, Profile::Flyte2] {
            let Some(text) = key.default_text(profile) else { continue };
            let mut errors = Vec::new();
            assert!(kinds::read_text(key, text, &Source::Default, &mut errors).is_some(), "{}: {text}", key.path);
            assert_eq!(errors, [], "{}", key.path);
        }
    }
}

#[test]
fn no_two_keys_share_a_path_or_a_variable() {
    let mut names = HashSet::new();
    for key in KEYS {
        assert!(SECTIONS.contains(&key.section()), "{}", key.path);
        for name in environment::names(key) {
            assert!(names.insert(name.clone()), "{name}");
        }
    }
}

#[test]
fn no_key_lies_below_another() {
    for key in KEYS {
        assert!(matches!(find(key.path), Named::Key(found) if found.path == key.path), "{}", key.path);
        let parents = key.path.match_indices('.').map(|(end, _)| &key.path[..end]);
        for parent in parents {
            assert!(matches!(find(parent), Named::Section(section) if section == parent), "{parent}");
        }
    }
}

#[test]
fn the_nearest_key_is_the_one_that_was_meant() {
    let cases = [
        ("webhook.certDirr", Some("webhook.certDir")),
        ("webhook.cert-dir", Some("webhook.certDir")),
        ("WEBHOOK.LISTENPROT", Some("webhook.listenPort")),
        ("webhook.secretManagersTypes", Some("webhook.secretManagerTypes")),
        ("webhook.embeddedSecretManager", Some("webhook.embeddedSecretManagerConfig")),
        (
            "webhook.embeddedSecretManagerConfig.awsConfig.regin",
            Some("webhook.embeddedSecretManagerConfig.awsConfig.region"),
        ),
        ("webhook.vaultURI", Some("webhook.embeddedSecretManagerConfig.azureConfig.vaultURI")),
        ("webhook.role", None), // two keys have that name
        ("secrets.prefix", Some("secrets.env-prefix")),
        ("webhook.qqq", None),
        ("webhook.é", None),
    ];
    for (path, expected) in cases {
        assert_eq!(nearest(path), expected, "{path}");
    }
}
