//! Logging in: from a credential to a session.

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::api::{Api, Words, general_failure};
use super::session::{Auth, Lease, Looked, Session};
use super::settings::{TokenSource, VaultAuth};
use crate::fetcher::{FailureClass, FetchError};
use crate::https::{Answer, SettingsError, encoded_path, read_credential};

/// The variable of Vault's own tools.
const TOKEN_VARIABLE: &str = "VAULT_TOKEN";
pub(super) const LOOKUP_SELF: &str = "auth/token/lookup-self";
const RENEW_SELF: &str = "auth/token/renew-self";

/// The body of a login at the methods `kubernetes` and `jwt`.
#[derive(Serialize)]
struct JwtLogin<'a> {
    role: &'a str,
    jwt: &'a str,
}

/// The body of a login at the method `approle`.
#[derive(Serialize)]
struct AppRoleLogin<'a> {
    role_id: &'a str,
    secret_id: &'a str,
}

/// Checks what stands in the path of the login.
pub(super) fn check(auth: &VaultAuth) -> Result<(), SettingsError> {
    match auth {
        VaultAuth::Kubernetes { mount, .. } | VaultAuth::Jwt { mount, .. } | VaultAuth::AppRole { mount, .. } => {
            if mount.is_empty() {
                return Err(SettingsError::Path { setting: "auth.mount", value: String::new() });
            }
            encoded_path("auth.mount", mount).map(drop)
        }
        VaultAuth::Token(_) => Ok(()),
    }
}

/// A new session.
pub(super) async fn log_in(api: &Api, auth: &VaultAuth) -> Result<Session, FetchError> {
    match auth {
        VaultAuth::Kubernetes { mount, role, token_path } | VaultAuth::Jwt { mount, role, token_path } => {
            let jwt = read_credential("token to log in to Vault with", token_path).await?;
            let body = JwtLogin { role, jwt: jwt.expose_secret() };
            log_in_at(api, mount, &body, &format!("role {role:?}")).await
        }
        VaultAuth::AppRole { mount, role_id, secret_id_file } => {
            let secret_id = read_credential("secret id to log in to Vault with", secret_id_file).await?;
            let body = AppRoleLogin { role_id, secret_id: secret_id.expose_secret() };
            log_in_at(api, mount, &body, "its role id and secret id").await
        }
        VaultAuth::Token(TokenSource::File(path)) => {
            use_token(api, read_credential("token for Vault", path).await?).await
        }
        VaultAuth::Token(TokenSource::Environment) => match std::env::var(TOKEN_VARIABLE).map(Zeroizing::new) {
            Ok(token) if !token.trim().is_empty() => use_token(api, SecretString::from(token.trim())).await,
            _ => Err(FetchError::new(FailureClass::Denied, format!("no token for Vault: {TOKEN_VARIABLE} is not set"))),
        },
    }
}

async fn log_in_at(api: &Api, mount: &str, body: &impl Serialize, who: &str) -> Result<Session, FetchError> {
    let begin = Instant::now();
    let mount =
        encoded_path("auth.mount", mount).map_err(|error| FetchError::new(FailureClass::Denied, error.to_string()))?;
    let answer = api.post(&format!("auth/{mount}/login"), None, body).await?;
    match answer.status {
        200 => {
            let auth = Auth::of(&answer).ok_or_else(|| {
                let detail = format!("Vault's answer to the login at auth/{mount} holds no token");
                FetchError::new(FailureClass::Malformed, detail)
            })?;
            let lease = Lease::new(begin, auth.lease_duration, auth.renewable);
            Ok(Session::new(SecretString::from(auth.client_token.as_str()), lease))
        }
        _ => Err(refused(&answer, &format!("the login at auth/{mount} with {who}"))),
    }
}

/// A token as it is; what Vault says of it gives its time. A token that may not look itself up is used all the same.
async fn use_token(api: &Api, token: SecretString) -> Result<Session, FetchError> {
    let begin = Instant::now();
    let session = Session::new(token, None);
    let answer = api.get(LOOKUP_SELF, &session).await?;
    match answer.status {
        200 => {
            let Looked { ttl, renewable } = Looked::of(&answer)?;
            Ok(Session::new(session.token().clone(), Lease::new(begin, ttl, renewable)))
        }
        403 => Ok(session),
        _ => Err(refused(&answer, "looking up our token")),
    }
}

/// The session after a renewal; `None` if the token cannot be renewed any more, or not for long.
pub(super) async fn renew(api: &Api, session: &Session) -> Option<Session> {
    let old = session.lease().filter(|lease| lease.renewable())?;
    let begin = Instant::now();
    let answer = api.post(RENEW_SELF, Some(session.token()), &serde_json::json!({})).await.ok()?;
    let auth = Auth::of(&answer).filter(|_| answer.status == 200)?;
    let lease = old.renewed(begin, auth.lease_duration, auth.renewable)?;
    Some(Session::new(session.token().clone(), Some(lease)))
}

fn refused(answer: &Answer, what: &str) -> FetchError {
    match answer.status {
        400 | 401 | 403..=405 => {
            let detail = format!(
                "Vault refuses {what} ({}): check the auth method's mount, the role and its bindings, and the credential; \
                 it says: {}",
                answer.status,
                Words::of(answer).text()
            );
            FetchError::new(FailureClass::Denied, detail)
        }
        _ => {
            let failure = general_failure(answer);
            FetchError::new(failure.class(), format!("{what}: {}", failure.detail()))
        }
    }
}
