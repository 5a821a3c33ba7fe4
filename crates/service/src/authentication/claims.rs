//! What stands in a token (RFC 7519).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Refusal;

/// The longest name of a user or group, and the most groups of a user; more permit nothing more.
const MAX_NAME: usize = 256;
const MAX_GROUPS: usize = 500;

/// The claims of a token.
#[derive(Clone, Debug)]
pub(super) struct Claims(Map<String, Value>);

/// What is read of a token's header (RFC 7515) before anything is believed.
#[derive(Debug, Deserialize)]
pub(super) struct Header {
    pub(super) alg: String,
    pub(super) kid: Option<String>,
    /// Extensions that must be understood; none are.
    pub(super) crit: Option<Value>,
}

impl Header {
    pub(super) fn unverified(token: &str) -> Option<Self> {
        serde_json::from_slice(&part(token, 0)?).ok()
    }
}

impl Claims {
    /// What a token says of itself, which is worth nothing yet. `None` for what is no token.
    pub(super) fn unverified(token: &str) -> Option<Self> {
        if token.split('.').count() != 3 {
            return None;
        }
        serde_json::from_slice(&part(token, 1)?).ok().map(Self)
    }

    pub(super) fn verified(claims: Map<String, Value>) -> Self {
        Self(claims)
    }

    pub(super) fn issuer(&self) -> Option<&str> {
        self.0.get("iss")?.as_str()
    }

    /// Since when it is over, if it is.
    pub(super) fn expired(&self) -> Option<Refusal> {
        let end = Duration::from_secs(self.0.get("exp")?.as_u64()?);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = now.checked_sub(end).filter(|since| !since.is_zero())?;
        let ago = match since.as_secs() {
            seconds @ 0..120 => format!("{seconds}s ago"),
            seconds @ 120..7200 => format!("{}min ago", seconds / 60),
            seconds @ 7200..172_800 => format!("{}h ago", seconds / 3600),
            seconds => format!("{} days ago", seconds / 86_400),
        };
        Some(Refusal::Expired { ago })
    }

    /// Whether it is meant for one of these.
    pub(super) fn is_meant_for(&self, audiences: &[String]) -> bool {
        let is_one = |audience: &Value| audience.as_str().is_some_and(|one| audiences.iter().any(|other| other == one));
        match self.0.get("aud") {
            Some(Value::Array(all)) => all.iter().any(is_one),
            Some(one) => is_one(one),
            None => false,
        }
    }

    /// A name: not empty, printable and not long.
    pub(super) fn name(&self, claim: &str) -> Result<String, Refusal> {
        let name = self.0.get(claim).and_then(Value::as_str).filter(|name| is_name(name));
        let name = name.ok_or_else(|| Refusal::Claim { claim: claim.to_owned() })?;
        // As in Kubernetes: an issuer that does not say is believed.
        if claim == "email" && self.0.get("email_verified").is_some_and(|verified| *verified != Value::Bool(true)) {
            return Err(Refusal::UnverifiedEmail);
        }
        Ok(name.to_owned())
    }

    /// Names in a text or a list; what is none is left out.
    pub(super) fn names(&self, claim: &str) -> Vec<String> {
        let all = match self.0.get(claim) {
            Some(Value::Array(all)) => all.as_slice(),
            Some(one) => std::slice::from_ref(one),
            None => &[],
        };
        let names = all.iter().filter_map(Value::as_str).filter(|name| is_name(name));
        names.take(MAX_GROUPS).map(str::to_owned).collect()
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && !name.contains(char::is_control)
}

fn part(token: &str, index: usize) -> Option<Vec<u8>> {
    BASE64URL_NOPAD.decode(token.split('.').nth(index)?.as_bytes()).ok()
}
