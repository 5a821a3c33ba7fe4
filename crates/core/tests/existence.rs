//! What the K8s manager has looked up where it looks if a Secret is there (`webhook.k8s.checkExists`).
#![allow(clippy::unwrap_used, missing_docs)]

use flyte_secrets_core::injectors::{Context, LookUp, look_up};
use flyte_secrets_core::mirror::SecretReference;
use flyte_secrets_core::outline::PodOutline;
use flyte_secrets_core::settings::{CheckExists, ProtectedSecrets};
use flyte_secrets_core::{Profile, Secret, SecretManagerType, Settings};

/// What has to be looked up, or the reason for declining.
fn wanted(check_exists: CheckExists, group: &str, key: &str) -> Result<LookUp, String> {
    let protected = ProtectedSecrets { deny: vec!["root-*".to_owned()], ..ProtectedSecrets::default() };
    let settings = Settings { check_exists, protected, ..Settings::defaults(Profile::Flyte2) };
    let pod = PodOutline::parse(br#"{"spec": {}}"#).unwrap();
    let context = Context { settings: &settings, pod: &pod, namespace: "ns" };
    let request = Secret { group: group.to_owned(), key: key.to_owned(), ..Secret::default() };
    look_up(SecretManagerType::K8s, &context, &request).map_err(|decline| decline.0)
}

#[test]
fn the_secret_and_its_key_are_looked_up_unless_that_is_off() {
    let reference =
        |name: &str, key: &str| LookUp::Existence(SecretReference { name: name.to_owned(), key: key.to_owned() });
    for check in [CheckExists::Warn, CheckExists::Refuse] {
        assert_eq!(wanted(check, "db", "password"), Ok(reference("db", "password")));
        // MD5 of the key, as Flyte 2 names the Secret where no group is given.
        assert_eq!(wanted(check, "", "abc"), Ok(reference("900150983cd24fb0d6963f7d28e17f72", "abc")));
    }
    assert_eq!(wanted(CheckExists::Off, "db", "password"), Ok(LookUp::Nothing));
}

#[test]
fn a_secret_that_no_task_may_have_is_declined_before_anybody_asks_if_it_is_there() {
    for (group, word) in [("root-ca", "denySecrets"), ("img-pull-0123456789abcdef", "pulling images")] {
        let reason = wanted(CheckExists::Refuse, group, "k").unwrap_err();
        assert!(reason.contains(word), "{reason}");
    }
}
