//! The keys of an issuer: found through its discovery document (OpenID Connect Discovery 1.0), fetched as a JWK Set (RFC 7517),
//! and fetched anew when a token names a key that is not among them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use reqwest::{Certificate, Client, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use super::Refusal;
use super::oidc::OidcError;

/// After so long keys are fetched again, so that one that was withdrawn is not taken for ever.
const FRESH: Duration = Duration::from_secs(600);
/// While the issuer cannot be reached, keys that were fetched are good for so long.
const USABLE: Duration = Duration::from_secs(3600);
/// The issuer is not asked more often than this, whatever tokens name.
const PAUSE: Duration = Duration::from_secs(10);
/// How long one answer may take, how large it may be, and how many keys are taken from it.
const PATIENCE: Duration = Duration::from_secs(5);
const MAX_ANSWER: usize = 1 << 20;
const MAX_KEYS: usize = 100;

/// What fails when keys are missing.
const UNREACHABLE: Refusal = Refusal::Unavailable { what: "the keys of the issuer cannot be fetched" };

/// The keys of an issuer.
#[derive(Debug)]
pub(super) struct KeySet {
    issuer: String,
    ca_file: Option<PathBuf>,
    held: Mutex<Option<Held>>,
    /// One asks, the others wait for it.
    asking: tokio::sync::Mutex<Option<Attempt>>,
}

#[derive(Clone, Debug)]
struct Held {
    keys: Arc<[Key]>,
    fetched: Instant,
}

/// When the keys were asked for last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    at: Instant,
    succeeded: bool,
}

/// A public key, and the algorithms it is for.
#[derive(Clone, Debug)]
pub(super) struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    pub(super) key: DecodingKey,
}

