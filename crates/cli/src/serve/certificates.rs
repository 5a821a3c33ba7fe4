//! The certificate that is served.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use flyte_secrets_config::{CertificateMode, Config, WebhookSettings};
use flyte_secrets_core::Profile;
use flyte_secrets_webhook::certificates::{
    self, AuthorityRole, AutoSettings, CertificateNames, CertificateResolver, CertificateStatus, Fingerprint,
    Lifetimes, ReloadError, Reloader, Rotation, TLS_CRT, TLS_KEY,
};
use flyte_secrets_webhook::events::Events;
use flyte_secrets_webhook::kubernetes::client;
use flyte_secrets_webhook::leader::Leadership;
use flyte_secrets_webhook::metrics::{CertificateRole, Metrics};
use flyte_secrets_webhook::registration::{Endpoint, RegistrationState};
use tokio::sync::watch;

use crate::init_certs;

/// How often the certificate's files are looked at.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(1);

/// Where the certificate comes from.
pub(super) enum Certificates {
    /// From files in `webhook.certDir`.
    Files(Box<Reloader>),
    /// From CAs in a Secret that all replicas share.
    Auto(Box<Rotation>),
}

impl Certificates {
    /// By `webhook.certificates.mode`, or by what there is.
    pub(super) async fn open(config: &Config, endpoint: Option<&Endpoint>) -> Result<Self> {
        let Config { injection, webhook, .. } = config;
        let mode = match webhook.certificates.mode {
            Some(mode) => mode,
            None => default_mode(webhook, injection.profile, has_files(webhook).await),
        };
        tracing::info!(?mode, "certificates");
        match mode {
            CertificateMode::Auto => Ok(Self::Auto(Box::new(rotation(webhook, endpoint).await?))),
            CertificateMode::Files => Ok(Self::Files(Box::new(files(config, endpoint).await?))),
            CertificateMode::CertManager => {
                let reloader = files(config, endpoint).await?;
                Ok(Self::Files(Box::new(reloader.in_mode(certificates::CertificateMode::CertManager))))
            }
        }
    }

    pub(super) fn resolver(&self) -> Arc<CertificateResolver> {
        match self {
            Self::Files(reloader) => reloader.resolver(),
            Self::Auto(rotation) => rotation.resolver(),
        }
    }

    /// The CAs that the API server shall trust.
    pub(super) fn ca_bundle(&self) -> watch::Receiver<Option<String>> {
        match self {
            Self::Files(reloader) => reloader.ca_bundle(),
            Self::Auto(rotation) => rotation.ca_bundle(),
        }
    }

    pub(super) fn status(&self) -> watch::Receiver<CertificateStatus> {
        match self {
            Self::Files(reloader) => reloader.status(),
            Self::Auto(rotation) => rotation.status(),
        }
    }

    /// Whether one of several replicas leads the change of CAs.
    pub(super) const fn are_led(&self) -> bool {
        matches!(self, Self::Auto(_))
    }

    /// Keeps the certificate good from now on.
    pub(super) fn keep(self, registered: watch::Receiver<RegistrationState>, leadership: watch::Receiver<Leadership>) {
        match self {
            Self::Files(reloader) => drop(tokio::spawn(reloader.run(CERTIFICATE_INTERVAL))),
            Self::Auto(rotation) => drop(tokio::spawn(rotation.run(registered, leadership))),
        }
    }
}

/// The mode where none is configured. Flyte 1's Job writes the files, maybe only after we have started.
pub(crate) fn default_mode(webhook: &WebhookSettings, profile: Profile, has_files: bool) -> CertificateMode {
    let files = has_files
        || profile == Profile::Flyte1
        || webhook.local_cert
        || !webhook.register
        || webhook.pod_namespace.is_none();
    if files { CertificateMode::Files } else { CertificateMode::Auto }
}

/// Whether `webhook.certDir` holds a certificate with its key. What cannot be looked at is there: loading it says why.
async fn has_files(webhook: &WebhookSettings) -> bool {
    for name in [TLS_CRT, TLS_KEY] {
        if !tokio::fs::try_exists(webhook.cert_dir.join(name)).await.unwrap_or(true) {
            return false;
        }
    }
    true
}

async fn rotation(webhook: &WebhookSettings, endpoint: Option<&Endpoint>) -> Result<Rotation> {
    const MODE: &str = "webhook.certificates.mode: auto";
    if !webhook.register {
        bail!(
            "{MODE} needs a registration of our own, because CAs come and go in its caBundle: set \
             webhook.disableCreateMutatingWebhookConfig: false, or webhook.certificates.mode: files"
        );
    }
    let settings = &webhook.certificates;
    let (Some(_), Some(namespace), Some(endpoint)) = (&webhook.pod_namespace, &settings.ca_secret_namespace, endpoint)
    else {
        bail!(
            "{MODE} needs the namespace of this webhook: set the environment variable POD_NAMESPACE (from \
             metadata.namespace), or webhook.certificates.mode: files"
        );
    };
    let settings = AutoSettings {
        namespace: namespace.clone(),
        secret_name: settings.ca_secret_name.clone(),
        names: endpoint.certificate_names(&[])?,
        lifetimes: Lifetimes {
            authority: settings.ca_lifetime,
            leaf: settings.leaf_lifetime,
            overlap: settings.ca_overlap,
            skew: settings.clock_skew,
        },
    };
    Ok(Rotation::open(client().await?, settings).await?)
}

