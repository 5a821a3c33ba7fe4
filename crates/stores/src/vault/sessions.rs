//! Who is logged in: one session for all, one login at a time, and no storm of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::api::{Api, Request, general_failure};
use super::login::{LOOKUP_SELF, check, log_in, renew};
use super::session::Session;
use super::settings::{VaultAuth, VaultSettings};
use crate::fetcher::{FailureClass, FetchError};
use crate::https::{Answer, SettingsError};

/// How long a failed login is the answer for everybody; doubled by each failure that follows.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// How long a 403 is taken for a matter of policy after a fresh login did not help against one.
const LOGIN_IN_VAIN: Duration = Duration::from_secs(30);
/// The same for a token of a file or variable, where a login only reads it again.
const READING_IN_VAIN: Duration = Duration::from_secs(1);

/// The sessions of one store.
pub(super) struct Sessions {
    api: Api,
    auth: VaultAuth,
    timeout: Duration,
    state: Mutex<State>,
    /// Held during a login, so that there is one at a time.
    gate: tokio::sync::Mutex<()>,
    /// Held during a renewal; whoever finds it taken leaves it to the other.
    renewal: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct State {
    session: Option<Arc<Session>>,
    /// When to renew it.
    due: Option<Instant>,
    /// The last login, if it failed, and when the next may be tried.
    failure: Option<(Instant, FetchError)>,
    failures: u32,
    /// Until when no 403 makes us log in again.
    in_vain_until: Option<Instant>,
}

impl State {
    fn alive(&self) -> Option<Arc<Session>> {
        self.session.clone().filter(|session| session.is_alive())
    }

    fn enter(&mut self, session: Session) -> Arc<Session> {
        let session = Arc::new(session);
        *self = Self {
            due: session.due(),
            session: Some(Arc::clone(&session)),
            in_vain_until: self.in_vain_until,
            ..Self::default()
        };
        session
    }

    fn fail(&mut self, error: FetchError) {
        let pause = (FIRST_PAUSE * 2_u32.pow(self.failures.min(8))).min(LONGEST_PAUSE);
        self.failures += 1;
        let until = Instant::now() + pause;
        self.due = self.due.map(|_| until);
        self.failure = Some((until, error));
    }

    fn recent_failure(&self) -> Option<FetchError> {
        self.failure.as_ref().filter(|(until, _)| Instant::now() < *until).map(|(_, error)| error.clone())
    }
}

impl Sessions {
    pub(super) fn new(api: Api, settings: &VaultSettings) -> Result<Self, SettingsError> {
        check(&settings.auth)?;
        Ok(Self {
            api,
            auth: settings.auth.clone(),
            timeout: settings.timeout,
            state: Mutex::default(),
            gate: tokio::sync::Mutex::default(),
            renewal: Arc::default(),
        })
    }

    /// The answer to a request, whatever its status. Where Vault denies it because our token is no longer good, it is sent again
    /// after a login: what was denied has done nothing.
    pub(super) async fn send(self: &Arc<Self>, request: &Request) -> Result<Answer, FetchError> {
        let session = self.current().await?;
        let answer = self.api.send(request, &session).await?;
        if !is_denied(&answer) || !self.has_ended(&session).await? {
            return Ok(answer);
        }
        let session = self.replace(session).await?;
        let again = self.api.send(request, &session).await?;
        if is_denied(&again) {
            self.was_replaced_in_vain(&session).await;
        }
        Ok(again)
    }

    /// The session, after a login if there is none. Renewal happens beside it: nobody waits for that.
    async fn current(self: &Arc<Self>) -> Result<Arc<Session>, FetchError> {
        let (session, due) = {
            let state = self.state();
            (state.alive(), state.due)
        };
        let Some(session) = session else { return self.enter(None).await };
        if due.is_some_and(|due| due <= Instant::now())
            && let Ok(renewal) = Arc::clone(&self.renewal).try_lock_owned()
        {
            let (sessions, old) = (Arc::clone(self), Arc::clone(&session));
            tokio::spawn(async move {
                sessions.refresh(&old).await;
                drop(renewal);
            });
        }
        Ok(session)
    }

    /// Another session than `bad`: somebody else's, if there is one already, else after a login.
    async fn replace(self: &Arc<Self>, bad: Arc<Session>) -> Result<Arc<Session>, FetchError> {
        self.enter(Some(bad)).await
    }

    /// Whether Vault no longer knows the session's token, so that a 403 may be for that reason.
    async fn has_ended(&self, session: &Session) -> Result<bool, FetchError> {
        if self.state().in_vain_until.is_some_and(|until| Instant::now() < until) {
            return Ok(false);
        }
        let answer = self.api.get(LOOKUP_SELF, session).await?;
        match answer.status {
            200..=299 => Ok(false),
            401 | 403 => Ok(true),
            _ => Err(general_failure(&answer)),
        }
    }

    /// Notes that a fresh session is answered with 403 as well. If it may not even look itself up, the next 403
    /// cannot be told from one of policy, and must not cost a login each time.
    async fn was_replaced_in_vain(&self, fresh: &Session) {
        if matches!(self.has_ended(fresh).await, Ok(true)) {
            let pause = if matches!(self.auth, VaultAuth::Token(_)) { READING_IN_VAIN } else { LOGIN_IN_VAIN };
            self.state().in_vain_until = Some(Instant::now() + pause);
        }
    }

    /// Logs in, in a task of its own: a caller that gives up takes nothing from those who wait as well.
    async fn enter(self: &Arc<Self>, bad: Option<Arc<Session>>) -> Result<Arc<Session>, FetchError> {
        let sessions = Arc::clone(self);
        let login = tokio::spawn(async move {
            let _one_at_a_time = sessions.gate.lock().await;
            {
                let state = sessions.state();
                let is_bad = |session: &Arc<Session>| bad.as_ref().is_some_and(|bad| Arc::ptr_eq(bad, session));
                if let Some(session) = state.alive().filter(|session| !is_bad(session)) {
                    return Ok(session);
                }
                if let Some(error) = state.recent_failure() {
                    return Err(error);
                }
            }
            sessions.log_in().await
        });
        login
            .await
            .unwrap_or_else(|_| Err(FetchError::new(FailureClass::Unavailable, "the login to Vault was broken off")))
    }

    async fn log_in(&self) -> Result<Arc<Session>, FetchError> {
        let late = |_| {
            let milliseconds = self.timeout.as_millis();
            FetchError::new(FailureClass::Late, format!("Vault did not answer a login within {milliseconds} ms"))
        };
        let login = timeout(self.timeout, log_in(&self.api, &self.auth)).await.map_err(late).and_then(|login| login);
        let mut state = self.state();
        match login {
            Ok(session) => Ok(state.enter(session)),
            Err(error) => {
                state.fail(error.clone());
                Err(error)
            }
        }
    }

    /// Renews the session, or logs in before it ends. If neither works, it is used on until its end.
    async fn refresh(&self, old: &Arc<Session>) {
        let renewed = timeout(self.timeout, renew(&self.api, old)).await.ok().flatten();
        let is_current = |state: &State| state.session.as_ref().is_some_and(|session| Arc::ptr_eq(session, old));
        match renewed {
            Some(session) => {
                let mut state = self.state();
                if is_current(&state) {
                    state.enter(session);
                }
            }
            None => {
                let _one_at_a_time = self.gate.lock().await;
                let still_wanted = is_current(&self.state());
                if still_wanted {
                    // The failure, if it is one, is in the state.
                    drop(self.log_in().await);
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn is_denied(answer: &Answer) -> bool {
    matches!(answer.status, 401 | 403)
}
