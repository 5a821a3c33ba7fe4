//! Making a CA and a serving certificate.

use std::fmt;
use std::time::{Duration, SystemTime};

use flyte_secrets_core::value::SecretValue;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroize;

use super::key_pair::KeyPairPem;
use super::names::CertificateNames;

/// Clocks differ: what is made now must be valid on a machine whose clock is behind.
const BACKDATED: Duration = Duration::from_secs(60 * 60);
/// Ten years. Nobody renews what `init-certs` has made while the webhook runs, so a short validity would only be an
/// outage at a date that nobody remembers. Where certificates are rotated (cert-manager), that program decides.
const VALIDITY: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Why no certificate was made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The system gave no random numbers, or the CA cannot be read.
    #[error("cannot make a certificate: {0}")]
    Failed(#[from] rcgen::Error),
    /// A stored CA has another one's key.
    #[error("the key is not that of the certificate")]
    KeyMismatch,
}

/// When a certificate is valid; seconds count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Period {
    pub(super) from: SystemTime,
    pub(super) to: SystemTime,
}

impl Period {
    /// From an hour before `now`, for ten years.
    fn long(now: SystemTime) -> Self {
        let from = SystemTime::UNIX_EPOCH + since_1970(now).saturating_sub(BACKDATED);
        Self { from, to: from + VALIDITY }
    }
}

/// A certificate authority (ECDSA P-256).
///
/// One that `init-certs` makes lives as long as this value: its key is never stored, so who can read the Secret gets one
/// serving key, and not the means to make more.
pub struct CertificateAuthority {
    certificate: String,
    issuer: Issuer<'static, WipedKey>,
}

impl CertificateAuthority {
    /// A new CA with a self-signed certificate, valid from one hour before `now` for ten years.
    ///
    /// # Errors
    ///
    /// When the system gives no random numbers.
    pub fn new(now: SystemTime) -> Result<Self, IssueError> {
        Self::made("flyte-secrets CA", Period::long(now), WipedKey::generate()?)
    }

    /// A new CA with its key, to be stored.
    pub(super) fn shared(common_name: &str, period: Period) -> Result<(Self, SecretValue), IssueError> {
        let key = WipedKey::generate()?;
        let stored = SecretValue::text(key.0.serialize_pem());
        Ok((Self::made(common_name, period, key)?, stored))
    }

    /// One that was stored: its certificate and its key, in PEM, which must belong together.
    pub(super) fn load(certificate: &str, key: &SecretValue) -> Result<Self, IssueError> {
        let mut der = PrivatePkcs8KeyDer::from_pem_slice(key.expose_bytes())
            .map_err(|_| IssueError::Failed(rcgen::Error::CouldNotParseKeyPair))?;
        let read = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256).map(WipedKey);
        der.zeroize();
        let issuer = Issuer::from_ca_cert_pem(certificate, read?)?;
        if !belongs(certificate, issuer.key()) {
            return Err(IssueError::KeyMismatch);
        }
        Ok(Self { certificate: certificate.to_owned(), issuer })
    }

    /// Its certificate, in PEM.
    pub(super) fn certificate(&self) -> String {
        self.certificate.clone()
    }

    fn made(common_name: &str, period: Period, key: WipedKey) -> Result<Self, IssueError> {
        let mut params = params(common_name, period);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { certificate, issuer: Issuer::new(params, key) })
    }

    /// A serving certificate (ECDSA P-256) for `names`, with a new key, valid as long as the CA made at the same time.
    ///
    /// # Errors
    ///
    /// When the system gives no random numbers.
    pub fn issue(&self, names: &CertificateNames, now: SystemTime) -> Result<KeyPairPem, IssueError> {
        self.issue_for(names, Period::long(now))
    }

    /// The same for any time.
    pub(super) fn issue_for(&self, names: &CertificateNames, period: Period) -> Result<KeyPairPem, IssueError> {
        let key = WipedKey::generate()?;
        let mut params = params("flyte-secrets webhook", period);
        params.subject_alt_names = CertificateParams::new(names.issued())?.subject_alt_names;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(KeyPairPem {
            ca_crt: Some(self.certificate.clone()),
            tls_crt: certificate.pem(),
            tls_key: SecretValue::text(key.0.serialize_pem()),
        })
    }
}

