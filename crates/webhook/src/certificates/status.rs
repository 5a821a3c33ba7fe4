//! What is known about the certificates, for metrics and for `doctor`.

use std::fmt;

use k8s_openapi::jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

/// The SHA-256 of a certificate in DER; as text, 64 lower-case hex digits, as `openssl x509 -fingerprint -sha256` has them
/// without the colons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// That of a certificate.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }

    /// Those of all certificates of a bundle in PEM; what is none is left out.
    #[must_use]
    pub fn all_of(bundle: &str) -> Vec<Self> {
        CertificateDer::pem_slice_iter(bundle.as_bytes()).flatten().map(|certificate| Self::of(&certificate)).collect()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Who makes the serving certificate (`webhook.certificates.mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateMode {
    /// Whoever writes the files in `webhook.certDir`.
    Files,
    /// cert-manager, which writes these files.
    CertManager,
    /// Every replica for itself, by CAs that all share.
    Auto,
}

/// What a CA is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorityRole {
    /// API servers are learning to trust it.
    Next,
    /// It has signed what is served.
    Current,
    /// It is still trusted, and signs nothing any more.
    Old,
}

/// One CA of those that the API server shall trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityStatus {
    /// Which.
    pub fingerprint: Fingerprint,
    /// When it expires.
    pub not_after: Timestamp,
    /// What it is good for.
    pub role: AuthorityRole,
}

impl AuthorityStatus {
    /// All certificates of a bundle in PEM, in one role; what is no certificate is left out.
    pub(super) fn all_of(bundle: &str, role: AuthorityRole) -> Vec<Self> {
        let certificates = CertificateDer::pem_slice_iter(bundle.as_bytes()).flatten();
        certificates
            .filter_map(|certificate| {
                let (_, parsed) = X509Certificate::from_der(&certificate).ok()?;
                let not_after =
                    Timestamp::from_second(parsed.validity().not_after.timestamp()).unwrap_or(Timestamp::MAX);
                Some(Self { fingerprint: Fingerprint::of(&certificate), not_after, role })
            })
            .collect()
    }
}

/// What is known about the certificates now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateStatus {
    /// Who makes them.
    pub mode: CertificateMode,
    /// When what is served expires.
    pub not_after: Timestamp,
    /// The CAs that the API server shall trust, the newest first; none where it trusts the issuer by itself.
    pub authorities: Vec<AuthorityStatus>,
    /// Why the last look at the files or the Secret, or the last change there, failed; `None` if it did not. What is served stays.
    pub last_error: Option<String>,
    /// How often this replica found the Secret of the CAs gone and wrote it back; 0 where there is none.
    pub restored: u64,
}
