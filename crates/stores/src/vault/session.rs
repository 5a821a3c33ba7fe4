//! A token and its time.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::api::Words;
use crate::fetcher::{FailureClass, FetchError};
use crate::https::Answer;

/// What a login gave.
pub(super) struct Session {
    token: SecretString,
    lease: Option<Lease>,
}

/// How long a token lives.
#[derive(Clone, Copy)]
pub(super) struct Lease {
    /// When it began, as seen from here before the request went out: rather too early.
    begin: Instant,
    length: Duration,
    /// The length that the login gave; a renewal may give less, near the end of all renewals.
    at_login: Duration,
    renewable: bool,
}

impl Session {
    pub(super) const fn new(token: SecretString, lease: Option<Lease>) -> Self {
        Self { token, lease }
    }

    pub(super) const fn token(&self) -> &SecretString {
        &self.token
    }

    pub(super) const fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// Whether the token has not ended by its own time; it may have been revoked.
    pub(super) fn is_alive(&self) -> bool {
        self.lease.is_none_or(|lease| Instant::now() < lease.begin + lease.length)
    }

    /// When it is time to care for the next one: after two thirds of the lease. `None` for a token that stays.
    pub(super) fn due(&self) -> Option<Instant> {
        self.lease.map(|lease| lease.begin + lease.length * 2 / 3)
    }
}

impl Lease {
    /// A lease of a login; `None` if it has no end.
    pub(super) fn new(begin: Instant, seconds: u64, renewable: bool) -> Option<Self> {
        // A century is for ever; more could not be added to a time.
        let length = Duration::from_secs(seconds.min(100 * 365 * 86_400));
        (seconds > 0).then_some(Self { begin, length, at_login: length, renewable })
    }

    pub(super) const fn renewable(&self) -> bool {
        self.renewable
    }

    /// The lease after a renewal; `None` if it is less than half of what a login gives: the token nears its
    /// maximal age, and a login is better.
    pub(super) fn renewed(&self, begin: Instant, seconds: u64, renewable: bool) -> Option<Self> {
        let mut lease = Self::new(begin, seconds, renewable)?;
        lease.at_login = self.at_login;
        (lease.length >= self.at_login / 2).then_some(lease)
    }
}

/// The part `auth` of the answer to a login or a renewal.
#[derive(Deserialize)]
pub(super) struct Auth {
    pub(super) client_token: Zeroizing<String>,
    #[serde(default)]
    pub(super) lease_duration: u64,
    #[serde(default)]
    pub(super) renewable: bool,
}

impl Auth {
    /// `None` if the answer holds no token.
    pub(super) fn of(answer: &Answer) -> Option<Self> {
        #[derive(Deserialize)]
        struct WithAuth {
            auth: Option<Auth>,
        }
        let auth = serde_json::from_slice::<WithAuth>(&answer.body).ok()?.auth?;
        (!auth.client_token.is_empty()).then_some(auth)
    }
}

/// What `auth/token/lookup-self` says of a token, in the answer's `data`.
#[derive(Deserialize)]
pub(super) struct Looked {
    /// What is left of its life in seconds; 0 if it has no end.
    #[serde(default)]
    pub(super) ttl: u64,
    #[serde(default)]
    pub(super) renewable: bool,
}

impl Looked {
    pub(super) fn of(answer: &Answer) -> Result<Self, FetchError> {
        #[derive(Deserialize)]
        struct WithData {
            data: Looked,
        }
        serde_json::from_slice::<WithData>(&answer.body).map(|answer| answer.data).map_err(|_| {
            let detail =
                format!("Vault's answer to lookup-self is not understood; it says: {}", Words::of(answer).text());
            FetchError::new(FailureClass::Malformed, detail)
        })
    }
}
