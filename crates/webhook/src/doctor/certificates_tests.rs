use serde_json::json;

use super::super::test_installation::{ids, installation, options};
use super::*;
use crate::certificates::{CertificateAuthority, KeyPairPem};

const DAY: Duration = Duration::from_secs(86_400);
/// What is made here is valid for ten years.
const LIFE: Duration = Duration::from_secs(10 * 365 * 86_400);

fn names() -> CertificateNames {
    CertificateNames::for_service("hook", "flyte", &[]).unwrap()
}

/// Made now, with a key of its own.
fn pair() -> KeyPairPem {
    pair_for(&names())
}

fn pair_for(names: &CertificateNames) -> KeyPairPem {
    let now = SystemTime::now();
    CertificateAuthority::new(now).unwrap().issue(names, now).unwrap()
}

fn registered(ca: Option<&str>) -> Value {
    match ca {
        Some(pem) => json!({"clientConfig": {"caBundle": BASE64.encode(pem.as_bytes())}}),
        None => json!({"clientConfig": {}}),
    }
}

fn ca(pair: &KeyPairPem) -> Value {
    registered(pair.ca_crt.as_deref())
}

fn served(pair: &KeyPairPem) -> Vec<Served> {
    vec![Served { address: "192.0.2.1:9443".to_owned(), chain: Ok(certificates(pair.tls_crt.as_bytes())) }]
}

fn in_secret(pair: &KeyPairPem) -> Option<SecretPem> {
    let data = json!({
        "ca.crt": BASE64.encode(pair.ca_crt.as_ref().unwrap().as_bytes()),
        "tls.crt": BASE64.encode(pair.tls_crt.as_bytes()),
        "tls.key": "planted, and never read",
    });
    serde_json::from_value(json!({"data": data})).unwrap()
}

fn judged(webhook: &Value, served: Vec<Served>, secret: Option<SecretPem>, later: Duration) -> Vec<Finding> {
    let (installation, options, names) = (installation(), options(true), names());
    let judge = Judge { installation: &installation, options: &options, names: &names, now: SystemTime::now() + later };
    judge.judge(Some(webhook), &Facts { served: Ok(served), secret: Ok(secret) })
}

#[test]
fn a_certificate_that_the_bundle_signed_is_trusted() {
    let pair = pair();
    let findings = judged(&ca(&pair), served(&pair), in_secret(&pair), Duration::ZERO);
    assert_eq!(ids(&findings), [(Id::CertificatesTrusted, Level::Ok)]);
    assert_eq!(findings[0].place, "192.0.2.1:9443");
}

#[test]
fn a_bundle_of_another_ca_is_an_error_and_a_bundle_of_both_is_not() {
    let (one, other) = (pair(), pair());
    let findings = judged(&ca(&other), served(&one), None, Duration::ZERO);
    assert_eq!(ids(&findings), [(Id::CertificatesUntrusted, Level::Error)]);
    assert!(findings[0].what.contains("no certificate in the registered caBundle has signed it"), "{findings:?}");

    let both = format!("{}{}", other.ca_crt.unwrap(), one.ca_crt.as_ref().unwrap());
    let findings = judged(&registered(Some(&both)), served(&one), None, Duration::ZERO);
    assert_eq!(ids(&findings), [(Id::CertificatesTrusted, Level::Ok)]);
}

#[test]
fn a_bundle_that_is_none_trusts_nobody() {
    let pair = pair();
    let findings = judged(&registered(Some("no PEM")), served(&pair), in_secret(&pair), Duration::ZERO);
    assert_eq!(ids(&findings), [(Id::CertificatesUntrusted, Level::Error)]);
    assert_eq!(findings[0].place, "caBundle");
}

#[test]
fn without_a_bundle_only_name_and_dates_are_judged() {
    let pair = pair();
    let findings = judged(&registered(None), served(&pair), None, Duration::ZERO);
    assert_eq!(ids(&findings), [(Id::CertificatesNoBundle, Level::Info), (Id::CertificatesTrusted, Level::Ok)]);
    assert!(!findings[1].what.contains("trusts the certificate"));
}

#[test]
fn a_certificate_for_another_name_is_an_error_that_names_it() {
    let other = pair_for(&CertificateNames::for_service("other", "flyte", &[]).unwrap());
    let findings = judged(&ca(&other), served(&other), None, Duration::ZERO);
    assert_eq!(ids(&findings), [(Id::CertificatesUntrusted, Level::Error)]);
    assert!(findings[0].what.contains("hook.flyte.svc"), "{findings:?}");
}

#[test]
fn the_end_is_told_before_it_comes_and_when_it_has() {
    let pair = pair();
    let soon = [(Id::CertificatesExpireSoon, Level::Warning); 2];
    let over = [(Id::CertificatesInvalid, Level::Error); 2];
    for (later, expected) in [(LIFE - 20 * DAY, soon), (LIFE + 20 * DAY, over)] {
        let findings = judged(&ca(&pair), served(&pair), None, later);
        assert_eq!(ids(&findings), expected, "bundle and certificate");
        assert!(findings[1].remedy.contains("init-certs"));
    }
}

#[test]
fn a_short_life_counts_as_ending_in_its_last_fifth() {
    let (installation, options, names) = (installation(), options(true), names());
    let now = SystemTime::now();
    let judge = Judge { installation: &installation, options: &options, names: &names, now };
    let at = |hours: i64| Timestamp::try_from(now).unwrap() + k8s_openapi::jiff::SignedDuration::from_hours(hours);
    for (start, end, soon) in [(-18, 6, false), (-20, 4, true), (-24 * 300, 24 * 65, false), (-24 * 340, 24 * 25, true)]
    {
        assert_eq!(judge.soon((at(start), at(end))), soon, "{start} to {end} hours from now");
    }
}

#[test]
fn a_secret_that_the_bundle_does_not_fit_is_a_warning_beside_replicas_and_an_error_alone() {
    let (one, other) = (pair(), pair());
    let findings = judged(&ca(&one), served(&one), in_secret(&other), Duration::ZERO);
    let expected = [(Id::CertificatesTrusted, Level::Ok), (Id::CertificatesSecretDiffers, Level::Warning)];
    assert_eq!(ids(&findings), expected);
    assert_eq!(findings[1].place, "secrets flyte/hook");
    let findings = judged(&ca(&one), Vec::new(), in_secret(&other), Duration::ZERO);
    assert_eq!(ids(&findings), [(Id::CertificatesUntrusted, Level::Error)]);
}

#[test]
fn an_address_that_is_not_reached_is_a_fault_only_from_inside() {
    let (installation, names) = (installation(), names());
    let pair = pair();
    for (inside, level) in [(true, Level::Warning), (false, Level::Info)] {
        let options = options(inside);
        let judge = Judge { installation: &installation, options: &options, names: &names, now: SystemTime::now() };
        let away = vec![Served { address: "192.0.2.1:9443".to_owned(), chain: Err("refused".to_owned()) }];
        let facts = Facts { served: Ok(away), secret: Ok(None) };
        assert_eq!(ids(&judge.judge(Some(&ca(&pair)), &facts)), [(Id::CertificatesNotSeen, level)]);
    }
}

#[test]
fn nothing_to_look_at_is_said() {
    let pair = pair();
    let findings = judged(&ca(&pair), Vec::new(), None, Duration::ZERO);
    assert_eq!(ids(&findings), [(Id::CertificatesNotSeen, Level::Info)]);
}
