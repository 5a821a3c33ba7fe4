//! Following the files.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;

use super::files::{FilesError, Fingerprint, load};
use super::inspect::{Inspected, Problem, inspect, sentences};
use super::key_pair::KeyPairPem;
use super::names::CertificateNames;
use super::resolver::CertificateResolver;
use super::status::{AuthorityRole, AuthorityStatus, CertificateMode, CertificateStatus};

/// How long the API server is given to trust a new CA before a certificate of it is served.
const HANDOVER: Duration = Duration::from_secs(2);
/// How long the CA before stays trusted. The kubelet brings a changed Secret to every replica within about two minutes.
const RETIREMENT: Duration = Duration::from_secs(10 * 60);

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
    trusted: Trusted,
    served: Fingerprint,
    refused: Option<Refusal>,
    handover: Duration,
    status: watch::Sender<CertificateStatus>,
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
        let trusted = Trusted::new(pair.ca_crt);
        let status = CertificateStatus {
            mode: CertificateMode::Files,
            not_after: inspected.not_after,
            authorities: trusted.authorities(),
            last_error: None,
            restored: 0,
        };
        Ok(Self {
            folder: folder.to_owned(),
            names,
            resolver: Arc::new(resolver),
            trusted,
            served,
            refused: None,
            handover: HANDOVER,
            status: watch::Sender::new(status),
        })
    }

    /// The same, of files that somebody in particular writes.
    #[must_use]
    pub fn in_mode(self, mode: CertificateMode) -> Self {
        self.status.send_modify(|status| status.mode = mode);
        self
    }

    /// What is known, now and whenever it changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<CertificateStatus> {
        self.status.subscribe()
    }

    /// What TLS shall serve: see [`server_config`](super::server_config).
    #[must_use]
    pub fn resolver(&self) -> Arc<CertificateResolver> {
        Arc::clone(&self.resolver)
    }

    /// The CA's certificates in PEM that the API server shall trust, now and whenever they change; `None`
    /// without `ca.crt`. For ten minutes after a change the old CA stands behind the new one, because other replicas
    /// see their files change up to a minute or two earlier or later.
    #[must_use]
    pub fn ca_bundle(&self) -> watch::Receiver<Option<String>> {
        self.trusted.bundle.subscribe()
    }

    /// Looks at the files once. As long as they are the same, only their metadata is read. With a new CA this takes two seconds,
    /// in which the API server learns to trust it before we use it.
    pub async fn look(&mut self) -> Looked {
        let looked = self.look_at_files().await;
        let last_error = if let Looked::Refused(error) = &looked { Some(error.to_string()) } else { None };
        let (not_after, authorities) = (self.resolver.not_after(), self.trusted.authorities());
        self.status.send_if_modified(|status| {
            let new = CertificateStatus { mode: status.mode, not_after, authorities, last_error, restored: 0 };
            let changed = *status != new;
            *status = new;
            changed
        });
        looked
    }

    async fn look_at_files(&mut self) -> Looked {
        self.trusted.retire(Instant::now());
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

    async fn replace(&mut self) -> Result<(), ReloadError> {
        let (pair, inspected) = load_good(&self.folder, &self.names).await?;
        if self.trusted.change(&pair.ca_crt, Instant::now()) {
            tokio::time::sleep(self.handover).await;
        }
        self.resolver.replace(&pair, inspected).map_err(|problem| bad(&self.folder, vec![problem]))?;
        tracing::info!(not_after = %inspected.not_after, "serving certificate replaced");
        warn_if_soon(&self.folder, inspected);
        Ok(())
    }
}

/// The CAs that the API server shall trust: the current one and, for a while, the one before.
#[derive(Debug)]
struct Trusted {
    current: Option<String>,
    retiring: Option<(String, Instant)>,
    bundle: watch::Sender<Option<String>>,
}

impl Trusted {
    fn new(current: Option<String>) -> Self {
        Self { bundle: watch::Sender::new(current.clone()), current, retiring: None }
    }

    /// Takes the CA of a new pair; whether it is another one.
    fn change(&mut self, ca_crt: &Option<String>, now: Instant) -> bool {
        if self.current == *ca_crt {
            return false;
        }
        let old = std::mem::replace(&mut self.current, ca_crt.clone());
        self.retiring = old.map(|old| (old, now + RETIREMENT));
        self.publish();
        true
    }

    /// Drops the old CA when its time has come.
    fn retire(&mut self, now: Instant) {
        if self.retiring.as_ref().is_some_and(|(_, until)| *until <= now) {
            self.retiring = None;
            self.publish();
        }
    }

    fn authorities(&self) -> Vec<AuthorityStatus> {
        let retiring = self.retiring.as_ref().map(|(pem, _)| pem);
        let current = self.current.iter().flat_map(|pem| AuthorityStatus::all_of(pem, AuthorityRole::Current));
        current.chain(retiring.into_iter().flat_map(|pem| AuthorityStatus::all_of(pem, AuthorityRole::Old))).collect()
    }

    fn publish(&self) {
        let bundle = self.current.as_ref().map(|current| match &self.retiring {
            // A line end more than needed does no harm between certificates.
            Some((old, _)) => format!("{current}\n{old}"),
            None => current.clone(),
        });
        self.bundle.send_replace(bundle);
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
