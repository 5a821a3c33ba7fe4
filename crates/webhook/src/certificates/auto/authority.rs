//! One CA that all replicas share.

use std::time::SystemTime;

use flyte_secrets_core::value::SecretValue;
use k8s_openapi::jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::super::issue::{CertificateAuthority, IssueError, Period};
use super::super::key_pair::KeyPairPem;
use super::super::names::CertificateNames;
use super::super::status::Fingerprint;
use super::timeline::{Life, Lifetimes};

/// A CA with its key, and its times.
#[derive(Clone, Debug)]
pub(super) struct Authority {
    pub(super) life: Life,
    /// The certificate, in PEM.
    pub(super) certificate: String,
    /// The private key, in PEM (PKCS #8).
    pub(super) key: SecretValue,
}

impl Authority {
    /// A new one, valid from one skew before `now`.
    pub(super) fn new(now: SystemTime, lifetimes: &Lifetimes) -> Result<Self, IssueError> {
        let created = timestamp(now);
        let period = Period { from: now - lifetimes.skew.min(since_1970(now)), to: now + lifetimes.authority };
        // Names that differ help people, and programs that look for an issuer by its name alone.
        let (authority, key) = CertificateAuthority::shared(&format!("flyte-secrets CA {created:.0}"), period)?;
        let certificate = authority.certificate();
        let (id, not_after) = facts(&certificate).map_err(|_| rcgen::Error::CouldNotParseCertificate)?;
        Ok(Self { life: Life { id, created, not_after, announced: None, retired: None }, certificate, key })
    }

    /// One that was stored; `times` are put to what the certificate says itself.
    pub(super) fn stored(
        certificate: String,
        key: SecretValue,
        created: Timestamp,
        announced: Option<Timestamp>,
        retired: Option<Timestamp>,
    ) -> Result<Self, String> {
        let (id, not_after) = facts(&certificate)?;
        CertificateAuthority::load(&certificate, &key).map_err(|error| error.to_string())?;
        Ok(Self { life: Life { id, created, not_after, announced, retired }, certificate, key })
    }

    /// A serving certificate for `names` from one skew before `now` on; it ends with the CA at the latest.
    pub(super) fn issue(
        &self,
        names: &CertificateNames,
        now: SystemTime,
        lifetimes: &Lifetimes,
    ) -> Result<KeyPairPem, IssueError> {
        let end = SystemTime::from(self.life.not_after).min(now + lifetimes.leaf);
        let period = Period { from: now - lifetimes.skew.min(since_1970(now)), to: end };
        CertificateAuthority::load(&self.certificate, &self.key)?.issue_for(names, period)
    }
}

/// A clock before 1970 is taken as 1970.
pub(super) fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn since_1970(time: SystemTime) -> std::time::Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Which certificate it is, and when it ends.
fn facts(pem: &str) -> Result<(Fingerprint, Timestamp), String> {
    let mut found = CertificateDer::pem_slice_iter(pem.as_bytes());
    let (Some(Ok(der)), None) = (found.next(), found.next()) else {
        return Err("not one certificate in PEM".to_owned());
    };
    let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| "no X.509 certificate".to_owned())?;
    if !parsed.is_ca() {
        return Err("not the certificate of a CA".to_owned());
    }
    let not_after = Timestamp::from_second(parsed.validity().not_after.timestamp()).unwrap_or(Timestamp::MAX);
    Ok((Fingerprint::of(&der), not_after))
}
