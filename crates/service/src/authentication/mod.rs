//! Who asks: a bearer token (RFC 6750), and who stands behind it.
//!
//! A token is for the mode that knows its issuer: the issuer of OpenID Connect its own, the API server all others. What cannot be
//! checked is refused, never let through.

mod claims;
mod key_set;
mod layer;
mod oidc;
mod refusal;
mod token_review;

use std::sync::Arc;

use http::{HeaderMap, header};

use crate::access::Identity;
use claims::Claims;

pub(crate) use layer::{Gate, authenticate};
pub use oidc::{Oidc, OidcError};
pub use refusal::Refusal;
pub use token_review::{ReviewTokens, TokenReview};

/// The longest token, in bytes; one with many groups has a few KiB.
const MAX_TOKEN: usize = 16 << 10;

/// How callers show who they are. Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct Authentication {
    token_review: Option<Arc<TokenReview>>,
    oidc: Option<Arc<Oidc>>,
}

/// How somebody has shown who it is, or tried to; a label of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// No token, or one that is for none of the modes.
    None,
    /// A ServiceAccount.
    TokenReview,
    /// A user of the issuer.
    Oidc,
}

impl Mode {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::TokenReview => "TokenReview",
            Self::Oidc => "OIDC",
        }
    }
}

impl Authentication {
    /// Tokens of ServiceAccounts, of an issuer, or of both. Nobody is asked without either, as in Flyte.
    #[must_use]
    pub fn new(token_review: Option<TokenReview>, oidc: Option<Oidc>) -> Self {
        Self { token_review: token_review.map(Arc::new), oidc: oidc.map(Arc::new) }
    }

    /// Whether callers have to show who they are.
    pub(crate) fn is_on(&self) -> bool {
        self.token_review.is_some() || self.oidc.is_some()
    }

    /// Who sent a request, and by which mode that was found out.
    pub(crate) async fn identify(&self, headers: &HeaderMap) -> (Mode, Result<Identity, Refusal>) {
        let token = match bearer(headers) {
            Ok(token) => token,
            Err(refusal) => return (Mode::None, Err(refusal)),
        };
        let Some(claims) = Claims::unverified(token) else { return (Mode::None, Err(Refusal::Malformed)) };
        match (&self.oidc, &self.token_review) {
            (Some(oidc), _) if claims.issuer() == Some(oidc.issuer()) => (Mode::Oidc, oidc.identify(token).await),
            (_, Some(reviews)) => (Mode::TokenReview, reviews.identify(token, &claims).await),
            (Some(oidc), None) => (Mode::Oidc, Err(Refusal::Issuer { expected: oidc.issuer().to_owned() })),
            (None, None) => (Mode::None, Ok(Identity::Anonymous)),
        }
    }
}

/// The one token of a request.
fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(Refusal::Missing)?;
    if values.next().is_some() {
        return Err(Refusal::Malformed);
    }
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(Refusal::Malformed)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refusal::Missing);
    }
    let token = token.trim();
    if token.is_empty() || token.len() > MAX_TOKEN { Err(Refusal::Malformed) } else { Ok(token) }
}
