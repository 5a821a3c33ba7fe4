//! Certificates for this room's tests.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};

/// The certificate of a new CA in PEM.
pub(super) fn ca(name: &str) -> String {
    ca_until(name, 2999)
}

/// The certificate of a CA that ends with the first day of a year.
pub(super) fn ca_until(name: &str, year: i32) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}
