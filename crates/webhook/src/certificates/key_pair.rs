//! CA, certificate and key, as they stand in the Secret and in the files.

use flyte_secrets_core::value::SecretValue;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::inspect::Problem;

/// The key of the Secret, and the file, that holds the certificates of the CA.
pub const CA_CRT: &str = "ca.crt";
/// The key of the Secret, and the file, that holds the serving certificate and any intermediate ones.
pub const TLS_CRT: &str = "tls.crt";
/// The key of the Secret, and the file, that holds the private key.
pub const TLS_KEY: &str = "tls.key";

/// A serving certificate with its key and the CA that signed it, as PEM (RFC 7468).
///
/// The key is wiped from memory when it is dropped and is not part of `Debug`.
#[derive(Clone, Debug)]
pub struct KeyPairPem {
    /// The CA's certificates, one or more; `None` where the API server trusts the issuer already (a public CA).
    pub ca_crt: Option<String>,
    /// The serving certificate, then any intermediate ones.
    pub tls_crt: String,
    /// The private key: PKCS #8, PKCS #1 or SEC 1.
    pub tls_key: SecretValue,
}

impl KeyPairPem {
    /// The serving certificate and what follows it; never empty.
    pub(crate) fn chain(&self) -> Result<Vec<CertificateDer<'static>>, Problem> {
        certificates(TLS_CRT, &self.tls_crt)
    }

    /// The CA's certificates; empty without `ca.crt`.
    pub(crate) fn authorities(&self) -> Result<Vec<CertificateDer<'static>>, Problem> {
        self.ca_crt.as_ref().map_or_else(|| Ok(Vec::new()), |pem| certificates(CA_CRT, pem))
    }

    /// The private key.
    pub(crate) fn key(&self) -> Result<PrivateKeyDer<'static>, Problem> {
        // The parser's own message is left out: it may repeat what stands in the file.
        PrivateKeyDer::from_pem_slice(self.tls_key.expose_bytes()).map_err(|_| Problem::Unreadable {
            part: TLS_KEY,
            reason: "no private key in PEM (PKCS #8, PKCS #1 or SEC 1, not encrypted)".to_owned(),
        })
    }
}

fn certificates(part: &'static str, pem: &str) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let unreadable = |reason: &str| Problem::Unreadable { part, reason: reason.to_owned() };
    let found = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| unreadable("not PEM"))?;
    if found.is_empty() { Err(unreadable("no certificate in it")) } else { Ok(found) }
}
