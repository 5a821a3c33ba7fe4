//! The certificates in a bundle.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

const BEGIN: &str = "-----BEGIN ";
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// One certificate of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authority {
    /// The certificate itself, by which two are the same, however they are written.
    pub(super) der: CertificateDer<'static>,
    /// How it was written, with a line end.
    pub(super) pem: String,
    /// The last second of its validity, since 1970.
    pub(super) not_after: i64,
}

/// What stands in a bundle.
#[derive(Clone, Debug, Default)]
pub(super) struct Authorities {
    /// Its certificates, each once, in their order.
    pub(super) all: Vec<Authority>,
    /// Whether there is also something that is no certificate, or one twice. Text between certificates does no harm.
    pub(super) untidy: bool,
}

impl Authorities {
    /// Reads PEM (RFC 7468).
    pub(super) fn read(text: &str) -> Self {
        let mut found = Self::default();
        let mut rest = text;
        while let Some(at) = rest.find(BEGIN) {
            rest = &rest[at..];
            let end = rest.find(END).map(|end| end + END.len());
            let next = rest[BEGIN.len()..].find(BEGIN).map(|next| next + BEGIN.len());
            let block = match (end, next) {
                (Some(end), next) if rest.starts_with(CERTIFICATE) && next.is_none_or(|next| end <= next) => end,
                // Another kind of block, or one that never ends.
                (_, next) => {
                    found.untidy = true;
                    rest = &rest[next.unwrap_or(rest.len())..];
                    continue;
                }
            };
            found.take(&rest[..block]);
            rest = &rest[block..];
        }
        found
    }

    fn take(&mut self, block: &str) {
        match authority(block) {
            Some(authority) if !self.holds(&authority) => self.all.push(authority),
            _ => self.untidy = true,
        }
    }

    /// Whether this certificate is among them.
    pub(super) fn holds(&self, authority: &Authority) -> bool {
        self.all.iter().any(|other| other.der == authority.der)
    }

    /// Whether every certificate of `others` is among them.
    pub(super) fn hold_all(&self, others: &Self) -> bool {
        others.all.iter().all(|other| self.holds(other))
    }
}

fn authority(block: &str) -> Option<Authority> {
    let der = CertificateDer::from_pem_slice(block.as_bytes()).ok()?;
    let (rest, certificate) = X509Certificate::from_der(&der).ok()?;
    let not_after = certificate.validity().not_after.timestamp();
    rest.is_empty().then(|| Authority { pem: format!("{block}\n"), not_after, der: der.clone() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests_support::ca;
    use super::*;

    fn read(text: &str) -> (usize, bool) {
        let found = Authorities::read(text);
        (found.all.len(), found.untidy)
    }

    #[test]
    fn certificates_are_found_whatever_stands_around_them() {
        let (a, b) = (ca("a"), ca("b"));
        for (text, found) in [
            (String::new(), (0, false)),
            ("no PEM at all".to_owned(), (0, false)),
            (format!("{a}{b}"), (2, false)),
            (format!("# the old one\n{a}\r\n# the new one\n{b}"), (2, false)),
            (format!("{a}{a}"), (1, true)),
            (format!("-----BEGIN CERTIFICATE-----\nAAAA\n{END}\n{a}"), (1, true)),
            (format!("-----BEGIN CERTIFICATE-----\n{a}"), (1, true)),
            (format!("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n{a}"), (1, true)),
            (format!("{a}-----BEGIN CERTIFICATE-----\nAAAA"), (1, true)),
        ] {
            assert_eq!(read(&text), found, "{text}");
        }
    }

    #[test]
    fn the_same_certificate_is_the_same_however_it_is_written() {
        let a = ca("a");
        let other = a.replace('\n', "\r\n");
        assert_ne!(a, other);
        assert!(Authorities::read(&a).hold_all(&Authorities::read(&other)));
    }
}
