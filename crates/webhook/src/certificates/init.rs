//! `init-certs`: the certificate Secret, made once and shared by all replicas.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flyte_secrets_core::value::SecretValue;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::files::{FilesError, load, write};
use super::inspect::{Problem, inspect, sentences};
use super::issue::{CertificateAuthority, IssueError};
use super::key_pair::{CA_CRT, KeyPairPem, TLS_CRT, TLS_KEY};
use super::names::CertificateNames;
use crate::kubernetes::{ApiError, ApiErrorKind, MANAGED_BY, Secrets};

/// How often we start again when somebody else changes the Secret at the same time.
const ATTEMPTS: u32 = 5;

/// What `init-certs` needs to know.
#[derive(Clone, Debug)]
pub struct InitSettings {
    /// The namespace of the Secret (`POD_NAMESPACE`).
    pub namespace: String,
    /// The name of the Secret (`webhook.secretName`).
    pub secret_name: String,
    /// The names that the certificate is for.
    pub names: CertificateNames,
    /// Where to write the files as well (`webhook.certDir`, with `webhook.localCert`).
    pub cert_dir: Option<PathBuf>,
}

/// What `init-certs` did; its text is a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A good pair was there.
    Kept {
        /// Whether it expires within 30 days. A pair that we made is replaced then; others (cert-manager's) are renewed by
        /// whoever made them.
        expires_soon: bool,
    },
    /// Nothing was there.
    Created,
    /// What was there was of no use; why.
    Replaced(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept { expires_soon: false } => f.write_str("kept the existing certificate, which is valid"),
            Self::Kept { expires_soon: true } => {
                f.write_str("kept the existing certificate, which is valid and expires in less than 30 days")
            }
            Self::Created => f.write_str("created a new certificate"),
            Self::Replaced(reason) => write!(f, "replaced the existing certificate: {reason}"),
        }
    }
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A request to the API server failed; a missing permission is named with the rule to add.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The Secret is something else.
    #[error(
        "the Secret {name} in namespace {namespace} holds {keys} and no certificate; it is left alone. Give `webhook.secretName` the name of \
         a Secret for the webhook's certificate"
    )]
    OtherSecret {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The keys it holds.
        keys: String,
    },
    /// Others kept changing the Secret.
    #[error(
        "others change the Secret {name} in namespace {namespace} all the time; run init-certs again when they have finished"
    )]
    Contended {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The certificate could not be made.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The files could not be read or written.
    #[error(transparent)]
    Files(#[from] FilesError),
}

/// Sees to it that the Secret holds a good CA, certificate and key, and that the files do where they are wanted.
///
/// A good Secret is kept, whoever made it. If several run at the same time, one wins and the others keep its
/// certificate. Needs the verbs `get`, `create` and `update` on the Secret, and `delete` to replace an immutable one, as Flyte makes it.
///
/// Ours is not immutable, as opposed to Flyte's: an immutable Secret has to be deleted to be renewed, and pods that start just
/// then find none.
///
/// # Errors
///
/// When the API server cannot be reached or refuses, when the Secret holds something other than a certificate, or
/// the files cannot be written.
pub async fn init(client: kube::Client, settings: &InitSettings) -> Result<(Outcome, KeyPairPem), InitError> {
    let secrets = Secrets::new(client, &settings.namespace);
    for _ in 0..ATTEMPTS {
        match attempt(&secrets, settings).await {
            // Somebody else was faster; what is there now may be good.
            Err(InitError::Api(error)) if matches!(error.kind, ApiErrorKind::Conflict | ApiErrorKind::NotFound) => {
                tracing::info!(%error, "the Secret changed meanwhile; looking again");
            }
            Err(error) => return Err(error),
            Ok((outcome, pair)) => {
                if let Some(folder) = &settings.cert_dir {
                    write(folder, &pair).await?;
                }
                return Ok((outcome, pair));
            }
        }
    }
    Err(InitError::Contended { namespace: settings.namespace.clone(), name: settings.secret_name.clone() })
}

/// The same with files alone, for development without a cluster.
///
/// # Errors
///
/// When the files cannot be read or written.
pub async fn init_files(folder: &Path, names: &CertificateNames) -> Result<(Outcome, KeyPairPem), InitError> {
    let now = SystemTime::now();
    let outcome = match load(folder).await {
        Err(FilesError::Missing { .. }) => Outcome::Created,
        Err(error) => return Err(error.into()),
        Ok(pair) => match inspect(&pair, names, now) {
            Ok(inspected) if !inspected.expires_soon => return Ok((Outcome::Kept { expires_soon: false }, pair)),
            Ok(inspected) => Outcome::Replaced(expires_soon(&inspected.not_after)),
            Err(problems) => Outcome::Replaced(sentences(&problems)),
        },
    };
    let pair = issue(names, now)?;
    write(folder, &pair).await?;
    Ok((outcome, pair))
}

async fn attempt(secrets: &Secrets, settings: &InitSettings) -> Result<(Outcome, KeyPairPem), InitError> {
    let name = &settings.secret_name;
    let now = SystemTime::now();
    let Some(existing) = secrets.get(name).await? else {
        let pair = issue(&settings.names, now)?;
        let metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
        secrets.create(name, &with_pair(Secret { metadata, ..Secret::default() }, &pair)).await?;
        return Ok((Outcome::Created, pair));
    };
    let reason = match judge(&existing, settings, now)? {
        Judgement::Keep { pair, expires_soon } => return Ok((Outcome::Kept { expires_soon }, pair)),
        Judgement::Replace(reason) => reason,
    };
    let pair = issue(&settings.names, now)?;
    if existing.immutable == Some(true) {
        secrets.delete(name, &existing).await?;
        secrets.create(name, &with_pair(as_new(existing), &pair)).await?;
    } else {
        secrets.update(name, &with_pair(existing, &pair)).await?;
    }
    Ok((Outcome::Replaced(reason), pair))
}

enum Judgement {
    Keep { pair: KeyPairPem, expires_soon: bool },
    Replace(String),
}

/// Whether what a Secret holds is good. One that holds something else altogether is an error: its content must not be lost.
fn judge(secret: &Secret, settings: &InitSettings, now: SystemTime) -> Result<Judgement, InitError> {
    let empty = BTreeMap::new();
    let data = secret.data.as_ref().unwrap_or(&empty);
    if data.is_empty() {
        return Ok(Judgement::Replace("it was empty".to_owned()));
    }
    if ![CA_CRT, TLS_CRT, TLS_KEY].iter().any(|key| data.contains_key(*key)) {
        return Err(InitError::OtherSecret {
            namespace: settings.namespace.clone(),
            name: settings.secret_name.clone(),
            keys: data.keys().cloned().collect::<Vec<_>>().join(", "),
        });
    }
    let pair = match pair_in(data) {
        Ok(pair) => pair,
        Err(problems) => return Ok(Judgement::Replace(sentences(&problems))),
    };
    Ok(match inspect(&pair, &settings.names, now) {
        Err(problems) => Judgement::Replace(sentences(&problems)),
        Ok(inspected) if inspected.expires_soon && is_ours(secret) => {
            Judgement::Replace(expires_soon(&inspected.not_after))
        }
        Ok(inspected) => Judgement::Keep { pair, expires_soon: inspected.expires_soon },
    })
}

fn expires_soon(not_after: &impl fmt::Display) -> String {
    format!("it expires at {not_after}, in less than 30 days")
}

/// All three parts; a CA that the API server trusts by itself has no place here, since no public one signs names of
/// Services.
fn pair_in(data: &BTreeMap<String, ByteString>) -> Result<KeyPairPem, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut part = |part: &'static str| {
        let Some(ByteString(bytes)) = data.get(part).filter(|ByteString(bytes)| !bytes.is_empty()) else {
            problems.push(Problem::Missing { part });
            return String::new();
        };
        std::str::from_utf8(bytes).map(str::to_owned).unwrap_or_else(|_| {
            problems.push(Problem::Unreadable { part, reason: "not PEM".to_owned() });
            String::new()
        })
    };
    let pair =
        KeyPairPem { ca_crt: Some(part(CA_CRT)), tls_crt: part(TLS_CRT), tls_key: SecretValue::text(part(TLS_KEY)) };
    if problems.is_empty() { Ok(pair) } else { Err(problems) }
}

