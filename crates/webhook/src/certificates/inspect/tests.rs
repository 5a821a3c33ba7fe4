use flyte_secrets_core::value::SecretValue;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PKCS_RSA_SHA256, RsaKeySize,
};

use super::super::CertificateAuthority;
use super::*;

const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

fn names() -> CertificateNames {
    CertificateNames::for_service("hook", "flyte", &["127.0.0.1".to_owned()]).unwrap()
}

fn pair_made_at(now: SystemTime) -> KeyPairPem {
    CertificateAuthority::new(now).unwrap().issue(&names(), now).unwrap()
}

fn pair() -> KeyPairPem {
    pair_made_at(SystemTime::now())
}

fn look(pair: &KeyPairPem) -> Result<Inspected, Vec<Problem>> {
    inspect(pair, &names(), SystemTime::now())
}

fn problems(pair: &KeyPairPem) -> Vec<Problem> {
    look(pair).unwrap_err()
}

fn unreadable(part: &'static str, reason: &str) -> Problem {
    Problem::Unreadable { part, reason: reason.to_owned() }
}

/// A certificate for the required names made by hand; `change` makes it what the test needs.
fn leaf(issuer: &Issuer<'_, KeyPair>, change: impl FnOnce(&mut CertificateParams)) -> (String, SecretValue) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(names().required()).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    change(&mut params);
    (params.signed_by(&key, issuer).unwrap().pem(), SecretValue::text(key.serialize_pem()))
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn ca(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    CertifiedIssuer::self_signed(ca_params(name), KeyPair::generate().unwrap()).unwrap()
}

#[test]
fn what_we_issue_is_good_for_ten_years() {
    let now = SystemTime::now();
    let inspected = look(&pair()).unwrap();
    assert!(!inspected.expires_soon);
    let left = inspected.not_after.as_second() - seconds(now);
    assert!((left - seconds(SystemTime::UNIX_EPOCH + 10 * YEAR)).abs() <= 3700, "{left} s are left");
}

#[test]
fn the_last_thirty_days_are_soon() {
    let made = SystemTime::now();
    let pair = pair_made_at(made);
    for (age, soon) in [(10 * YEAR - 31 * DAY, false), (10 * YEAR - 29 * DAY, true)] {
        assert_eq!(inspect(&pair, &names(), made + age).unwrap().expires_soon, soon);
    }
}

#[test]
fn an_expired_pair_is_said_to_be_expired_and_nothing_else() {
    let pair = pair_made_at(SystemTime::now() - 11 * YEAR);
    let found = problems(&pair);
    assert!(
        matches!(found[..], [Problem::Expired { part: TLS_CRT, .. }, Problem::Expired { part: CA_CRT, .. }]),
        "{found:?}"
    );
}

#[test]
fn a_pair_of_the_future_is_not_valid_yet() {
    let found = problems(&pair_made_at(SystemTime::now() + 2 * DAY));
    assert!(
        matches!(found[..], [Problem::NotYetValid { part: TLS_CRT, .. }, Problem::NotYetValid { part: CA_CRT, .. }]),
        "{found:?}"
    );
}

#[test]
fn only_the_certificate_may_have_expired() {
    let issuer = ca("one");
    let (tls_crt, tls_key) = leaf(&issuer, |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let found = problems(&KeyPairPem { ca_crt: Some(issuer.pem()), tls_crt, tls_key });
    assert_eq!(found, [Problem::Expired { part: TLS_CRT, at: "2020-01-01T00:00:00Z".parse().unwrap() }]);
}

#[test]
fn the_key_of_another_certificate_is_noticed() {
    assert_eq!(problems(&KeyPairPem { tls_key: pair().tls_key, ..pair() }), [Problem::KeyMismatch]);
}

#[test]
fn another_ca_is_noticed_though_its_name_is_the_same() {
    let found = problems(&KeyPairPem { ca_crt: pair().ca_crt, ..pair() });
    assert_eq!(found, [Problem::NotTrusted { reason: "no certificate in ca.crt has signed it".to_owned() }]);
}

#[test]
fn a_certificate_for_clients_is_not_trusted() {
    let issuer = ca("one");
    let (tls_crt, tls_key) =
        leaf(&issuer, |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    let found = problems(&KeyPairPem { ca_crt: Some(issuer.pem()), tls_crt, tls_key });
    assert_eq!(found, [Problem::NotTrusted { reason: "its extended key usage is not serverAuth".to_owned() }]);
}

#[test]
fn every_name_that_is_not_covered_is_named() {
    let wanted = CertificateNames::for_service("hook", "other", &["::1".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let not_covered = |name: &str| Problem::NameNotCovered { name: name.to_owned() };
    assert_eq!(
        inspect(&pair(), &wanted, SystemTime::now()).unwrap_err(),
        [not_covered("hook.other.svc"), not_covered("::1")]
    );
}

#[test]
fn a_certificate_with_the_three_names_of_flyte_is_good() {
    let issuer = ca("flyte");
    let flytes = ["hook", "hook.flyte", "hook.flyte.svc"].map(str::to_owned);
    let (tls_crt, tls_key) = leaf(&issuer, |params| {
        params.subject_alt_names = CertificateParams::new(flytes).unwrap().subject_alt_names;
    });
    let names = CertificateNames::for_service("hook", "flyte", &[]).unwrap();
    let pair = KeyPairPem { ca_crt: Some(issuer.pem()), tls_crt, tls_key };
    inspect(&pair, &names, SystemTime::now()).unwrap();
}

#[test]
fn rsa_as_flyte_makes_it_is_good() {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let issuer = CertifiedIssuer::self_signed(ca_params("rsa"), key).unwrap();
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let params = CertificateParams::new(names().required()).unwrap();
    let tls_crt = params.signed_by(&key, &issuer).unwrap().pem();
    let tls_key = SecretValue::text(key.serialize_pem());
    look(&KeyPairPem { ca_crt: Some(issuer.pem()), tls_crt, tls_key }).unwrap();
}

#[test]
fn an_intermediate_that_follows_the_certificate_leads_to_the_ca() {
    let root = ca("root");
    let intermediate =
        CertifiedIssuer::signed_by(ca_params("intermediate"), KeyPair::generate().unwrap(), &root).unwrap();
    let (tls_crt, tls_key) = leaf(&intermediate, |_| ());
    let alone = KeyPairPem { ca_crt: Some(root.pem()), tls_crt, tls_key };
    assert!(matches!(problems(&alone)[..], [Problem::NotTrusted { .. }]));
    look(&KeyPairPem { tls_crt: format!("{}{}", alone.tls_crt, intermediate.pem()), ..alone }).unwrap();
}

#[test]
fn a_self_signed_certificate_may_be_its_own_ca() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(names().required()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let tls_crt = params.self_signed(&key).unwrap().pem();
    let tls_key = SecretValue::text(key.serialize_pem());
    look(&KeyPairPem { ca_crt: Some(tls_crt.clone()), tls_crt, tls_key }).unwrap();
}

#[test]
fn while_a_ca_is_replaced_the_bundle_may_hold_several_even_expired_ones() {
    let good = pair();
    let bundle = [pair_made_at(SystemTime::now() - 11 * YEAR).ca_crt, pair().ca_crt, good.ca_crt.clone()];
    look(&KeyPairPem { ca_crt: Some(bundle.map(Option::unwrap).concat()), ..good }).unwrap();
}

#[test]
fn a_ca_that_ends_before_the_certificate_ends_it() {
    let end = rcgen::date_time_ymd(2999, 1, 1);
    let mut params = ca_params("short");
    params.not_after = end;
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let (tls_crt, tls_key) = leaf(&issuer, |_| ());
    let inspected = look(&KeyPairPem { ca_crt: Some(issuer.pem()), tls_crt, tls_key }).unwrap();
    assert_eq!(inspected.not_after.as_second(), end.unix_timestamp());
}

#[test]
fn without_a_ca_the_issuer_is_not_looked_at() {
    look(&KeyPairPem { ca_crt: None, ..pair() }).unwrap();
}

#[test]
fn parts_that_cannot_be_read_are_named_all_at_once() {
    let key = SecretValue::text("hunter2".to_owned());
    let no_key = unreadable(TLS_KEY, "no private key in PEM (PKCS #8, PKCS #1 or SEC 1, not encrypted)");
    let no_certificate = |part| unreadable(part, "no certificate in it");
    let all_bad = KeyPairPem { ca_crt: Some(String::new()), tls_crt: "text".to_owned(), tls_key: key.clone() };
    assert_eq!(problems(&all_bad), [no_certificate(CA_CRT), no_certificate(TLS_CRT)]);
    assert_eq!(problems(&KeyPairPem { tls_key: key, ..pair() }), [no_key]);
    let broken = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n".to_owned();
    assert_eq!(problems(&KeyPairPem { tls_crt: broken, ..pair() }), [unreadable(TLS_CRT, "not PEM")]);
    let no_x509 = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned();
    let found = problems(&KeyPairPem { tls_crt: no_x509.clone(), ..pair() });
    assert!(found.contains(&unreadable(TLS_CRT, "no X.509 certificate")), "{found:?}");
    assert_eq!(problems(&KeyPairPem { ca_crt: Some(no_x509), ..pair() }), [unreadable(CA_CRT, "no X.509 certificate")]);
}

#[test]
fn problems_are_sentences() {
    let at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    for (problem, sentence) in [
        (Problem::Missing { part: CA_CRT }, "ca.crt is missing"),
        (Problem::KeyMismatch, "tls.key does not belong to the certificate in tls.crt"),
        (Problem::NameNotCovered { name: "a.b.svc".to_owned() }, "tls.crt is not valid for a.b.svc"),
        (Problem::Expired { part: TLS_CRT, at }, "tls.crt expired at 2026-01-01T00:00:00Z"),
        (
            Problem::NotYetValid { part: CA_CRT, at },
            "ca.crt is not valid before 2026-01-01T00:00:00Z; is the clock right?",
        ),
    ] {
        assert_eq!(problem.to_string(), sentence);
    }
}
