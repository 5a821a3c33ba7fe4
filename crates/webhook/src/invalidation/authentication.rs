//! Who calls: a ServiceAccount, by its token.

use std::time::Duration;

use http::{HeaderMap, header};
use kube::Client;

use crate::token_review::{NobodyKnown, SERVICE_ACCOUNT, TokenReviews};

/// How long an answer of the API server counts, where the token is good.
const REMEMBERED: Duration = Duration::from_secs(60);

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

/// Asks the API server who sent a token, as [`TokenReviews`] does; its answers count for 60 s.
#[derive(Debug)]
pub struct Authenticator {
    reviews: TokenReviews,
    /// User names; empty: every ServiceAccount.
    allowed: Vec<String>,
}

impl Authenticator {
    /// `allowed` are ServiceAccounts as `namespace/name`; where there are none, every ServiceAccount may.
    ///
    /// For what the identity of `client` needs see [`TokenReviews::new`].
    #[must_use]
    pub fn new(client: Client, allowed: &[String]) -> Self {
        let user = |account: &String| format!("{SERVICE_ACCOUNT}{}", account.replacen('/', ":", 1));
        Self { reviews: TokenReviews::new(client, Vec::new(), REMEMBERED), allowed: allowed.iter().map(user).collect() }
    }

    /// The user name of the caller, if it may invalidate.
    pub(super) async fn check(&self, headers: &HeaderMap) -> Result<String, NotLetIn> {
        let token = bearer(headers).ok_or(NotLetIn::Unauthenticated)?;
        let user = self.reviews.user(token).await.map_err(|why| match why {
            NobodyKnown::Unknown => NotLetIn::Unauthenticated,
            NobodyKnown::Unavailable => NotLetIn::Unavailable,
        })?;
        let may =
            if self.allowed.is_empty() { user.starts_with(SERVICE_ACCOUNT) } else { self.allowed.contains(&user) };
        if may { Ok(user) } else { Err(NotLetIn::Forbidden { user }) }
    }
}

/// The token of the request (RFC 6750).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

#[cfg(test)]
#[path = "authentication_tests.rs"]
mod tests;