impl fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateAuthority").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// Whether the certificate is for this key.
fn belongs(certificate: &str, key: &WipedKey) -> bool {
    CertificateDer::from_pem_slice(certificate.as_bytes()).is_ok_and(|der| {
        X509Certificate::from_der(&der)
            .is_ok_and(|(_, parsed)| *parsed.public_key().subject_public_key.data == *key.0.public_key_raw())
    })
}

fn params(common_name: &str, period: Period) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, common_name);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + since_1970(period.from);
    params.not_after = epoch + since_1970(period.to);
    params
}

/// A clock before 1970 is taken as 1970.
fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// A key that is wiped when it is dropped; rcgen's own is not.
struct WipedKey(KeyPair);

impl WipedKey {
    fn generate() -> Result<Self, IssueError> {
        Ok(Self(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?))
    }
}

impl Drop for WipedKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl rcgen::PublicKeyData for WipedKey {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.0.algorithm()
    }
}

impl rcgen::SigningKey for WipedKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.0.sign(message)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

    use super::*;

    fn issued() -> KeyPairPem {
        let names = CertificateNames::for_service("hook", "flyte", &["127.0.0.1".to_owned()]).unwrap();
        let now = SystemTime::now();
        CertificateAuthority::new(now).unwrap().issue(&names, now).unwrap()
    }

    #[test]
    fn the_leaf_is_a_server_certificate_for_the_names_and_points_at_its_issuer() {
        let pair = issued();
        let (leaf, ca) = (pair.chain().unwrap().remove(0), pair.authorities().unwrap().remove(0));
        let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
        let (_, ca) = X509Certificate::from_der(&ca).unwrap();

        assert!(!leaf.is_ca());
        assert!(leaf.extended_key_usage().unwrap().unwrap().value.server_auth);
        assert!(leaf.key_usage().unwrap().unwrap().value.digital_signature());
        let names = leaf.subject_alternative_name().unwrap().unwrap();
        assert_eq!(names.value.general_names.len(), 5);
        assert!(names.value.general_names.contains(&GeneralName::DNSName("hook.flyte.svc")));
        assert!(names.value.general_names.contains(&GeneralName::IPAddress(&[127, 0, 0, 1])));
        assert_eq!(key_identifier(&ca, "SubjectKeyIdentifier"), key_identifier(&leaf, "AuthorityKeyIdentifier"));
        assert_eq!(leaf.issuer(), ca.subject());
    }

    #[test]
    fn the_ca_may_sign_certificates_and_no_further_cas() {
        let ca = issued().authorities().unwrap().remove(0);
        let (_, ca) = X509Certificate::from_der(&ca).unwrap();
        let constraints = ca.basic_constraints().unwrap().unwrap();
        assert!(constraints.critical && constraints.value.ca);
        assert_eq!(constraints.value.path_len_constraint, Some(0));
        assert!(ca.key_usage().unwrap().unwrap().value.key_cert_sign());
    }

    #[test]
    fn validity_is_ten_years_and_began_an_hour_ago() {
        let leaf = issued().chain().unwrap().remove(0);
        let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
        let validity = leaf.validity();
        let now = i64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()).unwrap();
        assert!((now - validity.not_before.timestamp() - 3600).abs() < 60);
        assert_eq!(validity.not_after.timestamp() - validity.not_before.timestamp(), 10 * 365 * 86_400);
    }

    #[test]
    fn nothing_prints_a_key() {
        let now = SystemTime::now();
        let ca = CertificateAuthority::new(now).unwrap();
        let pair = ca.issue(&CertificateNames::for_hosts(&["localhost".to_owned()]).unwrap(), now).unwrap();
        let key = pair.tls_key.expose_text().unwrap();
        let middle = key.lines().nth(1).unwrap();
        assert!(!format!("{pair:?}{ca:?}").contains(middle));
        assert!(!format!("{pair:?}{ca:?}").contains("PRIVATE"));
    }

    fn key_identifier(certificate: &X509Certificate<'_>, which: &str) -> Vec<u8> {
        use x509_parser::extensions::ParsedExtension;
        certificate
            .extensions()
            .iter()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) if which == "SubjectKeyIdentifier" => Some(id.0.to_vec()),
                ParsedExtension::AuthorityKeyIdentifier(id) if which == "AuthorityKeyIdentifier" => {
                    Some(id.key_identifier.as_ref().unwrap().0.to_vec())
                }
                _ => None,
            })
            .unwrap()
    }
}
