//! The serving certificate of one replica.

use std::time::{Duration, SystemTime};

use k8s_openapi::jiff::Timestamp;

use super::super::inspect::{Inspected, inspect};
use super::super::key_pair::KeyPairPem;
use super::super::names::CertificateNames;
use super::super::status::Fingerprint;
use super::authority::{Authority, timestamp};
use super::shared::AutoError;
use super::timeline::Lifetimes;
use crate::kubernetes::jittered;

/// The serving certificate, as far as its renewal is concerned.
pub(super) struct Leaf {
    pub(super) signer: Fingerprint,
    issued: Timestamp,
    renew: Timestamp,
}

impl Leaf {
    /// When its time has come; also if the clock was set back behind the beginning.
    pub(super) fn is_due(&self, now: Timestamp, lifetimes: &Lifetimes) -> bool {
        let set_back = Duration::try_from(self.issued.duration_since(now)).is_ok_and(|ahead| ahead > lifetimes.skew);
        now >= self.renew || set_back
    }
}

/// A serving certificate, which the API server would take.
pub(super) fn issue(
    signer: &Authority,
    names: &CertificateNames,
    now: SystemTime,
    lifetimes: &Lifetimes,
) -> Result<(KeyPairPem, Inspected, Leaf), AutoError> {
    let pair = signer.issue(names, now, lifetimes)?;
    let inspected = inspect(&pair, names, now).map_err(AutoError::Bad)?;
    let issued = timestamp(now);
    let life = Duration::try_from(inspected.not_after.duration_since(issued)).unwrap_or_default();
    // With 4/12 to 5/12 of the life left, so that replicas that started together do not renew together.
    let renew = inspected.not_after - jittered(life / 6) - life / 4;
    Ok((pair, inspected, Leaf { signer: signer.life.id, issued, renew }))
}
