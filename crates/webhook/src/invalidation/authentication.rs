//! Who calls: the token of a ServiceAccount, which the API server is asked about by a TokenReview.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, header};
use kube::Client;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::rate::Rate;
use crate::kubernetes::{ApiError, ApiErrorKind, Object, Verb};

/// Kubernetes' own limit lies in its headers' 1 MiB; a token of a ServiceAccount has about 1 KiB.
const MAX_TOKEN: usize = 8 << 10;
/// How long an answer of the API server counts, where the token is good.
const REMEMBERED: Duration = Duration::from_secs(60);
/// How many good tokens are remembered.
const MAX_REMEMBERED: usize = 1024;
/// Questions to the API server at a time; tokens that are remembered need none.
const QUESTIONS: usize = 4;
/// Questions a minute, and as many at once.
const QUESTIONS_PER_MINUTE: u32 = 600;
/// How long a caller waits for its turn to be asked about.
const PATIENCE: Duration = Duration::from_secs(5);

/// What Kubernetes puts in front of the user name of a ServiceAccount, `<namespace>:<name>`.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// Why a caller is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotLetIn {
    /// No token, or none that the API server knows.
    #[error("send the token of a ServiceAccount of this cluster as `Authorization: Bearer …`")]
    Unauthenticated,
    /// The caller is known, and not one of those who may.
    #[error("{user} may not invalidate; webhook.invalidation.allowedServiceAccounts does not name it")]
    Forbidden {
        /// The user name, as the API server gives it.
        user: String,
    },
    /// Nobody can tell who it is.
    #[error("it cannot be checked who you are; try again")]
    Unavailable,
}

/// Asks the API server who sent a token. Good tokens are remembered for 60 s by their SHA-256, at most 1,024 of them. It is
/// asked about at most 600 tokens a minute; those that are remembered do not count.
pub struct Authenticator {
    client: Client,
    /// User names; empty: every ServiceAccount.
    allowed: Vec<String>,
    known: Mutex<HashMap<[u8; 32], (String, Instant)>>,
    questions: Semaphore,
    rate: Rate,
    /// When everything of the rate is given back.
    spent: Mutex<Instant>,
}

impl Authenticator {
    /// `allowed` are ServiceAccounts as `namespace/name`; where there are none, every ServiceAccount may.
    ///
    /// The identity of `client` needs the verb `create` on `tokenreviews` of `authentication.k8s.io`, which the ClusterRole
    /// `system:auth-delegator` of Kubernetes holds.
    #[must_use]
    pub fn new(client: Client, allowed: &[String]) -> Self {
        let user = |account: &String| format!("{SERVICE_ACCOUNT}{}", account.replacen('/', ":", 1));
        Self {
            client,
            allowed: allowed.iter().map(user).collect(),
            known: Mutex::default(),
            questions: Semaphore::new(QUESTIONS),
            rate: Rate::per_minute(QUESTIONS_PER_MINUTE),
            spent: Mutex::new(Instant::now()),
        }
    }

    /// The user name of the caller, if it may invalidate.
    pub(super) async fn check(&self, headers: &HeaderMap) -> Result<String, NotLetIn> {
        let token = bearer(headers).ok_or(NotLetIn::Unauthenticated)?;
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let user = match self.remembered(&digest) {
            Some(user) => user,
            None => self.ask(token, digest).await?,
        };
        let may =
            if self.allowed.is_empty() { user.starts_with(SERVICE_ACCOUNT) } else { self.allowed.contains(&user) };
        if may { Ok(user) } else { Err(NotLetIn::Forbidden { user }) }
    }

    fn remembered(&self, digest: &[u8; 32]) -> Option<String> {
        let now = Instant::now();
        self.known().get(digest).filter(|(_, until)| *until > now).map(|(user, _)| user.clone())
    }

    fn remember(&self, digest: [u8; 32], user: &str) {
        let now = Instant::now();
        let mut known = self.known();
        if known.len() >= MAX_REMEMBERED {
            known.retain(|_, (_, until)| *until > now);
        }
        if known.len() < MAX_REMEMBERED {
            known.insert(digest, (user.to_owned(), now + REMEMBERED));
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<[u8; 32], (String, Instant)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, token: &str, digest: [u8; 32]) -> Result<String, NotLetIn> {
        // Whoever sends nonsense waits for others who do, and does not reach the API server more often for it.
        let turn = tokio::time::timeout(PATIENCE, self.questions.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(NotLetIn::Unavailable) };
        if !self.may_ask() {
            return Err(NotLetIn::Unavailable);
        }
        let review = self.review(token).await.map_err(|error| {
            tracing::warn!(%error, "a caller of /invalidate-secret cannot be checked");
            NotLetIn::Unavailable
        })?;
        match review.status {
            Some(Status { authenticated: true, user: Some(User { username: Some(user) }) }) => {
                self.remember(digest, &user);
                Ok(user)
            }
            _ => Err(NotLetIn::Unauthenticated),
        }
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
        let body = serde_json::json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token},
        });
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

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").field("allowed", &self.allowed).finish_non_exhaustive()
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
}

#[derive(Deserialize)]
struct User {
    username: Option<String>,
}

/// The token of the request, if it could be one: three parts of base64url, as every token of a ServiceAccount has
/// (RFC 7519). What cannot be one is not worth a question.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let is_token = token.len() <= MAX_TOKEN && token.split('.').count() == 3 && token.split('.').all(is_part);
    (scheme.eq_ignore_ascii_case("bearer") && is_token).then_some(token)
}

#[cfg(test)]
#[path = "authentication_tests.rs"]
mod tests;