/// The certificate of `webhook.certDir`. As in Flyte 2, one is made at start-up where none is.
async fn files(config: &Config, endpoint: Option<&Endpoint>) -> Result<Reloader> {
    let Config { injection, webhook, .. } = config;
    let names = match endpoint {
        Some(endpoint) => endpoint.certificate_names(&[])?,
        // Whoever registers this webhook knows its names; ours to check is the rest.
        None => CertificateNames::for_hosts(&[])?,
    };
    match Reloader::open(&webhook.cert_dir, names.clone()).await {
        Ok(reloader) => Ok(reloader),
        Err(ReloadError::Files(missing)) if webhook.local_cert || injection.profile == Profile::Flyte2 => {
            let ours = webhook.certificates.mode != Some(CertificateMode::CertManager);
            let Some(endpoint) = endpoint.filter(|_| ours && webhook.pod_namespace.is_some()) else {
                return Err(missing.into());
            };
            tracing::info!(%missing, "there is no certificate yet");
            let outcome = init_certs::make(webhook, endpoint).await?;
            tracing::info!(secret = %webhook.secret_name, "{outcome}");
            Reloader::open(&webhook.cert_dir, names).await.context(
                "the certificate is in its Secret, but not in webhook.certDir: mount the Secret there, or set \
                 webhook.localCert: true",
            )
        }
        Err(error) => Err(error.into()),
    }
}

/// Keeps the metrics in step with the certificates, and has Events tell of trouble with them.
pub(super) fn follow(mut status: watch::Receiver<CertificateStatus>, metrics: Metrics, events: Events) {
    tokio::spawn(async move {
        let mut last: Option<CertificateStatus> = None;
        loop {
            let now = status.borrow_and_update().clone();
            tell(last.as_ref(), &now, &metrics, &events);
            last = Some(now);
            if status.changed().await.is_err() {
                return;
            }
        }
    });
}

fn tell(last: Option<&CertificateStatus>, now: &CertificateStatus, metrics: &Metrics, events: &Events) {
    metrics.certificate_expires(CertificateRole::Serving, Some(now.not_after.as_second()));
    for (role, counted) in [
        (AuthorityRole::Next, CertificateRole::NextCa),
        (AuthorityRole::Current, CertificateRole::Ca),
        (AuthorityRole::Old, CertificateRole::OldCa),
    ] {
        metrics.certificate_expires(counted, expiry(now, role));
    }
    let Some(last) = last else { return };
    if last.not_after != now.not_after {
        metrics.certificate_rotated(CertificateRole::Serving);
    }
    if signing(last) != signing(now) {
        metrics.certificate_rotated(CertificateRole::Ca);
    }
    if now.restored > last.restored {
        metrics.certificate_secret_restored();
        events.note("CertificateSecretRestored", "the Secret of the CAs was gone; it is written back as it was");
    }
    if let Some(error) = now.last_error.as_ref().filter(|_| last.last_error != now.last_error) {
        events.note("CertificateTrouble", error);
    }
}

/// When the last CA of a role expires, in seconds since 1970.
fn expiry(status: &CertificateStatus, role: AuthorityRole) -> Option<i64> {
    status.authorities.iter().filter(|ca| ca.role == role).map(|ca| ca.not_after.as_second()).max()
}

/// The CAs that have signed what is served.
fn signing(status: &CertificateStatus) -> Vec<Fingerprint> {
    status.authorities.iter().filter(|ca| ca.role == AuthorityRole::Current).map(|ca| ca.fingerprint).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use flyte_secrets_config::{Inputs, load};
    use flyte_secrets_webhook::certificates::AuthorityStatus;

    use super::*;

    #[test]
    fn the_cas_of_a_role_expire_with_the_last_of_them() {
        let ca = |role, seconds| AuthorityStatus {
            fingerprint: Fingerprint([0; 32]),
            not_after: format!("1970-01-01T00:00:{seconds}Z").parse().unwrap(),
            role,
        };
        let status = CertificateStatus {
            mode: certificates::CertificateMode::Auto,
            not_after: "2026-01-01T00:00:00Z".parse().unwrap(),
            authorities: vec![
                ca(AuthorityRole::Current, 20),
                ca(AuthorityRole::Old, 30),
                ca(AuthorityRole::Current, 10),
            ],
            restored: 0,
            last_error: None,
        };
        assert_eq!(expiry(&status, AuthorityRole::Current), Some(20));
        assert_eq!(expiry(&status, AuthorityRole::Next), None, "what is not there is not told");
    }

    #[test]
    fn without_a_mode_files_are_used_where_somebody_writes_them_and_auto_elsewhere() {
        use CertificateMode::{Auto, Files};
        let in_pod = ("POD_NAMESPACE", "flyte");
        let cases = [
            (&[in_pod][..], &[][..], false, Auto),
            (&[in_pod], &[], true, Files),
            (&[], &[], false, Files),
            (&[in_pod], &[("webhook.localCert", "true")], false, Files),
            (&[in_pod], &[("webhook.disableCreateMutatingWebhookConfig", "true")], false, Files),
            (&[in_pod], &[("webhook.profile", "flyte1")], false, Files),
        ];
        let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        for (environment, flags, has_files, expected) in cases {
            let inputs = Inputs { environment: pairs(environment), flags: pairs(flags), ..Inputs::default() };
            let Config { injection, webhook, .. } = load(&inputs).unwrap().config;
            let mode = default_mode(&webhook, injection.profile, has_files);
            assert_eq!(mode, expected, "{environment:?} {flags:?} {has_files}");
        }
    }
}
