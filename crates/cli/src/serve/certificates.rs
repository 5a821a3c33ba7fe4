//! The certificate that is served.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use flyte_secrets_config::Config;
use flyte_secrets_core::Profile;
use flyte_secrets_webhook::certificates::{CertificateNames, CertificateResolver, ReloadError, Reloader};
use flyte_secrets_webhook::metrics::{CertificateRole, Metrics};
use flyte_secrets_webhook::registration::Endpoint;
use tokio::sync::watch;

use crate::init_certs;

/// How often the certificate's files are looked at.
pub(super) const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(1);

/// The certificate of `webhook.certDir`. As in Flyte 2, one is made at start-up where none is.
pub(super) async fn certificate(config: &Config, endpoint: Option<&Endpoint>) -> Result<Reloader> {
    let Config { injection, webhook, .. } = config;
    let names = match endpoint {
        Some(endpoint) => endpoint.certificate_names(&[])?,
        // Whoever registers this webhook knows its names; ours to check is the rest.
        None => CertificateNames::for_hosts(&[])?,
    };
    match Reloader::open(&webhook.cert_dir, names.clone()).await {
        Ok(reloader) => Ok(reloader),
        Err(ReloadError::Files(missing)) if webhook.local_cert || injection.profile == Profile::Flyte2 => {
            let Some(endpoint) = endpoint.filter(|_| webhook.pod_namespace.is_some()) else {
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

/// Keeps the metrics in step with the certificate that is served.
pub(super) fn watch_expiry(resolver: Arc<CertificateResolver>, metrics: Metrics) {
    tokio::spawn(async move {
        let mut last = None;
        loop {
            let expires = resolver.not_after().as_second();
            metrics.certificate_expires(CertificateRole::Serving, Some(expires));
            if last.replace(expires).is_some_and(|last| last != expires) {
                metrics.certificate_rotated(CertificateRole::Serving);
            }
            tokio::time::sleep(CERTIFICATE_INTERVAL).await;
        }
    });
}

/// Keeps the metric in step with the CAs that the API server is to trust.
pub(super) fn watch_ca(mut ca_bundle: watch::Receiver<Option<String>>, metrics: Metrics) {
    tokio::spawn(async move {
        loop {
            // Without a bundle, or with one that cannot be read, the metric says nothing; the reader of the files complains.
            let bundle = ca_bundle.borrow_and_update().clone().unwrap_or_default();
            let _ = metrics.ca_bundle_expires(&bundle);
            if ca_bundle.changed().await.is_err() {
                return;
            }
        }
    });
}
