//! Tokens of ServiceAccounts, which the API server confirms.

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::Refusal;
use super::claims::Claims;
use crate::access::Identity;

/// Asks the API server whose token it is (a TokenReview of `authentication.k8s.io/v1`).
pub trait ReviewTokens: Send + Sync {
    /// The user name; [`Refusal::Unknown`] where there is none, [`Refusal::Unavailable`] where the API server cannot be asked.
    fn user<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<String, Refusal>>;
}

/// Tokens of ServiceAccounts.
pub struct TokenReview {
    reviews: Arc<dyn ReviewTokens>,
    audiences: Vec<String>,
}

impl TokenReview {
    /// `audiences` are those that `reviews` asks for, for what is told to callers.
    #[must_use]
    pub fn new(reviews: Arc<dyn ReviewTokens>, audiences: Vec<String>) -> Self {
        Self { reviews, audiences }
    }

    /// The ServiceAccount behind a token. What the token says of itself serves to tell why it is not taken.
    pub(super) async fn identify(&self, token: &str, claims: &Claims) -> Result<Identity, Refusal> {
        match self.reviews.user(token).await {
            Ok(user) => service_account(&user).ok_or(Refusal::NoServiceAccount),
            Err(Refusal::Unknown) => Err(self.why(claims)),
            Err(refusal) => Err(refusal),
        }
    }

    fn why(&self, claims: &Claims) -> Refusal {
        if let Some(expired) = claims.expired() {
            return expired;
        }
        if !self.audiences.is_empty() && !claims.is_meant_for(&self.audiences) {
            return Refusal::Audience { expected: self.audiences.clone() };
        }
        Refusal::Unknown
    }
}

/// From the user name that Kubernetes gives it, `system:serviceaccount:<namespace>:<name>`.
fn service_account(user: &str) -> Option<Identity> {
    let (namespace, name) = user.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    Some(Identity::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() })
}

impl fmt::Debug for TokenReview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenReview").field("audiences", &self.audiences).finish_non_exhaustive()
    }
}