impl KeySet {
    pub(super) fn new(issuer: &str, ca_file: Option<PathBuf>) -> Result<Self, OidcError> {
        let set = Self { issuer: issuer.to_owned(), ca_file, held: Mutex::default(), asking: Default::default() };
        let url = Url::parse(issuer).ok().filter(|url| is_safe(url) && url.host_str().is_some());
        if url.is_none() {
            return Err(OidcError::Issuer { issuer: issuer.to_owned() });
        }
        set.client()?;
        Ok(set)
    }

    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The key that a token names; where it names none, the only one of its algorithm.
    pub(super) async fn key(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Key, Refusal> {
        if let Some(held) = self.held().filter(|held| held.fetched.elapsed() < USABLE)
            && let Some(key) = held.find(id, algorithm)
            // Where somebody asks for newer ones already, nobody has to wait for that.
            && (held.fetched.elapsed() < FRESH || self.asking.try_lock().is_err())
        {
            return Ok(key);
        }
        let last = self.refresh().await;
        let held = self.held().filter(|held| held.fetched.elapsed() < USABLE).ok_or(UNREACHABLE)?;
        match held.find(id, algorithm) {
            Some(key) => Ok(key),
            None if last.succeeded => Err(Refusal::Key),
            None => Err(UNREACHABLE),
        }
    }

    /// Fetches the keys, unless that was tried just now.
    pub(super) async fn refresh(&self) -> Attempt {
        let mut last = self.asking.lock().await;
        if let Some(attempt) = last.filter(|attempt| attempt.at.elapsed() < PAUSE) {
            return attempt;
        }
        let fetched = self.fetch().await;
        if let Err(error) = &fetched {
            tracing::warn!(issuer = self.issuer, %error, "the keys of the issuer cannot be fetched");
        }
        let attempt = Attempt { at: Instant::now(), succeeded: fetched.is_ok() };
        if let Ok(keys) = fetched {
            let held = Held { keys: keys.into(), fetched: attempt.at };
            *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
        }
        *last = Some(attempt);
        attempt
    }

    fn held(&self) -> Option<Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn fetch(&self) -> Result<Vec<Key>, String> {
        #[derive(Deserialize)]
        struct Discovery {
            issuer: String,
            jwks_uri: String,
        }
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let client = self.client().map_err(|error| error.to_string())?;
        let document = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let Discovery { issuer, jwks_uri } = get(&client, &document).await?;
        // Section 4.3 of OpenID Connect Discovery: they must be identical.
        if issuer != self.issuer {
            let issuer: String = issuer.chars().take(200).collect();
            return Err(format!(
                "{document} is of the issuer {issuer:?}: set secret.authentication.oidc.issuer to that"
            ));
        }
        let is_ours = Url::parse(&jwks_uri).is_ok_and(|url| is_safe(&url));
        if !is_ours {
            return Err(format!("{document} names keys that are not at an https:// address"));
        }
        let Set { keys } = get(&client, &jwks_uri).await?;
        Ok(keys.into_iter().take(MAX_KEYS).filter_map(Key::read).collect())
    }

    /// Made anew each time: the file may have changed.
    fn client(&self) -> Result<Client, OidcError> {
        let mut builder = Client::builder()
            .user_agent(concat!("flyte-secrets/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .http1_only();
        if self.issuer.starts_with("http://") {
            // This computer; no roots are needed, and no proxy is on the way.
            builder = builder.tls_certs_only([]).no_proxy();
        } else if let Some(path) = &self.ca_file {
            let wrong = |problem: String| OidcError::CaFile { path: path.clone(), problem };
            let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
            let roots = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(error.to_string()))?;
            if roots.is_empty() {
                return Err(wrong("holds no certificate in PEM".to_owned()));
            }
            builder = builder.tls_certs_merge(roots);
        }
        builder.build().map_err(|error| OidcError::Client(error.to_string()))
    }
}

impl Held {
    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<Key> {
        let mut fitting = self.keys.iter().filter(|key| key.algorithms.contains(&algorithm));
        let found = match id {
            Some(_) => fitting.find(|key| key.id.as_deref() == id),
            None => fitting.next().filter(|_| fitting.next().is_none()),
        };
        found.cloned()
    }
}

impl Key {
    /// A key that signatures can be checked with; others are passed over, as RFC 7517 asks (section 5).
    fn read(key: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(key).ok()?;
        if jwk.common.public_key_use.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature) {
            return None;
        }
        let mut algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => vec![
                Algorithm::RS256,
                Algorithm::RS384,
                Algorithm::RS512,
                Algorithm::PS256,
                Algorithm::PS384,
                Algorithm::PS512,
            ],
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => vec![Algorithm::ES256],
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => vec![Algorithm::ES384],
            AlgorithmParameters::OctetKeyPair(_) => vec![Algorithm::EdDSA],
            // A symmetric key is no secret in a public document.
            _ => return None,
        };
        if let Some(only) = jwk.common.key_algorithm {
            algorithms.retain(|algorithm| only.to_string().parse().is_ok_and(|only: Algorithm| only == *algorithm));
        }
        Some(Self { key: DecodingKey::from_jwk(&jwk).ok()?, id: jwk.common.key_id, algorithms })
    }
}

/// A bounded answer in JSON. Errors hold the address, which is no secret, and nothing of the answer.
async fn get<T: DeserializeOwned>(client: &Client, url: &str) -> Result<T, String> {
    let failed = |error: reqwest::Error| {
        let mut text = format!("{url}: {error}");
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    };
    let mut answer = client.get(url).send().await.map_err(failed)?;
    if answer.status() != reqwest::StatusCode::OK {
        return Err(format!("{url} answers {}", answer.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            return Err(format!("{url} answers with more than {MAX_ANSWER} bytes"));
        }
    }
    serde_json::from_slice(&body).map_err(|_| format!("{url} is not the document that is expected there"))
}

/// Whether nobody on the way could change what is answered: TLS, or this computer.
fn is_safe(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let is_here = host.parse::<std::net::IpAddr>().map_or(host == "localhost", |address| address.is_loopback());
    url.scheme() == "https" || (url.scheme() == "http" && is_here)
}
