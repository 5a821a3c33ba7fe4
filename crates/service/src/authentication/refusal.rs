//! Why a caller is not known.

use connectrpc::{ConnectError, ErrorCode};

/// Why a caller is not known. The text says what to change; it never holds a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no bearer token.
    #[error("no token: send one as `Authorization: Bearer …`")]
    Missing,
    /// What was sent is no token.
    #[error("what was sent is no token: three parts of base64url with dots between them are expected (RFC 7519)")]
    Malformed,
    /// `alg: none`.
    #[error("the token is not signed")]
    Unsigned,
    /// An algorithm that is not taken, such as HS256, whose key would be no secret.
    #[error("the token is signed by an algorithm that is not taken; RS256, ES256, EdDSA and their like are")]
    Algorithm,
    /// The header asks for an extension (`crit`).
    #[error("the token's header asks for an extension that is not known here (crit)")]
    Extension,
    /// Nobody's key has signed it.
    #[error("the token's signature is not that of its issuer")]
    Signature,
    /// It names a key that the issuer does not have, or none while there are several.
    #[error("the token is signed by a key that its issuer does not name (any more)")]
    Key,
    /// Another issuer.
    #[error("the token is of another issuer; expected is {expected}")]
    Issuer {
        /// The issuer whose tokens are taken.
        expected: String,
    },
    /// It is meant for somebody else.
    #[error("the token is meant for another audience; expected is {}", expected.join(" or "))]
    Audience {
        /// The audiences that are taken.
        expected: Vec<String>,
    },
    /// It is over.
    #[error("the token has expired {ago}; get a new one")]
    Expired {
        /// Since when, such as `12s ago`.
        ago: String,
    },
    /// It is not valid yet.
    #[error("the token is not valid yet; are the clocks right?")]
    NotYetValid,
    /// A claim that is needed is missing or has another form.
    #[error("the token has no claim {claim:?} of the kind that is expected")]
    Claim {
        /// The claim.
        claim: String,
    },
    /// The address of an email is not verified.
    #[error("the token's email is not verified by its issuer")]
    UnverifiedEmail,
    /// The API server does not know it.
    #[error("the API server does not know the token: it is none of this cluster, or its ServiceAccount or pod is gone")]
    Unknown,
    /// Somebody else than a ServiceAccount.
    #[error("the token is good, and not that of a ServiceAccount")]
    NoServiceAccount,
    /// The API server or the issuer cannot be asked.
    #[error("it cannot be checked who you are: {what}; try again")]
    Unavailable {
        /// What fails.
        what: &'static str,
    },
}

impl Refusal {
    /// The name in metrics and in the audit log.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Unsigned => "unsigned",
            Self::Algorithm | Self::Extension => "algorithm",
            Self::Signature => "signature",
            Self::Key => "key",
            Self::Issuer { .. } => "issuer",
            Self::Audience { .. } => "audience",
            Self::Expired { .. } => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Claim { .. } | Self::UnverifiedEmail => "claim",
            Self::Unknown => "unknown",
            Self::NoServiceAccount => "no_service_account",
            Self::Unavailable { .. } => "unavailable",
        }
    }

    /// The code of Connect and gRPC.
    pub(crate) const fn code(&self) -> ErrorCode {
        match self {
            Self::Unavailable { .. } => ErrorCode::Unavailable,
            _ => ErrorCode::Unauthenticated,
        }
    }
}

impl From<&Refusal> for ConnectError {
    fn from(refusal: &Refusal) -> Self {
        Self::new(refusal.code(), refusal.to_string())
    }
}
