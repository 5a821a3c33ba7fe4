//! Who may have what: the access policy, deliveries, invalidation.

use std::time::Duration;

use flyte_secrets_config::{InvalidationAuthentication, load};
use flyte_secrets_core::settings::{AccessMode, AccessSettings, Delivery};

use crate::support::{errors_of, file_name_only, load_one, with_flags};

#[test]
fn the_access_policy_reaches_the_settings() {
    let config = load_one(
        "webhook:
  delivery: PodSpec
  accessPolicy:
    mode: Audit
    organizations: [flyte, acme]
    domains: [development, pre-prod]
    namespaces: ['{project}-{domain}', \"{organization}-{project}-{domain}\", flyte]
    trustedCreators: ['system:serviceaccount:flyte:flytepropeller']
    denySecrets: [db-*, kube-system/*]",
    )
    .unwrap()
    .config;
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    let expected = AccessSettings {
        mode: AccessMode::Audit,
        organizations: owned(&["flyte", "acme"]),
        domains: owned(&["development", "pre-prod"]),
        namespaces: owned(&["{project}-{domain}", "{organization}-{project}-{domain}", "flyte"]),
        trusted_creators: owned(&["system:serviceaccount:flyte:flytepropeller"]),
    };
    assert_eq!(config.injection.access, expected);
    assert_eq!(config.injection.protected.deny, ["db-*", "kube-system/*"]);
    assert_eq!(config.injection.delivery, Delivery::PodSpec);
}

#[test]
fn lists_of_the_access_policy_are_flags_with_commas() {
    let flags = [
        ("webhook.accessPolicy.namespaces", "{project}-{domain}, flyte"),
        ("webhook.accessPolicy.domains", "development,pre-prod"),
    ];
    let access = load(&with_flags(&flags)).unwrap().config.injection.access;
    assert_eq!(access.namespaces, ["{project}-{domain}", "flyte"]);
    assert_eq!(access.domains, ["development", "pre-prod"]);
}

#[test]
fn a_template_without_quotes_is_an_error_that_says_so() {
    let errors = errors_of(load_one("webhook: {accessPolicy: {namespaces: [{project}]}}"));
    assert_eq!(errors.len(), 1);
    assert!(errors[0].ends_with("such as \"{project}-{domain}\", in quotes, got a mapping"), "{errors:?}");
}

#[test]
fn a_policy_that_serves_nobody_is_an_error_unless_it_is_off() {
    let errors = errors_of(load_one("webhook: {accessPolicy: {organizations: [], namespaces: []}}"));
    assert_eq!(errors.len(), 2, "{errors:?}");
    let expected = "1.yaml:1:41: webhook.accessPolicy.organizations: empty, so that no pod could be served; name one, \
                    or set webhook.accessPolicy.mode: Off";
    assert_eq!(errors[0], expected);
    assert!(load_one("webhook: {accessPolicy: {mode: Off, organizations: [], namespaces: []}}").is_ok());
}

#[test]
fn mirrors_stay_for_a_week_and_wait_a_minute_and_a_half_for_their_removal() {
    let mirrors = load_one("").unwrap().config.mirrors;
    assert_eq!((mirrors.retention, mirrors.grace), (Duration::from_secs(7 * 24 * 3600), Duration::from_secs(90)));
}

#[test]
fn times_of_mirrors_for_tests_are_taken_with_a_warning() {
    let loaded = load_one("webhook: {mirrorRetention: 1s, mirrorGrace: 59s}").unwrap();
    let mirrors = loaded.config.mirrors;
    assert_eq!((mirrors.retention, mirrors.grace), (Duration::from_secs(1), Duration::from_secs(59)));
    let starts = [
        "1.yaml:1:28: webhook.mirrorRetention: shorter than 10m:",
        "1.yaml:1:45: webhook.mirrorGrace: shorter than 1m20s:",
    ];
    assert_eq!(loaded.warnings.len(), starts.len());
    for (warning, start) in loaded.warnings.iter().zip(starts) {
        assert!(file_name_only(warning).starts_with(start), "{warning}");
    }
    assert_eq!(load_one("webhook: {mirrorRetention: 10m, mirrorGrace: 80s}").unwrap().warnings, [""; 0]);
}

#[test]
fn invalidation_is_open_and_bounded_by_default() {
    let invalidation = load_one("").unwrap().config.webhook.invalidation;
    assert_eq!(invalidation.authentication, InvalidationAuthentication::None);
    assert_eq!(invalidation.allowed_service_accounts, [""; 0]);
    assert_eq!((invalidation.per_id_per_minute, invalidation.per_minute), (30, 600));
}

#[test]
fn who_may_invalidate_is_taken_and_a_list_that_nobody_checks_is_an_error() {
    let text = "webhook: {invalidation: {authentication: TokenReview, allowedServiceAccounts: [flyte/secret-service]}}";
    let invalidation = load_one(text).unwrap().config.webhook.invalidation;
    assert_eq!(invalidation.authentication, InvalidationAuthentication::TokenReview);
    assert_eq!(invalidation.allowed_service_accounts, ["flyte/secret-service"]);
    let errors = errors_of(load_one(&text.replace("authentication: TokenReview, ", "")));
    let expected = "1.yaml:1:50: webhook.invalidation.allowedServiceAccounts: nobody is checked; add \
                    `webhook.invalidation.authentication: TokenReview`";
    assert_eq!(errors, [expected]);
}
