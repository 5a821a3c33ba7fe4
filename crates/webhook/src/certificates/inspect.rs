//! Is this certificate good? Asked before one is kept, and before one is served.

use std::time::{Duration, SystemTime};

use k8s_openapi::jiff::Timestamp;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::key_pair::{CA_CRT, KeyPairPem, TLS_CRT, TLS_KEY};
use super::names::CertificateNames;

/// With less than this left, people are told.
const SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What is wrong with a key pair; its text is a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A part is not there.
    #[error("{part} is missing")]
    Missing {
        /// `ca.crt`, `tls.crt` or `tls.key`.
        part: &'static str,
    },
    /// A part cannot be read.
    #[error("{part} cannot be read: {reason}")]
    Unreadable {
        /// `ca.crt`, `tls.crt` or `tls.key`.
        part: &'static str,
        /// What was expected or found.
        reason: String,
    },
    /// The private key is another certificate's.
    #[error("{TLS_KEY} does not belong to the certificate in {TLS_CRT}")]
    KeyMismatch,
    /// The CA did not sign the certificate, or the certificate is not for servers.
    #[error("the API server would not trust {TLS_CRT}: {reason}")]
    NotTrusted {
        /// Why.
        reason: String,
    },
    /// The certificate is not for a name by which the webhook is called.
    #[error("{TLS_CRT} is not valid for {name}")]
    NameNotCovered {
        /// The DNS name or IP address.
        name: String,
    },
    /// A part is no longer valid.
    #[error("{part} expired at {at}")]
    Expired {
        /// `ca.crt` or `tls.crt`.
        part: &'static str,
        /// Since when.
        at: Timestamp,
    },
    /// A part is not valid yet.
    #[error("{part} is not valid before {at}; is the clock right?")]
    NotYetValid {
        /// `ca.crt` or `tls.crt`.
        part: &'static str,
        /// From when on.
        at: Timestamp,
    },
}

/// Facts about a key pair that is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// When the certificate, or the last of its CA's certificates, expires, whichever is first.
    pub not_after: Timestamp,
    /// Whether less than 30 days are left.
    pub expires_soon: bool,
}

/// Looks whether the API server would accept this key pair for every required name at the time `now`.
///
/// The key must belong to the certificate, the certificate must be for servers, signed by `ca.crt` (directly or over the
/// certificates that follow it in `tls.crt`), or stand in it itself, and be valid now. Without `ca.crt` the issuer is not looked at.
///
/// # Errors
///
/// Everything that is wrong, not only the first thing; one element at least.
pub fn inspect(pair: &KeyPairPem, names: &CertificateNames, now: SystemTime) -> Result<Inspected, Vec<Problem>> {
    let mut problems = Vec::new();
    let authorities = noted(pair.authorities(), &mut problems);
    let chain = noted(pair.chain(), &mut problems);
    if let Err(problem) = certified_key(pair)
        && !problems.contains(&problem)
    {
        problems.push(problem);
    }
    let (Some(chain), Some(authorities)) = (chain, authorities) else { return Err(problems) };

    let now = seconds(now);
    let leaf_validity = noted(validity(TLS_CRT, &chain[0]), &mut problems);
    if let Some(validity) = leaf_validity {
        problems.extend(validity.problem(TLS_CRT, now));
    }
    problems.extend(uncovered(&chain[0], names));
    let Some((valid_authorities, ca_ends)) = noted(valid_at(&authorities, now), &mut problems) else {
        return Err(problems);
    };
    if let Some(validity) = leaf_validity
        && !authorities.is_empty()
    {
        problems.extend(untrusted(&chain, &valid_authorities, validity.clamp(now)));
    }
    match leaf_validity {
        Some(validity) if problems.is_empty() => {
            let end = ca_ends.map_or(validity.not_after, |ca_ends| ca_ends.min(validity.not_after));
            let soon = end.saturating_sub(now) < SOON.as_secs().cast_signed();
            Ok(Inspected { not_after: instant(end), expires_soon: soon })
        }
        _ => Err(problems),
    }
}

/// The certificate and its key in the form that rustls serves.
pub(crate) fn certified_key(pair: &KeyPairPem) -> Result<CertifiedKey, Problem> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    CertifiedKey::from_der(pair.chain()?, pair.key()?, &provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => Problem::KeyMismatch,
        rustls::Error::InvalidCertificate(_) => {
            Problem::Unreadable { part: TLS_CRT, reason: "no X.509 certificate".to_owned() }
        }
        _ => Problem::Unreadable { part: TLS_KEY, reason: "no key that TLS can use (RSA, ECDSA, Ed25519)".to_owned() },
    })
}

/// The sentences, as one.
pub(crate) fn sentences(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ")
}

