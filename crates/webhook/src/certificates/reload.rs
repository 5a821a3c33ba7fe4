//! Following the files.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use super::files::{FilesError, Fingerprint, load};
use super::inspect::{Inspected, Problem, inspect, sentences};
use super::key_pair::KeyPairPem;
use super::names::CertificateNames;
use super::resolver::CertificateResolver;

/// Why the files in `webhook.certDir` cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// A file is missing or cannot be read.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The files can be read, and the API server would not accept them.
    #[error("the certificate in {} cannot be served: {}; run `flyte-secrets init-certs` again, or have whoever made it make a new one", folder.display(), sentences(problems))]
    Bad {
        /// Where the files are.
        folder: PathBuf,
        /// Everything that is wrong.
        problems: Vec<Problem>,
    },
}

/// What one look at the files brought.
#[derive(Debug)]
pub enum Looked {
    /// The files are the same.
    Unchanged,
    /// The files changed, and the new pair is served.
    Replaced,
    /// The files changed and are bad; the old pair stays.
    Refused(ReloadError),
}

/// Serves the certificate in a folder, and whatever replaces it there.
#[derive(Debug)]
pub struct Reloader {
    folder: PathBuf,
    names: CertificateNames,
    resolver: Arc<CertificateResolver>,
    ca_bundle: watch::Sender<Option<String>>,
    served: Fingerprint,
    refused: Option<Refusal>,
}

/// Why the files are not served, and whether the log says so already.
#[derive(Debug)]
struct Refusal {
    reason: String,
    logged: bool,
}

impl Reloader {
    /// Loads the pair in `folder`, which must be good for `names`.
    ///
    /// # Errors
    ///
    /// When a file is missing or cannot be read, or the API server would not accept the certificate.
    pub async fn open(folder: &Path, names: CertificateNames) -> Result<Self, ReloadError> {
        let served = Fingerprint::look(folder).await;
        let (pair, inspected) = load_good(folder, &names).await?;
        let resolver = CertificateResolver::new(&pair, inspected).map_err(|problem| bad(folder, vec![problem]))?;
        warn_if_soon(folder, inspected);
        Ok(Self {
            folder: folder.to_owned(),
            names,
            resolver: Arc::new(resolver),
            ca_bundle: watch::Sender::new(pair.ca_crt),
            served,
            refused: None,
        })
    }

    /// What TLS shall serve: see [`server_config`](super::server_config).
    #[must_use]
    pub fn resolver(&self) -> Arc<CertificateResolver> {
        Arc::clone(&self.resolver)
    }

    /// The CA's certificates in PEM that the API server shall trust, now and whenever they change; `None`
    /// without `ca.crt`.
    #[must_use]
    pub fn ca_bundle(&self) -> watch::Receiver<Option<String>> {
        self.ca_bundle.subscribe()
    }

    /// Looks at the files once. As long as they are the same, only their metadata is read.
    pub async fn look(&mut self) -> Looked {
        let found = Fingerprint::look(&self.folder).await;
        if found == self.served {
            self.refused = None;
            return Looked::Unchanged;
        }
        match self.replace().await {
            Ok(()) => {
                // What was there before the files were read: a change in between is seen at the next look.
                self.served = found;
                self.refused = None;
                Looked::Replaced
            }
            Err(error) => Looked::Refused(error),
        }
    }

    /// Looks every `interval`, for ever. A bad pair is logged once with its reason, when a second look finds it as bad: the
    /// first one may have come while the files were being written. It is tried again at every look.
    pub async fn run(mut self, interval: Duration) -> Infallible {
        loop {
            tokio::time::sleep(interval).await;
            if let Looked::Refused(error) = self.look().await {
                self.note(error.to_string());
            }
        }
    }

    fn note(&mut self, reason: String) {
        match &mut self.refused {
            Some(refusal) if refusal.reason == reason => {
                if !refusal.logged {
                    tracing::error!(%reason, "the new serving certificate is bad; the old one stays in use");
                    refusal.logged = true;
                }
            }
            _ => self.refused = Some(Refusal { reason, logged: false }),
        }
    }

    async fn replace(&self) -> Result<(), ReloadError> {
        let (pair, inspected) = load_good(&self.folder, &self.names).await?;
        self.resolver.replace(&pair, inspected).map_err(|problem| bad(&self.folder, vec![problem]))?;
        tracing::info!(not_after = %inspected.not_after, "serving certificate replaced");
        warn_if_soon(&self.folder, inspected);
        self.ca_bundle.send_if_modified(|bundle| {
            let changed = *bundle != pair.ca_crt;
            *bundle = pair.ca_crt;
            changed
        });
        Ok(())
    }
}

async fn load_good(folder: &Path, names: &CertificateNames) -> Result<(KeyPairPem, Inspected), ReloadError> {
    let pair = load(folder).await?;
    let inspected = inspect(&pair, names, SystemTime::now()).map_err(|problems| bad(folder, problems))?;
    Ok((pair, inspected))
}

fn bad(folder: &Path, problems: Vec<Problem>) -> ReloadError {
    ReloadError::Bad { folder: folder.to_owned(), problems }
}

fn warn_if_soon(folder: &Path, inspected: Inspected) {
    if inspected.expires_soon {
        tracing::warn!(
            folder = %folder.display(),
            not_after = %inspected.not_after,
            "the serving certificate expires in less than 30 days; pods with secrets are refused from then on"
        );
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
