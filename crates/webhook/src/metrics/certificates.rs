//! What is known of certificates: when they expire, how often they were replaced.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::{Labels, Metrics};

/// What a certificate is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertificateRole {
    /// The one that is served.
    Serving,
    /// The CA that signs, or that has signed what is served.
    Ca,
    /// The CA that stands in the bundle and will sign next.
    NextCa,
    /// The CA that signs no more, and is trusted as long as anything that it signed may be served.
    OldCa,
}

impl CertificateRole {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Serving, Self::Ca, Self::NextCa, Self::OldCa];

    /// The name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Ca => "ca",
            Self::NextCa => "ca_next",
            Self::OldCa => "ca_old",
        }
    }
}

/// The series of certificates.
pub(super) struct CertificateSeries {
    /// No series where there is no such certificate: an alert on its expiry has to wait until there is one.
    expiry: Family<Labels<1>, Gauge<f64, AtomicU64>>,
    rotations: Family<Labels<1>, Counter>,
    restored: Counter,
}

impl Default for CertificateSeries {
    fn default() -> Self {
        let rotations = Family::<Labels<1>, Counter>::default();
        for role in [CertificateRole::Serving, CertificateRole::Ca] {
            drop(rotations.get_or_create(&labels(role)));
        }
        Self { expiry: Family::default(), rotations, restored: Counter::default() }
    }
}

impl CertificateSeries {
    pub(super) fn register(&self, metrics: &Metrics) {
        metrics.register_seconds(
            "certificate_expiry_timestamp",
            "When a certificate expires, in seconds since 1970",
            self.expiry.clone(),
        );
        metrics.register(
            "certificate_rotations",
            "Certificates that took the place of others while the program ran",
            self.rotations.clone(),
        );
        metrics.register(
            "certificate_secret_restorations",
            "How often somebody had deleted the Secret of the CAs, and this replica wrote it back",
            self.restored.clone(),
        );
    }
}

impl Metrics {
    /// Sets when the certificate of a role expires, in seconds since 1970-01-01 UTC; `None` where there is none.
    #[expect(clippy::cast_precision_loss, reason = "exact for 285 million years")]
    pub fn certificate_expires(&self, role: CertificateRole, unix_seconds: Option<i64>) {
        let expiry = &self.inner.certificates.expiry;
        if let Some(seconds) = unix_seconds {
            expiry.get_or_create(&labels(role)).set(seconds as f64);
        } else {
            expiry.remove(&labels(role));
        }
    }

    /// Counts a Secret of the CAs that was gone and was written back.
    pub fn certificate_secret_restored(&self) {
        self.inner.certificates.restored.inc();
    }

    /// Counts a certificate that took the place of another one.
    pub fn certificate_rotated(&self, role: CertificateRole) {
        self.inner.certificates.rotations.get_or_create(&labels(role)).inc();
    }
}

const fn labels(role: CertificateRole) -> Labels<1> {
    [("certificate", role.name())]
}