fn noted<T>(result: Result<T, Problem>, problems: &mut Vec<Problem>) -> Option<T> {
    result.map_err(|problem| problems.push(problem)).ok()
}

/// Seconds since 1970, first and last.
#[derive(Clone, Copy)]
struct Validity {
    not_before: i64,
    not_after: i64,
}

impl Validity {
    fn problem(self, part: &'static str, now: i64) -> Option<Problem> {
        if now < self.not_before {
            Some(Problem::NotYetValid { part, at: instant(self.not_before) })
        } else if now > self.not_after {
            Some(Problem::Expired { part, at: instant(self.not_after) })
        } else {
            None
        }
    }

    /// The time within the validity that is nearest to `now`: an expired certificate is said to be expired, and not
    /// to be signed wrongly as well.
    fn clamp(self, now: i64) -> i64 {
        now.min(self.not_after).max(self.not_before)
    }
}

fn validity(part: &'static str, certificate: &CertificateDer<'_>) -> Result<Validity, Problem> {
    let unreadable = |_| Problem::Unreadable { part, reason: "no X.509 certificate".to_owned() };
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(unreadable)?;
    let validity = certificate.validity();
    Ok(Validity { not_before: validity.not_before.timestamp(), not_after: validity.not_after.timestamp() })
}

/// The authorities that are valid now, and when the last of them ends. While a CA is replaced, a bundle may hold one that
/// has expired; it counts for nothing, and does no harm. Only if none is left the bundle is bad.
fn valid_at<'a>(
    authorities: &'a [CertificateDer<'static>],
    now: i64,
) -> Result<(Vec<&'a CertificateDer<'static>>, Option<i64>), Problem> {
    let mut valid = Vec::new();
    let mut ends = None;
    let mut problem = None;
    for authority in authorities {
        let validity = validity(CA_CRT, authority)?;
        match validity.problem(CA_CRT, now) {
            None => {
                valid.push(authority);
                ends = ends.max(Some(validity.not_after));
            }
            Some(found) => problem = Some(found),
        }
    }
    match problem {
        Some(problem) if valid.is_empty() => Err(problem),
        _ => Ok((valid, ends)),
    }
}

fn uncovered(leaf: &CertificateDer<'_>, names: &CertificateNames) -> Vec<Problem> {
    let Ok(leaf) = ParsedCertificate::try_from(leaf) else {
        return vec![Problem::Unreadable { part: TLS_CRT, reason: "no X.509 certificate of version 3".to_owned() }];
    };
    let covered = |name: &str| {
        ServerName::try_from(name).is_ok_and(|server_name| verify_server_name(&leaf, &server_name).is_ok())
    };
    names
        .required()
        .iter()
        .filter(|name| !covered(name))
        .map(|name| Problem::NameNotCovered { name: name.clone() })
        .collect()
}

fn untrusted(chain: &[CertificateDer<'_>], authorities: &[&CertificateDer<'static>], at: i64) -> Option<Problem> {
    let not_trusted = |reason: String| Some(Problem::NotTrusted { reason });
    // A self-signed certificate may be its own CA; Go, in which the API server is written, accepts it as such.
    if authorities.iter().any(|authority| authority.as_ref() == chain[0].as_ref()) {
        return None;
    }
    let mut roots = RootCertStore::empty();
    for &authority in authorities {
        if roots.add(authority.clone()).is_err() {
            return Some(Problem::Unreadable { part: CA_CRT, reason: "no certificate that can sign".to_owned() });
        }
    }
    // A certificate that cannot be parsed was reported with the names.
    let leaf = ParsedCertificate::try_from(&chain[0]).ok()?;
    let at = UnixTime::since_unix_epoch(Duration::from_secs(at.max(0).cast_unsigned()));
    let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
    match verify_server_cert_signed_by_trust_anchor(&leaf, &roots, &chain[1..], at, algorithms.all) {
        Ok(()) => None,
        Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) => {
            not_trusted(format!("no certificate in {CA_CRT} has signed it"))
        }
        Err(rustls::Error::InvalidCertificate(
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. },
        )) => not_trusted("its extended key usage is not serverAuth".to_owned()),
        Err(error) => not_trusted(error.to_string()),
    }
}

/// Whether `authority` has signed the certificate that `chain` begins with, directly or over those that follow, or is it itself.
pub(crate) fn is_signed_by(
    chain: &[CertificateDer<'static>],
    authority: &CertificateDer<'static>,
    now: SystemTime,
) -> bool {
    !chain.is_empty() && untrusted(chain, &[authority], seconds(now)).is_none()
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Certificates may name years up to 9999, and so may a `Timestamp`, nearly; the rest is its last instant.
fn instant(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