fn is_ours(secret: &Secret) -> bool {
    let (label, name) = MANAGED_BY;
    secret.metadata.labels.as_ref().and_then(|labels| labels.get(label)).is_some_and(|value| value == name)
}

fn issue(names: &CertificateNames, now: SystemTime) -> Result<KeyPairPem, IssueError> {
    CertificateAuthority::new(now)?.issue(names, now)
}

/// The Secret with our pair; whatever else is in it stays.
fn with_pair(mut secret: Secret, pair: &KeyPairPem) -> Secret {
    let data = secret.data.get_or_insert_default();
    data.insert(CA_CRT.to_owned(), ByteString(pair.ca_crt.clone().unwrap_or_default().into_bytes()));
    data.insert(TLS_CRT.to_owned(), ByteString(pair.tls_crt.clone().into_bytes()));
    data.insert(TLS_KEY.to_owned(), ByteString(pair.tls_key.expose_bytes().to_vec()));
    let (label, name) = MANAGED_BY;
    secret.metadata.labels.get_or_insert_default().insert(label.to_owned(), name.to_owned());
    secret
}

/// The same Secret to be created again, without what belonged to the old object.
fn as_new(secret: Secret) -> Secret {
    let ObjectMeta { name, labels, annotations, .. } = secret.metadata;
    let metadata = ObjectMeta { name, labels, annotations, ..ObjectMeta::default() };
    Secret { metadata, immutable: None, ..secret }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
