//! Whose token it is: the API server is asked about the token of a ServiceAccount by a TokenReview (`authentication.k8s.io/v1`).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::BASE64URL_NOPAD;
use http::header;
use kube::Client;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::invalidation::rate::Rate;
use crate::kubernetes::{ApiError, ApiErrorKind, Object, Verb};

/// Kubernetes' own limit lies in its headers' 1 MiB; a token of a ServiceAccount has about 1 KiB.
const MAX_TOKEN: usize = 8 << 10;
/// How many good tokens are remembered.
const MAX_REMEMBERED: usize = 1024;
/// Questions to the API server at a time; tokens that are remembered need none.
const QUESTIONS: usize = 4;
/// Questions a minute, and as many at once.
const QUESTIONS_PER_MINUTE: u32 = 600;
/// How long a caller waits for its turn to be asked about, and for the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What Kubernetes puts in front of the user name of a ServiceAccount, `<namespace>:<name>`.
pub const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// Why nobody can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NobodyKnown {
    /// It is no token, none that the API server knows, or none for the audiences.
    #[error("the API server does not know the token")]
    Unknown,
    /// The API server cannot be asked, or too many ask.
    #[error("it cannot be checked whose token it is")]
    Unavailable,
}

/// Asks the API server whose token it is. Good tokens are remembered for a while by their SHA-256, at most 1,024 of them and
/// never longer than they are valid. It is asked about at most 600 tokens a minute; those that are remembered do not count.
pub struct TokenReviews {
    client: Client,
    audiences: Vec<String>,
    remembered_for: Duration,
    known: Mutex<HashMap<[u8; 32], (String, Instant)>>,
    questions: Semaphore,
    rate: Rate,
    /// When everything of the rate is given back.
    spent: Mutex<Instant>,
}

impl TokenReviews {
    /// Tokens have to be meant for one of `audiences`; for the API server where that is empty. `remembered_for` is how long
    /// an answer counts, and so how long a token that was revoked still does.
    ///
    /// The identity of `client` needs the verb `create` on `tokenreviews` of `authentication.k8s.io`, which the ClusterRole
    /// `system:auth-delegator` of Kubernetes holds.
    #[must_use]
    pub fn new(client: Client, audiences: Vec<String>, remembered_for: Duration) -> Self {
        Self {
            client,
            audiences,
            remembered_for,
            known: Mutex::default(),
            questions: Semaphore::new(QUESTIONS),
            rate: Rate::per_minute(QUESTIONS_PER_MINUTE),
            spent: Mutex::new(Instant::now()),
        }
    }

    /// The user name that the API server gives the token's owner.
    ///
    /// # Errors
    ///
    /// [`NobodyKnown`]; what the API server says is logged where it cannot be asked.
    pub async fn user(&self, token: &str) -> Result<String, NobodyKnown> {
        if !is_token(token) {
            return Err(NobodyKnown::Unknown);
        }
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        match self.remembered(&digest) {
            Some(user) => Ok(user),
            None => {
                let asked = tokio::time::timeout(PATIENCE, self.ask(token, digest)).await;
                asked.unwrap_or(Err(NobodyKnown::Unavailable))
            }
        }
    }

    fn remembered(&self, digest: &[u8; 32]) -> Option<String> {
        let now = Instant::now();
        self.known().get(digest).filter(|(_, until)| *until > now).map(|(user, _)| user.clone())
    }

    fn remember(&self, digest: [u8; 32], user: &str, valid_for: Duration) {
        let now = Instant::now();
        let mut known = self.known();
        if known.len() >= MAX_REMEMBERED {
            known.retain(|_, (_, until)| *until > now);
        }
        if known.len() < MAX_REMEMBERED {
            known.insert(digest, (user.to_owned(), now + self.remembered_for.min(valid_for)));
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<[u8; 32], (String, Instant)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, token: &str, digest: [u8; 32]) -> Result<String, NobodyKnown> {
        // Whoever sends nonsense waits for others who do, and does not reach the API server more often for it.
        let Ok(_turn) = self.questions.acquire().await else { return Err(NobodyKnown::Unavailable) };
        if !self.may_ask() {
            return Err(NobodyKnown::Unavailable);
        }
        let review = self.review(token).await.map_err(|error| {
            tracing::warn!(%error, "a caller cannot be checked");
            NobodyKnown::Unavailable
        })?;
        match review.status {
            Some(Status { authenticated: true, user: Some(User { username: Some(user) }), audiences })
                if self.is_meant(&audiences) =>
            {
                self.remember(digest, &user, valid_for(token));
                Ok(user)
            }
            _ => Err(NobodyKnown::Unknown),
        }
    }

    /// An authenticator of the API server that knows nothing of audiences names none: then nobody has looked at them.
    fn is_meant(&self, audiences: &[String]) -> bool {
        self.audiences.is_empty() || audiences.iter().any(|audience| self.audiences.contains(audience))
    }

    fn may_ask(&self) -> bool {
        let now = Instant::now();
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let may = self.rate.allowed_at(*spent, now) <= now;
        if may {
            *spent = self.rate.spend(*spent, now);
        }
        may
    }

    /// One TokenReview. `kube::Api` would write an answer that it cannot read into the log, and the token is in it.
    async fn review(&self, token: &str) -> Result<Review, ApiError> {
        let object = Object {
            group: "authentication.k8s.io",
            resource: "tokenreviews",
            namespace: None,
            name: "for a caller".to_owned(),
        };
        let mut spec = serde_json::json!({"token": token});
        if !self.audiences.is_empty() {
            spec["audiences"] = self.audiences.as_slice().into();
        }
        let body = serde_json::json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec});
        let request = http::Request::post("/apis/authentication.k8s.io/v1/tokenreviews")
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.to_string().into_bytes())
            .expect("a fixed path and header make a request");
        let answer = Zeroizing::new(object.call(Verb::Create, self.client.request_text(request)).await?);
        serde_json::from_str(&answer).map_err(|_| ApiError {
            verb: Verb::Create,
            object,
            kind: ApiErrorKind::Malformed,
            message: "the answer is no TokenReview".to_owned(),
        })
    }
}

impl std::fmt::Debug for TokenReviews {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenReviews").field("audiences", &self.audiences).finish_non_exhaustive()
    }
}

/// What is read of a TokenReview.
#[derive(Deserialize)]
struct Review {
    status: Option<Status>,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    authenticated: bool,
    user: Option<User>,
    #[serde(default)]
    audiences: Vec<String>,
}

#[derive(Deserialize)]
struct User {
    username: Option<String>,
}

/// Whether it could be one: three parts of base64url, as every token of a ServiceAccount has (RFC 7519). What cannot be one is
/// not worth a question.
fn is_token(token: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    token.len() <= MAX_TOKEN && token.split('.').count() == 3 && token.split('.').all(is_part)
}

/// How long a token that the API server has confirmed goes on to be valid (`exp` of RFC 7519); without end where it does not say.
fn valid_for(token: &str) -> Duration {
    #[derive(Deserialize)]
    struct Claims {
        exp: Option<u64>,
    }
    let payload = token.split('.').nth(1).and_then(|part| BASE64URL_NOPAD.decode(part.as_bytes()).ok());
    let claims = payload.and_then(|payload| serde_json::from_slice::<Claims>(&payload).ok());
    let Some(end) = claims.and_then(|claims| claims.exp) else { return Duration::MAX };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_secs(end).saturating_sub(now)
}

#[cfg(test)]
#[path = "token_review_tests.rs"]
pub(crate) mod tests;
