//! Tokens of an issuer of OpenID Connect.

use std::path::PathBuf;
use std::time::Duration;

use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, Validation, decode};
use serde_json::{Map, Value};

use super::Refusal;
use super::claims::{Claims, Header};
use super::key_set::KeySet;
use crate::access::Identity;

/// Why no issuer can be asked.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// The address is none that can be trusted.
    #[error("{issuer:?} is no address of an issuer: https:// is expected, or http:// for this computer")]
    Issuer {
        /// The issuer.
        issuer: String,
    },
    /// The file of CAs cannot be used.
    #[error("{}: {problem}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// No HTTPS client can be made, because the platform has no root certificates, say.
    #[error("no HTTPS client can be made: {0}")]
    Client(String),
}

/// Users of one issuer. Its keys are fetched when they are needed, at most every 10 s, and again after 10 min; while it cannot be
/// reached, those that were fetched are taken for an hour.
#[derive(Debug)]
pub struct Oidc {
    keys: KeySet,
    audiences: Vec<String>,
    subject_claim: String,
    groups_claim: Option<String>,
    leeway: Duration,
}

impl Oidc {
    /// Takes tokens of the issuer that are meant for one of the audiences.
    ///
    /// # Errors
    ///
    /// [`OidcError`] for an issuer that anybody could play, and for a file of CAs that cannot be read.
    pub fn new(settings: flyte_secrets_config::OidcSettings) -> Result<Self, OidcError> {
        let flyte_secrets_config::OidcSettings { issuer, audiences, subject_claim, groups_claim, leeway, ca_file } =
            settings;
        Ok(Self { keys: KeySet::new(&issuer, ca_file)?, audiences, subject_claim, groups_claim, leeway })
    }

    /// Fetches the keys before the first token comes; what fails is in the log.
    pub async fn prepare(&self) {
        self.keys.refresh().await;
    }

    pub(super) fn issuer(&self) -> &str {
        self.keys.issuer()
    }

    /// The user behind a token.
    pub(super) async fn identify(&self, token: &str) -> Result<Identity, Refusal> {
        let header = Header::unverified(token).ok_or(Refusal::Malformed)?;
        if header.alg.eq_ignore_ascii_case("none") {
            return Err(Refusal::Unsigned);
        }
        let algorithm = taken(&header.alg).ok_or(Refusal::Algorithm)?;
        if header.crit.is_some() {
            return Err(Refusal::Extension);
        }
        let key = self.keys.key(header.kid.as_deref(), algorithm).await?;
        let claims = match decode::<Map<String, Value>>(token, &key.key, &self.validation(algorithm)) {
            Ok(token) => Claims::verified(token.claims),
            Err(error) => return Err(self.why(&error, token)),
        };
        let name = claims.name(&self.subject_claim)?;
        let groups = self.groups_claim.as_deref().map_or_else(Vec::new, |claim| claims.names(claim));
        Ok(Identity::User { name, groups })
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[self.issuer()]);
        validation.set_audience(&self.audiences);
        validation.validate_nbf = true;
        validation.leeway = self.leeway.as_secs();
        validation
    }

    /// The signature is looked at first: what is said about claims is about those of the issuer.
    fn why(&self, error: &Error, token: &str) -> Refusal {
        match error.kind() {
            ErrorKind::ExpiredSignature => Claims::unverified(token)
                .and_then(|claims| claims.expired())
                .unwrap_or(Refusal::Expired { ago: "just now".to_owned() }),
            ErrorKind::ImmatureSignature => Refusal::NotYetValid,
            ErrorKind::InvalidAudience => Refusal::Audience { expected: self.audiences.clone() },
            ErrorKind::InvalidIssuer => Refusal::Issuer { expected: self.issuer().to_owned() },
            ErrorKind::MissingRequiredClaim(claim) | ErrorKind::InvalidClaimFormat(claim) => {
                Refusal::Claim { claim: claim.clone() }
            }
            ErrorKind::InvalidToken | ErrorKind::Base64(_) | ErrorKind::Json(_) | ErrorKind::Utf8(_) => {
                Refusal::Malformed
            }
            _ => Refusal::Signature,
        }
    }
}

/// The algorithms that are taken (RFC 7518, 3.1, and RFC 8037): all that the library has but those with a shared key.
fn taken(name: &str) -> Option<Algorithm> {
    let algorithm: Algorithm = name.parse().ok()?;
    match algorithm {
        Algorithm::RS256
        | Algorithm::RS384
        | Algorithm::RS512
        | Algorithm::PS256
        | Algorithm::PS384
        | Algorithm::PS512
        | Algorithm::ES256
        | Algorithm::ES384
        | Algorithm::EdDSA => Some(algorithm),
        _ => None,
    }
}
